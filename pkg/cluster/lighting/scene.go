package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// rest returns the light at the end of its fades, for a scene. Scenes do not
// contain the hue without enhancement, so a color in that mode is stored by its
// coordinates.
func rest(s *Light) Light {
	r := *s
	l, k := &r.Level, &r.Color
	if l.moving() {
		l.Current.V = l.to
		r.Switch.On = r.Switch.On && l.then == stay
		if l.then == goOut && !l.OnLevel.Valid {
			l.Current.V = l.back
		}
		l.fade, l.then = fade{}, stay
	}
	switch {
	case k.Loop.Active != 0:
		k.Tint.set(k.Enhanced, int32(k.Loop.StoredHue), int32(k.Saturation), &r.model)
	case !k.start.IsZero():
		k.Tint.set(k.Enhanced, k.toA, k.toB, &r.model)
	}
	k.fade, k.path = fade{}, path{}
	if k.Enhanced == modeHS && r.model.Features&(datamodel.ColorControlFeatureEnhancedHue|datamodel.ColorControlFeatureXY) == datamodel.ColorControlFeatureXY {
		k.setMode(modeXY)
	}
	return r
}

// recall applies a scene to a light, whether it is on or off (sections 1.4.9.12 and
// 1.5.4.1). It switches at once; level and color change gradually.
func recall(c *cluster.Context, s *Light, scene cluster.Scene, d time.Duration) error {
	c.SetTransition(d)
	dark := !s.Switch.On
	on, switches := scene.Get(datamodel.OnOffID, datamodel.OnOffAttrOnOff)
	level, levels := scene.Get(datamodel.LevelControlID, datamodel.LevelControlAttrCurrentLevel)
	levels = levels && s.model.Dims
	if switches {
		c.Want(WantOn)
		s.Switch.set(on != 0)
		if l := &s.Level; on == 0 && l.moving() { // as in turnOff
			l.owed = true
		}
	}
	switch {
	case levels:
		s.recallLevel(c, clampLevel(int(level)), d, dark)
	case switches && s.Level.moving(): // the fade belonged to an earlier command
		l := &s.Level
		to := l.to
		if l.then != stay {
			to, l.owed = l.back, true
		}
		s.startLevel(c, l.Current.V, to, 0, stay)
	}
	s.recallColor(c, scene, d)
	s.sendOwed(c)
	return nil
}

func (s *Light) recallLevel(c *cluster.Context, to uint8, d time.Duration, dark bool) {
	from := s.Level.Current.V
	switch {
	case !s.Switch.On:
		s.Level.owed = s.Level.owed || to != from
		d = 0
	case dark:
		from = MinLevel
		fallthrough
	default:
		c.Want(WantLevel)
		s.Level.owed = false
	}
	s.startLevel(c, from, to, d, stay)
}

// recallColor sets the color in the mode of the scene.
func (s *Light) recallColor(c *cluster.Context, scene cluster.Scene, d time.Duration) {
	k := &s.Color
	get := func(v *int32, id matter.AttributeID) {
		if x, ok := scene.Get(datamodel.ColorControlID, id); ok {
			*v = int32(x)
		}
	}
	if m, ok := scene.Get(datamodel.ColorControlID, datamodel.ColorControlAttrEnhancedColorMode); ok && s.model.has(datamodel.ColorControlEnhancedColorMode(m)) {
		mode := datamodel.ColorControlEnhancedColorMode(m)
		a, b := k.numbersOf(mode)
		from := a
		switch mode {
		case modeXY:
			get(&a, datamodel.ColorControlAttrCurrentX)
			get(&b, datamodel.ColorControlAttrCurrentY)
		case modeCT:
			get(&a, datamodel.ColorControlAttrColorTemperatureMireds)
			a = clamp(a, int32(s.model.MinMireds), int32(s.model.MaxMireds))
		default:
			get(&a, datamodel.ColorControlAttrEnhancedCurrentHue)
			get(&b, datamodel.ColorControlAttrCurrentSaturation)
			a = from + around(uint16(from), uint16(a), datamodel.ColorControlDirectionShortest)
		}
		s.begin(c, mode, a, b, d)
	}
	if s.model.Features&datamodel.ColorControlFeatureColorLoop == 0 {
		return
	}
	if active, ok := scene.Get(datamodel.ColorControlID, datamodel.ColorControlAttrColorLoopActive); ok {
		var dir, turn int32 = int32(k.Loop.Direction), int32(k.Loop.Time)
		get(&dir, datamodel.ColorControlAttrColorLoopDirection)
		get(&turn, datamodel.ColorControlAttrColorLoopTime)
		k.Loop.Direction, k.Loop.Time = datamodel.ColorControlColorLoopDirection(dir), uint16(turn)
		if active != 0 {
			k.Loop.StoredHue = k.EnhancedHue
			s.startLoop(c, k.EnhancedHue)
		}
	}
}

// has reports whether a light supports a mode.
func (m *Model) has(mode datamodel.ColorControlEnhancedColorMode) bool {
	f := [...]uint32{
		modeHS: datamodel.ColorControlFeatureHueSaturation, modeXY: datamodel.ColorControlFeatureXY,
		modeCT: datamodel.ColorControlFeatureColorTemperature, modeEHue: datamodel.ColorControlFeatureEnhancedHue,
	}
	return int(mode) < len(f) && m.Features&f[mode] != 0
}
