package device

import "math"

// plain returns the number with the fewest digits near exact that back converts to
// raw: the number that a person would write. steps are the roundings to try.
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

// brightnessOf converts a level, or a saturation, from 0 to 254 to percent.
func brightnessOf(level uint8) float64 {
	return plain(float64(level)*100/254, uint16(level), func(v float64) uint16 { return uint16(brightnessLevel(v)) }, 1, 0.1)
}

// brightnessLevel is the inverse of brightnessOf.
func brightnessLevel(percent float64) uint8 {
	return uint8(math.Round(percent * 254 / 100))
}

// kelvinOf converts a color temperature to kelvin, from low to high.
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

// miredsOf is the inverse of kelvinOf.
func miredsOf(kelvin float64) uint16 { return uint16(math.Round(1e6 / kelvin)) }

// degreesOf converts a hue from 0 to 65535 to degrees, rounded to a tenth.
func degreesOf(hue uint16) float64 { return math.Round(float64(hue)*3600/65536) / 10 }

// hueOf is the inverse of degreesOf; 360 is 0.
func hueOf(degrees float64) uint16 { return uint16(uint32(math.Round(degrees * 65536 / 360))) }

// coordinateOf converts a coordinate in units of 1/65536 to a number with four
// digits.
func coordinateOf(v uint16) float64 { return math.Round(float64(v)*1e4/65536) / 1e4 }

// topXY is the largest coordinate, 65279/65536 in four digits.
const topXY = 0.9961

// fixedOf is the inverse of coordinateOf.
func fixedOf(v float64) uint16 { return uint16(min(math.Round(v*65536), 65279)) }
