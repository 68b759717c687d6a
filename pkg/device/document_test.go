package device

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// partWithAll returns a part of a type with all properties that it can have.
func partWithAll(typ string) Part {
	everything := Options{CleanModes: []string{"Vacuum", "Mop"}, Areas: []string{"Hall", "Attic"}, Tilt: true, Level: true, SensitivityLevels: 4, MaxHoldSeconds: 600}
	p := Part{ID: "main", Type: typ, Options: everything, State: Values{"door": Null, "filter_percent": Number(1), "carbon_filter_percent": Number(1), "sensor_fault": Bool(false)}}
	switch typ {
	case "air_quality_sensor":
		for i := range airProperties {
			p.Options.Properties = append(p.Options.Properties, airProperties[i].Name)
		}
	case "electrical_sensor":
		for i := range meterProperties {
			p.Options.Properties = append(p.Options.Properties, meterProperties[i].Name)
		}
	case "smoke_co_alarm":
		p.Options.Smoke, p.Options.CarbonMonoxide, p.Options.Gas = true, true, true
		p.Options.Properties = []string{"contamination", "smoke_sensitivity", "muted"}
	case "generic_switch":
		p.Options.Positions = 3
	case "thermostat", "room_air_conditioner":
		p.Options.Modes = []string{"heat", "cool"}
	}
	return p
}

// docs/bridging.md has a row for each type, with its properties.
func TestTypesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/bridging.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range Types() {
		p := partWithAll(typ)
		e, err := New("test:1", &p, nil)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		names := e.names()
		for i := range names {
			names[i] = "`" + names[i] + "`"
		}
		slices.Sort(names)
		row := fmt.Sprintf("| `%s` | 0x%04X | %s |", typ, uint32(e.Types[0].ID), strings.Join(names, " "))
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("no row\n%s", row)
		}
	}
}
