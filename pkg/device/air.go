package device

import (
	"slices"
	"strconv"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/airquality"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var airKinds = map[string]kind{
	"air_quality_sensor": {datamodel.DeviceTypeAirQualitySensor, buildAirQualitySensor},
}

var airQualities = []string{"unknown", "good", "fair", "moderate", "poor", "very_poor", "extremely_poor"}

// airProperties are the properties of an air quality sensor: air_quality, then the
// concentrations, in the order of the bits of their substances.
var airProperties = []property[airquality.Air]{
	{
		Property: Property{Name: "air_quality", Kind: KindText, Values: airQualities},
		get:      func(s *airquality.Air) Value { return Text(airQualities[s.Quality]) },
		report: func(_ *cluster.Context, s *airquality.Air, v Value) {
			name, _ := v.Text()
			s.Quality = datamodel.AirQualityAirQuality(max(0, slices.Index(airQualities, name)))
		},
	},
	concentration("co2_ppm", airquality.CO2, 1),
	concentration("co_ppm", airquality.CO, 1),
	concentration("no2_ppm", airquality.NO2, 1),
	concentration("ozone_ppm", airquality.Ozone, 1),
	concentration("pm1_ug_per_m3", airquality.PM1, 1),
	concentration("pm25_ug_per_m3", airquality.PM25, 1),
	concentration("pm10_ug_per_m3", airquality.PM10, 1),
	concentration("tvoc_ppb", airquality.TVOC, 1000),
	concentration("formaldehyde_mg_per_m3", airquality.Formaldehyde, 1),
	concentration("radon_bq_per_m3", airquality.Radon, 1),
}

// concentration returns the property of a substance. Its values are multiplied with
// times for the attribute. If the source reports null, the last value stays,
// because SmartThings' drivers fail on null.
func concentration(name string, x airquality.Substance, times float64) property[airquality.Air] {
	return property[airquality.Air]{
		// Home Assistant creates an entity for each, but none for one that is null.
		Property: Property{Name: name, Kind: KindNumber, Max: airquality.Ceiling * times, Needed: true},
		want:     1 << x,
		get: func(s *airquality.Air) Value {
			c := s.Concentrations[x]
			if !c.Valid {
				return Null
			}
			return Number(sevenDigits(float64(c.V) * times))
		},
		report: func(_ *cluster.Context, s *airquality.Air, v Value) {
			if f, ok := v.Number(); ok {
				s.Concentrations[x] = cluster.Some(float32(f / times))
			}
		},
	}
}

// sevenDigits rounds to the precision of a float32.
func sevenDigits(f float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 7, 64), 64)
	if err != nil {
		return f
	}
	return short
}

// buildAirQualitySensor builds a sensor with the properties of the part.
func buildAirQualitySensor(b *builder) error {
	props := named(b, airProperties, airProperties[0].Name)
	if props[0].Name != airProperties[0].Name {
		props = slices.Insert(props, 0, airProperties[0]) // the cluster is mandatory
	}
	b.Identify = true
	u := addUnit(b.Endpoint, airquality.Air{}, cluster.Rules[airquality.Air]{}, props)
	u.Serve(airquality.Quality, cluster.Selection{Features: airquality.QualityFeatures})
	for x, c := range airquality.Concentrations {
		if slices.ContainsFunc(props, func(p property[airquality.Air]) bool { return p.want == 1<<x }) {
			u.Serve(c, cluster.Selection{Features: airquality.Features})
		}
	}
	return nil
}
