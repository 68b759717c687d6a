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
	Charging          datamodel.PowerSourceBatChargeState

	Status datamodel.PowerSourcePowerSourceStatus // [Active], or [Unavailable] if the device cannot be reached
}

// The values of Status.
const (
	Active      = datamodel.PowerSourcePowerSourceStatusActive
	Unavailable = datamodel.PowerSourcePowerSourceStatusUnavailable
)

// Charge is the state of a battery as its device reports it. null means unknown.
type Charge struct {
	Percent  cluster.Null[uint8] // in half percents
	Low      cluster.Null[bool]
	Charging cluster.Null[bool]
}

// Cluster is the Power Source cluster.
var Cluster = cluster.Define(cluster.Def[Source]{
	Facts: datamodel.PowerSource,
	Attributes: []cluster.Attribute[Source]{
		cluster.Uint(datamodel.PowerSourceAttrStatus, func(s *Source) *datamodel.PowerSourcePowerSourceStatus { return &s.Status }),
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
		cluster.Uint(datamodel.PowerSourceAttrBatChargeState, func(s *Source) *datamodel.PowerSourceBatChargeState { return &s.Charging }),
		// A device that reports while it charges works while it charges.
		cluster.Computed(datamodel.PowerSourceAttrBatFunctionalWhileCharging, func(_ *Source, w *tlv.Writer, t tlv.Tag) { w.Bool(t, true) }, nil),
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

	full = 2 * 100
)

// Set sets the state of the battery. The device's own report of a low battery has
// priority over the charge.
func (s *Source) Set(ch Charge) {
	if ch.Percent.Valid {
		s.Percent = ch.Percent
	}
	s.setCharging(ch.Charging)
	low := ch.Low
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

// setCharging sets BatChargeState (section 11.7.7.27). Devices end their report of
// charging at different times, so a full battery counts as full in any case.
func (s *Source) setCharging(is cluster.Null[bool]) {
	switch {
	case !is.Valid:
		return
	case s.Percent == cluster.Some[uint8](full):
		s.Charging = datamodel.PowerSourceBatChargeStateIsAtFullCharge
	case is.V:
		s.Charging = datamodel.PowerSourceBatChargeStateIsCharging
	default:
		s.Charging = datamodel.PowerSourceBatChargeStateIsNotCharging
	}
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
