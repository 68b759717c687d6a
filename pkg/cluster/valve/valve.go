// Package valve implements the Valve Configuration and Control cluster, 0x0081
// revision 1 ("Matter Application Cluster Specification", section 4.6).
package valve

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// WantOpen is the bit of [cluster.Context.Want] for opening and closing.
const WantOpen uint32 = 1

const (
	closed = datamodel.ValveConfigurationAndControlValveStateClosed
	open   = datamodel.ValveConfigurationAndControlValveStateOpen
	moving = datamodel.ValveConfigurationAndControlValveStateTransitioning
)

// OperationTime is the maximum time for the valve to begin a command. Valves with
// batteries listen now and then only.
const OperationTime = 30 * time.Second

// again is the time after which the command to close is repeated.
const again = 10 * time.Second

// Valve is the state of a valve.
type Valve struct {
	HasLevel bool

	State        cluster.Null[datamodel.ValveConfigurationAndControlValveState]
	Target       cluster.Null[datamodel.ValveConfigurationAndControlValveState]
	Level        cluster.Null[uint8] // percent
	TargetLevel  cluster.Null[uint8]
	OpenDuration cluster.Null[uint32] // seconds
	Default      cluster.Null[uint32]
	DefaultLevel uint8

	Remaining cluster.Null[uint32] // seconds left at the time of the state
	closes    int64                // when to close, Unix time in milliseconds, until it has closed; 0: never
	retry     time.Time            // when to repeat the command to close

	// The duration, and its end, of a command that the device did not seem to carry
	// out: it has reported that it is closed.
	late struct {
		duration cluster.Null[uint32]
		closes   int64
	}
}

// lateMost is the maximum time after the end of its duration at which a valve that
// opens late is still closed again.
const lateMost = time.Minute

// New returns the state of a closed valve.
func New(level bool) Valve {
	v := Valve{HasLevel: level, State: cluster.Some(closed), DefaultLevel: 100}
	if level {
		v.Level = cluster.Some[uint8](0)
	}
	return v
}

// Cluster is the Valve Configuration and Control cluster. The time at which the
// valve closes survives a restart.
var Cluster = cluster.Define(cluster.Def[Valve]{
	Facts: datamodel.ValveConfigurationAndControl,
	Attributes: []cluster.Attribute[Valve]{
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrOpenDuration, func(s *Valve) *cluster.Null[uint32] { return &s.OpenDuration }).Keep(),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrDefaultOpenDuration, func(s *Valve) *cluster.Null[uint32] { return &s.Default }),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrRemainingDuration, func(s *Valve) *cluster.Null[uint32] { return &s.Remaining }).ReportBy(reportedRemaining),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrCurrentState, func(s *Valve) *cluster.Null[datamodel.ValveConfigurationAndControlValveState] { return &s.State }),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrTargetState, func(s *Valve) *cluster.Null[datamodel.ValveConfigurationAndControlValveState] { return &s.Target }),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrCurrentLevel, func(s *Valve) *cluster.Null[uint8] { return &s.Level }),
		cluster.NullUint(datamodel.ValveConfigurationAndControlAttrTargetLevel, func(s *Valve) *cluster.Null[uint8] { return &s.TargetLevel }),
		cluster.Uint(datamodel.ValveConfigurationAndControlAttrDefaultOpenLevel, func(s *Valve) *uint8 { return &s.DefaultLevel }),
	},
	Commands: []cluster.Command[Valve]{
		cluster.DoWith(datamodel.ValveConfigurationAndControlCmdOpen, openValve),
		cluster.Do(datamodel.ValveConfigurationAndControlCmdClose, func(c *cluster.Context, s *Valve) error { s.close(c); return nil }),
	},
	Kept: []cluster.Kept[Valve]{cluster.Keep(1, func(s *Valve) *int64 { return &s.closes })},
})

// reportedRemaining returns the number by which RemainingDuration is compared: its
// end, so that it is not reported each second (section 4.6.7.4).
func reportedRemaining(s *Valve) cluster.Number {
	if !s.Remaining.Valid {
		return cluster.Number{Null: true}
	}
	return cluster.Number{V: s.closes}
}

// Select returns the attributes of a valve.
func Select(level bool) cluster.Selection {
	sel := cluster.Selection{Events: []matter.EventID{datamodel.ValveConfigurationAndControlEventValveStateChanged}}
	if level {
		sel.Features = datamodel.ValveConfigurationAndControlFeatureLevel
		sel.Attributes = []matter.AttributeID{datamodel.ValveConfigurationAndControlAttrDefaultOpenLevel}
	}
	return sel
}

// Rules returns the rules for the state of a valve.
func Rules() cluster.Rules[Valve] {
	return cluster.Rules[Valve]{Tick: tick, Restored: func(s *Valve) {
		// A valve that is to close is open until its device reports otherwise, so
		// that the command to close is repeated.
		if s.closes != 0 {
			s.State = cluster.Some(open)
		}
	}}
}

type openFields struct {
	OpenDuration cluster.Opt[cluster.Null[uint32]]
	TargetLevel  cluster.Opt[uint8]
}

// openValve handles Open (section 4.6.8.1).
func openValve(c *cluster.Context, s *Valve, f *openFields) error {
	if f.TargetLevel.Valid && (f.TargetLevel.V == 0 || f.TargetLevel.V > 100) {
		return matter.StatusConstraintError
	}
	s.OpenDuration = f.OpenDuration.Or(s.Default)
	s.setCloses(c, s.OpenDuration)
	s.late.closes = 0
	s.retry = time.Time{}
	s.Target = cluster.Some(open)
	if s.HasLevel {
		s.TargetLevel = cluster.Some(f.TargetLevel.Or(s.DefaultLevel))
	}
	if s.State.V != open || !s.State.Valid || s.HasLevel && s.Level != s.TargetLevel {
		s.State = cluster.Some(moving)
	} else {
		s.arrive()
	}
	c.Want(WantOpen)
	return nil
}

func (s *Valve) setCloses(c *cluster.Context, seconds cluster.Null[uint32]) {
	s.closes, s.Remaining = 0, seconds
	if seconds.Valid {
		s.closes = c.Now.Add(time.Duration(seconds.V) * time.Second).UnixMilli()
	}
}

// close handles Close and the end of the duration (section 4.6.8.2).
func (s *Valve) close(c *cluster.Context) {
	s.OpenDuration = cluster.Null[uint32]{}
	s.setCloses(c, s.OpenDuration)
	s.late.closes = 0
	s.Target = cluster.Some(closed)
	if s.HasLevel {
		s.TargetLevel = cluster.Some[uint8](0)
	}
	if s.State.V != closed || !s.State.Valid {
		s.State = cluster.Some(moving)
		s.retry = c.Now.Add(again)
		s.closes = c.Now.UnixMilli()
	} else {
		s.arrive()
	}
	c.Want(WantOpen)
}

// tick updates the remaining duration and closes the valve at its end. It repeats
// the command if the valve does not close, since water may be running.
func tick(c *cluster.Context, s *Valve) (next time.Time) {
	if s.closes != 0 && s.retry.IsZero() {
		at := time.UnixMilli(s.closes)
		if left := at.Sub(c.Now); left > 0 {
			s.Remaining = cluster.Some(uint32((left + time.Second - 1) / time.Second))
			return at
		}
		s.close(c)
	}
	if s.retry.IsZero() {
		return time.Time{}
	}
	if !c.Now.Before(s.retry) {
		c.Want(WantOpen)
		s.retry = c.Now.Add(again)
	}
	return s.retry
}

// Wanted reports whether the valve is to be open: its target, or else its state. ok
// is false if neither is known.
func (s *Valve) Wanted() (isOpen, ok bool) {
	if s.Target.Valid {
		return s.Target.V == open, true
	}
	return s.State.V == open, s.State.Valid
}

// ReportOpen sets whether the valve is open.
func (s *Valve) ReportOpen(c *cluster.Context, is bool) {
	was := s.State
	if is {
		s.State = cluster.Some(open)
		s.opensLate(c)
	} else {
		s.State = cluster.Some(closed)
		if s.Target.Valid && s.Target.V == open {
			s.late.duration, s.late.closes = s.OpenDuration, s.closes
		}
		s.OpenDuration = cluster.Null[uint32]{}
		s.setCloses(c, s.OpenDuration)
		if s.HasLevel {
			s.Level = cluster.Some[uint8](0)
		}
	}
	// The report is used, but a valve that is to close is still asked to.
	if closing := s.Target.Valid && s.Target.V == closed; !closing || !is {
		s.arrive()
	}
	if was == s.State || !was.Valid {
		return
	}
	now, level, hasLevel := s.State.V, s.Level, s.HasLevel
	c.Emit(datamodel.ValveConfigurationAndControlID, datamodel.ValveConfigurationAndControlEventValveStateChanged, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(now))
		if hasLevel && level.Valid {
			w.Uint(tlv.Context(1), uint64(level.V))
		}
	})
}

// opensLate gives a valve that opens after it seemed to stay closed the rest of its
// duration. Otherwise water would run until somebody sees it.
func (s *Valve) opensLate(c *cluster.Context) {
	if l := s.late; l.closes != 0 && c.Now.Before(time.UnixMilli(l.closes).Add(lateMost)) {
		s.OpenDuration, s.Remaining, s.closes = l.duration, l.duration, l.closes
	}
	s.late.closes = 0
}

// ReportLevel sets how far the valve is open, in percent.
func (s *Valve) ReportLevel(c *cluster.Context, percent uint8) {
	s.Level = cluster.Some(percent)
	s.ReportOpen(c, percent > 0)
}

// arrive ends a move.
func (s *Valve) arrive() {
	s.Target, s.TargetLevel = cluster.Null[datamodel.ValveConfigurationAndControlValveState]{}, cluster.Null[uint8]{}
	s.retry = time.Time{}
}
