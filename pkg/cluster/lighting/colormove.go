package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func clamp(v, low, high int32) int32 { return min(max(v, low), high) }

// hueMode returns the mode for a command about the saturation, which both
// resolutions of the hue share.
func (s *Light) hueMode() datamodel.ColorControlEnhancedColorMode {
	if s.Color.Enhanced == modeEHue {
		return modeEHue
	}
	return modeHS
}

// begin starts a change to two numbers of a mode, in tenths of a second.
func (s *Light) begin(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, a, b int32, d time.Duration) {
	s.Color.setMode(mode) // at the start, as section 3.2.7.10 requires
	c.SetTransition(d)
	s.startColor(c, a, b, d)
}

// numbersOf returns the color in the numbers of a mode, which may differ from the
// current one.
func (k *Color) numbersOf(mode datamodel.ColorControlEnhancedColorMode) (a, b int32) {
	k2 := Color{Enhanced: mode, Tint: k.Tint}
	return k2.numbers()
}

// toNumbers moves to the result of to for the color's numbers in a mode.
func (s *Light) toNumbers(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, o *options, tenths uint16, to func(a, b int32) (int32, int32)) error {
	if s.executes(o) {
		a, b := to(s.Color.numbersOf(mode))
		s.begin(c, mode, a, b, time.Duration(tenths)*tenth)
	}
	return nil
}

// toHue handles MoveToHue and EnhancedMoveToHue (sections 3.2.8.4 and 3.2.8.15).
func (s *Light) toHue(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, hue uint16, dir datamodel.ColorControlDirection, f *within) error {
	if dir > datamodel.ColorControlDirectionDown {
		return matter.StatusInvalidCommand
	}
	return s.toNumbers(c, mode, &f.options, f.TransitionTime.V, func(from, saturation int32) (int32, int32) {
		return from + around(uint16(from), hue, dir), saturation
	})
}

// around returns the distance from one hue to another in a direction.
func around(from, to uint16, dir datamodel.ColorControlDirection) int32 {
	up := int32(to - from) // of a turn
	if up == 0 {
		return 0
	}
	switch short := up <= circle/2; {
	case dir == datamodel.ColorControlDirectionUp,
		dir == datamodel.ColorControlDirectionShortest && short,
		dir == datamodel.ColorControlDirectionLongest && !short:
		return up
	}
	return up - circle
}

// toHueAndSaturation handles MoveToHueAndSaturation and its enhanced form (sections
// 3.2.8.10 and 3.2.8.18), which take the shortest way.
func (s *Light) toHueAndSaturation(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, hue uint16, saturation uint8, f *within) error {
	return s.toNumbers(c, mode, &f.options, f.TransitionTime.V, func(from, _ int32) (int32, int32) {
		return from + around(uint16(from), hue, datamodel.ColorControlDirectionShortest), int32(saturation)
	})
}

// endlessly is how long a hue moves if it is not stopped.
const endlessly = maxTenths * tenth

// moveHue handles MoveHue and EnhancedMoveHue (sections 3.2.8.5 and 3.2.8.16). rate
// is that of the enhanced hue per second.
func (s *Light) moveHue(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, m datamodel.ColorControlMoveMode, rate int64, o *options) error {
	up, err := moves(m, rate != 0)
	switch {
	case err != nil:
		return err
	case !s.executes(o):
		return nil
	case m == datamodel.ColorControlMoveModeStop:
		s.stopColor(c)
		return nil
	}
	way := int32(rate * int64(endlessly/time.Second))
	if !up {
		way = -way
	}
	from, saturation := s.Color.numbersOf(mode)
	s.begin(c, mode, from+way, saturation, endlessly)
	return nil
}

// moves checks a MoveMode and its rate, and reports whether the direction is up.
func moves(m datamodel.ColorControlMoveMode, rated bool) (up bool, err error) {
	switch m {
	case datamodel.ColorControlMoveModeStop:
		return false, nil
	case datamodel.ColorControlMoveModeUp, datamodel.ColorControlMoveModeDown:
		if rated {
			return m == datamodel.ColorControlMoveModeUp, nil
		}
	}
	return false, matter.StatusInvalidCommand
}

// stepHue handles StepHue and EnhancedStepHue (sections 3.2.8.6 and 3.2.8.17).
func (s *Light) stepHue(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, m datamodel.ColorControlStepMode, size int32, tenths uint16, o *options) error {
	by, err := steps(m, size)
	if err != nil {
		return err
	}
	return s.toNumbers(c, mode, o, tenths, func(hue, saturation int32) (int32, int32) { return hue + by, saturation })
}

// steps checks a StepMode and its size, and returns the step.
func steps(m datamodel.ColorControlStepMode, size int32) (by int32, err error) {
	switch {
	case size == 0:
	case m == datamodel.ColorControlStepModeUp:
		return size, nil
	case m == datamodel.ColorControlStepModeDown:
		return -size, nil
	}
	return 0, matter.StatusInvalidCommand
}

// moveNumber handles MoveSaturation and MoveColorTemperature (sections 3.2.8.8 and
// 3.2.8.21): the number moves to the end of its range, at a rate per second.
func (s *Light) moveNumber(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, m datamodel.ColorControlMoveMode, rate uint16, low, high int32, o *options) error {
	up, err := moves(m, rate != 0)
	switch {
	case err != nil:
		return err
	case !s.executes(o):
		return nil
	case m == datamodel.ColorControlMoveModeStop:
		s.stopColor(c)
		return nil
	}
	a, b := s.Color.numbersOf(mode)
	at := &b
	if mode == modeCT {
		at = &a
	}
	end := low
	if up {
		end = high
	}
	d := time.Duration(abs(int64(end)-int64(*at))) * time.Second / time.Duration(rate)
	*at = end
	s.begin(c, mode, a, b, d)
	return nil
}

// stepNumber handles StepSaturation and StepColorTemperature (sections 3.2.8.9 and
// 3.2.8.22).
func (s *Light) stepNumber(c *cluster.Context, mode datamodel.ColorControlEnhancedColorMode, m datamodel.ColorControlStepMode, size uint16, low, high int32, tenths uint16, o *options) error {
	by, err := steps(m, int32(size))
	if err != nil {
		return err
	}
	return s.toNumbers(c, mode, o, tenths, func(a, b int32) (int32, int32) {
		if mode == modeCT {
			return clamp(a+by, low, high), b
		}
		return a, clamp(b+by, low, high)
	})
}

// bounds returns the limits of a command for the color temperature. 0 stands for
// the limit of the light.
func (m *Model) bounds(low, high uint16) (int32, int32) {
	if low == 0 {
		low = m.MinMireds
	}
	if high == 0 {
		high = m.MaxMireds
	}
	l := clamp(int32(low), int32(m.MinMireds), int32(m.MaxMireds))
	return l, clamp(int32(high), l, int32(m.MaxMireds))
}

// moveColor handles MoveColor (section 3.2.8.12). The change ends when one
// coordinate reaches the end of its range.
func moveColor(c *cluster.Context, s *Light, f *struct {
	RateX int16
	RateY int16
	options
}) error {
	if !s.executes(&f.options) {
		return nil
	}
	if f.RateX == 0 && f.RateY == 0 {
		s.stopColor(c)
		return nil
	}
	x, y := s.Color.numbersOf(modeXY)
	d := min(untilEnd(x, f.RateX), untilEnd(y, f.RateY))
	at := func(from int32, rate int16) int32 {
		return clamp(from+int32(int64(rate)*int64(d)/int64(time.Second)), 0, maxXY)
	}
	s.begin(c, modeXY, at(x, f.RateX), at(y, f.RateY), d)
	return nil
}

// untilEnd returns how long a coordinate moves to the end of its range.
func untilEnd(v int32, rate int16) time.Duration {
	switch {
	case rate > 0:
		return time.Duration(maxXY-v) * time.Second / time.Duration(rate)
	case rate < 0:
		return time.Duration(v) * time.Second / -time.Duration(rate)
	}
	return endlessly
}

// stopColor stops at the current color.
func (s *Light) stopColor(c *cluster.Context) {
	k := &s.Color
	if k.start.IsZero() {
		return
	}
	a, b := k.numbers()
	s.begin(c, k.Enhanced, a, b, 0)
}
