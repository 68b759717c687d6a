package lighting

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// heard is a device's report of its color. It may contain several models; the mode
// names the one to use.
type heard struct {
	has              heardBits
	mode             datamodel.ColorControlColorMode
	hue              uint16
	saturation       uint8
	x, y             uint16
	colorTemperature uint16
}

type heardBits uint8

const (
	heardMode heardBits = 1 << iota
	heardHue
	heardSaturation
	heardX
	heardY
	heardTemperature

	heardHS = heardHue | heardSaturation
	heardXY = heardX | heardY
)

// HearMode sets the color mode of a report.
func (s *Light) HearMode(m datamodel.ColorControlColorMode) {
	s.Color.heard.mode = m
	s.Color.heard.has |= heardMode
}

// HearHue sets the enhanced hue of a report.
func (s *Light) HearHue(h uint16) {
	s.Color.heard.hue = h
	s.Color.heard.has |= heardHue
}

// HearSaturation sets the saturation of a report, 0 to 254.
func (s *Light) HearSaturation(v uint8) {
	s.Color.heard.saturation = min(v, 254)
	s.Color.heard.has |= heardSaturation
}

// HearX sets the x coordinate of a report.
func (s *Light) HearX(v uint16) {
	s.Color.heard.x = min(v, maxXY)
	s.Color.heard.has |= heardX
}

// HearY sets the y coordinate of a report.
func (s *Light) HearY(v uint16) {
	s.Color.heard.y = min(v, maxXY)
	s.Color.heard.has |= heardY
}

// HearMireds sets the color temperature of a report.
func (s *Light) HearMireds(v uint16) {
	s.Color.heard.colorTemperature = v
	s.Color.heard.has |= heardTemperature
}

// hear applies a report. As with a level, a report during a fade is used only if no
// other follows. A report while the light is off does not replace a color that was
// set meanwhile.
func (s *Light) hear() {
	k := &s.Color
	h := k.heard
	if h.has == 0 {
		return
	}
	k.heard = heard{}
	mode, ok := s.heardMode(h)
	if !ok {
		return
	}
	h.mode, h.has = mode, h.has|heardMode
	k.said = cluster.Some(mode)
	switch {
	case !k.start.IsZero():
		k.late.heard(h)
	case !k.owed || s.Switch.On:
		k.late = late[heard]{}
		s.take(h)
	}
}

// take sets the color from a report, in a mode that the light supports.
func (s *Light) take(h heard) {
	k := &s.Color
	mode := k.Enhanced
	if h.mode != k.Mode {
		mode = datamodel.ColorControlEnhancedColorMode(h.mode)
	}
	a, b := k.numbersOf(mode)
	pick := func(v *int32, bit heardBits, is int32) {
		if h.has&bit != 0 {
			*v = is
		}
	}
	switch mode {
	case modeCT:
		pick(&a, heardTemperature, clamp(int32(h.colorTemperature), int32(s.model.MinMireds), int32(s.model.MaxMireds)))
	case modeXY:
		pick(&a, heardX, int32(h.x))
		pick(&b, heardY, int32(h.y))
	default:
		pick(&a, heardHue, int32(h.hue))
		pick(&b, heardSaturation, int32(h.saturation))
	}
	k.setMode(mode)
	k.Tint.set(mode, a, b, &s.model)
}

// heardMode returns the mode of a report: the one that it names, or else the one of
// its values. If the report has values of several models, it is the mode of the
// previous report, or the current mode.
func (s *Light) heardMode(h heard) (datamodel.ColorControlColorMode, bool) {
	var can [3]bool
	for mode, f := range [...]uint32{datamodel.ColorControlFeatureHueSaturation, datamodel.ColorControlFeatureXY, datamodel.ColorControlFeatureColorTemperature} {
		can[mode] = s.model.Features&f != 0
	}
	if h.has&heardMode != 0 {
		return h.mode, int(h.mode) < len(can) && can[h.mode]
	}
	speaks := [...]bool{h.has&heardHS != 0, h.has&heardXY != 0, h.has&heardTemperature != 0}
	for _, m := range [...]datamodel.ColorControlColorMode{
		s.Color.said.Or(s.Color.Mode), s.Color.Mode,
		datamodel.ColorControlColorModeCurrentXAndCurrentY, datamodel.ColorControlColorModeCurrentHueAndCurrentSaturation, datamodel.ColorControlColorModeColorTemperatureMireds,
	} {
		if speaks[m] && can[m] {
			return m, true
		}
	}
	return 0, false
}
