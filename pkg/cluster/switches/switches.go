// Package switches implements the Switch cluster, 0x003B revision 2 ("Matter
// Application Cluster Specification", section 1.13): push buttons, which are momentary
// switches, and latching switches.
package switches

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	// LongPress is the time after which a press becomes a long press. nextPress is
	// the time after a release in which another press belongs to the same sequence.
	// The specification leaves both to the manufacturer. Certification presses and
	// releases for half a second each.
	LongPress = time.Second
	nextPress = 600 * time.Millisecond

	// heldMost ends a long press whose end the source does not report. Some devices
	// report only the beginning.
	heldMost = 10 * time.Second
)

const (
	idle    = 0 // positions
	pressed = 1
)

// Button is the state of a push button.
type Button struct {
	Features      uint32 // of the cluster; never changes
	MultiPressMax uint8  // the maximum number of presses in a sequence; never changes

	Position uint8
	presses  uint8     // in the current sequence
	long     bool      // LongPress has been emitted and LongRelease has not
	aborted  bool      // there were too many presses; no events until the button is idle
	due      time.Time // the time of the next transition without input; zero: never
}

// Cluster is the Switch cluster. CurrentPosition is not stored: a button is idle at
// the start.
var Cluster = cluster.Define(cluster.Def[Button]{
	Facts: datamodel.Switch,
	Attributes: []cluster.Attribute[Button]{
		cluster.Constant[Button](datamodel.SwitchAttrNumberOfPositions, 2),
		cluster.Counted(datamodel.SwitchAttrCurrentPosition, func(s *Button) cluster.Number { return cluster.Number{V: int64(s.Position)} }),
		cluster.Counted(datamodel.SwitchAttrMultiPressMax, func(s *Button) cluster.Number { return cluster.Number{V: int64(s.MultiPressMax)} }),
	},
})

// Rules returns the rules for the timeouts of a button.
func Rules() cluster.Rules[Button] {
	return cluster.Rules[Button]{Tick: func(c *cluster.Context, s *Button) time.Time {
		if !s.due.IsZero() && !c.Now.Before(s.due) {
			s.timeOut(c)
		}
		return s.due
	}}
}

func (s *Button) has(feature uint32) bool { return s.Features&feature != 0 }

// counts reports whether consecutive presses are counted.
func (s *Button) counts() bool { return s.has(datamodel.SwitchFeatureMomentarySwitchMultiPress) }

// timeOut handles the timeout at s.due.
func (s *Button) timeOut(c *cluster.Context) {
	s.due = time.Time{}
	switch {
	case s.long:
		s.Release(c)
	case s.Position == idle:
		s.complete(c)
	default:
		s.holdOn(c)
	}
}

// Press is called when the button goes down. It does nothing if the button is down.
func (s *Button) Press(c *cluster.Context) {
	if s.Position == pressed {
		return
	}
	s.Position, s.due = pressed, time.Time{}
	if s.aborted {
		return
	}
	if s.counts() {
		if s.presses == s.MultiPressMax {
			// A sequence with too many presses does not count (section 1.13.5.3).
			s.aborted, s.presses = true, 0
			emit(c, datamodel.SwitchEventMultiPressComplete, pressed, 0)
			return
		}
		s.presses++
	}
	emit(c, datamodel.SwitchEventInitialPress, pressed)
	if s.presses > 1 {
		emit(c, datamodel.SwitchEventMultiPressOngoing, pressed, s.presses)
		return
	}
	if s.has(datamodel.SwitchFeatureMomentarySwitchLongPress) {
		s.due = c.Now.Add(LongPress)
	}
}

// holdOn makes the press a long press. In a sequence of presses there is none
// (section 1.13.6.3).
func (s *Button) holdOn(c *cluster.Context) {
	s.long, s.presses, s.due = true, 0, time.Time{}
	emit(c, datamodel.SwitchEventLongPress, pressed)
}

// Release is called when the button goes up. It does nothing if the button is up.
func (s *Button) Release(c *cluster.Context) {
	if s.Position == idle {
		return
	}
	s.Position, s.due = idle, time.Time{}
	switch {
	case s.long:
		s.long = false
		emit(c, datamodel.SwitchEventLongRelease, pressed)
		return
	case s.aborted:
	case s.has(datamodel.SwitchFeatureMomentarySwitchRelease):
		emit(c, datamodel.SwitchEventShortRelease, pressed)
	}
	if s.counts() {
		s.due = c.Now.Add(nextPress)
	}
}

// complete ends a sequence of presses.
func (s *Button) complete(c *cluster.Context) {
	if s.presses > 0 {
		emit(c, datamodel.SwitchEventMultiPressComplete, pressed, s.presses)
	}
	s.presses, s.aborted, s.due = 0, false, time.Time{}
}

// Presses handles a whole sequence of n presses that the source has counted.
func (s *Button) Presses(c *cluster.Context, n int) {
	s.finish(c)
	for range n {
		s.Press(c)
		s.Release(c)
	}
	s.complete(c)
}

// Hold handles a long press that the source has recognized. It ends with Release,
// with the next gesture, or after a time.
func (s *Button) Hold(c *cluster.Context) {
	s.finish(c)
	s.Press(c)
	s.holdOn(c)
	s.due = c.Now.Add(heldMost)
}

// finish ends the current press or sequence.
func (s *Button) finish(c *cluster.Context) {
	s.Release(c)
	s.complete(c)
}

// emit emits an event. The position is the first field of all events, and a count,
// if any, the second.
func emit(c *cluster.Context, id matter.EventID, position uint8, count ...uint8) {
	c.Emit(datamodel.SwitchID, id, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(position))
		for _, n := range count {
			w.Uint(tlv.Context(1), uint64(n))
		}
	})
}
