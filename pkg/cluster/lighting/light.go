package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Bits of [cluster.Context.Want]. What is wanted is the value at the end of a fade.
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

// Model is what a light can do. It does not change.
type Model struct {
	Dims     bool   // it has a level
	Features uint32 // of Color Control; 0: it has one color
	// MinMireds and MaxMireds bound the color temperature, if Features has it.
	MinMireds, MaxMireds uint16
	// HueSaturation and XY say how the device takes a color, if Features has any. What it
	// does not take is converted.
	HueSaturation, XY bool
}

// New returns the state of a light that is off, and of which nothing is known.
func New(m Model) Light {
	s := Light{model: m, Switch: Switch{GlobalSceneControl: true}}
	s.Level.Current = cluster.Some(uint8(MaxLevel))
	s.Color.init(&s.model)
	return s
}

// Rules returns what the clusters of a light have in common.
func Rules() cluster.Rules[Light] {
	return cluster.Rules[Light]{
		Couple: couple, Tick: tick, Moving: moving,
		Rest: rest, Recall: recall, Restored: restored, PowerUp: powerUp,
	}
}

// couple makes the parts of a light agree after a change.
func couple(c *cluster.Context, was, is *Light) error {
	is.hear()
	is.Switch.arm(c.Now, &was.Switch)
	return nil
}

// tick brings a light to c.Now.
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

// sooner returns the earlier of two times, where the zero time is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func moving(s *Light) bool { return s.Level.moving() || s.Color.moving() }

// lit reports whether the light is on, and not on its way out.
func (s *Light) lit() bool { return s.Switch.On && s.Level.then != goOut }

// restored mends a state that was kept, perhaps by a light that could do more.
func restored(s *Light) {
	s.Level.Current = cluster.Some(clampLevel(int(s.Level.Current.Or(MaxLevel))))
	s.Color.mend(&s.model)
}

// powerUp applies the StartUp attributes (sections 1.5.6.5, 1.6.6.14 and 3.2.7.21), of a
// light that got power now.
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

// sendOwed sends the device what it does not know yet, if the light is on.
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
