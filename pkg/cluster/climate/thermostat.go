package climate

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Features of a thermostat.
const (
	Heating = datamodel.ThermostatFeatureHeating
	Cooling = datamodel.ThermostatFeatureCooling
	Auto    = datamodel.ThermostatFeatureAutoMode
)

// Bits of [cluster.Context.Want] for a thermostat.
const (
	WantHeating uint32 = 1 << iota
	WantCooling
	WantMode
)

// SystemMode is the mode of a thermostat.
type SystemMode = datamodel.ThermostatSystemMode

// Running is the bit of ThermostatRunningState that is set. Controllers support
// only one at a time.
type Running uint8

// The values of Running.
const (
	Idle        Running = 0
	RunningHeat Running = 1 << 0
	RunningCool Running = 1 << 1
	RunningFan  Running = 1 << 2
)

const (
	// deadBand is MinSetpointDeadBand. Bridged devices do not announce one, and a
	// device with one range for both setpoints cannot have one.
	deadBand = 0

	// raiseUnit is the unit of the amount in SetpointRaiseLower, in hundredths of a
	// degree.
	raiseUnit = 10
)

// Thermostat is the state of a thermostat. Temperatures are in hundredths of a degree
// Celsius.
type Thermostat struct {
	Config Config

	Local   cluster.Null[int16]
	Heat    int16 // OccupiedHeatingSetpoint
	Cool    int16 // OccupiedCoolingSetpoint
	MinHeat int16 // the limits that a controller sets
	MaxHeat int16
	MinCool int16
	MaxCool int16
	Mode    SystemMode
	Running Running

	sequence datamodel.ThermostatControlSequenceOfOperation
}

// Config is what a thermostat supports. It never changes.
type Config struct {
	Features         uint32
	Modes            uint16 // a bit for each SystemMode
	MinHeat, MaxHeat int16
	MinCool, MaxCool int16
}

// New returns the state of a thermostat that is off.
func New(c Config) Thermostat {
	t := Thermostat{
		Config: c, MinHeat: c.MinHeat, MaxHeat: c.MaxHeat, MinCool: c.MinCool, MaxCool: c.MaxCool,
		Heat: min(max(2000, c.MinHeat), c.MaxHeat), Cool: min(max(2600, c.MinCool), c.MaxCool),
	}
	switch {
	case c.Features&(Heating|Cooling) == Heating|Cooling:
		t.sequence = datamodel.ThermostatControlSequenceOfOperationCoolingAndHeating
	case c.Features&Heating != 0:
		t.sequence = datamodel.ThermostatControlSequenceOfOperationHeatingOnly
	}
	return t
}

// limits are the bounds of one setpoint.
type limits struct{ set, min, max, absMin, absMax *int16 }

func (t *Thermostat) heat() limits {
	return limits{&t.Heat, &t.MinHeat, &t.MaxHeat, &t.Config.MinHeat, &t.Config.MaxHeat}
}

func (t *Thermostat) cool() limits {
	return limits{&t.Cool, &t.MinCool, &t.MaxCool, &t.Config.MinCool, &t.Config.MaxCool}
}

// Rules returns the rules for the state of a thermostat.
func Rules() cluster.Rules[Thermostat] { return cluster.Rules[Thermostat]{Restored: restored} }

// restored moves stored limits and setpoints into the range of the device, which may
// have another one by now.
func restored(t *Thermostat) {
	for _, l := range []limits{t.heat(), t.cool()} {
		*l.min = min(max(*l.min, *l.absMin), *l.absMax)
		*l.max = min(max(*l.max, *l.min), *l.absMax)
		l.fit()
	}
	if t.Config.Features&Auto == 0 {
		return
	}
	t.MinCool, t.MaxCool = max(t.MinCool, t.MinHeat), max(t.MaxCool, t.MaxHeat)
	t.cool().fit()
	t.Cool = max(t.Cool, t.Heat)
}

// fit limits the setpoint.
func (l limits) fit() { *l.set = min(max(*l.set, *l.min), *l.max) }

// Cluster is the Thermostat cluster.
var Cluster = cluster.Define(cluster.Def[Thermostat]{
	Facts: datamodel.Thermostat,
	Attributes: []cluster.Attribute[Thermostat]{
		cluster.NullInt(datamodel.ThermostatAttrLocalTemperature, func(t *Thermostat) *cluster.Null[int16] { return &t.Local }).
			Quiet(cluster.Slow(cluster.Step{Abs: 10}, cluster.Step{Abs: 100})),
		cluster.Int(datamodel.ThermostatAttrAbsMinHeatSetpointLimit, func(t *Thermostat) *int16 { return &t.Config.MinHeat }),
		cluster.Int(datamodel.ThermostatAttrAbsMaxHeatSetpointLimit, func(t *Thermostat) *int16 { return &t.Config.MaxHeat }),
		cluster.Int(datamodel.ThermostatAttrAbsMinCoolSetpointLimit, func(t *Thermostat) *int16 { return &t.Config.MinCool }),
		cluster.Int(datamodel.ThermostatAttrAbsMaxCoolSetpointLimit, func(t *Thermostat) *int16 { return &t.Config.MaxCool }),
		cluster.Int(datamodel.ThermostatAttrOccupiedCoolingSetpoint, func(t *Thermostat) *int16 { return &t.Cool }).Check(checkCool),
		cluster.Int(datamodel.ThermostatAttrOccupiedHeatingSetpoint, func(t *Thermostat) *int16 { return &t.Heat }).Check(checkHeat),
		cluster.Int(datamodel.ThermostatAttrMinHeatSetpointLimit, func(t *Thermostat) *int16 { return &t.MinHeat }).Check(checkLimits),
		cluster.Int(datamodel.ThermostatAttrMaxHeatSetpointLimit, func(t *Thermostat) *int16 { return &t.MaxHeat }).Check(checkLimits),
		cluster.Int(datamodel.ThermostatAttrMinCoolSetpointLimit, func(t *Thermostat) *int16 { return &t.MinCool }).Check(checkLimits),
		cluster.Int(datamodel.ThermostatAttrMaxCoolSetpointLimit, func(t *Thermostat) *int16 { return &t.MaxCool }).Check(checkLimits),
		cluster.Computed(datamodel.ThermostatAttrMinSetpointDeadBand, func(_ *Thermostat, w *tlv.Writer, tag tlv.Tag) { w.Int(tag, deadBand) }, nil),
		cluster.Uint(datamodel.ThermostatAttrControlSequenceOfOperation, func(t *Thermostat) *datamodel.ThermostatControlSequenceOfOperation { return &t.sequence }).Check(keepSequence),
		cluster.Uint(datamodel.ThermostatAttrSystemMode, func(t *Thermostat) *SystemMode { return &t.Mode }).Check(checkSystemMode),
		cluster.Counted(datamodel.ThermostatAttrThermostatRunningMode, runningMode),
		cluster.Uint(datamodel.ThermostatAttrThermostatRunningState, func(t *Thermostat) *Running { return &t.Running }),
	},
	Commands: []cluster.Command[Thermostat]{
		cluster.DoWith(datamodel.ThermostatCmdSetpointRaiseLower, raiseLower),
	},
})

// Select returns the attributes and commands of a thermostat.
func Select(c Config) cluster.Selection {
	sel := cluster.Selection{Features: c.Features}
	sel.Attributes = append(sel.Attributes, datamodel.ThermostatAttrThermostatRunningState)
	if c.Features&Heating != 0 {
		sel.Attributes = append(sel.Attributes,
			datamodel.ThermostatAttrAbsMinHeatSetpointLimit, datamodel.ThermostatAttrAbsMaxHeatSetpointLimit,
			datamodel.ThermostatAttrMinHeatSetpointLimit, datamodel.ThermostatAttrMaxHeatSetpointLimit)
	}
	if c.Features&Cooling != 0 {
		sel.Attributes = append(sel.Attributes,
			datamodel.ThermostatAttrAbsMinCoolSetpointLimit, datamodel.ThermostatAttrAbsMaxCoolSetpointLimit,
			datamodel.ThermostatAttrMinCoolSetpointLimit, datamodel.ThermostatAttrMaxCoolSetpointLimit)
	}
	if c.Features&Auto != 0 {
		sel.Attributes = append(sel.Attributes, datamodel.ThermostatAttrThermostatRunningMode)
	}
	return sel
}

// checkHeat checks a heating setpoint against its limits. It moves the cooling
// setpoint if that is too near (section 4.3.11.12).
func checkHeat(c *cluster.Context, _, is *Thermostat) error {
	if is.Heat < is.MinHeat || is.Heat > is.MaxHeat {
		return matter.StatusConstraintError
	}
	c.Want(WantHeating)
	if is.Config.Features&Auto != 0 && is.Heat > is.Cool {
		is.Cool = is.Heat
		if is.Cool > is.MaxCool {
			return matter.StatusConstraintError
		}
	}
	return nil
}

// checkCool does the same for a cooling setpoint.
func checkCool(c *cluster.Context, _, is *Thermostat) error {
	if is.Cool < is.MinCool || is.Cool > is.MaxCool {
		return matter.StatusConstraintError
	}
	c.Want(WantCooling)
	if is.Config.Features&Auto != 0 && is.Heat > is.Cool {
		is.Heat = is.Cool
		if is.Heat < is.MinHeat {
			return matter.StatusConstraintError
		}
	}
	return nil
}

// checkLimits checks the limits that a controller sets against those of the device,
// and moves setpoints into them (section 4.3.11.15).
func checkLimits(_ *cluster.Context, _, is *Thermostat) error {
	for _, l := range []limits{is.heat(), is.cool()} {
		if *l.min < *l.absMin || *l.max > *l.absMax || *l.min > *l.max {
			return matter.StatusConstraintError
		}
	}
	auto := is.Config.Features&Auto != 0
	if auto && (is.MinHeat > is.MinCool || is.MaxHeat > is.MaxCool) {
		return matter.StatusConstraintError
	}
	is.heat().fit()
	is.cool().fit()
	if auto && is.Heat > is.Cool {
		is.Cool = is.Heat
	}
	return nil
}

// keepSequence ignores a write (section 4.3.11.21).
func keepSequence(_ *cluster.Context, was, is *Thermostat) error {
	is.sequence = was.sequence
	return nil
}

// Has reports whether the device has a mode.
func (c *Config) Has(m SystemMode) bool { return c.Modes&(1<<m) != 0 }

func checkSystemMode(c *cluster.Context, _, is *Thermostat) error {
	if !is.Config.Has(is.Mode) {
		return matter.StatusConstraintError
	}
	c.Want(WantMode)
	return nil
}

func runningMode(t *Thermostat) cluster.Number {
	switch t.Running {
	case RunningHeat:
		return cluster.Number{V: int64(datamodel.ThermostatThermostatRunningModeHeat)}
	case RunningCool:
		return cluster.Number{V: int64(datamodel.ThermostatThermostatRunningModeCool)}
	}
	return cluster.Number{V: int64(datamodel.ThermostatThermostatRunningModeOff)}
}

type raiseLowerFields struct {
	Mode   datamodel.ThermostatSetpointRaiseLowerMode `cluster:"unchecked"`
	Amount int8
}

// raiseLower handles SetpointRaiseLower (section 4.3.12.1). Setpoints stop at their
// limits. If both setpoints move, they move by the same amount, as far as both can.
func raiseLower(c *cluster.Context, t *Thermostat, f *raiseLowerFields) error {
	var move []limits
	var want uint32
	add := func(feature, bit uint32, l limits) {
		if t.Config.Features&feature != 0 {
			move, want = append(move, l), want|bit
		}
	}
	switch f.Mode {
	case datamodel.ThermostatSetpointRaiseLowerModeHeat:
		add(Heating, WantHeating, t.heat())
	case datamodel.ThermostatSetpointRaiseLowerModeCool:
		add(Cooling, WantCooling, t.cool())
	case datamodel.ThermostatSetpointRaiseLowerModeBoth:
		add(Heating, WantHeating, t.heat())
		add(Cooling, WantCooling, t.cool())
	}
	if len(move) == 0 {
		return matter.StatusInvalidCommand
	}
	by := int(f.Amount) * raiseUnit
	for _, l := range move {
		by = min(max(by, int(*l.min)-int(*l.set)), int(*l.max)-int(*l.set))
	}
	for _, l := range move {
		*l.set += int16(by)
	}
	c.Want(want)
	if t.Config.Features&Auto != 0 && t.Heat > t.Cool {
		if f.Mode == datamodel.ThermostatSetpointRaiseLowerModeCool {
			t.Heat = max(t.Cool, t.MinHeat)
		} else {
			t.Cool = min(t.Heat, t.MaxCool)
		}
	}
	return nil
}

// ReportHeat and ReportCool set setpoints from the device, and adjust the other
// setpoint if needed.

// ReportHeat sets the heating setpoint.
func (t *Thermostat) ReportHeat(v int16) {
	t.Heat = v
	t.heat().fit()
	if t.Config.Features&Auto != 0 {
		t.Cool = max(t.Cool, t.Heat)
		t.cool().fit()
	}
}

// ReportCool sets the cooling setpoint.
func (t *Thermostat) ReportCool(v int16) {
	t.Cool = v
	t.cool().fit()
	if t.Config.Features&Auto != 0 {
		t.Heat = min(t.Heat, t.Cool)
		t.heat().fit()
	}
}
