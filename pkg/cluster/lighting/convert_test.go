package lighting

import (
	"math"
	"testing"
)

func TestHueIn8Bits(t *testing.T) {
	for h := range 255 {
		if got := hue8(hueOf8(uint8(h))); int(got) != h {
			t.Errorf("hue %d comes back as %d", h, got)
		}
	}
	for h := 0; h < circle; h += 7 {
		if got := hue8(uint16(h)); got > 254 {
			t.Fatalf("enhanced hue %d is hue %d", h, got)
		}
	}
}

// Known colors: of sRGB (IEC 61966-2-1) and of the Planckian locus.
func TestKnownColors(t *testing.T) {
	near := func(what string, got uint16, want float64) {
		t.Helper()
		if math.Abs(float64(got)/circle-want) > 0.003 {
			t.Errorf("%s is %.4f, want %.4f", what, float64(got)/circle, want)
		}
	}
	for _, tt := range []struct {
		name       string
		hue        float64 // degrees
		saturation uint8
		x, y       float64
	}{
		{"red", 0, 254, 0.64, 0.33},
		{"green", 120, 254, 0.30, 0.60},
		{"blue", 240, 254, 0.15, 0.06},
		{"yellow", 60, 254, 0.4193, 0.5053},
		{"white", 77, 0, 0.3127, 0.3290},
	} {
		x, y := xyOfHS(uint16(tt.hue/360*circle), tt.saturation)
		near(tt.name+" x", x, tt.x)
		near(tt.name+" y", y, tt.y)
	}
	for _, tt := range []struct {
		mireds uint16
		x, y   float64
	}{
		{153, 0.3135, 0.3237}, {250, 0.3805, 0.3768}, {370, 0.4599, 0.4106}, {500, 0.5267, 0.4133},
	} {
		x, y := xyOfMireds(tt.mireds)
		near("x of a temperature", x, tt.x)
		near("y of a temperature", y, tt.y)
	}
}

func TestConversionsComeBack(t *testing.T) {
	for h := 0; h < circle; h += 331 {
		for s := 40; s <= 254; s += 20 {
			x, y := xyOfHS(uint16(h), uint8(s))
			h2, s2 := hsOfXY(x, y)
			turn := math.Abs(float64(int16(h2 - uint16(h))))
			if turn > circle/200 || math.Abs(float64(s2)-float64(s)) > 3 {
				t.Fatalf("hue %d, saturation %d comes back as %d, %d", h, s, h2, s2)
			}
		}
	}
	for m := uint16(140); m <= 520; m++ {
		x, y := xyOfMireds(m)
		if got := miredsOfXY(x, y, 67, 1000); math.Abs(float64(got)-float64(m)) > 0.02*float64(m) {
			t.Fatalf("%d mireds come back as %d", m, got)
		}
	}
}

// All models stay in their ranges for any coordinates that a controller sends.
func FuzzConversions(f *testing.F) {
	for _, v := range []uint16{0, 1, 12000, 21740, 32768, maxXY} {
		f.Add(v, v)
		f.Add(v, uint16(0))
		f.Add(uint16(0), v)
		f.Add(uint16(21758), v)
	}
	f.Fuzz(func(t *testing.T, x, y uint16) {
		x, y = min(x, maxXY), min(y, maxXY)
		h, s := hsOfXY(x, y)
		if hue8(h) > 254 || s > 254 {
			t.Errorf("hue %d, saturation %d", h, s)
		}
		if m := miredsOfXY(x, y, 153, 500); m < 153 || m > 500 {
			t.Errorf("%d mireds", m)
		}
		if x, y := xyOfHS(h, s); x > maxXY || y > maxXY || y == 0 {
			t.Errorf("x %d, y %d", x, y)
		}
		if x, y := xyOfMireds(x); x > maxXY || y > maxXY || y == 0 {
			t.Errorf("x %d, y %d of a temperature", x, y)
		}
	})
}

func BenchmarkConversions(b *testing.B) {
	m := Model{Features: 0x19, MinMireds: 153, MaxMireds: 500}
	var t Tint
	for b.Loop() {
		t.set(modeXY, 20000, 20000, &m)
	}
}
