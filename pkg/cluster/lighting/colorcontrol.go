package lighting

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ColorControl is the Color Control cluster.
var ColorControl = cluster.Define(cluster.Def[Light]{
	Facts: datamodel.ColorControl,
	Attributes: []cluster.Attribute[Light]{
		cluster.Uint(datamodel.ColorControlAttrCurrentHue, func(s *Light) *uint8 { return &s.Color.Hue }).Quiet(cluster.EachSecond),
		cluster.Uint(datamodel.ColorControlAttrCurrentSaturation, func(s *Light) *uint8 { return &s.Color.Saturation }).Quiet(cluster.EachSecond),
		cluster.Counted(datamodel.ColorControlAttrRemainingTime, func(s *Light) cluster.Number { return cluster.Number{V: int64(s.Color.Remaining)} }).
			ReportBy(func(s *Light) cluster.Number { return s.Color.reportedTime() }).Quiet(quietRemaining),
		cluster.Uint(datamodel.ColorControlAttrCurrentX, func(s *Light) *uint16 { return &s.Color.X }).Quiet(cluster.EachSecond),
		cluster.Uint(datamodel.ColorControlAttrCurrentY, func(s *Light) *uint16 { return &s.Color.Y }).Quiet(cluster.EachSecond),
		cluster.Uint(datamodel.ColorControlAttrColorTemperatureMireds, func(s *Light) *uint16 { return &s.Color.Mireds }).Quiet(cluster.EachSecond),
		cluster.Uint(datamodel.ColorControlAttrColorMode, func(s *Light) *datamodel.ColorControlColorMode { return &s.Color.Mode }),
		cluster.Uint(datamodel.ColorControlAttrOptions, func(s *Light) *datamodel.ColorControlOptions { return &s.Color.Options }).Keep(),
		cluster.Constant[Light](datamodel.ColorControlAttrNumberOfPrimaries, 0),
		cluster.Uint(datamodel.ColorControlAttrEnhancedCurrentHue, func(s *Light) *uint16 { return &s.Color.EnhancedHue }).Quiet(cluster.EachSecond),
		cluster.Uint(datamodel.ColorControlAttrEnhancedColorMode, func(s *Light) *datamodel.ColorControlEnhancedColorMode { return &s.Color.Enhanced }),
		cluster.Uint(datamodel.ColorControlAttrColorLoopActive, func(s *Light) *uint8 { return &s.Color.Loop.Active }),
		cluster.Uint(datamodel.ColorControlAttrColorLoopDirection, func(s *Light) *datamodel.ColorControlColorLoopDirection { return &s.Color.Loop.Direction }),
		cluster.Uint(datamodel.ColorControlAttrColorLoopTime, func(s *Light) *uint16 { return &s.Color.Loop.Time }),
		cluster.Uint(datamodel.ColorControlAttrColorLoopStartEnhancedHue, func(s *Light) *uint16 { return &s.Color.Loop.StartHue }),
		cluster.Uint(datamodel.ColorControlAttrColorLoopStoredEnhancedHue, func(s *Light) *uint16 { return &s.Color.Loop.StoredHue }),
		fixedColor(datamodel.ColorControlAttrColorCapabilities, func(m *Model) uint64 { return uint64(m.Features) }),
		fixedColor(datamodel.ColorControlAttrColorTempPhysicalMinMireds, func(m *Model) uint64 { return uint64(m.MinMireds) }),
		fixedColor(datamodel.ColorControlAttrColorTempPhysicalMaxMireds, func(m *Model) uint64 { return uint64(m.MaxMireds) }),
		fixedColor(datamodel.ColorControlAttrCoupleColorTempToLevelMinMireds, func(m *Model) uint64 { return uint64(m.MinMireds) }),
		cluster.NullUint(datamodel.ColorControlAttrStartUpColorTemperatureMireds, func(s *Light) *cluster.Null[uint16] { return &s.Color.StartUp }),
	},
	Commands: append(hueCommands, otherColorCommands...),
})

// fixedColor returns an attribute that never changes.
func fixedColor(id matter.AttributeID, v func(m *Model) uint64) cluster.Attribute[Light] {
	return cluster.Computed(id, func(s *Light, w *tlv.Writer, t tlv.Tag) { w.Uint(t, v(&s.model)) }, nil)
}

// executes reports whether a command is carried out, given its Options.
func (s *Light) executes(o *options) bool {
	return s.Switch.On || o.with(uint8(s.Color.Options))&uint8(datamodel.ColorControlOptionsExecuteIfOff) != 0
}

// hueCommands are the commands for the hue, in both resolutions.
var hueCommands = []cluster.Command[Light]{
	cluster.DoWith(datamodel.ColorControlCmdMoveToHue, func(c *cluster.Context, s *Light, f *struct {
		Hue       uint8
		Direction datamodel.ColorControlDirection `cluster:"unchecked"`
		within
	}) error {
		return s.toHue(c, modeHS, hueOf8(f.Hue), f.Direction, &f.within)
	}),
	cluster.DoWith(datamodel.ColorControlCmdEnhancedMoveToHue, func(c *cluster.Context, s *Light, f *struct {
		EnhancedHue uint16
		Direction   datamodel.ColorControlDirection `cluster:"unchecked"`
		within
	}) error {
		return s.toHue(c, modeEHue, f.EnhancedHue, f.Direction, &f.within)
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveHue, func(c *cluster.Context, s *Light, f *struct {
		MoveMode datamodel.ColorControlMoveMode `cluster:"unchecked"`
		Rate     uint8
		options
	}) error {
		return s.moveHue(c, modeHS, f.MoveMode, int64(f.Rate)*circle/254, &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdEnhancedMoveHue, func(c *cluster.Context, s *Light, f *struct {
		MoveMode datamodel.ColorControlMoveMode `cluster:"unchecked"`
		Rate     uint16
		options
	}) error {
		return s.moveHue(c, modeEHue, f.MoveMode, int64(f.Rate), &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdStepHue, func(c *cluster.Context, s *Light, f *struct {
		StepMode       datamodel.ColorControlStepMode `cluster:"unchecked"`
		StepSize       uint8
		TransitionTime cluster.Opt[uint8]
		options
	}) error {
		return s.stepHue(c, modeHS, f.StepMode, int32(f.StepSize)*circle/254, uint16(f.TransitionTime.V), &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdEnhancedStepHue, func(c *cluster.Context, s *Light, f *struct {
		StepMode datamodel.ColorControlStepMode `cluster:"unchecked"`
		StepSize uint16
		within
	}) error {
		return s.stepHue(c, modeEHue, f.StepMode, int32(f.StepSize), f.TransitionTime.V, &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveToHueAndSaturation, func(c *cluster.Context, s *Light, f *struct {
		Hue        uint8
		Saturation uint8
		within
	}) error {
		return s.toHueAndSaturation(c, modeHS, hueOf8(f.Hue), f.Saturation, &f.within)
	}),
	cluster.DoWith(datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, func(c *cluster.Context, s *Light, f *struct {
		EnhancedHue uint16
		Saturation  uint8
		within
	}) error {
		return s.toHueAndSaturation(c, modeEHue, f.EnhancedHue, f.Saturation, &f.within)
	}),
	cluster.DoWith(datamodel.ColorControlCmdColorLoopSet, func(c *cluster.Context, s *Light, f *colorLoopSet) error { return s.colorLoopSet(c, f) }),
}

// within contains the fields that all commands with a transition time have.
type within struct {
	TransitionTime cluster.Opt[uint16]
	options
}

// otherColorCommands are the commands without a hue.
var otherColorCommands = []cluster.Command[Light]{
	cluster.DoWith(datamodel.ColorControlCmdMoveToSaturation, func(c *cluster.Context, s *Light, f *struct {
		Saturation uint8
		within
	}) error {
		return s.toNumbers(c, s.hueMode(), &f.options, f.TransitionTime.V, func(a, _ int32) (int32, int32) { return a, int32(f.Saturation) })
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveSaturation, func(c *cluster.Context, s *Light, f *struct {
		MoveMode datamodel.ColorControlMoveMode `cluster:"unchecked"`
		Rate     uint8
		options
	}) error {
		return s.moveNumber(c, s.hueMode(), f.MoveMode, uint16(f.Rate), 0, 254, &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdStepSaturation, func(c *cluster.Context, s *Light, f *struct {
		StepMode       datamodel.ColorControlStepMode `cluster:"unchecked"`
		StepSize       uint8
		TransitionTime cluster.Opt[uint8]
		options
	}) error {
		return s.stepNumber(c, s.hueMode(), f.StepMode, uint16(f.StepSize), 0, 254, uint16(f.TransitionTime.V), &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveToColor, func(c *cluster.Context, s *Light, f *struct {
		ColorX uint16
		ColorY uint16
		within
	}) error {
		return s.toNumbers(c, modeXY, &f.options, f.TransitionTime.V, func(_, _ int32) (int32, int32) { return int32(f.ColorX), int32(f.ColorY) })
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveColor, moveColor),
	cluster.DoWith(datamodel.ColorControlCmdStepColor, func(c *cluster.Context, s *Light, f *struct {
		StepX int16
		StepY int16
		within
	}) error {
		if f.StepX == 0 && f.StepY == 0 {
			return matter.StatusInvalidCommand
		}
		return s.toNumbers(c, modeXY, &f.options, f.TransitionTime.V, func(x, y int32) (int32, int32) {
			return clamp(x+int32(f.StepX), 0, maxXY), clamp(y+int32(f.StepY), 0, maxXY)
		})
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveToColorTemperature, func(c *cluster.Context, s *Light, f *struct {
		ColorTemperatureMireds uint16
		within
	}) error {
		return s.toNumbers(c, modeCT, &f.options, f.TransitionTime.V, func(_, _ int32) (int32, int32) {
			return clamp(int32(f.ColorTemperatureMireds), int32(s.model.MinMireds), int32(s.model.MaxMireds)), 0
		})
	}),
	cluster.DoWith(datamodel.ColorControlCmdMoveColorTemperature, func(c *cluster.Context, s *Light, f *struct {
		MoveMode                      datamodel.ColorControlMoveMode `cluster:"unchecked"`
		Rate                          uint16
		ColorTemperatureMinimumMireds uint16
		ColorTemperatureMaximumMireds uint16
		options
	}) error {
		low, high := s.model.bounds(f.ColorTemperatureMinimumMireds, f.ColorTemperatureMaximumMireds)
		return s.moveNumber(c, modeCT, f.MoveMode, f.Rate, low, high, &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdStepColorTemperature, func(c *cluster.Context, s *Light, f *struct {
		StepMode                      datamodel.ColorControlStepMode `cluster:"unchecked"`
		StepSize                      uint16
		ColorTemperatureMinimumMireds uint16
		ColorTemperatureMaximumMireds uint16
		within
	}) error {
		low, high := s.model.bounds(f.ColorTemperatureMinimumMireds, f.ColorTemperatureMaximumMireds)
		return s.stepNumber(c, modeCT, f.StepMode, f.StepSize, low, high, f.TransitionTime.V, &f.options)
	}),
	cluster.DoWith(datamodel.ColorControlCmdStopMoveStep, func(c *cluster.Context, s *Light, f *options) error {
		if s.executes(f) && s.Color.Loop.Active == 0 {
			s.stopColor(c)
		}
		return nil
	}),
}
