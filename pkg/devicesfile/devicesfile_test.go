package devicesfile

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	all, err := Parse("devices.yaml", []byte(`# mine
devices:
  z2m:0x00124b0001020304:
    name: Kitchen
    room: ""
    type: on_off_plug
    options: {min: -20, tilt: true, modes: [heat]}
  "api:remote":
    hidden: true
    parts:
      "1": {name: Up, type: generic_switch}
      2: {options: {gestures: [single]}}
  api:nothing:
`))
	if err != nil {
		t.Fatal(err)
	}
	lamp, remote := all["z2m:0x00124b0001020304"], all["api:remote"]
	if len(all) != 3 || *lamp.Name != "Kitchen" || *lamp.Room != "" || lamp.Parts[""].Type != "on_off_plug" ||
		string(lamp.Parts[""].Options) != `{"min":-20,"modes":["heat"],"tilt":true}` {
		t.Errorf("%+v", lamp)
	}
	if !remote.Hidden || *remote.Parts["1"].Name != "Up" || string(remote.Parts["2"].Options) != `{"gestures":["single"]}` || remote.Name != nil {
		t.Errorf("%+v", remote)
	}
	for _, empty := range []string{"", "# nothing\n", "devices:\n", "---\n"} {
		if all, err := Parse("x", []byte(empty)); err != nil || len(all) != 0 {
			t.Errorf("%q: %v, %v", empty, all, err)
		}
	}
}

// TestWithoutGroups checks that devices may stand in the file itself, beside groups.
func TestWithoutGroups(t *testing.T) {
	content := []byte("api:a: {name: A}\nmqtt:\n  pump: {platform: switch}\ndevices:\n  api:b: {name: B}\nmqtt:pump: {hidden: true}\n")
	all, err := Parse("f", content)
	if err != nil || len(all) != 3 || *all["api:a"].Name != "A" || *all["api:b"].Name != "B" || !all["mqtt:pump"].Hidden {
		t.Errorf("%+v, %v", all, err)
	}
	own, err := ParseMQTT("f", content)
	if err != nil || len(own) != 1 || string(own["pump"]) != `{"platform":"switch"}` {
		t.Errorf("%s, %v", own, err)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"devices: 3", "f:1: want an object, KEY: VALUE"},
		{"- x", "f:1: want an object, KEY: VALUE"},
		{"device:\n  api:x:\n", `f:1: there is no member "device" here; there are devices`},
		{"devices:\n  x: {}\n", `f:2: id: "x" has 1 characters, not 3 to 128`},
		{"devices:\n  api:x: {}\n  api:x: {}\n", `f:3: "api:x" is there twice`},
		{"devices:\n  api:x: {}\napi:x: {}\n", `f:3: "api:x" is there twice`},
		{"api:?: {}\n", `f:1: id: `},
		{"api:x:\n  colour: red\n", `f:2: there is no member "colour" here`},
		{"devices:\n  api:x:\n    colour: red\n", `f:3: there is no member "colour" here; there are hidden, name, options, parts, room, type`},
		{"devices:\n  api:x:\n    type: lava_lamp\n", `f:3: type: there is no type "lava_lamp"; there are `},
		{"devices:\n  api:x:\n    hidden: perhaps\n", `f:3: want true or false, not "perhaps"`},
		{"devices:\n  api:x:\n    name: [a]\n", "f:3: want a text"},
		{"devices:\n  api:x:\n    name: \"a\\nb\"\n", "f:3: it has a control character"},
		{"devices:\n  api:x:\n    name: " + strings.Repeat("x", 257), "f:3: it has 257 octets, more than 256"},
		{"devices:\n  api:x:\n    options:\n      tilt: many\n", `f:4: tilt: "many" does not suit the option`},
		{"devices:\n  api:x:\n    options:\n      flavour: 1\n", `f:4: there is no option "flavour"`},
		{"devices:\n  api:x:\n    options: {min: .nan}\n", "f:3: min: it is nothing that an option can be"},
		{"devices:\n  api:x:\n    type: on_off_light\n    parts: {}\n", "f:3: type and options stand either at the device or at its parts"},
		{"devices:\n  api:x: &a {}\n  api:y: *a\n", "f:3: aliases are not possible here"},
		{"devices:\n  api:x: {\n", "f:"},
		{"a: b: c", "f:1: mapping values are not allowed in this context"},
	} {
		_, err := Parse("f", []byte(tt.content))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.content, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"devices:\n  api:x: {name: a, type: on_off_light, options: {min: 1}}\n", "a: &b [*b]", "devices: {api:x: {parts: {1: {type: generic_switch}}}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := Parse("f", content)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error without a place: %v", err)
		}
		for id := range all {
			if len(id) < 3 {
				t.Errorf("a device %q", id)
			}
		}
	})
}
