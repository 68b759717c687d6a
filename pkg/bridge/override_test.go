package bridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

func text(s string) *string { return &s }

// overrides restarts the rig with a devices file.
func (g *rig) overrides(all map[string]Override) {
	g.t.Helper()
	g.stop()
	g.start(func(o *Options) { o.Overrides = all })
}

// TestOverrides: the operator's settings replace those of the source, now and after
// a restart, until they are removed from the file.
func TestOverrides(t *testing.T) {
	g := newRig(t)
	before := g.put(lamp("z2m:a"))
	g.put(lamp("z2m:b"))
	g.pass(time.Minute)
	all := map[string]Override{
		"z2m:a": {Name: text("Kitchen"), Room: text("Kitchen"), Parts: map[string]PartOverride{"": {Type: "on_off_plug"}}},
		"z2m:b": {Hidden: true},
	}
	check := func(what string) {
		t.Helper()
		v := g.get("z2m:a")
		if v.Name != "Kitchen" || v.Room != "Kitchen" || v.Parts[0].Type != "on_off_plug" || v.LabelBy != BySource || !v.Exposed || v.Endpoint == before.Endpoint {
			t.Errorf("%s: %+v", what, v)
		}
		if v := g.get("z2m:b"); v.Exposed || v.Reason != "the devices file hides it" {
			t.Errorf("%s: exposed %v, %q", what, v.Exposed, v.Reason)
		}
		if got := len(g.node.list()); got != 1 {
			t.Errorf("%s: %d endpoints", what, got)
		}
	}
	if err := g.SetOverrides(all); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	check("at once")
	number := g.get("z2m:a").Endpoint
	g.overrides(all)
	check("after a restart")
	if v := g.get("z2m:a"); v.Reachable {
		t.Error("reachable before its source has spoken")
	}
	d := lamp("z2m:a")
	d.Name = "Renamed at the source"
	g.put(d)
	g.pass(time.Minute)
	check("after the source has described it")
	if v := g.get("z2m:a"); v.Endpoint != number || !v.Reachable {
		t.Errorf("endpoint %d, was %d; reachable %v", v.Endpoint, number, v.Reachable)
	}
	// Properties of the source's own type are not an error.
	if err := g.Report("z2m:a", "main", device.Values{"on": device.Bool(true), "brightness_percent": device.Number(3)}); err != nil {
		t.Error(err)
	}

	g.overrides(nil)
	g.pass(time.Minute)
	v := g.get("z2m:a")
	if v.Name != d.Name || v.Room != "" || v.Parts[0].Type != "on_off_light" || !on(v) {
		t.Errorf("without the file: %+v", v)
	}
	if got := len(g.node.list()); got != 2 {
		t.Errorf("without the file: %d endpoints", got)
	}
}

// TestOverrideThatDoesNotFit: the source's description is used, and there is a
// reason.
func TestOverrideThatDoesNotFit(t *testing.T) {
	g := newRig(t)
	g.overrides(map[string]Override{
		"z2m:a": {Name: text("Kitchen"), Parts: map[string]PartOverride{"7": {Type: "on_off_plug"}}},
		"z2m:b": {Parts: map[string]PartOverride{"": {Options: json.RawMessage(`{"technology":"sonar"}`)}}},
	})
	g.put(lamp("z2m:a"))
	d := device.Device{ID: "z2m:b", Name: "B", Reachable: true, Parts: []device.Part{{ID: "main", Type: "occupancy_sensor", State: device.Values{"occupied": device.Bool(true)}}}}
	g.put(d)
	g.pass(time.Minute)
	for id, want := range map[string]string{"z2m:a": `no part "7"`, "z2m:b": "sonar"} {
		if v := g.get(id); !v.Exposed || !strings.HasPrefix(v.Reason, "not as the devices file says: ") || !strings.Contains(v.Reason, want) {
			t.Errorf("%s: exposed %v, %q", id, v.Exposed, v.Reason)
		}
	}
}

// TestDeclaredDevice: a device of the file exists before its source has described
// it, and its source only has to send values.
func TestDeclaredDevice(t *testing.T) {
	g := newRig(t)
	all := map[string]Override{
		"api:cellar": {Name: text("Cellar"), Parts: map[string]PartOverride{"": {Type: "temperature_sensor", Options: json.RawMessage(`{"min":-20}`)}}},
		"z2m:x":      {Parts: map[string]PartOverride{"": {Type: "on_off_light"}}},
		"api:y":      {Name: text("Only a name")},
	}
	g.overrides(all)
	if list, _ := g.Devices(); len(list) != 1 || list[0].ID != "api:cellar" || list[0].Reachable || list[0].Exposed {
		t.Fatalf("devices: %+v", list)
	}
	if err := g.Patch("api:cellar", Patch{States: []PartState{{State: device.Values{"temperature_celsius": device.Number(12)}}}}); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	v := g.get("api:cellar")
	if !v.Reachable || !v.Exposed || v.Name != "Cellar" || *v.Parts[0].Options.Min != -20 {
		t.Errorf("%+v", v)
	}
	if err := g.SetOverrides(map[string]Override{}); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	if again := g.get("api:cellar"); again.Endpoint != v.Endpoint || !again.Exposed {
		t.Errorf("a device that the file names no more: %+v", again)
	}
}

// TestOverriddenRange: the source does not know the operator's range, so its values are
// not refused. Without the operator's settings a value out of range is.
func TestOverriddenRange(t *testing.T) {
	g := newRig(t)
	d := lamp("api:a")
	d.Parts[0] = device.Part{ID: "main", Type: "color_temperature_light"}
	g.put(d)
	cold := device.Values{"color_temperature_kelvin": device.Number(6500)}
	patch := func(v device.Values) error {
		return g.Patch("api:a", Patch{States: []PartState{{Pointer: "/state", State: v}}})
	}
	if err := patch(cold); err != nil {
		t.Error(err)
	}
	err := patch(device.Values{"color_temperature_kelvin": device.Number(6536)})
	var e *Error
	if !errors.As(err, &e) || e.Pointer != "/state/color_temperature_kelvin" || e.Detail != "color_temperature_kelvin: 6536 is not a number from 2000 to 6535" {
		t.Errorf("%+v", err)
	}
	if err := g.SetOverrides(map[string]Override{"api:a": {Parts: map[string]PartOverride{"": {Options: json.RawMessage(`{"max_kelvin":4000}`)}}}}); err != nil {
		t.Fatal(err)
	}
	if err := patch(cold); err != nil {
		t.Error(err)
	}
	if got := g.get("api:a").Parts[0].State["color_temperature_kelvin"]; got != device.Number(4000) {
		t.Errorf("shown is %s", got)
	}
}
