package device

import (
	"maps"
	"slices"
)

// Profile is what an ecosystem takes, and how. The zero value shows everything.
type Profile struct {
	Name string

	// SetTopology makes a meter name the endpoints whose power it measures, in place of
	// measuring its endpoint and what is below: SmartThings counts only what is below,
	// which is nothing on a plug.
	SetTopology bool

	// FlatSensors shows each sensor of a device of several as a device of its own.
	FlatSensors bool
	// SensorSets are the sets of sensors that the ecosystem takes as one device, by their
	// types in ascending order, if it takes only some; it shows others flat.
	SensorSets [][]string

	// MaxDevices is how many bridged devices the ecosystem takes on one node; 0: no
	// limit is known.
	MaxDevices int

	plainer map[string]*plainer // types that it knows as another
	hidden  []string            // types that it does not know
	alone   []string            // types that it takes on a node of their own alone
}

// profiles are the ecosystems, as far as their code and their public pages say.
var profiles = map[string]Profile{
	"full":          {},
	"homeassistant": {},
	"apple": {
		MaxDevices: 150,
		plainer: map[string]*plainer{
			"water_freeze_detector": detectorAsContact, "rain_sensor": detectorAsContact, "water_valve": valveAsPlug, "pump": pumpAsPlug,
		},
		hidden: []string{"pressure_sensor", "flow_sensor"},
		alone:  []string{"robotic_vacuum_cleaner"}, // bridges with one took Apple's app down
	},
	"google": {
		FlatSensors: true,
		plainer: map[string]*plainer{
			"water_leak_detector": detectorAsContact, "water_freeze_detector": detectorAsContact, "rain_sensor": detectorAsContact,
			"pump": pumpAsPlug,
		},
		hidden: []string{"generic_switch"},
	},
	"alexa": {
		FlatSensors: true,
		MaxDevices:  50,
		plainer: map[string]*plainer{
			"water_leak_detector": detectorAsContact, "water_freeze_detector": detectorAsContact, "rain_sensor": detectorAsContact,
			"water_valve": valveAsPlug, "pump": pumpAsPlug,
		},
		hidden: []string{"pressure_sensor", "flow_sensor", "soil_sensor", "electrical_sensor"},
	},
	"smartthings": {SetTopology: true, SensorSets: [][]string{
		{"humidity_sensor", "temperature_sensor"},
		{"humidity_sensor", "pressure_sensor", "temperature_sensor"},
		{"light_sensor", "occupancy_sensor"},
		{"light_sensor", "occupancy_sensor", "temperature_sensor"},
		{"humidity_sensor", "light_sensor", "occupancy_sensor", "temperature_sensor"},
		{"contact_sensor", "occupancy_sensor"},
		{"humidity_sensor", "smoke_co_alarm", "temperature_sensor"},
	}},
}

// Profiles returns the names of the profiles, sorted.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles)) }

// ProfileNamed returns the profile with the name, and whether there is one.
func ProfileNamed(name string) (Profile, bool) {
	p, ok := profiles[name]
	p.Name = name
	return p, ok
}

// layout returns how a device of several parts is shown, if its description leaves it
// open. Switches and lights are flat everywhere: Home Assistant gives the parts of one
// device one and the same name, and others split them anyway.
func (p *Profile) layout(d *Device) Layout {
	if d.Layout != "" {
		return d.Layout
	}
	all := func(is func(typ string) bool) bool {
		return !slices.ContainsFunc(d.Parts, func(part Part) bool { return !is(part.Type) })
	}
	switch {
	case all(isGang):
		return Flat
	case !all(isSensor):
		return Composed
	case p.FlatSensors:
		return Flat
	case p.SensorSets != nil && !slices.ContainsFunc(p.SensorSets, func(set []string) bool { return slices.Equal(set, partTypes(d)) }):
		return Flat
	}
	return Composed
}

func partTypes(d *Device) (types []string) {
	for i := range d.Parts {
		types = append(types, d.Parts[i].Type)
	}
	slices.Sort(types)
	return types
}

// isGang reports whether parts of a type are each a lamp, or a switch of one.
func isGang(typ string) bool { _, ok := lightKinds[typ]; return ok }

// isSensor reports whether a type does nothing but measure.
func isSensor(typ string) bool {
	_, sensor := sensorKinds[typ]
	return sensor || typ == "air_quality_sensor" || typ == "smoke_co_alarm"
}
