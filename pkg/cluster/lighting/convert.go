package lighting

import (
	"math"
	"sync"
)

// circle is a full turn of the enhanced hue (section 3.2.7.12).
const circle = 1 << 16

// maxXY is the maximum coordinate, and the maximum color temperature.
const maxXY = 0xFEFF

// hueOf8 converts a hue from 0 to 254 (360 degrees) to an enhanced hue.
func hueOf8(h uint8) uint16 {
	return uint16(min((uint32(h)*circle+127)/254, circle-1))
}

// hue8 converts an enhanced hue to the nearest hue from 0 to 254.
func hue8(h uint16) uint8 { return uint8((uint32(h)*254 + circle/2) / circle) }

// xyOfHS returns the coordinates of a hue and a saturation at full brightness, with
// the primaries and the white point of sRGB (IEC 61966-2-1).
func xyOfHS(hue uint16, saturation uint8) (x, y uint16) {
	h, s := float64(hue)*6/circle, float64(saturation)/254
	var rgb [3]float64
	for i, peak := range [...]float64{0, 2, 4} {
		away := math.Abs(h - peak)
		away = min(away, 6-away)
		rgb[i] = linear(1 - s*min(max(away-1, 0), 1))
	}
	r, g, b := rgb[0], rgb[1], rgb[2]
	return coordinates(0.4124*r+0.3576*g+0.1805*b, 0.2126*r+0.7152*g+0.0722*b, 0.0193*r+0.1192*g+0.9505*b)
}

// coordinates returns x and y of a color in CIE 1931 XYZ.
func coordinates(x, y, z float64) (uint16, uint16) {
	sum := x + y + z
	return fixed(x / sum), fixed(y / sum)
}

// fixed returns a coordinate in units of 1/65536.
func fixed(v float64) uint16 { return uint16(min(max(math.Round(v*circle), 0), maxXY)) }

// hsOfXY returns the hue and the saturation nearest to coordinates.
func hsOfXY(x, y uint16) (hue uint16, saturation uint8) {
	fx, fy := float64(x)/circle, max(float64(y), 1)/circle
	bx, bz := fx/fy, max(1-fx-fy, 0)/fy
	rgb := [3]float64{
		3.2406*bx - 1.5372 - 0.4986*bz,
		-0.9689*bx + 1.8758 + 0.0415*bz,
		0.0557*bx - 0.2040 + 1.0570*bz,
	}
	most := max(rgb[0], rgb[1], rgb[2])
	for i := range rgb {
		rgb[i] = gamma(max(rgb[i]/most, 0))
	}
	r, g, b := rgb[0], rgb[1], rgb[2]
	least := min(r, g, b)
	if least >= 1-1.0/1024 {
		return 0, 0
	}
	var h float64
	switch width := 1 - least; {
	case r >= g && r >= b:
		h = (g - b) / width
	case g >= b:
		h = 2 + (b-r)/width
	default:
		h = 4 + (r-g)/width
	}
	return uint16(int64(math.Round(h*circle/6)) & (circle - 1)), uint8(math.Round((1 - least) * 254))
}

func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func gamma(v float64) float64 {
	if v <= 0.0031308 {
		return v * 12.92
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}

// xyOfMireds returns the coordinates of a color temperature on the Planckian locus.
// It uses the cubic splines of Kim et al. (US patent 7024034), which are valid from
// 1667 to 25000 K.
func xyOfMireds(m uint16) (uint16, uint16) {
	t := min(max(1e6/max(float64(m), 1), 1667), 25000)
	i := 1000 / t
	var x, y float64
	if t <= 4000 {
		x = ((-0.2661239*i-0.2343589)*i+0.8776956)*i + 0.179910
	} else {
		x = ((-3.0258469*i+2.1070379)*i+0.2226347)*i + 0.240390
	}
	switch {
	case t <= 2222:
		y = ((-1.1063814*x-1.34811020)*x+2.18555832)*x - 0.20219683
	case t <= 4000:
		y = ((-0.9549476*x-1.37418593)*x+2.09137015)*x - 0.16748867
	default:
		y = ((3.0817580*x-5.87338670)*x+3.75112997)*x - 0.37001483
	}
	return fixed(x), fixed(y)
}

// miredsOfXY returns the color temperature from low to high that is nearest to
// coordinates: the point of the Planckian locus at the least distance in CIE 1960
// (u, v).
func miredsOfXY(x, y, low, high uint16) uint16 {
	u, v := uv(x, y)
	points := locus()
	distance := func(m uint16) float64 {
		p := &points[min(m, warmest)]
		return (p[0]-u)*(p[0]-u) + (p[1]-v)*(p[1]-v)
	}
	for low < high {
		mid := low + (high-low)/2
		if distance(mid) <= distance(mid+1) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// warmest is the last color temperature of the locus, in mireds.
const warmest = 1000

// locus returns (u, v) of the Planckian locus by mireds.
var locus = sync.OnceValue(func() *[warmest + 1][2]float64 {
	var points [warmest + 1][2]float64
	for m := range points {
		points[m][0], points[m][1] = uv(xyOfMireds(uint16(m)))
	}
	return &points
})

// uv returns the coordinates of CIE 1960 for those of CIE 1931.
func uv(x, y uint16) (u, v float64) {
	fx, fy := float64(x)/circle, float64(y)/circle
	d := max(12*fy-2*fx+3, 1e-3)
	return 4 * fx / d, 6 * fy / d
}
