package climate

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// WantFan is the bit of [cluster.Context.Want] for the mode and speed of a fan.
const WantFan uint32 = 1

// FanMode is the mode of a fan.
type FanMode = datamodel.FanControlFanMode

// The modes of a fan. Controllers may also write On and Smart, which stand for High
// and Auto.
const (
	FanOff    = datamodel.FanControlFanModeOff
	FanLow    = datamodel.FanControlFanModeLow
	FanMedium = datamodel.FanControlFanModeMedium
	FanHigh   = datamodel.FanControlFanModeHigh
	FanAuto   = datamodel.FanControlFanModeAuto
)

// Fan is the state of a fan.
type Fan struct {
	Sequence datamodel.FanControlFanModeSequence
	SpeedMax uint8 // 1 to 100

	Mode           FanMode
	PercentSetting cluster.Null[uint8] // null: the fan decides
	PercentCurrent uint8
	SpeedSetting   cluster.Null[uint8]
}

// sequences maps the supported modes to FanModeSequence.
var sequences = []struct {
	low, medium, auto bool
	is                datamodel.FanControlFanModeSequence
}{
	{true, true, false, datamodel.FanControlFanModeSequenceOffLowMedHigh},
	{true, false, false, datamodel.FanControlFanModeSequenceOffLowHigh},
	{true, true, true, datamodel.FanControlFanModeSequenceOffLowMedHighAuto},
	{true, false, true, datamodel.FanControlFanModeSequenceOffLowHighAuto},
	{false, false, true, datamodel.FanControlFanModeSequenceOffHighAuto},
	{false, false, false, datamodel.FanControlFanModeSequenceOffHigh},
}

// NewFan returns the state of a fan that is off. A fan with medium must have low.
func NewFan(low, medium, auto bool, speeds uint8) Fan {
	f := Fan{SpeedMax: speeds, PercentSetting: cluster.Some[uint8](0), SpeedSetting: cluster.Some[uint8](0)}
	for _, s := range sequences {
		if s.low == (low || medium) && s.medium == medium && s.auto == auto {
			f.Sequence = s.is
		}
	}
	return f
}

func (f *Fan) has(m FanMode) bool {
	for _, s := range sequences {
		if s.is == f.Sequence {
			switch m {
			case FanLow:
				return s.low
			case FanMedium:
				return s.medium
			case FanAuto:
				return s.auto
			}
		}
	}
	return m == FanOff || m == FanHigh
}

// FanFeatures returns the feature map of a fan.
func (f *Fan) FanFeatures() uint32 {
	if f.has(FanAuto) {
		return datamodel.FanControlFeatureMultiSpeed | datamodel.FanControlFeatureAuto
	}
	return datamodel.FanControlFeatureMultiSpeed
}

// FanControl is the Fan Control cluster.
var FanControl = cluster.Define(cluster.Def[Fan]{
	Facts: datamodel.FanControl,
	Attributes: []cluster.Attribute[Fan]{
		cluster.Uint(datamodel.FanControlAttrFanMode, func(f *Fan) *FanMode { return &f.Mode }).Check(checkFanMode),
		cluster.Uint(datamodel.FanControlAttrFanModeSequence, func(f *Fan) *datamodel.FanControlFanModeSequence { return &f.Sequence }),
		cluster.NullUint(datamodel.FanControlAttrPercentSetting, func(f *Fan) *cluster.Null[uint8] { return &f.PercentSetting }).Check(checkPercent),
		cluster.Uint(datamodel.FanControlAttrPercentCurrent, func(f *Fan) *uint8 { return &f.PercentCurrent }),
		cluster.Uint(datamodel.FanControlAttrSpeedMax, func(f *Fan) *uint8 { return &f.SpeedMax }),
		cluster.NullUint(datamodel.FanControlAttrSpeedSetting, func(f *Fan) *cluster.Null[uint8] { return &f.SpeedSetting }).Check(checkSpeed),
		cluster.Counted(datamodel.FanControlAttrSpeedCurrent, func(f *Fan) cluster.Number {
			return cluster.Number{V: int64(f.speed(f.PercentCurrent))}
		}),
	},
})

// FanRules returns the rules for the state of a fan.
func FanRules() cluster.Rules[Fan] {
	return cluster.Rules[Fan]{Restored: func(f *Fan) {
		// Only the mode is stored. The percentage and the speed must match it.
		f.PercentSetting = cluster.Null[uint8]{}
		f.ReportMode(f.Mode)
	}}
}

// speed and percent convert by the rules of section 4.4.6.6.

func (f *Fan) speed(percent uint8) uint8 {
	return uint8((int(f.SpeedMax)*int(percent) + 99) / 100)
}

func (f *Fan) percent(speed uint8) uint8 {
	return uint8(int(speed) * 100 / int(f.SpeedMax))
}

// modeOf returns the mode for a percentage. The ranges of the modes adjoin.
func (f *Fan) modeOf(percent uint8) FanMode {
	for _, m := range []FanMode{FanOff, FanLow, FanMedium} {
		if f.has(m) && percent <= f.top(m) {
			return m
		}
	}
	return FanHigh
}

// top returns the upper end of a mode's range of percentages.
func (f *Fan) top(m FanMode) uint8 {
	switch {
	case m == FanOff:
		return 0
	case m == FanLow && f.has(FanMedium):
		return 33
	case m == FanLow:
		return 50
	case m == FanMedium:
		return 66
	}
	return 100
}

func checkFanMode(c *cluster.Context, _, is *Fan) error {
	switch is.Mode {
	case datamodel.FanControlFanModeOn:
		is.Mode = FanHigh
	case datamodel.FanControlFanModeSmart:
		is.Mode = FanHigh
		if is.has(FanAuto) {
			is.Mode = FanAuto
		}
	}
	if !is.has(is.Mode) {
		return matter.StatusConstraintError
	}
	c.Want(WantFan)
	is.setMode(is.Mode)
	return nil
}

// setMode adjusts percentage and speed to the mode (section 4.4.6.1). A percentage
// in the mode's range stays.
func (f *Fan) setMode(m FanMode) {
	f.Mode = m
	if m == FanAuto {
		f.PercentSetting, f.SpeedSetting = cluster.Null[uint8]{}, cluster.Null[uint8]{}
		return
	}
	if p := f.PercentSetting; !p.Valid || f.modeOf(p.V) != m {
		f.setPercent(f.top(m))
	}
}

// setPercent adjusts mode and speed to a percentage.
func (f *Fan) setPercent(p uint8) {
	f.PercentSetting, f.PercentCurrent = cluster.Some(p), p
	f.SpeedSetting = cluster.Some(f.speed(p))
	f.Mode = f.modeOf(p)
}

// checkPercent handles a write of a percentage. Null changes nothing (section
// 4.4.6.3).
func checkPercent(c *cluster.Context, was, is *Fan) error {
	if !is.PercentSetting.Valid {
		*is = *was
		return nil
	}
	if is.PercentSetting.V > 100 {
		return matter.StatusConstraintError
	}
	c.Want(WantFan)
	is.setPercent(is.PercentSetting.V)
	return nil
}

// checkSpeed handles a write of a speed, as checkPercent does for a percentage.
func checkSpeed(c *cluster.Context, was, is *Fan) error {
	speed := is.SpeedSetting
	if !speed.Valid {
		*is = *was
		return nil
	}
	if speed.V > is.SpeedMax {
		return matter.StatusConstraintError
	}
	c.Want(WantFan)
	is.setPercent(is.percent(speed.V))
	is.SpeedSetting = speed
	return nil
}

// ReportMode sets the mode that the device reports.
func (f *Fan) ReportMode(m FanMode) {
	if !f.has(m) {
		m = FanHigh // the fan runs in a mode that the sequence does not have
	}
	if f.Mode == FanAuto && m == f.modeOf(f.PercentCurrent) {
		f.setPercent(f.PercentCurrent) // the speed that it reported while it was automatic
		return
	}
	f.setMode(m)
}

// ReportPercent sets the speed that the device reports.
func (f *Fan) ReportPercent(p uint8) {
	if f.Mode == FanAuto {
		f.PercentCurrent = p
		return
	}
	f.setPercent(p)
}
