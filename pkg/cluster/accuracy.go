package cluster

import (
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Accuracy is the accuracy of a measurement: a MeasurementAccuracyStruct with one
// range.
type Accuracy struct {
	Type       datamodel.MeasurementType
	Min, Max   int64  // measurable range, in the unit of the type
	PercentMax uint16 // maximum error, in hundredths of a percent
}

// Write writes the structure.
func (a Accuracy) Write(w *tlv.Writer, t tlv.Tag) {
	w.StartStruct(t)
	w.Uint(tlv.Context(0), uint64(a.Type))
	w.Bool(tlv.Context(1), true)
	w.Int(tlv.Context(2), a.Min)
	w.Int(tlv.Context(3), a.Max)
	w.StartArray(tlv.Context(4))
	w.StartStruct(tlv.Anonymous)
	w.Int(tlv.Context(0), a.Min)
	w.Int(tlv.Context(1), a.Max)
	w.Uint(tlv.Context(2), uint64(a.PercentMax))
	w.End()
	w.End()
	w.End()
}
