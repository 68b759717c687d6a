package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Short names for the color modes.
const (
	modeHS   = datamodel.ColorControlEnhancedColorModeCurrentHueAndCurrentSaturation
	modeXY   = datamodel.ColorControlEnhancedColorModeCurrentXAndCurrentY
	modeCT   = datamodel.ColorControlEnhancedColorModeColorTemperatureMireds
	modeEHue = datamodel.ColorControlEnhancedColorModeEnhancedCurrentHueAndCurrentSaturation
)

// Color is the state of the Color Control cluster (section 3.2). The attributes of
// all models are consistent: the models other than that of the mode are converted.
type Color struct {
	Mode      datamodel.ColorControlColorMode
	Enhanced  datamodel.ColorControlEnhancedColorMode
	Tint      // the current color
	Options   datamodel.ColorControlOptions
	StartUp   cluster.Null[uint16] // in mireds
	Remaining uint16               // in tenths of a second
	Loop      Loop

	fade
	path
	owed  bool  // the device was not sent the color, since the light was off
	heard heard // from the device, in this change
	late  late[heard]
	said  cluster.Null[datamodel.ColorControlColorMode] // the mode of the device's last report
}

// Tint is a color in all models.
type Tint struct {
	EnhancedHue uint16
	Hue         uint8
	Saturation  uint8
	X, Y        uint16 // in units of 1/65536
	Mireds      uint16
}

// path is the path of a color change, in the one or two numbers of its model.
type path struct {
	fromA, toA int32 // hue, not reduced to one turn; x; or mireds
	fromB, toB int32 // saturation; or y
	sent       Tint  // what the device was sent: the end, or that of a leg
	// legs means that the device is sent from point to point, since it would take
	// another path to the end.
	legs bool
	leg  fade
}

// init sets a color for a light without a known color.
func (k *Color) init(m *Model) {
	k.Mireds = m.MinMireds + (m.MaxMireds-m.MinMireds)/2
	k.Loop = Loop{Time: 25, StartHue: 0x2300}
	switch {
	case m.Features&datamodel.ColorControlFeatureColorTemperature != 0:
		k.setMode(modeCT)
	case m.Features&datamodel.ColorControlFeatureXY != 0:
		k.X, k.Y = xyOfMireds(250)
		k.setMode(modeXY)
	default:
		k.setMode(modeHS)
	}
	k.derive(m)
}

// setMode sets both modes (section 3.2.7.13).
func (k *Color) setMode(e datamodel.ColorControlEnhancedColorMode) {
	k.Enhanced, k.Mode = e, datamodel.ColorControlColorMode(e)
	if e == modeEHue {
		k.Mode = datamodel.ColorControlColorModeCurrentHueAndCurrentSaturation
	}
}

// derive converts the color from the model of its mode to the others.
func (k *Color) derive(m *Model) { k.Tint.derive(k.Enhanced, m) }

func (t *Tint) derive(mode datamodel.ColorControlEnhancedColorMode, m *Model) {
	colored := m.Features&(datamodel.ColorControlFeatureHueSaturation|datamodel.ColorControlFeatureXY) != 0
	switch {
	case !colored:
		return
	case mode == modeCT:
		t.X, t.Y = xyOfMireds(t.Mireds)
		t.EnhancedHue, t.Saturation = hsOfXY(t.X, t.Y)
	case mode == modeXY:
		t.EnhancedHue, t.Saturation = hsOfXY(t.X, t.Y)
	default:
		t.X, t.Y = xyOfHS(t.EnhancedHue, t.Saturation)
	}
	t.Hue = hue8(t.EnhancedHue)
	if mode != modeCT && m.Features&datamodel.ColorControlFeatureColorTemperature != 0 {
		t.Mireds = miredsOfXY(t.X, t.Y, m.MinMireds, m.MaxMireds)
	}
}

// mend corrects a stored color to one that the light supports.
func (k *Color) mend(m *Model) {
	switch {
	case m.Features == 0:
		return
	case !m.has(k.Enhanced):
		k.init(m)
	case k.Enhanced == modeHS && hue8(k.EnhancedHue) != k.Hue: // the enhanced hue was not stored
		k.EnhancedHue = hueOf8(k.Hue)
	}
	k.setMode(k.Enhanced)
	k.X, k.Y, k.Saturation = min(k.X, maxXY), min(k.Y, maxXY), min(k.Saturation, 254)
	if m.MaxMireds > 0 {
		k.Mireds = min(max(k.Mireds, m.MinMireds), m.MaxMireds)
	}
	if m.Features&datamodel.ColorControlFeatureColorLoop == 0 {
		k.Loop.Active = 0
	}
	k.derive(m)
}

// startColor begins a change from the current color. The mode is set already.
func (s *Light) startColor(c *cluster.Context, toA, toB int32, d time.Duration) {
	k := &s.Color
	fromA, fromB := k.numbers()
	k.Loop.Active = 0 // setting a color ends the loop
	k.fade, k.path = fade{c.Now, d}, path{fromA: fromA, toA: toA, fromB: fromB, toB: toB}
	k.late = late[heard]{}
	k.legs = k.hued() && d > 0 && abs(int64(toA)-int64(fromA)) > circle/2
	s.sendColor(c)
}

// sendColor sends a change that has just begun to the device.
func (s *Light) sendColor(c *cluster.Context) {
	k := &s.Color
	k.Remaining = k.left(c.Now)
	if k.legs {
		s.nextLeg(c)
	} else {
		s.sendTo(c, k.toA)
	}
	s.runColor(c)
}

// sendTo sends the device to a point of the path.
func (s *Light) sendTo(c *cluster.Context, a int32) {
	k := &s.Color
	k.sent = k.Tint
	k.sent.set(k.Enhanced, a, k.toB, &s.model)
	s.wantColor(c)
}

// hued reports whether the mode has a hue.
func (k *Color) hued() bool { return k.Enhanced == modeHS || k.Enhanced == modeEHue }

// numbers returns the color in the numbers of its model.
func (k *Color) numbers() (a, b int32) {
	switch k.Enhanced {
	case modeXY:
		return int32(k.X), int32(k.Y)
	case modeCT:
		return int32(k.Mireds), 0
	}
	return int32(k.EnhancedHue), int32(k.Saturation)
}

// set sets the color by the numbers of a model.
func (t *Tint) set(mode datamodel.ColorControlEnhancedColorMode, a, b int32, m *Model) {
	switch mode {
	case modeXY:
		t.X, t.Y = uint16(a), uint16(b)
	case modeCT:
		t.Mireds = uint16(a)
	default:
		t.EnhancedHue, t.Saturation = uint16(a), uint8(b)
		t.Hue = hue8(t.EnhancedHue)
	}
	t.derive(mode, m)
}

// runColor computes the color at c.Now, and returns the time of the next call.
func (s *Light) runColor(c *cluster.Context) time.Time {
	k := &s.Color
	if k.Loop.Active != 0 && k.start.IsZero() {
		s.startLoop(c, k.EnhancedHue) // the loop was active before the restart
	}
	k.turn(c.Now)
	switch {
	case k.start.IsZero():
		if h, ok := k.late.due(c.Now); ok {
			s.take(h)
		}
		return k.late.at
	case k.over(c.Now):
		s.arriveColor(c)
		return k.late.at
	case c.Now.After(k.start) || k.Loop.Active != 0:
		k.Tint.set(k.Enhanced, k.fade.at(c.Now, k.fromA, k.toA), k.fade.at(c.Now, k.fromB, k.toB), &s.model)
	}
	next := k.next(c.Now)
	if k.legs {
		if k.leg.over(c.Now) {
			s.nextLeg(c)
		}
		leg := k.leg.start.Add(k.leg.length)
		if k.Loop.Active != 0 {
			return leg
		}
		next = sooner(next, leg)
	}
	k.Remaining = k.left(c.Now)
	return next
}

// arriveColor ends a change.
func (s *Light) arriveColor(c *cluster.Context) {
	k := &s.Color
	short := k.legs && k.leg.start.Add(k.leg.length).Before(k.start.Add(k.length))
	if k.legs {
		k.Tint.set(k.Enhanced, k.toA, k.toB, &s.model)
	} else {
		k.Tint = k.sent
	}
	k.fade, k.path, k.Remaining = fade{}, path{}, 0
	k.late.wait(c.Now)
	if short { // there was no call for a while
		s.wantColor(c)
	}
}

// nextLeg sends the device on the next leg of a path: a quarter of a turn, but at
// least one second and at most ten seconds.
func (s *Light) nextLeg(c *cluster.Context) {
	k := &s.Color
	way := abs(int64(k.toA) - int64(k.fromA))
	quarter := k.length * (circle / 4) / time.Duration(max(way, 1))
	d := min(min(max(quarter, time.Second), 10*time.Second), k.length-c.Now.Sub(k.start))
	k.leg = fade{c.Now, d}
	c.SetTransition(d)
	s.sendTo(c, k.fade.at(c.Now.Add(d), k.fromA, k.toA))
}

// wantColor requests the color from the device, in a model that it supports. A
// device that is off receives it when it is switched on.
func (s *Light) wantColor(c *cluster.Context) {
	k := &s.Color
	k.owed = !s.Switch.On
	switch {
	case k.owed:
	case k.Enhanced == modeCT:
		c.Want(WantTemperature)
	case s.model.XY && (k.Enhanced == modeXY || !s.model.HueSaturation):
		c.Want(WantXY)
	default:
		c.Want(WantHueSaturation)
	}
}

// WantedColor returns the color that the device is to have at the end of a change,
// or of a leg of it.
func (s *Light) WantedColor() *Tint {
	if s.Color.start.IsZero() {
		return &s.Color.Tint
	}
	return &s.Color.sent
}

// coupleTemperature moves the color temperature with the level (section 1.6.5.1.2):
// coldest at the highest level, warmest at the lowest.
func (s *Light) coupleTemperature(c *cluster.Context, level uint8, p pace) {
	if s.Color.Enhanced != modeCT || s.model.Features&datamodel.ColorControlFeatureColorTemperature == 0 {
		return
	}
	s.startColor(c, int32(s.model.miredsAt(level)), 0, p.Duration)
}

// miredsAt returns the color temperature for a level.
func (m *Model) miredsAt(level uint8) uint16 {
	span := uint32(m.MaxMireds - m.MinMireds)
	return m.MaxMireds - uint16(span*uint32(level-MinLevel)/(MaxLevel-MinLevel))
}
