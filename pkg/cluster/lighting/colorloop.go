package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Loop is the color loop (sections 3.2.7.14 to 3.2.7.18), in which the hue turns
// endlessly.
type Loop struct {
	Active    uint8 // 1: it turns
	Direction datamodel.ColorControlColorLoopDirection
	Time      uint16 // of one turn, in seconds
	StartHue  uint16
	StoredHue uint16 // from before the loop
}

// colorLoopSet are the fields of ColorLoopSet.
type colorLoopSet struct {
	UpdateFlags datamodel.ColorControlUpdateFlags
	Action      datamodel.ColorControlColorLoopAction    `cluster:"unchecked"`
	Direction   datamodel.ColorControlColorLoopDirection `cluster:"unchecked"`
	Time        uint16
	StartHue    uint16
	options
}

// colorLoopSet handles ColorLoopSet (section 3.2.8.19).
func (s *Light) colorLoopSet(c *cluster.Context, f *colorLoopSet) error {
	if f.Action > datamodel.ColorControlColorLoopActionActivateFromEnhancedCurrentHue ||
		f.Direction > datamodel.ColorControlColorLoopDirectionIncrement {
		return matter.StatusInvalidCommand
	}
	if !s.executes(&f.options) {
		return nil
	}
	k := &s.Color
	l := &k.Loop
	has := func(u datamodel.ColorControlUpdateFlags) bool { return f.UpdateFlags&u != 0 }
	if has(datamodel.ColorControlUpdateFlagsUpdateDirection) {
		l.Direction = f.Direction
	}
	if has(datamodel.ColorControlUpdateFlagsUpdateTime) {
		l.Time = f.Time
	}
	if has(datamodel.ColorControlUpdateFlagsUpdateStartHue) {
		l.StartHue = f.StartHue
	}
	switch action := has(datamodel.ColorControlUpdateFlagsUpdateAction); {
	case action && f.Action == datamodel.ColorControlColorLoopActionDeactivate:
		if l.Active != 0 {
			s.startColor(c, int32(l.StoredHue), int32(k.Saturation), 0)
		}
	case action:
		hue := k.EnhancedHue
		if l.Active == 0 {
			l.StoredHue = hue
		}
		if f.Action == datamodel.ColorControlColorLoopActionActivateFromColorLoopStartEnhancedHue {
			hue = l.StartHue
		}
		s.startLoop(c, hue)
	case l.Active != 0:
		s.startLoop(c, k.EnhancedHue)
	}
	return nil
}

// startLoop starts turning from a hue.
func (s *Light) startLoop(c *cluster.Context, hue uint16) {
	k := &s.Color
	k.setMode(modeEHue)
	k.Loop.Active = 1
	turn := int32(circle)
	if k.Loop.Direction == datamodel.ColorControlColorLoopDirectionDecrement {
		turn = -circle
	}
	k.fade = fade{c.Now, time.Duration(max(k.Loop.Time, 1)) * time.Second}
	k.path = path{fromA: int32(hue), toA: int32(hue) + turn, fromB: int32(k.Saturation), toB: int32(k.Saturation), legs: true}
	k.Tint.set(modeEHue, int32(hue), int32(k.Saturation), &s.model)
	s.sendColor(c)
	k.Remaining = 0
}

// turn advances the start of the loop by the full turns that are over.
func (k *Color) turn(now time.Time) {
	if k.Loop.Active == 0 || k.length == 0 {
		return
	}
	if turns := now.Sub(k.start) / k.length; turns > 0 {
		k.start = k.start.Add(turns * k.length)
	}
}

// reportedTime returns the number by which RemainingTime is compared. A loop has no
// remaining time.
func (k *Color) reportedTime() cluster.Number {
	if k.Loop.Active != 0 {
		return cluster.Number{}
	}
	return k.reported()
}
