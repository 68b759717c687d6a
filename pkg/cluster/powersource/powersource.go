// Package powersource implements the Power Source cluster, 0x002F revision 3
// (section 11.7 of the core specification).
package powersource

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Source is the state of a power source.
type Source struct {
	Mains     bool                 // otherwise a battery; never changes
	Endpoints *[]matter.EndpointID // the endpoints that it powers: the device's own

	Percent           cluster.Null[uint8] // in half percents
	Level             datamodel.PowerSourceBatChargeLevel
	ReplacementNeeded bool
}

// Cluster is the Power Source cluster.
var Cluster = cluster.Define(cluster.Def[Source]{
	Facts: datamodel.PowerSource,
	Attributes: []cluster.Attribute[Source]{
		cluster.Constant[Source](datamodel.PowerSourceAttrStatus, uint64(datamodel.PowerSourcePowerSourceStatusActive)),
		cluster.Constant[Source](datamodel.PowerSourceAttrOrder, 0),
		cluster.Computed(datamodel.PowerSourceAttrDescription, func(s *Source, w *tlv.Writer, t tlv.Tag) {
			if s.Mains {
				w.Text(t, "Mains")
			} else {
				w.Text(t, "Battery")
			}
		}, nil),
		cluster.Constant[Source](datamodel.PowerSourceAttrWiredCurrentType, uint64(datamodel.PowerSourceWiredCurrentTypeAC)),
		cluster.NullUint(datamodel.PowerSourceAttrBatPercentRemaining, func(s *Source) *cluster.Null[uint8] { return &s.Percent }).
			Quiet(cluster.Slow(cluster.Step{Abs: 2}, cluster.Step{})), // one percent
		cluster.Uint(datamodel.PowerSourceAttrBatChargeLevel, func(s *Source) *datamodel.PowerSourceBatChargeLevel { return &s.Level }),
		cluster.Bool(datamodel.PowerSourceAttrBatReplacementNeeded, func(s *Source) *bool { return &s.ReplacementNeeded }),
		// The kind of battery is unknown.
		cluster.Constant[Source](datamodel.PowerSourceAttrBatReplaceability, uint64(datamodel.PowerSourceBatReplaceabilityUnspecified)),
		cluster.Computed(datamodel.PowerSourceAttrEndpointList, func(s *Source, w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			for _, id := range *s.Endpoints {
				w.Uint(tlv.Anonymous, uint64(id))
			}
			w.End()
		}, nil),
	},
})

// The thresholds of the charge level, in half percents. The level improves only
// after the charge has risen by recovered more, since batteries recover at rest.
const (
	warning   = 2 * 20
	critical  = 2 * 5
	recovered = 2 * 5
)

// Set sets the charge in half percents, and whether the battery is low, as the
// device reports them. null means unknown. The device's own report of a low battery
// has priority.
func (s *Source) Set(percent cluster.Null[uint8], low cluster.Null[bool]) {
	if percent.Valid {
		s.Percent = percent
	}
	level := datamodel.PowerSourceBatChargeLevelOK
	if s.Percent.Valid {
		level = s.levelOf(s.Percent.V)
	}
	if low.Valid {
		switch {
		case !low.V:
			level = datamodel.PowerSourceBatChargeLevelOK
		case level == datamodel.PowerSourceBatChargeLevelOK:
			level = datamodel.PowerSourceBatChargeLevelWarning
		}
	}
	s.Level = level
	s.ReplacementNeeded = level == datamodel.PowerSourceBatChargeLevelCritical || low.Valid && low.V
}

// levelOf returns the charge level, with hysteresis.
func (s *Source) levelOf(percent uint8) datamodel.PowerSourceBatChargeLevel {
	below := func(threshold uint8, at datamodel.PowerSourceBatChargeLevel) bool {
		return percent < threshold || s.Level >= at && percent < threshold+recovered
	}
	switch {
	case below(critical, datamodel.PowerSourceBatChargeLevelCritical):
		return datamodel.PowerSourceBatChargeLevelCritical
	case below(warning, datamodel.PowerSourceBatChargeLevelWarning):
		return datamodel.PowerSourceBatChargeLevelWarning
	}
	return datamodel.PowerSourceBatChargeLevelOK
}
