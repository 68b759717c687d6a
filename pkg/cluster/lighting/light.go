package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Bits of [cluster.Context.Want]. The wanted value is that at the end of a fade.
const (
	WantOn uint32 = 1 << iota
	WantLevel
	WantHueSaturation
	WantXY
	WantTemperature
)

// Light is the state of a light, or of a plug.
type Light struct {
	Switch Switch
	Level  Level
	Color  Color

	model Model
}

// Model is what a light supports. It does not change.
type Model struct {
	Dims     bool   // it has a level
	Features uint32 // of Color Control; 0: no color
	// MinMireds and MaxMireds are the range of the color temperature, if Features
	// has it.
	MinMireds, MaxMireds uint16
	// HueSaturation and XY are the color models that the device accepts, if
	// Features has any. Other models are converted.
	HueSaturation, XY bool
}

// New returns the state of a light that is off and has reported nothing.
func New(m Model) Light {
	s := Light{model: m, Switch: Switch{GlobalSceneControl: true}}
	s.Level.Current = cluster.Some(uint8(MaxLevel))
	s.Color.init(&s.model)
	return s
}

// Rules returns the rules for the state of a light.
func Rules() cluster.Rules[Light] {
	return cluster.Rules[Light]{
		Couple: couple, Tick: tick, Moving: moving,
		Rest: rest, Recall: recall, Restored: restored, PowerUp: powerUp,
	}
}

// couple makes the parts of a light consistent after a change.
func couple(c *cluster.Context, was, is *Light) error {
	is.hear()
	is.Switch.arm(c.Now, &was.Switch)
	return nil
}

// tick updates a light to c.Now.
func tick(c *cluster.Context, s *Light) time.Time {
	on := s.Switch.On
	next := s.runTimer(c)
	next = sooner(next, s.runLevel(c))
	next = sooner(next, s.runColor(c))
	if s.Switch.On != on {
		s.Switch.arm(c.Now, &Switch{})
		next = sooner(next, s.Switch.end)
	}
	return next
}

// sooner returns the earlier of two times. The zero time means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func moving(s *Light) bool { return s.Level.moving() || s.Color.moving() }

// lit reports whether the light is on and does not fade out.
func (s *Light) lit() bool { return s.Switch.On && s.Level.then != goOut }

// restored corrects a stored state, which may be that of a light with more
// functions.
func restored(s *Light) {
	s.Level.Current = cluster.Some(clampLevel(int(s.Level.Current.Or(MaxLevel))))
	s.Color.mend(&s.model)
}

// powerUp applies the StartUp attributes (sections 1.5.6.6, 1.6.6.15 and 3.2.7.23)
// of a light that was just powered on.
func powerUp(c *cluster.Context, s *Light) {
	c.Want(WantOn)
	if v := s.Switch.StartUp; v.Valid {
		s.Switch.On = v.V == datamodel.OnOffStartUpOnOffOn || v.V == datamodel.OnOffStartUpOnOffToggle && !s.Switch.On
	}
	if v := s.Level.StartUp; v.Valid && s.model.Dims {
		s.Level.Current = cluster.Some(clampLevel(int(v.V)))
	}
	if v := s.Color.StartUp; v.Valid && s.model.Features&datamodel.ColorControlFeatureColorTemperature != 0 &&
		v.V >= s.model.MinMireds && v.V <= s.model.MaxMireds {
		s.Color.setMode(datamodel.ColorControlEnhancedColorModeColorTemperatureMireds)
		s.Color.Mireds = v.V
		s.Color.derive(&s.model)
	}
	s.Level.owed, s.Color.owed = s.model.Dims, s.model.Features != 0
	s.sendOwed(c)
}

// sendOwed sends the device the changes that it was not sent, if the light is on.
func (s *Light) sendOwed(c *cluster.Context) {
	if !s.Switch.On {
		return
	}
	if s.Level.owed {
		s.Level.owed = false
		c.Want(WantLevel)
	}
	if s.Color.owed {
		s.wantColor(c)
	}
}
