package device

import "math"

// plain returns the number with the fewest digits that back makes raw of again, near to
// exact: what a person would write for it. steps are the roundings to try.
func plain(exact float64, raw uint16, back func(float64) uint16, steps ...float64) float64 {
	for _, step := range steps {
		v := math.Round(exact/step) * step
		if step < 1 {
			v = math.Round(exact*math.Round(1/step)) / math.Round(1/step)
		}
		if back(v) == raw {
			return v
		}
	}
	return exact
}

// brightnessOf returns a level, or a saturation, of 0 to 254 in percent.
func brightnessOf(level uint8) float64 {
	return plain(float64(level)*100/254, uint16(level), func(v float64) uint16 { return uint16(brightnessLevel(v)) }, 1, 0.1)
}

// brightnessLevel is the reverse of brightnessOf.
func brightnessLevel(percent float64) uint8 {
	return uint8(math.Round(min(max(percent, 0), 100) * 254 / 100))
}

// kelvinOf returns a color temperature in kelvin, from low to high.
func kelvinOf(mireds uint16, low, high float64) float64 {
	back := func(v float64) uint16 {
		if v < low || v > high {
			return 0
		}
		return miredsOf(v)
	}
	exact := 1e6 / max(float64(mireds), 1)
	return min(max(plain(exact, mireds, back, 100, 50, 10, 1), low), high)
}

// miredsOf is the reverse of kelvinOf.
func miredsOf(kelvin float64) uint16 { return uint16(math.Round(1e6 / max(kelvin, 16))) }

// degreesOf returns a hue of 0 to 65535 in degrees, to a tenth.
func degreesOf(hue uint16) float64 { return math.Round(float64(hue)*3600/65536) / 10 }

// hueOf is the reverse of degreesOf; 360 is 0.
func hueOf(degrees float64) uint16 { return uint16(uint32(math.Round(degrees * 65536 / 360))) }

// coordinateOf returns a coordinate in units of 1/65536 as a number, to four digits.
func coordinateOf(v uint16) float64 { return math.Round(float64(v)*1e4/65536) / 1e4 }

// fixedOf is the reverse of coordinateOf.
func fixedOf(v float64) uint16 { return uint16(math.Round(min(max(v, 0), 65279.0/65536) * 65536)) }
