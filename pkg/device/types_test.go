package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The device types of the library as release 1.6 of the Matter Device Library
// Specification has them: identifier and revision, the application's first.
var typesOf = map[string]string{
	"on_off_light": "0100r3", "dimmable_light": "0101r3", "color_temperature_light": "010Cr4", "extended_color_light": "010Dr4",
	"on_off_plug": "010Ar4", "dimmable_plug": "010Br5", "mounted_on_off_control": "010Ar4 010Fr2", "mounted_dimmable_load_control": "010Br5 0110r2",
	"generic_switch": "000Fr3", "contact_sensor": "0015r2", "occupancy_sensor": "0107r4", "light_sensor": "0106r4",
	"temperature_sensor": "0302r3", "humidity_sensor": "0307r3", "pressure_sensor": "0305r3", "flow_sensor": "0306r3", "soil_sensor": "0045r1",
	"water_leak_detector": "0043r2", "water_freeze_detector": "0041r2", "rain_sensor": "0044r2",
	"smoke_co_alarm": "0076r1", "air_quality_sensor": "002Cr1", "window_covering": "0202r6", "door_lock": "000Ar4",
	"thermostat": "0301r6", "fan": "002Br4", "air_purifier": "002Dr2", "room_air_conditioner": "0072r3", "water_valve": "0042r1",
	"pump": "0303r3", "robotic_vacuum_cleaner": "0074r4", "electrical_sensor": "0510r1",
}

func TestDeviceTypes(t *testing.T) {
	for _, typ := range Types() {
		d := Device{ID: "test:1", Battery: &Battery{Percent: Number(50)}, Parts: []Part{{ID: "main", Type: typ}}}
		a, err := Assemble(&d, Profile{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, x := range a.Nodes[0].Types {
			have = append(have, fmt.Sprintf("%04Xr%d", x.ID, x.Revision))
		}
		// Beside the application: Bridged Node, and Power Source for the battery.
		want := append(strings.Fields(typesOf[typ]), "0013r3", "0011r1")
		if !slices.Equal(have, want) {
			t.Errorf("%s: device types %v, want %v", typ, have, want)
		}
	}
	for typ := range typesOf {
		if !slices.Contains(Types(), typ) {
			t.Errorf("there is no %s", typ)
		}
	}
}
