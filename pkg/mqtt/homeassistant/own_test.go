package homeassistant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

func own(t *testing.T, all map[string]string) Own {
	t.Helper()
	raw := map[string]json.RawMessage{}
	for key, s := range all {
		raw[key] = json.RawMessage(s)
	}
	o, err := ParseOwn(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const (
	ownPump = `{"platform":"switch","name":"Garden pump","command_topic":"pump/set","state_topic":"pump","payload_on":1,"payload_off":0}`
	ownRoom = `{"name":"Greenhouse","device":{"manufacturer":"Me"},"~":"green","components":{
		"t":{"p":"sensor","dev_cla":"temperature","unit_of_meas":"°C","stat_t":"~/t"},
		"h":{"p":"sensor","dev_cla":"humidity","unit_of_meas":"%","stat_t":"~/h","val_tpl":"{{ value_json.h }}"}}}`
)

// TestOwn checks that the operator's description of a device works like a discovery
// message, under its key, and that it can be changed and removed.
func TestOwn(t *testing.T) {
	w := newWorld(t)
	w.Reader = New(Options{Source: OwnSource}, w.rec)
	if subs := w.Subscriptions(); len(subs) != 0 {
		t.Errorf("%v", subs)
	}
	all := own(t, map[string]string{"pump": ownPump, "room": ownRoom})
	w.Define(w.now, all)
	w.Up()
	w.Settled(w.now)
	if d := w.rec.Devices["mqtt:room"]; d.Name != "Greenhouse" || d.Vendor != "Me" || len(d.Parts) != 2 || !d.Reachable {
		t.Errorf("%+v", d)
	}
	w.rec.Take()
	w.send("pump", "1")
	w.send("green/h", `{"h":55}`)
	w.want("report mqtt:pump/switch_switch on=true", "report mqtt:room/sensor_h humidity_percent=55")
	if err := w.Command(w.now, device.Command{Device: "mqtt:pump", Part: "switch_switch", Set: device.Values{"on": device.Bool(false)}}); err != nil {
		t.Error(err)
	}
	w.want("publish pump/set 0")

	w.Define(w.now, all)
	w.want()
	w.Define(w.now, own(t, map[string]string{"room": strings.Replace(ownRoom, `"h":{`, `"humid":{`, 1)}))
	w.pass(time.Hour)
	if _, ok := w.rec.Devices["mqtt:pump"]; ok {
		t.Error("the pump is still there")
	}
	if d := w.rec.Devices["mqtt:room"]; len(d.Parts) != 2 || d.Parts[1].ID != "sensor_humid" {
		t.Errorf("%+v", d)
	}
	// This reader ignores what others discover.
	w.send("homeassistant/switch/x/config", `{"unique_id":"x","command_topic":"x"}`)
	w.send("/switch/x/config", `{"unique_id":"x","command_topic":"x"}`)
	w.pass(time.Hour)
	if len(w.rec.Devices) != 1 {
		t.Errorf("%v", w.rec.Devices)
	}
}

func TestOwnErrors(t *testing.T) {
	for said, want := range map[string]string{
		`{}`: "x: it has no platform", `{"platform":"switch"}`: "command_topic: it is missing", `{"platform":"number","command_topic":"a"}`: "Matter has no type for number",
		`{"platform":"lamp","command_topic":"a"}`: "the component is not known", `{"components":[]}`: "x: it has no platform",
		`{"platform":"sensor","device_class":"temperature","unit_of_measurement":"°C","state_topic":"a","value_template":"{{ states('x') }}"}`: "value_template",
	} {
		if err := own(t, map[string]string{"x": said}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", said, err, want)
		}
	}
	if err := own(t, map[string]string{"pump": ownPump, "room": ownRoom}).Check(); err != nil {
		t.Error(err)
	}
	if _, err := ParseOwn(map[string]json.RawMessage{"x": json.RawMessage("3")}); err == nil {
		t.Error("a number is a device")
	}
}

func FuzzOwn(f *testing.F) {
	f.Add(ownPump, ownRoom)
	f.Add(`{"components":{"a":{"platform":"switch","command_topic":"~/a"},"b":3},"device":{"name":7}}`, `{"platform":3,"device":[]}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		w := newWorld(t)
		w.Reader = New(Options{Source: OwnSource}, w.rec)
		for _, said := range []string{a, b, a} {
			all, err := ParseOwn(map[string]json.RawMessage{"x": json.RawMessage(said)})
			if err != nil {
				continue
			}
			good := all.Check() == nil
			w.Define(w.now, all)
			w.Settled(w.now)
			if d, ok := w.rec.Devices["mqtt:x"]; good && (!ok || len(d.Parts) == 0) {
				t.Errorf("%s: %+v", said, d)
			}
			w.pass(time.Hour)
		}
	})
}
