package device

import (
	"maps"
	"slices"
)

// Profile describes what an ecosystem supports. The zero value shows everything.
type Profile struct {
	Name string

	// SetTopology makes a meter list the endpoints whose power it measures, instead
	// of measuring its endpoint and those below it: SmartThings counts only those
	// below, of which a plug has none.
	SetTopology bool

	// FlatSensors shows each sensor of a device with several parts as a separate
	// device.
	FlatSensors bool
	// SensorSets are the sets of sensors that the ecosystem accepts as one device,
	// by their types in ascending order, if it accepts only some. It shows others
	// flat.
	SensorSets [][]string

	// MaxButtons is the number of buttons that the ecosystem accepts on one device; 0:
	// no limit is known. It shows more of them flat.
	MaxButtons int
	// ShutterAsShade shows shutters as coverings of another type. EndProductType still
	// names them.
	ShutterAsShade bool

	// MaxDevices is the number of bridged devices that the ecosystem accepts on one
	// node; 0: no limit is known.
	MaxDevices int

	plainer map[string]*plainer // types that it supports only as another type
	hidden  []string            // types that it does not support
	alone   []string            // types that it only accepts alone on a node
}

// profiles are the ecosystems, according to their code and their public documents.
var profiles = map[string]Profile{
	"full":          {},
	"homeassistant": {ShutterAsShade: true}, // it shows the type Shutter as an awning
	"apple": {
		MaxDevices: 150,
		plainer: map[string]*plainer{
			"water_freeze_detector": detectorAsContact, "rain_sensor": detectorAsContact, "water_valve": valveAsPlug, "pump": pumpAsPlug,
		},
		hidden: []string{"pressure_sensor", "flow_sensor"},
		alone:  []string{"robotic_vacuum_cleaner"}, // Apple's app crashed with bridges that had one
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
	"smartthings": {SetTopology: true, MaxButtons: 9, SensorSets: [][]string{
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

// layout returns how a device with several parts is shown if its description does
// not specify it. Switches and lights are always flat: Home Assistant gives all
// parts of one device the same name, and others split them anyway.
func (p *Profile) layout(d *Device) Layout {
	if d.Layout != "" {
		return d.Layout
	}
	all := func(is func(typ string) bool) bool {
		return !slices.ContainsFunc(d.Parts, func(part Part) bool { return !is(part.Type) })
	}
	switch {
	case all(isGang), p.MaxButtons > 0 && buttons(d) > p.MaxButtons:
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

// buttons returns the number of buttons of a device.
func buttons(d *Device) (n int) {
	for i := range d.Parts {
		if d.Parts[i].Type == "generic_switch" {
			n++
		}
	}
	return n
}

// isGang reports whether several parts of the type are separate lamps or switches.
func isGang(typ string) bool { _, ok := lightKinds[typ]; return ok }

// isSensor reports whether a type only measures.
func isSensor(typ string) bool {
	_, sensor := sensorKinds[typ]
	return sensor || typ == "air_quality_sensor" || typ == "smoke_co_alarm"
}
