package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

const (
	// endless is the OnTime or OffWaitTime that does not count down.
	endless = 0xFFFF
	// tenth is the unit of the times in commands and attributes.
	tenth = 100 * time.Millisecond
)

// Switch is the state of the On/Off cluster (section 1.5). OnWithTimedOff leads to
// the states Timed On and Delayed Off, in which OnTime and OffWaitTime count down.
type Switch struct {
	On                 bool
	GlobalSceneControl bool
	OnTime             uint16 // in tenths of a second
	OffWaitTime        uint16 // in tenths of a second
	StartUp            cluster.Null[datamodel.OnOffStartUpOnOff]

	timed bool      // the state is Timed On or Delayed Off
	end   time.Time // when the running time is over; zero: none runs
}

// OnOff is the On/Off cluster.
var OnOff = cluster.Define(cluster.Def[Light]{
	Facts: datamodel.OnOff,
	Attributes: []cluster.Attribute[Light]{
		cluster.Bool(datamodel.OnOffAttrOnOff, func(s *Light) *bool { return &s.Switch.On }),
		cluster.Bool(datamodel.OnOffAttrGlobalSceneControl, func(s *Light) *bool { return &s.Switch.GlobalSceneControl }),
		cluster.Uint(datamodel.OnOffAttrOnTime, func(s *Light) *uint16 { return &s.Switch.OnTime }).
			ReportBy(func(s *Light) cluster.Number { return s.Switch.reported(s.Switch.OnTime, s.Switch.On) }),
		cluster.Uint(datamodel.OnOffAttrOffWaitTime, func(s *Light) *uint16 { return &s.Switch.OffWaitTime }).
			ReportBy(func(s *Light) cluster.Number { return s.Switch.reported(s.Switch.OffWaitTime, !s.Switch.On) }),
		cluster.NullUint(datamodel.OnOffAttrStartUpOnOff, func(s *Light) *cluster.Null[datamodel.OnOffStartUpOnOff] { return &s.Switch.StartUp }),
	},
	Commands: []cluster.Command[Light]{
		cluster.Do(datamodel.OnOffCmdOff, func(c *cluster.Context, s *Light) error { s.turn(c, false); return nil }),
		cluster.Do(datamodel.OnOffCmdOn, func(c *cluster.Context, s *Light) error { s.turn(c, true); return nil }),
		cluster.Do(datamodel.OnOffCmdToggle, func(c *cluster.Context, s *Light) error { s.turn(c, !s.lit()); return nil }),
		cluster.DoWith(datamodel.OnOffCmdOffWithEffect, offWithEffect),
		cluster.Do(datamodel.OnOffCmdOnWithRecallGlobalScene, onWithRecallGlobalScene),
		cluster.DoWith(datamodel.OnOffCmdOnWithTimedOff, onWithTimedOff),
	},
})

// turn switches the light for a controller, or because a time is over.
func (s *Light) turn(c *cluster.Context, on bool) {
	c.Want(WantOn)
	switch {
	case !s.model.Dims:
		s.Switch.set(on)
	case on:
		s.turnOn(c)
	default:
		s.turnOff(c)
	}
}

// set switches the light for any cause (sections 1.5.4.1, 1.5.7.1, 1.5.7.2).
func (s *Switch) set(on bool) {
	s.On = on
	if !on {
		s.OnTime = 0
		return
	}
	if s.OnTime == 0 {
		s.OffWaitTime = 0
	}
	s.GlobalSceneControl = true
}

// WantedOn reports whether the device is to be on.
func (s *Light) WantedOn() bool { return s.lit() }

// ReportOn sets whether the device is on. A device that fades out may report off at
// once, or report on until it is dark.
func (s *Light) ReportOn(c *cluster.Context, on bool) {
	switch {
	case on == s.Switch.On:
	case on:
		s.Switch.set(true)
		s.Level.owed, s.Color.owed = false, false // the device changed by itself; nothing is to be sent
	case s.Level.then == goOut:
		s.arrive(c)
	default:
		s.Switch.set(false)
		s.Level.fade, s.Level.then, s.Level.Remaining, s.Level.late = fade{}, stay, 0, late[uint8]{}
	}
}

// offWithEffect handles OffWithEffect (section 1.5.7.4). The device chooses how to
// switch off, since sources do not support effects.
func offWithEffect(c *cluster.Context, s *Light, f *struct {
	EffectIdentifier datamodel.OnOffEffectIdentifier
	EffectVariant    uint8
}) error {
	if s.Switch.GlobalSceneControl {
		if err := c.StoreGlobalScene(); err != nil {
			return err
		}
		s.Switch.GlobalSceneControl = false
	}
	s.turn(c, false)
	return nil
}

// onWithRecallGlobalScene handles OnWithRecallGlobalScene (section 1.5.7.5).
func onWithRecallGlobalScene(c *cluster.Context, s *Light) error {
	if s.Switch.GlobalSceneControl {
		return nil
	}
	if scene, ok := c.GlobalScene(); ok {
		if err := recall(c, s, scene, 0); err != nil {
			return err
		}
	}
	if s.Switch.GlobalSceneControl = true; !s.lit() {
		s.turn(c, true)
	}
	return nil
}

// onWithTimedOff handles OnWithTimedOff (section 1.5.7.6).
func onWithTimedOff(c *cluster.Context, s *Light, f *struct {
	OnOffControl datamodel.OnOffOnOffControl
	OnTime       uint16
	OffWaitTime  uint16
}) error {
	w := &s.Switch
	switch {
	case f.OnOffControl&datamodel.OnOffOnOffControlAcceptOnlyWhenOn != 0 && !w.On:
		return nil
	case w.OffWaitTime > 0 && !w.On:
		w.OffWaitTime = min(w.OffWaitTime, f.OffWaitTime)
	default:
		w.OnTime, w.OffWaitTime = max(w.OnTime, f.OnTime), f.OffWaitTime
		s.turn(c, true)
	}
	w.timed = true
	return nil
}

// arm starts the time that is to count down after a change from was.
func (s *Switch) arm(now time.Time, was *Switch) {
	if s.On == was.On && s.OnTime == was.OnTime && s.OffWaitTime == was.OffWaitTime && s.timed == was.timed {
		return
	}
	s.timed = s.timed && (s.OnTime > 0 || s.OffWaitTime > 0)
	s.end = time.Time{}
	if left := *s.running(); s.timed && left > 0 && s.OnTime != endless && s.OffWaitTime != endless {
		s.end = now.Add(time.Duration(left) * tenth)
	}
}

// running returns the time that counts down in the states Timed On and Delayed Off.
func (s *Switch) running() *uint16 {
	if s.On {
		return &s.OnTime
	}
	return &s.OffWaitTime
}

// runTimer updates OnTime or OffWaitTime to c.Now, and returns when it is over.
func (s *Light) runTimer(c *cluster.Context) time.Time {
	w := &s.Switch
	if w.end.IsZero() {
		return time.Time{}
	}
	if left := w.end.Sub(c.Now); left > 0 {
		*w.running() = uint16((left + tenth - 1) / tenth)
		return w.end
	}
	w.OnTime, w.OffWaitTime = 0, 0
	w.timed, w.end = false, time.Time{}
	if w.On {
		s.turn(c, false)
	}
	return time.Time{}
}

// reported returns the number by which a change of a time is detected. The
// countdown is not a change; another end is.
func (s *Switch) reported(tenths uint16, runs bool) cluster.Number {
	if runs && !s.end.IsZero() {
		return cluster.Number{V: s.end.UnixMilli()}
	}
	return cluster.Number{V: int64(tenths)}
}
