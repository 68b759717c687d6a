package reader

import (
	"math"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Number returns a JSON value as a number. It accepts numbers as strings, since
// some publishers send them so.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// Numbers returns numbers that are separated by commas, or nil if one of them
// is not a number.
func Numbers(s string) []float64 {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		f, ok := Number(part)
		if !ok {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// Clamp returns f limited to a range.
func Clamp(f, low, high float64) float64 { return max(low, min(high, f)) }

// Round rounds f to a number of decimal places.
func Round(f float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(f*scale) / scale
}

// Percent converts a value from the range low to high to percent.
func Percent(v, low, high float64) float64 {
	if high <= low {
		return 0
	}
	return Clamp((v-low)/(high-low)*100, 0, 100)
}

// FromPercent converts percent to an integer in the range low to high.
func FromPercent(p, low, high float64) float64 {
	return math.Round(low + Clamp(p, 0, 100)/100*(high-low))
}

// The range of color temperatures that Matter can represent, in mireds, and the
// default of a light that does not announce its range.
const (
	coldest, warmest               = 67, 1000
	defaultColdest, defaultWarmest = 153, 500
)

// Mireds returns the range of a light in Kelvin, from what its source announced in
// mireds; 0 means that it announced none.
func Mireds(low, high float64) (minKelvin, maxKelvin float64) {
	if low <= 0 {
		low = defaultColdest
	}
	if high <= low {
		high = max(defaultWarmest, low+1)
	}
	return Kelvin(Clamp(high, coldest, warmest)), Kelvin(Clamp(low, coldest, warmest))
}

// Kelvin converts mireds to Kelvin, and Kelvin to mireds.
func Kelvin(mired float64) float64 { return math.Round(1e6 / mired) }

// XY returns the color of a black body, for lamps that have colors but no color
// temperature. It uses the approximation of Kim et al. (2002) to the Planckian
// locus.
func XY(kelvin float64) (x, y float64) {
	t := Clamp(kelvin, 1667, 25000)
	if t <= 4000 {
		x = -0.2661239e9/(t*t*t) - 0.2343589e6/(t*t) + 0.8776956e3/t + 0.179910
	} else {
		x = -3.0258469e9/(t*t*t) + 2.1070379e6/(t*t) + 0.2226347e3/t + 0.240390
	}
	switch {
	case t <= 2222:
		y = -1.1063814*x*x*x - 1.34811020*x*x + 2.18555832*x - 0.20219683
	case t <= 4000:
		y = -0.9549476*x*x*x - 1.37418593*x*x + 2.09137015*x - 0.16748867
	default:
		y = 3.0817580*x*x*x - 5.87338670*x*x + 3.75112997*x - 0.37001483
	}
	return Round(x, 4), Round(y, 4)
}

// HS returns the hue in degrees and the saturation in percent of a color of red,
// green and blue, each from 0 to 255.
func HS(r, g, b float64) (hue, saturation float64) {
	high, low := max(r, g, b), min(r, g, b)
	if high <= 0 || high == low {
		return 0, 0
	}
	d := high - low
	switch high {
	case r:
		hue = math.Mod((g-b)/d+6, 6)
	case g:
		hue = (b-r)/d + 2
	default:
		hue = (r-g)/d + 4
	}
	return Round(hue*60, 1), Round(d/high*100, 1)
}

// RGB is the inverse of HS, at full brightness.
func RGB(hue, saturation float64) (r, g, b float64) {
	h, s := math.Mod(math.Mod(hue, 360)+360, 360)/60, Clamp(saturation, 0, 100)/100
	part := func(shift float64) float64 {
		k := math.Mod(h+shift, 6)
		return math.Round(255 * (1 - s*max(0, min(k, 4-k, 1))))
	}
	return part(5), part(3), part(1)
}

// HSFromXY returns hue and saturation of a color of the CIE diagram, through sRGB
// (IEC 61966-2-1).
func HSFromXY(x, y float64) (hue, saturation float64) {
	if y <= 0 {
		return 0, 0
	}
	xx, yy, zz := x/y, 1.0, (1-x-y)/y
	r := 3.2406*xx - 1.5372*yy - 0.4986*zz
	g := -0.9689*xx + 1.8758*yy + 0.0415*zz
	b := 0.0557*xx - 0.2040*yy + 1.0570*zz
	most := max(r, g, b)
	if most <= 0 {
		return 0, 0
	}
	gamma := func(c float64) float64 {
		if c = max(0, c/most); c <= 0.0031308 {
			return 12.92 * c
		}
		return 1.055*math.Pow(c, 1/2.4) - 0.055
	}
	return HS(255*gamma(r), 255*gamma(g), 255*gamma(b))
}

// XYFromHS is the inverse of HSFromXY.
func XYFromHS(hue, saturation float64) (x, y float64) {
	linear := func(c float64) float64 {
		if c /= 255; c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	r, g, b := RGB(hue, saturation)
	r, g, b = linear(r), linear(g), linear(b)
	xx := 0.4124*r + 0.3576*g + 0.1805*b
	yy := 0.2126*r + 0.7152*g + 0.0722*b
	zz := 0.0193*r + 0.1192*g + 0.9505*b
	return Round(xx/(xx+yy+zz), 4), Round(yy/(xx+yy+zz), 4)
}

// Celsius converts a temperature. It returns false if the unit is unknown.
func Celsius(v float64, unit string) (float64, bool) {
	switch strings.TrimPrefix(strings.TrimSpace(unit), "°") {
	case "C", "":
		return v, true
	case "F":
		return (v - 32) / 1.8, true
	case "K":
		return v - 273.15, true
	}
	return v, false
}

// Quantity is what a sensor measures: the property, and the type of a part that
// measures only this.
type Quantity struct {
	Type     string // empty: a quantity of a meter
	Property string
	units    map[string]float64 // factors; nil: any unit
	low      float64            // values below this are invalid, if low < high
	high     float64
}

const (
	// AirQuality is the type of the part that has all quantities of the air.
	AirQuality = "air_quality_sensor"
	// Meter is the type of a part that is only a meter.
	Meter = "electrical_sensor"
)

// Quantities are what sensors measure, by Home Assistant's device classes. Other
// readers translate their names to these.
var Quantities = map[string]Quantity{
	"temperature":                      {Type: "temperature_sensor", Property: "temperature_celsius", low: -273.15, high: 327.67},
	"humidity":                         {Type: "humidity_sensor", Property: "humidity_percent", units: map[string]float64{"%": 1, "": 1}, low: -0.5, high: 105},
	"pressure":                         {Type: "pressure_sensor", Property: "pressure_hpa", units: map[string]float64{"hPa": 1, "mbar": 1, "Pa": 0.01, "kPa": 10, "bar": 1000, "cbar": 10, "psi": 68.947573, "inHg": 33.863886, "mmHg": 1.3332239}},
	"illuminance":                      {Type: "light_sensor", Property: "illuminance_lux", units: map[string]float64{"lx": 1, "Lx": 1, "lux": 1, "": 1}, low: -0.5, high: 3.576e6},
	"moisture":                         {Type: "soil_sensor", Property: "moisture_percent", units: map[string]float64{"%": 1, "": 1}, low: -0.5, high: 105},
	"volume_flow_rate":                 {Type: "flow_sensor", Property: "flow_m3_per_hour", units: map[string]float64{"m³/h": 1, "m3/h": 1, "L/min": 0.06, "L/h": 0.001, "L/s": 3.6, "m³/s": 3600, "m³/min": 60, "gal/min": 0.2271247, "ft³/min": 1.699011}, low: -0.001, high: 6553.4},
	"carbon_dioxide":                   {Type: AirQuality, Property: "co2_ppm", units: map[string]float64{"ppm": 1, "": 1}},
	"carbon_monoxide":                  {Type: AirQuality, Property: "co_ppm", units: map[string]float64{"ppm": 1, "ppb": 0.001}},
	"nitrogen_dioxide":                 {Type: AirQuality, Property: "no2_ppm", units: map[string]float64{"ppm": 1, "ppb": 0.001}},
	"ozone":                            {Type: AirQuality, Property: "ozone_ppm", units: map[string]float64{"ppm": 1, "ppb": 0.001}},
	"pm1":                              {Type: AirQuality, Property: "pm1_ug_per_m3", units: micrograms},
	"pm25":                             {Type: AirQuality, Property: "pm25_ug_per_m3", units: micrograms},
	"pm10":                             {Type: AirQuality, Property: "pm10_ug_per_m3", units: micrograms},
	"volatile_organic_compounds_parts": {Type: AirQuality, Property: "tvoc_ppb", units: map[string]float64{"ppb": 1, "ppm": 1000}},
	"formaldehyde":                     {Type: AirQuality, Property: "formaldehyde_mg_per_m3", units: map[string]float64{"mg/m³": 1, "µg/m³": 0.001, "μg/m³": 0.001, "ppm": formaldehydePPM, "ppb": formaldehydePPM / 1000}},
	"radon":                            {Type: AirQuality, Property: "radon_bq_per_m3", units: map[string]float64{"Bq/m³": 1, "Bq/m3": 1}},
	"power":                            {Property: "power_watts", units: map[string]float64{"W": 1, "kW": 1000, "mW": 0.001, "MW": 1e6}},
	"energy":                           {Property: "energy_kwh", units: map[string]float64{"kWh": 1, "Wh": 0.001, "MWh": 1000, "J": 1 / 3.6e6, "kJ": 1 / 3600.0, "MJ": 1 / 3.6, "GJ": 1000 / 3.6}},
	"energy_exported":                  {Property: "energy_exported_kwh", units: map[string]float64{"kWh": 1, "Wh": 0.001, "MWh": 1000}},
	"voltage":                          {Property: "voltage_volts", units: map[string]float64{"V": 1, "mV": 0.001, "kV": 1000}},
	"current":                          {Property: "current_amperes", units: map[string]float64{"A": 1, "mA": 0.001}},
}

// formaldehydePPM is 1 ppm in mg/m³ at 25 °C and 1013 hPa: 30.03 g/mol in 24.45
// l/mol.
const formaldehydePPM = 30.03 / 24.45

var micrograms = map[string]float64{"µg/m³": 1, "μg/m³": 1, "ug/m3": 1, "mg/m³": 1000}

// Unit returns a function that converts values of a unit to those of the property.
// It returns false if the unit does not fit.
func (q Quantity) Unit(unit string) (func(float64) device.Value, bool) {
	convert := func(v float64) float64 { return v }
	if q.Property == "temperature_celsius" {
		if _, ok := Celsius(0, unit); !ok {
			return nil, false
		}
		convert = func(v float64) float64 { c, _ := Celsius(v, unit); return c }
	} else {
		factor, ok := q.units[strings.TrimSpace(unit)]
		if !ok {
			return nil, false
		}
		if factor != 1 {
			convert = func(v float64) float64 { return v * factor }
		}
	}
	return func(v float64) device.Value {
		v = convert(v)
		if q.low < q.high && (v < q.low || v > q.high) {
			return device.Null
		}
		if strings.HasSuffix(q.Property, "_percent") {
			v = Clamp(v, 0, 100)
		}
		return device.Number(Round(max(v, q.floor()), 6))
	}, true
}

// floor returns the smallest useful value: noise below zero becomes zero.
func (q Quantity) floor() float64 {
	switch q.Type {
	case AirQuality, "light_sensor", "flow_sensor":
		return 0
	}
	return math.Inf(-1)
}
