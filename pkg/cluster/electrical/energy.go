package electrical

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Counter is an energy that only grows, although the source's counter may restart.
type Counter struct {
	Total  cluster.Null[int64] // mWh
	Source int64               // the source's last reading, mWh
	offset int64               // the sum of the source's earlier counts, mWh

	// The time of Total: epoch-s, or without a clock milliseconds since the meter's
	// first report.
	end      cluster.Null[uint32]
	endMilli uint64
}

// beganAnew is a fraction of the last reading, in tenths. A smaller reading means that
// the counter has restarted at zero. A smaller step back is a correction; the total
// then stays until the reading exceeds the last one.
const beganAnew = 9

// EnergyMeasurement is the Electrical Energy Measurement cluster with cumulative
// energies.
var EnergyMeasurement = cluster.Define(cluster.Def[Meter]{
	Facts: datamodel.ElectricalEnergyMeasurement,
	Attributes: []cluster.Attribute[Meter]{
		cluster.Computed(datamodel.ElectricalEnergyMeasurementAttrAccuracy, func(_ *Meter, w *tlv.Writer, t tlv.Tag) {
			cluster.Accuracy{Type: datamodel.MeasurementTypeElectricalEnergy, Max: EnergyRange, PercentMax: accuracy}.Write(w, t)
		}, nil),
		energy(datamodel.ElectricalEnergyMeasurementAttrCumulativeEnergyImported, func(s *Meter) *Counter { return &s.Imported }),
		energy(datamodel.ElectricalEnergyMeasurementAttrCumulativeEnergyExported, func(s *Meter) *Counter { return &s.Exported }),
	},
	Kept: []cluster.Kept[Meter]{
		cluster.Keep(1, func(s *Meter) *int64 { return &s.Imported.Source }),
		cluster.Keep(2, func(s *Meter) *int64 { return &s.Imported.offset }),
		cluster.Keep(3, func(s *Meter) *int64 { return &s.Exported.Source }),
		cluster.Keep(4, func(s *Meter) *int64 { return &s.Exported.offset }),
	},
})

// EnergyFeatures returns the features of EnergyMeasurement for the measured
// quantities.
func EnergyFeatures(measures uint8) uint32 {
	features := datamodel.ElectricalEnergyMeasurementFeatureCumulativeEnergy
	if measures&Imported != 0 {
		features |= datamodel.ElectricalEnergyMeasurementFeatureImportedEnergy
	}
	if measures&Exported != 0 {
		features |= datamodel.ElectricalEnergyMeasurementFeatureExportedEnergy
	}
	return features
}

// energy returns the attribute of a cumulative energy. Each report of one is an
// event with both (section 2.12.7.1).
func energy(id matter.AttributeID, at func(*Meter) *Counter) cluster.Attribute[Meter] {
	return cluster.Computed(id, func(s *Meter, w *tlv.Writer, t tlv.Tag) { at(s).write(w, t) }, nil).
		ReportBy(func(s *Meter) cluster.Number {
			t := at(s).Total
			return cluster.Number{V: t.V, Null: !t.Valid}
		}).
		Quiet(quiet(10_000, 0, EnergyRange, 0)).
		WithEvent(datamodel.ElectricalEnergyMeasurementEventCumulativeEnergyMeasured, writeMeasured)
}

func writeMeasured(s *Meter, w *tlv.Writer) {
	if s.Measures&Imported != 0 && s.Imported.Total.Valid {
		s.Imported.write(w, tlv.Context(0))
	}
	if s.Measures&Exported != 0 && s.Exported.Total.Valid {
		s.Exported.write(w, tlv.Context(1))
	}
}

// write writes an EnergyMeasurementStruct. A cumulative energy has no start
// (section 2.12.5.2).
func (e *Counter) write(w *tlv.Writer, t tlv.Tag) {
	if !e.Total.Valid {
		w.Null(t)
		return
	}
	w.StartStruct(t)
	w.Int(tlv.Context(0), e.Total.V)
	if e.end.Valid {
		w.Uint(tlv.Context(2), uint64(e.end.V))
	} else {
		w.Uint(tlv.Context(4), e.endMilli)
	}
	w.End()
}

// SetEnergy sets one of the meter's counters to a reading of the source, in mWh.
func (s *Meter) SetEnergy(c *cluster.Context, e *Counter, reading int64) {
	if reading < e.Source {
		if reading < e.Source/10*beganAnew {
			e.offset = min(e.offset+e.Source, EnergyRange)
		} else {
			reading = e.Source
		}
	}
	e.Source = reading
	total := min(reading+e.offset, EnergyRange)
	if e.Total == cluster.Some(total) {
		return
	}
	e.Total = cluster.Some(total)
	if s.began.IsZero() {
		s.began = c.Now
	}
	e.end, e.endMilli = cluster.Epoch(c.Now), uint64(max(0, c.Now.Sub(s.began)/time.Millisecond))
}
