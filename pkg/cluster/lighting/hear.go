package lighting

import "github.com/opcredsd/opcredsd/pkg/datamodel"

// heard is what a device says of its color, in one report: perhaps in several models,
// of which its mode names the one that counts.
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

// HearMode takes from the device by which model its color is.
func (s *Light) HearMode(m datamodel.ColorControlColorMode) {
	s.Color.heard.mode = m
	s.Color.heard.has |= heardMode
}

// HearHue takes the enhanced hue.
func (s *Light) HearHue(h uint16) {
	s.Color.heard.hue = h
	s.Color.heard.has |= heardHue
}

// HearSaturation takes the saturation, 0 to 254.
func (s *Light) HearSaturation(v uint8) {
	s.Color.heard.saturation = min(v, 254)
	s.Color.heard.has |= heardSaturation
}

// HearX takes the x coordinate.
func (s *Light) HearX(v uint16) {
	s.Color.heard.x = min(v, maxXY)
	s.Color.heard.has |= heardX
}

// HearY takes the y coordinate.
func (s *Light) HearY(v uint16) {
	s.Color.heard.y = min(v, maxXY)
	s.Color.heard.has |= heardY
}

// HearMireds takes the color temperature.
func (s *Light) HearMireds(v uint16) {
	s.Color.heard.colorTemperature = v
	s.Color.heard.has |= heardTemperature
}

// hear makes one color of what the device said. During a fade it is passed over, as a
// level is; so is what a light that is off says of a color that was set meanwhile.
func (s *Light) hear() {
	k := &s.Color
	h := k.heard
	if h.has == 0 {
		return
	}
	k.heard = heard{}
	if !k.start.IsZero() || k.owed && !s.Switch.On {
		return
	}
	mode, ok := s.heardMode(h)
	if !ok {
		return
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

// heardMode returns the mode that a report is in: the one that it names, else the one
// that the light is in, if it speaks of that, else what it speaks of.
func (s *Light) heardMode(h heard) (datamodel.ColorControlEnhancedColorMode, bool) {
	var can [3]bool
	for mode, f := range [...]uint32{datamodel.ColorControlFeatureHueSaturation, datamodel.ColorControlFeatureXY, datamodel.ColorControlFeatureColorTemperature} {
		can[mode] = s.model.Features&f != 0
	}
	speaks := [...]bool{h.has&heardHS != 0, h.has&heardXY != 0, h.has&heardTemperature != 0}
	mode := s.Color.Mode
	if h.has&heardMode != 0 {
		mode = h.mode
	} else if !speaks[mode] {
		for _, m := range [...]datamodel.ColorControlColorMode{1, 0, 2} {
			if speaks[m] && can[m] {
				mode = m
				break
			}
		}
	}
	if int(mode) >= len(can) || !can[mode] {
		return 0, false
	}
	if mode == s.Color.Mode {
		return s.Color.Enhanced, true
	}
	return datamodel.ColorControlEnhancedColorMode(mode), true
}
