package electrical

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Bits of [Meter.Measures].
const (
	Power uint8 = 1 << iota
	Voltage
	Current
	Imported
	Exported
)

// The measuring ranges, in the units of the clusters.
const (
	PowerRange   = 1_000_000_000         // mW, in both directions
	VoltageRange = 1_000_000             // mV
	CurrentRange = 10_000_000            // mA, in both directions
	EnergyRange  = 1_000_000_000_000_000 // mWh
)

// accuracy is the maximum error, in hundredths of a percent. Sources do not
// announce theirs; this is a usual value of simple meters.
const accuracy = 500

// Meter is the state of a meter.
type Meter struct {
	Measures  uint8                // measured quantities; never changes
	Endpoints *[]matter.EndpointID // whose power is measured, for SET; never changes

	Power   cluster.Null[int64] // mW; negative: exported
	Voltage cluster.Null[int64] // mV
	Current cluster.Null[int64] // mA

	Imported, Exported Counter

	began time.Time // the first report; time counts from it without a clock
}

// quiet returns rules with one step for a report with the next tick and one for an
// immediate report. The specification allows two reports per second at most, and
// requires one at least each minute (sections 2.12.6 and 2.13.6).
func quiet(band, bandPercent, big, bigPercent int64) cluster.Quiet {
	return cluster.Slow(cluster.Step{Abs: band, Percent: bandPercent}, cluster.Step{Abs: big, Percent: bigPercent})
}

// PowerMeasurement is the Electrical Power Measurement cluster.
var PowerMeasurement = cluster.Define(cluster.Def[Meter]{
	Facts: datamodel.ElectricalPowerMeasurement,
	Attributes: []cluster.Attribute[Meter]{
		cluster.Constant[Meter](datamodel.ElectricalPowerMeasurementAttrPowerMode, uint64(datamodel.ElectricalPowerMeasurementPowerModeAC)),
		cluster.Counted(datamodel.ElectricalPowerMeasurementAttrNumberOfMeasurementTypes, func(s *Meter) (n cluster.Number) {
			for _, a := range accuracies {
				if s.Measures&a.measures != 0 {
					n.V++
				}
			}
			return n
		}),
		cluster.Computed(datamodel.ElectricalPowerMeasurementAttrAccuracy, writeAccuracies, nil),
		cluster.NullInt(datamodel.ElectricalPowerMeasurementAttrVoltage, func(s *Meter) *cluster.Null[int64] { return &s.Voltage }).
			Quiet(quiet(1000, 0, 20_000, 0)),
		cluster.NullInt(datamodel.ElectricalPowerMeasurementAttrActiveCurrent, func(s *Meter) *cluster.Null[int64] { return &s.Current }).
			Quiet(quiet(20, 2, 500, 20)),
		cluster.NullInt(datamodel.ElectricalPowerMeasurementAttrActivePower, func(s *Meter) *cluster.Null[int64] { return &s.Power }).
			Quiet(quiet(1000, 2, 10_000, 20)),
	},
})

// PowerFeatures are the features of PowerMeasurement. Sources do not distinguish
// direct current.
const PowerFeatures = datamodel.ElectricalPowerMeasurementFeatureAlternatingCurrent

// PowerAttributes returns the optional attributes of PowerMeasurement for the
// measured quantities.
func PowerAttributes(measures uint8) (ids []matter.AttributeID) {
	if measures&Voltage != 0 {
		ids = append(ids, datamodel.ElectricalPowerMeasurementAttrVoltage)
	}
	if measures&Current != 0 {
		ids = append(ids, datamodel.ElectricalPowerMeasurementAttrActiveCurrent)
	}
	return ids
}

// accuracies are the entries of Accuracy, one per quantity (section 2.13.6.3).
var accuracies = []struct {
	measures uint8
	cluster.Accuracy
}{
	{Power, cluster.Accuracy{Type: datamodel.MeasurementTypeActivePower, Min: -PowerRange, Max: PowerRange, PercentMax: accuracy}},
	{Voltage, cluster.Accuracy{Type: datamodel.MeasurementTypeVoltage, Min: 0, Max: VoltageRange, PercentMax: accuracy}},
	{Current, cluster.Accuracy{Type: datamodel.MeasurementTypeActiveCurrent, Min: -CurrentRange, Max: CurrentRange, PercentMax: accuracy}},
}

func writeAccuracies(s *Meter, w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	for _, a := range accuracies {
		if s.Measures&a.measures != 0 {
			a.Write(w, tlv.Anonymous)
		}
	}
	w.End()
}

// Topology is the Power Topology cluster.
var Topology = cluster.Define(cluster.Def[Meter]{
	Facts: datamodel.PowerTopology,
	Attributes: []cluster.Attribute[Meter]{
		cluster.Computed(datamodel.PowerTopologyAttrAvailableEndpoints, func(s *Meter, w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			for _, id := range *s.Endpoints {
				w.Uint(tlv.Anonymous, uint64(id))
			}
			w.End()
		}, nil),
	},
})
