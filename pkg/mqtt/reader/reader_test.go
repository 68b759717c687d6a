package reader

import (
	"math"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/device"
)

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		quantity, unit string
		in             float64
		property       string
		want           device.Value
	}{
		{"temperature", "°C", 21.5, "temperature_celsius", device.Number(21.5)},
		{"temperature", "°F", 68, "temperature_celsius", device.Number(20)},
		{"temperature", "K", 273.15, "temperature_celsius", device.Number(0)},
		{"temperature", "°C", -300, "temperature_celsius", device.Null},
		{"humidity", "%", 101, "humidity_percent", device.Number(100)},
		{"pressure", "kPa", 101.3, "pressure_hpa", device.Number(1013)},
		{"pressure", "hPa", 1013, "pressure_hpa", device.Number(1013)},
		{"pressure", "inHg", 29.92, "pressure_hpa", device.Number(1013.207469)},
		{"illuminance", "lx", -0.1, "illuminance_lux", device.Number(0)},
		{"volume_flow_rate", "L/min", 10, "flow_m3_per_hour", device.Number(0.6)},
		{"power", "kW", 1.2, "power_watts", device.Number(1200)},
		{"power", "W", -120, "power_watts", device.Number(-120)},
		{"energy", "Wh", 1500, "energy_kwh", device.Number(1.5)},
		{"energy", "MJ", 3.6, "energy_kwh", device.Number(1)},
		{"current", "mA", 435, "current_amperes", device.Number(0.435)},
		{"voltage", "mV", 3000, "voltage_volts", device.Number(3)},
		{"pm25", "µg/m³", 12, "pm25_ug_per_m3", device.Number(12)},
		{"pm25", "μg/m³", 12, "pm25_ug_per_m3", device.Number(12)}, // two letters that look the same
		{"formaldehyde", "µg/m³", 12, "formaldehyde_mg_per_m3", device.Number(0.012)},
		{"ozone", "ppb", 20, "ozone_ppm", device.Number(0.02)},
	} {
		q := Quantities[c.quantity]
		convert, ok := q.Unit(c.unit)
		if !ok || q.Property != c.property {
			t.Errorf("%s in %s: %v, %s", c.quantity, c.unit, ok, q.Property)
			continue
		}
		if got := convert(c.in); got != c.want {
			t.Errorf("%v %s of %s is %s, want %s", c.in, c.unit, c.quantity, got, c.want)
		}
	}
	for _, c := range [][2]string{{"temperature", "%"}, {"volatile_organic_compounds_parts", "µg/m³"}, {"ozone", "µg/m³"}, {"power", "VA"}, {"pressure", ""}} {
		if _, ok := Quantities[c[0]].Unit(c[1]); ok {
			t.Errorf("%s in %s can be converted", c[0], c[1])
		}
	}
}

// TestColors compares conversions with known values: sRGB's primaries, and D65 as
// the color of 6500 K.
func TestColors(t *testing.T) {
	for _, c := range []struct{ r, g, b, hue, saturation float64 }{
		{255, 0, 0, 0, 100}, {0, 255, 0, 120, 100}, {0, 0, 255, 240, 100}, {255, 255, 255, 0, 0}, {255, 128, 128, 0, 49.8}, {255, 0, 255, 300, 100}, {0, 0, 0, 0, 0},
	} {
		if h, s := HS(c.r, c.g, c.b); h != c.hue || s != c.saturation {
			t.Errorf("%v: hue %v, saturation %v", c, h, s)
		}
		if c.saturation == 100 {
			if r, g, b := RGB(c.hue, c.saturation); r != c.r || g != c.g || b != c.b {
				t.Errorf("%v: %v %v %v", c, r, g, b)
			}
		}
	}
	near := func(a, b, by float64) bool { return math.Abs(a-b) <= by }
	if h, s := HSFromXY(0.64, 0.33); !near(h, 0, 1) && !near(h, 360, 1) || !near(s, 100, 1) {
		t.Errorf("red is %v %v", h, s)
	}
	if h, s := HSFromXY(0.15, 0.06); !near(h, 240, 1) || !near(s, 100, 1) {
		t.Errorf("blue is %v %v", h, s)
	}
	if _, s := HSFromXY(0.3127, 0.3290); !near(s, 0, 2) {
		t.Errorf("white has saturation %v", s)
	}
	if x, y := XY(6500); !near(x, 0.3135, 0.002) || !near(y, 0.3237, 0.002) { // the Planckian locus at 6500 K
		t.Errorf("6500 K is %v %v", x, y)
	}
	if x, y := XY(2700); !near(x, 0.4599, 0.002) || !near(y, 0.4106, 0.002) {
		t.Errorf("2700 K is %v %v", x, y)
	}
	if low, high := Mireds(0, 0); low != 2000 || high != 6536 {
		t.Errorf("unknown range: %v-%v", low, high)
	}
	if low, high := Mireds(1, 100_000); low != 1000 || high != 14925 {
		t.Errorf("absurd range: %v-%v", low, high)
	}
}

func TestTopics(t *testing.T) {
	for topic, want := range map[string][2]bool{
		"a/b": {true, true}, "a/+/b": {false, true}, "a/#": {false, true}, "#": {false, false}, "+": {false, true}, "a+/b": {false, false}, "a/#/b": {false, false},
		"": {false, false}, "$SYS/x": {false, false}, "a\x00": {false, false}, "\xff": {false, false}, strings.Repeat("x", 1025): {false, false}, "a b/ü": {true, true},
	} {
		if got := [2]bool{PublishableTopic(topic), Filterable(topic)}; got != want {
			t.Errorf("%.20q: %v, want %v", topic, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	if got := ID("z2m", "0xA1/b c:ü"); got != "z2m:0xA1_b_c:_" {
		t.Error(got)
	}
	if got := ID("ha", strings.Repeat("x", 200)); len(got) != 128 {
		t.Error(len(got))
	}
	if got := Text(" a\nb\x00 "); got != "ab" {
		t.Errorf("%q", got)
	}
	if got := Text(strings.Repeat("ü", 200)); len(got) != MaxText {
		t.Error(len(got))
	}
}
