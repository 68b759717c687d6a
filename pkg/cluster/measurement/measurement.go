package measurement

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Measurement is the state of a sensor, in the unit of its cluster.
type Measurement[T int16 | uint16 | uint8] struct {
	Value    cluster.Null[T] // null: unknown
	Min, Max cluster.Null[T] // the range of the sensor; null: unknown
}

// The clusters, each with its unit.
var (
	Temperature = signed(datamodel.TemperatureMeasurement, slow(10, 100, 0))        // 0.01 °C
	Pressure    = signed(datamodel.PressureMeasurement, slow(1, 5, 0))              // hPa
	Humidity    = unsigned(datamodel.RelativeHumidityMeasurement, slow(50, 500, 0)) // 0.01 %
	Flow        = unsigned(datamodel.FlowMeasurement, slow(1, 5, 20))               // 0.1 m³/h
	// Illuminance is 10000·log10(lx) + 1, and 0 if it is too dark to measure. The
	// steps are 10 % and 100 % more light.
	Illuminance = unsigned(datamodel.IlluminanceMeasurement, slow(414, 3010, 0))
)

// slow reports a change of at least band with the next tick. It reports a change of
// at least big, which is also at least percent of the value, at once.
func slow(band, big, percent int64) cluster.Quiet {
	return cluster.Slow(cluster.Step{Abs: band}, cluster.Step{Abs: big, Percent: percent})
}

// The attributes have the same ids in all clusters except Soil Measurement.
const (
	attrValue = datamodel.TemperatureMeasurementAttrMeasuredValue
	attrMin   = datamodel.TemperatureMeasurementAttrMinMeasuredValue
	attrMax   = datamodel.TemperatureMeasurementAttrMaxMeasuredValue
)

func signed(f *datamodel.Cluster, q cluster.Quiet) *cluster.Cluster[Measurement[int16]] {
	type state = Measurement[int16]
	return cluster.Define(cluster.Def[state]{Facts: f, Attributes: []cluster.Attribute[state]{
		cluster.NullInt(attrValue, func(s *state) *cluster.Null[int16] { return &s.Value }).Quiet(q),
		cluster.NullInt(attrMin, func(s *state) *cluster.Null[int16] { return &s.Min }),
		cluster.NullInt(attrMax, func(s *state) *cluster.Null[int16] { return &s.Max }),
	}})
}

func unsigned(f *datamodel.Cluster, q cluster.Quiet) *cluster.Cluster[Measurement[uint16]] {
	type state = Measurement[uint16]
	return cluster.Define(cluster.Def[state]{Facts: f, Attributes: []cluster.Attribute[state]{
		cluster.NullUint(attrValue, func(s *state) *cluster.Null[uint16] { return &s.Value }).Quiet(q),
		cluster.NullUint(attrMin, func(s *state) *cluster.Null[uint16] { return &s.Min }),
		cluster.NullUint(attrMax, func(s *state) *cluster.Null[uint16] { return &s.Max }),
	}})
}

// Soil is the Soil Measurement cluster, in percent of moisture.
var Soil = cluster.Define(cluster.Def[Measurement[uint8]]{
	Facts: datamodel.SoilMeasurement,
	Attributes: []cluster.Attribute[Measurement[uint8]]{
		cluster.Computed(datamodel.SoilMeasurementAttrSoilMoistureMeasurementLimits, soilLimits, nil),
		cluster.NullUint(datamodel.SoilMeasurementAttrSoilMoistureMeasuredValue, func(s *Measurement[uint8]) *cluster.Null[uint8] { return &s.Value }).
			Quiet(slow(1, 10, 0)),
	},
})

// soilLimits writes the accuracy (section 2.15.4.1). That of the sensor is unknown.
// The maximum error that certification (TC-SOIL-2.1) allows is a tenth of a
// percent.
func soilLimits(s *Measurement[uint8], w *tlv.Writer, t tlv.Tag) {
	cluster.Accuracy{
		Type: datamodel.MeasurementTypeSoilMoisture, Min: int64(s.Min.Or(0)), Max: int64(s.Max.Or(100)), PercentMax: 10,
	}.Write(w, t)
}
