package device

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/climate"
	"github.com/opcredsd/opcredsd/pkg/cluster/filter"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var climateKinds = map[string]kind{
	"thermostat":           {datamodel.DeviceTypeThermostat, buildThermostat},
	"fan":                  {datamodel.DeviceTypeFan, buildFan},
	"room_air_conditioner": {datamodel.DeviceTypeRoomAirConditioner, buildAirConditioner},
	"air_purifier":         {datamodel.DeviceTypeAirPurifier, buildAirPurifier},
}

// thermostatModes are the modes of a thermostat by name.
var thermostatModes = map[string]climate.SystemMode{
	"off": datamodel.ThermostatSystemModeOff, "auto": datamodel.ThermostatSystemModeAuto,
	"cool": datamodel.ThermostatSystemModeCool, "heat": datamodel.ThermostatSystemModeHeat,
	"fan_only": datamodel.ThermostatSystemModeFanOnly, "dry": datamodel.ThermostatSystemModeDry,
}

// runningStates are the running states of a thermostat by name.
var runningStates = map[string]climate.Running{
	"idle": climate.Idle, "heating": climate.RunningHeat, "cooling": climate.RunningCool, "fan": climate.RunningFan,
}

// Default ranges of setpoints, in degrees Celsius.
const (
	heatingFrom, heatingTo = 7, 30
	coolingFrom, coolingTo = 16, 32
)

func buildThermostat(b *builder) error {
	b.Identify, b.Groups = true, true
	return addThermostat(b)
}

func addThermostat(b *builder) error {
	c, modes, err := thermostatConfig(b.part)
	if err != nil {
		return err
	}
	u := addUnit(b.Endpoint, climate.New(c), climate.Rules(), thermostatProperties(c, modes))
	u.Serve(climate.Cluster, climate.Select(c))
	return nil
}

// thermostatConfig returns the configuration of a thermostat and the names of its
// modes. If the options contain no modes, they follow from the setpoints in its
// state.
func thermostatConfig(p *Part) (c climate.Config, modes []string, err error) {
	modes = slices.Clone(p.Options.Modes)
	if len(modes) == 0 {
		_, heats := p.State["heating_setpoint_celsius"]
		_, cools := p.State["cooling_setpoint_celsius"]
		if heats || !cools {
			modes = append(modes, "heat")
		}
		if cools {
			modes = append(modes, "cool")
		}
	}
	if !slices.Contains(modes, "off") {
		modes = append([]string{"off"}, modes...)
	}
	for _, name := range modes {
		m, ok := thermostatModes[name]
		if !ok {
			return c, nil, &OptionError{"modes", fmt.Sprintf("%q is not one of off, heat, cool, auto, fan_only, dry", name)}
		}
		c.Modes |= 1 << m
	}
	if c.Has(datamodel.ThermostatSystemModeHeat) {
		c.Features |= climate.Heating
	}
	if c.Has(datamodel.ThermostatSystemModeCool) {
		c.Features |= climate.Cooling
	}
	if c.Has(datamodel.ThermostatSystemModeAuto) {
		c.Features |= climate.Heating | climate.Cooling | climate.Auto
	}
	if c.Features == 0 {
		return c, nil, &OptionError{"modes", "a thermostat has heat, cool or auto"}
	}
	return c, modes, thermostatRange(&p.Options, &c)
}

func thermostatRange(o *Options, c *climate.Config) error {
	c.MinHeat, c.MaxHeat, c.MinCool, c.MaxCool = heatingFrom*100, heatingTo*100, coolingFrom*100, coolingTo*100
	if o.MinCelsius != nil {
		c.MinHeat, c.MinCool = celsius(*o.MinCelsius), celsius(*o.MinCelsius)
	}
	if o.MaxCelsius != nil {
		c.MaxHeat, c.MaxCool = celsius(*o.MaxCelsius), celsius(*o.MaxCelsius)
	}
	if o.MinCelsius != nil && (*o.MinCelsius < -50 || *o.MinCelsius > 100) || c.MinHeat >= c.MaxHeat || c.MinCool >= c.MaxCool {
		return &OptionError{"min_celsius", "it is not below max_celsius, or not from -50 to 100"}
	}
	if o.MaxCelsius != nil && *o.MaxCelsius > 100 {
		return &OptionError{"max_celsius", "it is above 100"}
	}
	return nil
}

// celsius returns hundredths of a degree.
func celsius(f float64) int16 {
	return int16(min(max(math.Round(f*100), math.MinInt16), math.MaxInt16))
}

func thermostatProperties(c climate.Config, modes []string) []property[climate.Thermostat] {
	type state = climate.Thermostat
	all := []property[state]{
		{
			Property: Property{Name: "temperature_celsius", Kind: KindNumber, Min: -273.15, Max: 327.67, Needed: true},
			get: func(s *state) Value {
				if !s.Local.Valid {
					return Null
				}
				return degrees(s.Local.V)
			},
			report: func(_ *cluster.Context, s *state, v Value) {
				if f, ok := v.Number(); ok { // the last value stays: older controllers do not support null
					s.Local = cluster.Some(celsius(f))
				}
			},
		},
		{
			Property: Property{Name: "mode", Kind: KindText, Values: modes, Settable: true},
			want:     climate.WantMode,
			get:      func(s *state) Value { return nameOf(thermostatModes, s.Mode) },
			report: func(_ *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if m, ok := thermostatModes[name]; ok {
					s.Mode = m
				}
			},
		},
		{
			Property: Property{Name: "running", Kind: KindText, Values: []string{"idle", "heating", "cooling", "fan"}},
			get:      func(s *state) Value { return nameOf(runningStates, s.Running) },
			report: func(_ *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if r, ok := runningStates[name]; ok {
					s.Running = r
				}
			},
		},
	}
	if c.Features&climate.Heating != 0 {
		all = append(all, setpoint("heating_setpoint_celsius", climate.WantHeating, c.MinHeat, c.MaxHeat,
			func(s *state) int16 { return s.Heat }, (*state).ReportHeat))
	}
	if c.Features&climate.Cooling != 0 {
		all = append(all, setpoint("cooling_setpoint_celsius", climate.WantCooling, c.MinCool, c.MaxCool,
			func(s *state) int16 { return s.Cool }, (*state).ReportCool))
	}
	return all
}

func degrees(v int16) Value { return Number(float64(v) / 100) }

// setpoint returns the property of a setpoint.
func setpoint(name string, want uint32, from, to int16, get func(*climate.Thermostat) int16, report func(*climate.Thermostat, int16)) property[climate.Thermostat] {
	return property[climate.Thermostat]{
		Property: Property{Name: name, Kind: KindNumber, Min: float64(from) / 100, Max: float64(to) / 100, Settable: true},
		want:     want,
		get:      func(s *climate.Thermostat) Value { return degrees(get(s)) },
		report: func(_ *cluster.Context, s *climate.Thermostat, v Value) {
			if f, ok := v.Number(); ok {
				report(s, celsius(f))
			}
		},
	}
}

// sortedNames returns the names of values.
func sortedNames[T any](names map[string]T) []string { return slices.Sorted(maps.Keys(names)) }

// nameOf returns the name of a value, or null if it has none.
func nameOf[T comparable](names map[string]T, v T) Value {
	for name, is := range names {
		if is == v {
			return Text(name)
		}
	}
	return Null
}

// fanModes are the modes of a fan by name.
var fanModes = map[string]climate.FanMode{
	"off": climate.FanOff, "low": climate.FanLow, "medium": climate.FanMedium, "high": climate.FanHigh, "auto": climate.FanAuto,
}

func buildFan(b *builder) error {
	b.Identify, b.Groups = true, true
	return addFan(b, b.part.Options.Modes)
}

// addFan adds a fan with the given modes, by default low, medium and high.
func addFan(b *builder, modes []string) error {
	o := &b.part.Options
	if len(modes) == 0 {
		modes = []string{"low", "medium", "high"}
	}
	for _, name := range modes {
		if _, ok := fanModes[name]; !ok {
			return &OptionError{"modes", fmt.Sprintf("%q is not one of off, low, medium, high, auto", name)}
		}
	}
	if o.Speeds < 0 || o.Speeds > 100 {
		return &OptionError{"speeds", fmt.Sprintf("%d is not from 1 to 100", o.Speeds)}
	}
	speeds := o.Speeds
	if speeds == 0 {
		speeds = 100
	}
	has := func(name string) bool { return slices.Contains(modes, name) }
	f := climate.NewFan(has("low"), has("medium"), has("auto"), uint8(speeds))
	u := addUnit(b.Endpoint, f, climate.FanRules(), fanProperties(modes))
	u.Serve(climate.FanControl, cluster.Selection{Features: f.FanFeatures()})
	return nil
}

// fanProperties returns the properties of a fan. The mode comes first, so that in a
// report of both the percentage counts within the mode.
func fanProperties(modes []string) []property[climate.Fan] {
	known := []string{"off"}
	for _, name := range []string{"low", "medium", "high", "auto"} {
		if name == "high" || slices.Contains(modes, name) || name == "low" && slices.Contains(modes, "medium") {
			known = append(known, name)
		}
	}
	return []property[climate.Fan]{
		{
			Property: Property{Name: "fan_mode", Kind: KindText, Values: known, Settable: true},
			want:     climate.WantFan,
			get:      func(s *climate.Fan) Value { return nameOf(fanModes, s.Mode) },
			report: func(_ *cluster.Context, s *climate.Fan, v Value) {
				name, _ := v.Text()
				if m, ok := fanModes[name]; ok {
					s.ReportMode(m)
				}
			},
		},
		{
			Property: Property{Name: "fan_percent", Kind: KindNumber, Max: 100, Settable: true},
			want:     climate.WantFan,
			get:      func(s *climate.Fan) Value { return Number(float64(s.PercentCurrent)) },
			wish:     func(s *climate.Fan) Value { return percentOf(s.PercentSetting) },
			report: func(_ *cluster.Context, s *climate.Fan, v Value) {
				if p, ok := v.Number(); ok {
					s.ReportPercent(uint8(math.Round(p)))
				}
			},
		},
	}
}

// buildAirConditioner builds a thermostat with a switch and a fan. Its modes are
// the thermostat's. The fan has all modes.
func buildAirConditioner(b *builder) error {
	b.Identify = true
	addSwitch(b, datamodel.OnOffFeatureDeadFrontBehavior)
	if err := addThermostat(b); err != nil {
		return err
	}
	return addFan(b, []string{"low", "medium", "high", "auto"})
}

// filters are the filters of a purifier: for particles, and for smells.
var filters = []struct {
	property string
	cluster  *cluster.Cluster[filter.Filter]
}{{"filter_percent", filter.HEPA}, {"carbon_filter_percent", filter.Carbon}}

// filterProperty returns the condition of a filter. A controller sets it to 100 for a
// new filter.
func filterProperty(name string) property[filter.Filter] {
	return property[filter.Filter]{
		Property: Property{Name: name, Kind: KindNumber, Max: 100, Settable: true, Needed: true},
		want:     filter.WantReset, asked: true,
		get: func(s *filter.Filter) Value { return Number(float64(s.Condition)) },
		report: func(_ *cluster.Context, s *filter.Filter, v Value) {
			if p, ok := v.Number(); ok {
				s.Set(uint8(math.Round(p)))
			}
		},
	}
}

// buildAirPurifier builds a fan, with the filters that the part's options or its first
// state contain. Measurements of the air are a separate air quality sensor.
func buildAirPurifier(b *builder) error {
	b.Identify, b.Groups = true, true
	if err := addFan(b, b.part.Options.Modes); err != nil {
		return err
	}
	for _, f := range filters {
		if b.optional(f.property) {
			u := addUnit(b.Endpoint, filter.New(), cluster.Rules[filter.Filter]{}, []property[filter.Filter]{filterProperty(f.property)})
			u.Serve(f.cluster, filter.Selection)
		}
	}
	return nil
}
