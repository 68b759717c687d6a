// Package windowcovering implements the Window Covering cluster, 0x0102 revision 8
// ("Matter Application Cluster Specification", section 5.3).
//
// Positions are in hundredths of a percent closed: 0 is open, 10000 closed.
package windowcovering

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Closed is the position of a closed covering; 0 is that of an open one.
const Closed = 10000

// Bits of [cluster.Context.Want].
const (
	WantLift uint32 = 1 << iota
	WantTilt
)

// Status is the movement of an axis (section 5.3.5.3).
type Status uint8

// The values of Status.
const (
	Stopped Status = iota
	Opening
	Closing
)

// Travel is how long a covering is shown as moving without a report of its device.
const Travel = 2 * time.Minute

// Axis is lift or tilt.
type Axis struct {
	Current cluster.Null[uint16]
	Target  cluster.Null[uint16]
	Status  Status
	until   time.Time // when it is assumed to have stopped; zero: it does not move
}

// Covering is the state of a window covering.
type Covering struct {
	Lift, Tilt Axis
	Mode       datamodel.WindowCoveringMode
	Config     Config
}

// Config is what a covering supports. It never changes.
type Config struct {
	Features uint32
	Type     datamodel.WindowCoveringType
	Product  datamodel.WindowCoveringEndProductType
}

func (c *Config) has(feature uint32) bool { return c.Features&feature != 0 }

// Features of a covering.
const (
	Lift         = datamodel.WindowCoveringFeatureLift
	Tilt         = datamodel.WindowCoveringFeatureTilt
	PositionLift = datamodel.WindowCoveringFeaturePositionAwareLift
	PositionTilt = datamodel.WindowCoveringFeaturePositionAwareTilt
)

// supportedModes are the bits of Mode that can be set. The others are for a motor
// that the node drives.
const supportedModes = datamodel.WindowCoveringModeMaintenanceMode

// Cluster is the Window Covering cluster.
var Cluster = cluster.Define(cluster.Def[Covering]{
	Facts: datamodel.WindowCovering,
	Attributes: []cluster.Attribute[Covering]{
		cluster.Uint(datamodel.WindowCoveringAttrType, func(s *Covering) *datamodel.WindowCoveringType { return &s.Config.Type }),
		cluster.Computed(datamodel.WindowCoveringAttrConfigStatus, writeConfigStatus, sameConfigStatus),
		percentage(datamodel.WindowCoveringAttrCurrentPositionLiftPercentage, lift),
		percentage(datamodel.WindowCoveringAttrCurrentPositionTiltPercentage, tilt),
		cluster.Computed(datamodel.WindowCoveringAttrOperationalStatus, writeStatus, func(a, b *Covering) bool { return a.status() == b.status() }),
		cluster.NullUint(datamodel.WindowCoveringAttrTargetPositionLiftPercent100ths, func(s *Covering) *cluster.Null[uint16] { return &s.Lift.Target }),
		cluster.NullUint(datamodel.WindowCoveringAttrTargetPositionTiltPercent100ths, func(s *Covering) *cluster.Null[uint16] { return &s.Tilt.Target }),
		cluster.Uint(datamodel.WindowCoveringAttrEndProductType, func(s *Covering) *datamodel.WindowCoveringEndProductType { return &s.Config.Product }),
		cluster.NullUint(datamodel.WindowCoveringAttrCurrentPositionLiftPercent100ths, func(s *Covering) *cluster.Null[uint16] { return &s.Lift.Current }),
		cluster.NullUint(datamodel.WindowCoveringAttrCurrentPositionTiltPercent100ths, func(s *Covering) *cluster.Null[uint16] { return &s.Tilt.Current }),
		cluster.Uint(datamodel.WindowCoveringAttrMode, func(s *Covering) *datamodel.WindowCoveringMode { return &s.Mode }).Check(checkMode),
	},
	Commands: []cluster.Command[Covering]{
		cluster.Do(datamodel.WindowCoveringCmdUpOrOpen, func(c *cluster.Context, s *Covering) error { return s.all(c, 0) }),
		cluster.Do(datamodel.WindowCoveringCmdDownOrClose, func(c *cluster.Context, s *Covering) error { return s.all(c, Closed) }),
		cluster.Do(datamodel.WindowCoveringCmdStopMotion, stop),
		cluster.DoWith(datamodel.WindowCoveringCmdGoToLiftPercentage, func(c *cluster.Context, s *Covering, f *struct{ LiftPercent100thsValue uint16 }) error {
			return s.goTo(c, &s.Lift, WantLift, f.LiftPercent100thsValue)
		}),
		cluster.DoWith(datamodel.WindowCoveringCmdGoToTiltPercentage, func(c *cluster.Context, s *Covering, f *struct{ TiltPercent100thsValue uint16 }) error {
			return s.goTo(c, &s.Tilt, WantTilt, f.TiltPercent100thsValue)
		}),
	},
})

// Select returns the attributes of a covering.
func Select(c Config) cluster.Selection {
	sel := cluster.Selection{Features: c.Features}
	for _, p := range []struct {
		feature   uint32
		attribute matter.AttributeID
	}{
		// Apple and older controllers read whole percents.
		{PositionLift, datamodel.WindowCoveringAttrCurrentPositionLiftPercentage},
		{PositionTilt, datamodel.WindowCoveringAttrCurrentPositionTiltPercentage},
	} {
		if c.has(p.feature) {
			sel.Attributes = append(sel.Attributes, p.attribute)
		}
	}
	for _, p := range []struct {
		feature uint32
		command matter.CommandID
	}{
		{PositionLift, datamodel.WindowCoveringCmdGoToLiftPercentage},
		{PositionTilt, datamodel.WindowCoveringCmdGoToTiltPercentage},
	} {
		if c.has(p.feature) {
			sel.Commands = append(sel.Commands, p.command)
		}
	}
	return sel
}

// Rules returns the rules for the state of a covering.
func Rules() cluster.Rules[Covering] {
	return cluster.Rules[Covering]{Tick: tick, Restored: restored}
}

// restored puts the targets where the covering is: at rest they are equal. Apple shows
// a covering with another target as moving.
func restored(s *Covering) {
	s.Lift.rest()
	s.Tilt.rest()
}

func lift(s *Covering) *Axis { return &s.Lift }
func tilt(s *Covering) *Axis { return &s.Tilt }

// percentage returns an attribute with a position in whole percents.
func percentage(id matter.AttributeID, axis func(*Covering) *Axis) cluster.Attribute[Covering] {
	return cluster.Counted(id, func(s *Covering) cluster.Number {
		p := axis(s).Current
		return cluster.Number{V: int64(p.V / 100), Null: !p.Valid}
	})
}

// status returns OperationalStatus: that of the covering, of lift and of tilt. The
// covering's is that of lift if it moves, otherwise that of tilt.
func (s *Covering) status() uint8 {
	global := s.Lift.Status
	if global == Stopped {
		global = s.Tilt.Status
	}
	return uint8(global | s.Lift.Status<<2 | s.Tilt.Status<<4)
}

func writeStatus(s *Covering, w *tlv.Writer, t tlv.Tag) { w.Uint(t, uint64(s.status())) }

// writeConfigStatus derives ConfigStatus from mode and features (section 5.3.6.5).
func writeConfigStatus(s *Covering, w *tlv.Writer, t tlv.Tag) {
	v := datamodel.WindowCoveringConfigStatusOperational
	if s.Mode&datamodel.WindowCoveringModeMaintenanceMode != 0 {
		v = 0
	}
	if s.Config.has(PositionLift) {
		v |= datamodel.WindowCoveringConfigStatusLiftPositionAware
	}
	if s.Config.has(PositionTilt) {
		v |= datamodel.WindowCoveringConfigStatusTiltPositionAware
	}
	w.Uint(t, uint64(v))
}

func sameConfigStatus(a, b *Covering) bool { return a.Mode == b.Mode }

func checkMode(_ *cluster.Context, _, is *Covering) error {
	if is.Mode&^supportedModes != 0 {
		return matter.StatusConstraintError
	}
	return nil
}

// movable returns an error if the covering cannot move at the moment (section
// 5.3.6.14).
func (s *Covering) movable() error {
	if s.Mode&datamodel.WindowCoveringModeMaintenanceMode != 0 {
		return matter.StatusBusy
	}
	return nil
}

// all moves all axes.
func (s *Covering) all(c *cluster.Context, to uint16) error {
	if err := s.movable(); err != nil {
		return err
	}
	if s.Config.has(Lift) {
		s.Lift.move(c, WantLift, to, s.Config.has(PositionLift))
	}
	if s.Config.has(Tilt) && (s.Config.has(PositionTilt) || !s.Config.has(Lift)) {
		s.Tilt.move(c, WantTilt, to, s.Config.has(PositionTilt))
	}
	return nil
}

// goTo moves one axis. Only an axis with positions has the command.
func (s *Covering) goTo(c *cluster.Context, a *Axis, want uint32, to uint16) error {
	if err := s.movable(); err != nil {
		return err
	}
	a.move(c, want, to, true)
	return nil
}

func (a *Axis) move(c *cluster.Context, want uint32, to uint16, aware bool) {
	c.Want(want)
	a.Target = cluster.Some(to)
	switch {
	case aware && a.Current == a.Target:
		a.Status, a.until = Stopped, time.Time{}
		return
	case aware && a.Current.Valid && to < a.Current.V, (!aware || !a.Current.Valid) && to == 0:
		a.Status = Opening
	default:
		a.Status = Closing
	}
	a.until = c.Now.Add(Travel)
}

// rest stops an axis at its current position.
func (a *Axis) rest() {
	a.Status, a.until, a.Target = Stopped, time.Time{}, a.Current
}

func stop(c *cluster.Context, s *Covering) error {
	c.Do(cluster.Action{Name: "stop"})
	s.Lift.rest()
	s.Tilt.rest()
	return nil
}

// tick stops axes whose device no longer reports.
func tick(c *cluster.Context, s *Covering) (next time.Time) {
	for _, a := range []*Axis{&s.Lift, &s.Tilt} {
		if a.until.IsZero() {
			continue
		}
		if !c.Now.Before(a.until) {
			a.rest()
		} else if next.IsZero() || a.until.Before(next) {
			next = a.until
		}
	}
	return next
}

// near is the distance at which an axis counts as arrived, since devices use whole
// percents.
const near = 100

// ReportPosition sets the position that the device reports. An axis without a
// command is at rest there; an axis with a command moves until it arrives.
func (a *Axis) ReportPosition(c *cluster.Context, p uint16) {
	a.Current = cluster.Some(p)
	if a.Status == Stopped || !a.Target.Valid {
		a.rest()
		return
	}
	if d := int(a.Target.V) - int(p); d >= -near && d <= near {
		a.rest()
		return
	}
	a.until = c.Now.Add(Travel)
}

// ReportMoving sets the movement that the device reports. The target of a movement
// without a command is assumed to be the end of the range.
func (a *Axis) ReportMoving(c *cluster.Context, is Status) {
	switch {
	case is == Stopped:
		a.rest()
		return
	case is == Opening && !(a.Target.Valid && a.Current.Valid && a.Target.V < a.Current.V):
		a.Target = cluster.Some[uint16](0)
	case is == Closing && !(a.Target.Valid && a.Current.Valid && a.Target.V > a.Current.V):
		a.Target = cluster.Some[uint16](Closed)
	}
	a.Status, a.until = is, c.Now.Add(Travel)
}
