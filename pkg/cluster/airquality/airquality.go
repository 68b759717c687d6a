// Package airquality implements the clusters of an air quality sensor, which share
// one state: Air Quality 0x005B revision 1 and the ten Concentration Measurement
// clusters, revision 5 ("Matter Application Cluster Specification", sections 2.9
// and 2.10).
package airquality

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Substance is a measured substance in the air.
type Substance uint8

// The substances.
const (
	CO2 Substance = iota
	CO
	NO2
	Ozone
	PM1
	PM25
	PM10
	TVOC
	Formaldehyde
	Radon

	substances
)

// Air is the state of an air quality sensor.
type Air struct {
	Quality        datamodel.AirQualityAirQuality
	Concentrations [substances]cluster.Null[float32] // in the unit of the cluster; null: unknown
}

// Quality is the Air Quality cluster.
var Quality = cluster.Define(cluster.Def[Air]{
	Facts: datamodel.AirQuality,
	Attributes: []cluster.Attribute[Air]{
		cluster.Uint(datamodel.AirQualityAttrAirQuality, func(s *Air) *datamodel.AirQualityAirQuality { return &s.Quality }),
	},
})

// QualityFeatures allow all values of Quality.
const QualityFeatures = datamodel.AirQualityFeatureFair | datamodel.AirQualityFeatureModerate |
	datamodel.AirQualityFeatureVeryPoor | datamodel.AirQualityFeatureExtremelyPoor

// Units of MeasurementUnit, the same in all clusters. Controllers ignore it: Home
// Assistant assumes parts per million for gases and micrograms for particles.
const (
	ppm  = uint64(datamodel.CarbonDioxideConcentrationMeasurementMeasurementUnitPPM)
	mgM3 = uint64(datamodel.CarbonDioxideConcentrationMeasurementMeasurementUnitMGM3)
	ugM3 = uint64(datamodel.CarbonDioxideConcentrationMeasurementMeasurementUnitUGM3)
	bqM3 = uint64(datamodel.CarbonDioxideConcentrationMeasurementMeasurementUnitBQM3)
)

// Concentrations are the Concentration Measurement clusters by substance.
var Concentrations = [substances]*cluster.Cluster[Air]{
	CO2:          concentration(CO2, datamodel.CarbonDioxideConcentrationMeasurement, ppm, 10, 100),
	CO:           concentration(CO, datamodel.CarbonMonoxideConcentrationMeasurement, ppm, 1, 5),
	NO2:          concentration(NO2, datamodel.NitrogenDioxideConcentrationMeasurement, ppm, 0.005, 0.05),
	Ozone:        concentration(Ozone, datamodel.OzoneConcentrationMeasurement, ppm, 0.005, 0.05),
	PM1:          concentration(PM1, datamodel.PM1ConcentrationMeasurement, ugM3, 1, 10),
	PM25:         concentration(PM25, datamodel.PM25ConcentrationMeasurement, ugM3, 1, 10),
	PM10:         concentration(PM10, datamodel.PM10ConcentrationMeasurement, ugM3, 1, 10),
	TVOC:         concentration(TVOC, datamodel.TotalVolatileOrganicCompoundsConcentrationMeasurement, ppm, 0.01, 0.2),
	Formaldehyde: concentration(Formaldehyde, datamodel.FormaldehydeConcentrationMeasurement, mgM3, 0.005, 0.05),
	Radon:        concentration(Radon, datamodel.RadonConcentrationMeasurement, bqM3, 5, 50),
}

// Ceiling is the highest accepted concentration, in the unit of the cluster. A
// sensor's range is smaller but unknown, and certification requires a limit.
const Ceiling = 1e6

// Features are those of each concentration: numeric values only.
const Features = datamodel.CarbonDioxideConcentrationMeasurementFeatureNumericMeasurement

// concentration returns the cluster of one substance. A change by band (5 %) is
// reported with the next tick, a change by big (20 %) at once.
func concentration(x Substance, f *datamodel.Cluster, unit uint64, band, big float64) *cluster.Cluster[Air] {
	bound := func(v float32) func(*Air, *tlv.Writer, tlv.Tag) {
		return func(_ *Air, w *tlv.Writer, t tlv.Tag) { w.Float32(t, v) }
	}
	return cluster.Define(cluster.Def[Air]{Facts: f, Attributes: []cluster.Attribute[Air]{
		cluster.NullFloat(datamodel.CarbonDioxideConcentrationMeasurementAttrMeasuredValue, func(s *Air) *cluster.Null[float32] { return &s.Concentrations[x] }).
			Quiet(cluster.Slow(cluster.Step{Abs: int64(band * cluster.Millionth), Percent: 5}, cluster.Step{Abs: int64(big * cluster.Millionth), Percent: 20})),
		cluster.Computed(datamodel.CarbonDioxideConcentrationMeasurementAttrMinMeasuredValue, bound(0), nil),
		cluster.Computed(datamodel.CarbonDioxideConcentrationMeasurementAttrMaxMeasuredValue, bound(Ceiling), nil),
		cluster.Constant[Air](datamodel.CarbonDioxideConcentrationMeasurementAttrMeasurementUnit, unit),
		cluster.Constant[Air](datamodel.CarbonDioxideConcentrationMeasurementAttrMeasurementMedium,
			uint64(datamodel.CarbonDioxideConcentrationMeasurementMeasurementMediumAir)),
	}})
}
