package device

import (
	"fmt"
	"strings"
	"testing"
)

// parts returns parts from "id:type", separated by spaces.
func parts(text string) (all []Part) {
	for _, word := range strings.Fields(text) {
		id, typ, _ := strings.Cut(word, ":")
		all = append(all, Part{ID: id, Type: typ})
	}
	return all
}

func TestLayouts(t *testing.T) {
	const (
		gangs   = "1:on_off_light 2:on_off_plug 3:dimmable_light"
		buttons = "1:generic_switch 2:generic_switch"
		climate = "t:temperature_sensor h:humidity_sensor p:pressure_sensor"
		contact = "c:contact_sensor t:temperature_sensor"
		mixed   = "l:on_off_light o:occupancy_sensor"
	)
	for _, tt := range []struct{ parts, flat string }{
		{gangs, "full apple homeassistant google alexa smartthings"},
		{buttons, ""},
		{climate, "google alexa"},
		{contact, "google alexa smartthings"},
		{"o:occupancy_sensor l:light_sensor", "google alexa"},
		{mixed, ""},
	} {
		for _, name := range Profiles() {
			p, ok := ProfileNamed(name)
			if !ok || p.Name != name {
				t.Fatalf("there is no profile %q", name)
			}
			a, err := Assemble(&Device{ID: "test:1", Name: "Thing", Parts: parts(tt.parts)}, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Nodes) == 0 {
				continue // the ecosystem does not support it: see TestHiddenParts
			}
			want := strings.Contains(tt.flat, name)
			if flat := a.Nodes[0].Part != nil; flat != want {
				t.Errorf("%s in profile %s: flat %v, want %v", tt.parts, name, flat, want)
			}
		}
		// The layout of the description has priority.
		for _, l := range []Layout{Flat, Composed} {
			a, err := Assemble(&Device{ID: "test:1", Layout: l, Parts: parts(tt.parts)}, Profile{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if flat := a.Nodes[0].Part != nil; flat != (l == Flat) {
				t.Errorf("%s, which is to be %s: flat %v", tt.parts, l, flat)
			}
		}
	}
	if _, ok := ProfileNamed("hal"); ok {
		t.Error("there is a profile that nobody has made")
	}
}

func TestComposedDevice(t *testing.T) {
	d := Device{ID: "test:1", Name: "Remote", Layout: Composed, Parts: parts("a:generic_switch b:generic_switch t:temperature_sensor")}
	a, err := Assemble(&d, Profile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.types(), "0013 000F 000F 0302"; got != want {
		t.Errorf("device types %s, want %s", got, want)
	}
	for i, n := range a.Nodes {
		if n.Child != (i > 0) || n.Parent != "" || (n.Part == nil) != (i == 0) {
			t.Errorf("node %d: child %v of %q, part %v", i, n.Child, n.Parent, n.Part)
		}
		if i > 0 && n.Key != d.Parts[i-1].ID {
			t.Errorf("node %d is part %s: not in order", i, n.Key)
		}
	}
	if got := len(a.Nodes[0].Clusters()); got != 0 || a.Nodes[0].Identify {
		t.Errorf("what the parts have in common serves %d clusters, Identify %v", got, a.Nodes[0].Identify)
	}
	if a.Nodes[0].Label != "Remote" {
		t.Errorf("label %q", a.Nodes[0].Label)
	}
}

// Section 9.5.4.1: only siblings of one type have tags.
func TestTags(t *testing.T) {
	for _, tt := range []struct{ parts, want string }{
		{"1:generic_switch 2:generic_switch 3:generic_switch", "7.1 7.2 7.3"},
		{"2:generic_switch 1:generic_switch 4:generic_switch", "7.2 7.1 7.4"},
		{"a:generic_switch b:generic_switch", "7.1 7.2"},
		{"1:generic_switch b:generic_switch", "7.1 7.2"},
		{"1:generic_switch 31:generic_switch", "7.1 7.2"},
		{"on:generic_switch off:generic_switch up:generic_switch down:generic_switch", "67.0 67.1 67.3 67.4"},
		{"on:generic_switch 1:generic_switch x:generic_switch", "67.0 7.2 7.3"},
		{"left:on_off_light right:on_off_light", "8.0 8.1"},
		{"on:on_off_light off:on_off_light", "7.1 7.2"},
		{"t:temperature_sensor h:humidity_sensor", "- -"},
		{"t:temperature_sensor h:humidity_sensor u:temperature_sensor", "7.1 - 7.2"},
		{"m:mounted_on_off_control p:on_off_plug", "7.1 7.2"}, // both are plugs
		{"o:on_off_light d:dimmable_light", "- -"},
	} {
		a, err := Assemble(&Device{ID: "test:1", Layout: Composed, Parts: parts(tt.parts)}, Profile{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range a.Nodes[1:] {
			s := "-"
			if len(n.Tags) > 0 {
				s = fmt.Sprintf("%d.%d", n.Tags[0].Namespace, n.Tags[0].Tag)
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: tags %s, want %s", tt.parts, s, tt.want)
		}
	}
	a, err := Assemble(&Device{ID: "test:1", Layout: Flat, Parts: parts("1:on_off_light 2:on_off_light")}, Profile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range a.Nodes {
		if n.Tags != nil {
			t.Errorf("a device of its own has the tags %v", n.Tags)
		}
	}
	many := Device{ID: "test:1", Layout: Composed}
	for i := range 70 {
		many.Parts = append(many.Parts, Part{ID: fmt.Sprintf("b%d", i), Name: fmt.Sprintf("Button %d", i), Type: "generic_switch"})
	}
	many.Parts[3].Name = strings.Repeat("x", 65)
	if a, err = Assemble(&many, Profile{}, nil); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, n := range a.Nodes[1:] {
		s := ""
		for _, x := range n.Tags {
			s += fmt.Sprintf(" %d.%d", x.Namespace, x.Tag)
		}
		if seen[s] || len(n.Tags) > 6 {
			t.Errorf("part %d has the tags%s", i, s)
		}
		seen[s] = true
		if want := many.Parts[i].Name; n.Tags[0].Label != want && i != 3 || len(n.Tags[0].Label) > 64 {
			t.Errorf("part %d has the label %q", i, n.Tags[0].Label)
		}
	}
}

func TestFlatLabels(t *testing.T) {
	d := Device{ID: "test:1", Name: "Wall", Layout: Flat, Parts: parts("1:on_off_light 2:on_off_light 3:on_off_light 4:on_off_light")}
	d.Parts[1].Name, d.Parts[2].Name, d.Parts[3].Name = "Lamp", "Wall lamp", "Wall"
	a, err := Assemble(&d, Profile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Wall 1", "Wall Lamp", "Wall lamp", "Wall 4"} {
		if got := a.Nodes[i].Label; got != want {
			t.Errorf("part %d is called %q, want %q", i, got, want)
		}
	}
	d.Name = "Hall"
	a.Relabel(&d)
	if got := a.Nodes[0].Label; got != "Hall 1" {
		t.Errorf("renamed %q", got)
	}
}

// Only what controllers depend on determines the shape.
func TestShapes(t *testing.T) {
	shapes := func(d Device) string {
		d.ID = "test:1"
		a, err := Assemble(&d, Profile{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, n := range a.Nodes {
			all = append(all, n.Shape)
		}
		return strings.Join(all, ", ")
	}
	one := func(p Part) Device { p.ID = "main"; return Device{Parts: []Part{p}} }
	plug := one(Part{Type: "on_off_plug"})
	renamed := one(Part{Type: "on_off_plug", Name: "Heater", State: Values{"on": Bool(true)}})
	renamed.Name, renamed.Room, renamed.Battery = "x", "y", &Battery{Percent: Number(3)}
	occupancy := func(technology string) Device {
		return one(Part{Type: "occupancy_sensor", Options: Options{Technology: technology}})
	}
	button := func(gestures ...string) Device {
		return one(Part{Type: "generic_switch", Options: Options{Gestures: gestures}})
	}
	for _, tt := range []struct {
		name string
		a, b Device
		same bool
	}{
		{"names, a room, a battery, a state", plug, renamed, true},
		{"a meter", plug, one(metered("power_watts")), false},
		{"another meter", one(metered("power_watts")), one(metered("energy_kwh")), false},
		{"what the first state implies", one(Part{Type: "electrical_sensor"}), one(Part{Type: "electrical_sensor", State: Values{"energy_kwh": Number(1)}}), false},
		{"the technology by default", occupancy(""), occupancy("pir"), true},
		{"another technology", occupancy("pir"), occupancy("radar"), false},
		{"gestures in another order", button("single", "long"), button("long", "single"), true},
		{"other gestures", button("single"), button("single", "long"), false},
		{"an alarm for more", one(alarmPart("smoke")), one(alarmPart("smoke co")), false},
	} {
		if a, b := shapes(tt.a), shapes(tt.b); (a == b) != tt.same {
			t.Errorf("%s: %s and %s", tt.name, a, b)
		}
	}
	d := Device{Layout: Flat, Parts: parts("1:contact_sensor 2:contact_sensor")}
	flat := shapes(d)
	d.Layout = Composed
	if composed := shapes(d); strings.HasSuffix(composed, flat) {
		t.Errorf("a part that comes to be below another endpoint keeps its shape: %s, %s", flat, composed)
	}
}

func TestPartErrors(t *testing.T) {
	d := Device{ID: "test:1", Parts: parts("1:contact_sensor 2:lava_lamp")}
	_, err := Assemble(&d, Profile{}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), `parts[1].type: there is no type "lava_lamp"; there are `) {
		t.Errorf("%v", err)
	}
	d.Parts[1] = Part{ID: "2", Type: "occupancy_sensor", Options: Options{Technology: "sonar"}}
	if _, err = Assemble(&d, Profile{}, nil); err == nil || !strings.HasPrefix(err.Error(), "parts[1].options.technology: ") {
		t.Errorf("%v", err)
	}
}
