//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	devices "github.com/opcredsd/opcredsd/pkg/device"
)

// firstStates are the initial states and the options of devices of each type.
var firstStates = map[string]devices.Part{
	"air_purifier":                  part(`{"state":{"fan_mode":"off","fan_percent":0,"filter_percent":80,"carbon_filter_percent":60},"options":{"modes":["low","medium","high","auto"]}}`),
	"air_quality_sensor":            part(`{"state":{"air_quality":"good","co2_ppm":412,"co_ppm":1,"no2_ppm":0.01,"ozone_ppm":0.02,"pm1_ug_per_m3":3,"pm25_ug_per_m3":5,"pm10_ug_per_m3":9,"tvoc_ppb":120,"formaldehyde_mg_per_m3":0.02,"radon_bq_per_m3":40}}`),
	"color_temperature_light":       part(`{"state":{"on":true,"brightness_percent":60,"color_temperature_kelvin":2700}}`),
	"contact_sensor":                part(`{"state":{"closed":true}}`),
	"dimmable_light":                part(`{"state":{"on":true,"brightness_percent":50}}`),
	"dimmable_plug":                 part(`{"state":{"on":true,"brightness_percent":50}}`),
	"door_lock":                     part(`{"state":{"lock":"locked","door":"closed"}}`),
	"electrical_sensor":             part(`{"state":{"power_watts":0,"voltage_volts":230,"current_amperes":0,"energy_kwh":1,"energy_exported_kwh":0}}`),
	"extended_color_light":          part(`{"state":{"on":true,"brightness_percent":60,"hue_degrees":120,"saturation_percent":50,"color_mode":"hs"},"options":{"color_modes":["hs","xy","loop"]}}`),
	"fan":                           part(`{"state":{"fan_mode":"off","fan_percent":0},"options":{"modes":["low","medium","high","auto"],"speeds":10}}`),
	"flow_sensor":                   part(`{"state":{"flow_m3_per_hour":1.5},"options":{"min":0,"max":60}}`),
	"generic_switch":                part(`{"options":{"gestures":["single","double","triple","long"]}}`),
	"humidity_sensor":               part(`{"state":{"humidity_percent":40},"options":{"min":0,"max":100}}`),
	"light_sensor":                  part(`{"state":{"illuminance_lux":500}}`),
	"mounted_dimmable_load_control": part(`{"state":{"on":true,"brightness_percent":50}}`),
	"mounted_on_off_control":        part(`{"state":{"on":false}}`),
	"occupancy_sensor":              part(`{"state":{"occupied":false}}`),
	"on_off_light":                  part(`{"state":{"on":false}}`),
	"on_off_plug":                   part(`{"state":{"on":false}}`),
	"pressure_sensor":               part(`{"state":{"pressure_hpa":1013},"options":{"min":300,"max":1100}}`),
	"pump":                          part(`{"state":{"on":false}}`),
	"rain_sensor":                   part(`{"state":{"detected":false}}`),
	"robotic_vacuum_cleaner":        part(`{"state":{"run_mode":"idle","state":"docked"},"options":{"clean_modes":["Vacuum","Mop","Quiet"],"areas":["Kitchen","Hall","Bath"]}}`),
	"room_air_conditioner":          part(`{"state":{"on":true,"mode":"cool","temperature_celsius":24,"cooling_setpoint_celsius":22,"heating_setpoint_celsius":20,"fan_mode":"auto"},"options":{"modes":["cool","heat"]}}`),
	"smoke_co_alarm":                part(`{"state":{"smoke":"normal","carbon_monoxide":"normal","contamination":"normal","smoke_sensitivity":"standard","muted":false},"options":{"smoke":true,"carbon_monoxide":true,"self_test":true}}`),
	"soil_sensor":                   part(`{"state":{"moisture_percent":30}}`),
	"temperature_sensor":            part(`{"state":{"temperature_celsius":21.5},"options":{"min":-40,"max":85}}`),
	"thermostat":                    part(`{"state":{"mode":"heat","temperature_celsius":20,"heating_setpoint_celsius":21,"cooling_setpoint_celsius":25,"running":"heating"},"options":{"modes":["heat","cool","auto"],"max_celsius":32}}`),
	"water_freeze_detector":         part(`{"state":{"detected":false}}`),
	"water_leak_detector":           part(`{"state":{"detected":false}}`),
	"water_valve":                   part(`{"state":{"open":false,"level_percent":0},"options":{"level":true}}`),
	"window_covering":               part(`{"state":{"position_percent":50,"tilt_percent":50},"options":{"kind":"blind","tilt":true}}`),
}

func part(text string) (p devices.Part) {
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}

// newPart returns a part of a type with its initial state.
func newPart(id, typ string) devices.Part {
	p := firstStates[typ]
	p.ID, p.Type = id, typ
	return p
}

// meterStates is the initial state of a meter.
var meterStates = firstStates["electrical_sensor"].State

// library returns devices of every type and composition: each type alone, with a
// battery and a room, and with a meter; and devices with several parts.
func library() (all []devices.Device) {
	add := func(id string, d devices.Device) {
		d.ID, d.Name, d.Vendor, d.Product, d.Reachable = "api:"+id, strings.ReplaceAll(id, "_", " "), "ACME", "P-"+id, true
		if len(d.Name) > 32 {
			d.Name = d.Name[:32]
		}
		all = append(all, d)
	}
	battery := &devices.Battery{Percent: devices.Number(80), Low: devices.Bool(false)}
	var everything []devices.Part
	for _, typ := range devices.Types() {
		p := newPart("main", typ)
		add(typ, devices.Device{Parts: []devices.Part{p}})
		add("battery-"+typ, devices.Device{Battery: battery, Room: "Attic", Parts: []devices.Part{p}})
		p.Meter = true
		state := devices.Values{}
		for _, values := range []devices.Values{p.State, meterStates} {
			for name, v := range values {
				state[name] = v
			}
		}
		p.State = state
		add("meter-"+typ, devices.Device{Parts: []devices.Part{p}})
		everything = append(everything, newPart(typ, typ))
	}
	for name, p := range variants {
		p.ID, p.Type = "main", strings.SplitN(name, "-", 2)[1]
		add(name, devices.Device{Parts: []devices.Part{p}})
	}
	add("charging", devices.Device{
		Battery: &devices.Battery{Percent: devices.Number(80), Charging: devices.Bool(true)},
		Parts:   []devices.Part{newPart("main", "robotic_vacuum_cleaner")},
	})
	for name, c := range compositions {
		var parts []devices.Part
		for _, f := range strings.Fields(c.parts) {
			id, typ, _ := strings.Cut(f, ":")
			parts = append(parts, newPart(id, typ))
		}
		add(name, devices.Device{Layout: c.layout, Battery: battery, Room: "Hall", Parts: parts})
	}
	add("everything", devices.Device{Layout: devices.Composed, Battery: battery, Parts: everything})
	slices.SortFunc(all, func(a, b devices.Device) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// variants are parts with other options, by a word and their type.
var variants = map[string]devices.Part{
	"latching-generic_switch":        part(`{"state":{"position":0},"options":{"positions":2}}`),
	"configured-contact_sensor":      part(`{"state":{"closed":true,"sensor_fault":false},"options":{"sensitivity_levels":3}}`),
	"configured-water_leak_detector": part(`{"state":{"detected":false,"sensor_fault":false}}`),
	"configured-occupancy_sensor":    part(`{"state":{"occupied":false,"hold_seconds":30},"options":{"sensitivity_levels":10,"min_hold_seconds":1,"max_hold_seconds":30}}`),
}

// compositions are devices of several parts.
var compositions = map[string]struct {
	layout devices.Layout
	parts  string
}{
	"gangs":      {devices.Composed, "1:on_off_light 2:on_off_light 3:dimmable_light"},
	"flat-gangs": {devices.Flat, "1:on_off_light 2:on_off_light 3:dimmable_light"},
	"remote":     {devices.Composed, "on:generic_switch off:generic_switch up:generic_switch down:generic_switch"},
	"climate":    {devices.Composed, "t:temperature_sensor h:humidity_sensor p:pressure_sensor"},
	"relay":      {devices.Composed, "1:on_off_plug 2:on_off_plug m:electrical_sensor"},
	"purifier":   {devices.Composed, "p:air_purifier a:air_quality_sensor t:temperature_sensor"},
	"lamp-sense": {devices.Composed, "l:extended_color_light o:occupancy_sensor i:light_sensor"},
}

// putAll adds devices to the bridge and waits until all are shown. It returns their
// endpoints by "ID" and "ID/PART".
func (r *run) putAll(all []devices.Device) map[string]uint16 {
	r.t.Helper()
	endpoints := map[string]uint16{}
	r.step(fmt.Sprintf("%d devices", len(all)), func() error {
		body, err := json.Marshal(all)
		if err != nil {
			return err
		}
		var answer []bridged
		if err := r.device.api().do("PUT", "/v1/devices?source=api", string(body), &answer); err != nil {
			return err
		}
		var ids []string
		for _, d := range answer {
			ids = append(ids, d.ID)
		}
		if err := r.shown(ids...); err != nil {
			return err
		}
		if err := r.device.api().do("GET", "/v1/devices", "", &answer); err != nil {
			return err
		}
		for _, d := range answer {
			endpoints[d.ID] = d.Endpoint
			for _, p := range d.Parts {
				endpoints[d.ID+"/"+p.ID] = p.Endpoint
			}
		}
		return nil
	})
	return endpoints
}

// drive is a test of a device type with a controller.
type drive struct {
	typ     string
	command command
	wish    string   // part of the command that the source receives
	shown   []string // reports that follow the command; see [run.await]

	says  string // a state that the source reports after that
	press string // or a gesture at a button
	heard []string
}

// identify is the command for types without another one.
func identify(typ string) drive {
	return drive{typ: typ, command: command{cluster: "Identify", name: "identify", fields: args{"identifyTime": 1}}, wish: `"do":"identify"`, shown: []string{"0x3/0x0=1"}}
}

func (d drive) then(says string, heard ...string) drive {
	d.says, d.heard = says, heard
	return d
}

func switched(typ string) drive {
	return drive{typ: typ, command: command{cluster: "OnOff", name: "toggle"}, wish: `"on":true`, shown: []string{"0x6/0x0=true"}}.
		then(`{"on":false}`, "0x6/0x0=false")
}

func dimmed(typ string) drive {
	return drive{typ: typ, command: command{cluster: "LevelControl", name: "moveToLevelWithOnOff",
		fields: args{"level": 254, "transitionTime": 0, "optionsMask": args{}, "optionsOverride": args{}}},
		wish: `"brightness_percent":100`, shown: []string{"0x8/0x0=254"}}.
		then(`{"brightness_percent":25}`, "0x8/0x0=64")
}

func detector(typ string) drive {
	return identify(typ).then(`{"detected":true}`, "0x45/0x0=true", "0x45!0x0")
}

// drives has an entry for each type of the library, and for some with other options.
var drives = []drive{
	switched("on_off_light"), switched("on_off_plug"), switched("mounted_on_off_control"), switched("pump"),
	dimmed("dimmable_light"), dimmed("dimmable_plug"), dimmed("mounted_dimmable_load_control"),
	drive{typ: "color_temperature_light", command: command{cluster: "ColorControl", name: "moveToColorTemperature",
		fields: args{"colorTemperatureMireds": 250, "transitionTime": 0, "optionsMask": args{}, "optionsOverride": args{}}},
		wish: `"color_temperature_kelvin":4000`, shown: []string{"0x300/0x7=250"}}.
		then(`{"color_temperature_kelvin":3000}`, "0x300/0x7=333"),
	drive{typ: "extended_color_light", command: command{cluster: "ColorControl", name: "moveToHueAndSaturation",
		fields: args{"hue": 0, "saturation": 254, "transitionTime": 0, "optionsMask": args{}, "optionsOverride": args{}}},
		wish: `"saturation_percent":100`, shown: []string{"0x300/0x0=0", "0x300/0x1=254"}}.
		then(`{"hue_degrees":240}`, "0x300/0x0=169"),
	{typ: "generic_switch", command: identify("").command, wish: `"do":"identify"`, press: "single", heard: []string{"0x3b!0x1", "0x3b!0x3", "0x3b!0x6"}},
	identify("contact_sensor").then(`{"closed":false}`, "0x45/0x0=false", "0x45!0x0"),
	detector("water_leak_detector"), detector("water_freeze_detector"), detector("rain_sensor"),
	identify("occupancy_sensor").then(`{"occupied":true}`, `0x406/0x0={"occupied":true}`, "0x406!0x0"),
	identify("temperature_sensor").then(`{"temperature_celsius":-12.5}`, "0x402/0x0=-1250"),
	identify("humidity_sensor").then(`{"humidity_percent":70}`, "0x405/0x0=7000"),
	identify("pressure_sensor").then(`{"pressure_hpa":950}`, "0x403/0x0=950"),
	identify("flow_sensor").then(`{"flow_m3_per_hour":30}`, "0x404/0x0=300"),
	identify("light_sensor").then(`{"illuminance_lux":1}`, "0x400/0x0=1"),
	identify("soil_sensor").then(`{"moisture_percent":75}`, "0x430/0x1=75"),
	identify("air_quality_sensor").then(`{"air_quality":"poor","co2_ppm":1900}`, "0x5b/0x0=4", "0x40d/0x0=1900"),
	identify("latching-generic_switch").then(`{"position":1}`, "0x3b/0x1=1", "0x3b!0x0"),
	identify("configured-contact_sensor").then(`{"sensor_fault":true}`, `0x80/0x7={"generalFault":true}`, "0x80!0x1"),
	drive{typ: "smoke_co_alarm", command: command{cluster: "SmokeCoAlarm", name: "selfTestRequest"}, wish: `"test_in_progress":true`, shown: []string{"0x5c/0x5=true"}}.
		then(`{"smoke":"critical"}`, "0x5c/0x1=2", "0x5c/0x0=1", "0x5c!0x0"),
	drive{typ: "electrical_sensor"}.then(`{"power_watts":1500,"energy_kwh":25}`, "0x90/0x8=1500000", "0x91!0x0"),
	drive{typ: "window_covering", command: command{cluster: "WindowCovering", name: "goToLiftPercentage", fields: args{"liftPercent100thsValue": 2500}},
		wish: `"position_percent":75`, shown: []string{"0x102/0xb=2500"}}.
		then(`{"position_percent":100}`, "0x102/0xe=0"),
	drive{typ: "door_lock", command: command{cluster: "DoorLock", name: "unlockDoor", fields: args{}, timed: true},
		wish: `"do":"unlock"`, shown: []string{"0x101/0x0=2", "0x101!0x2"}}.
		then(`{"lock":"jammed"}`, "0x101/0x0=0", "0x101!0x0"),
	drive{typ: "thermostat", command: command{cluster: "Thermostat", name: "setpointRaiseLower", fields: args{"mode": 0, "amount": 10}},
		wish: `"heating_setpoint_celsius":22`, shown: []string{"0x201/0x12=2200"}}.
		then(`{"temperature_celsius":12}`, "0x201/0x0=1200"),
	identify("fan").then(`{"fan_percent":80}`, "0x202/0x2=80", "0x202/0x3=80", "0x202/0x0=3"),
	drive{typ: "air_purifier", command: command{cluster: "HepaFilterMonitoring", name: "resetCondition"},
		wish: `"filter_percent":100`, shown: []string{"0x71/0x0=100"}}.
		then(`{"filter_percent":5}`, "0x71/0x2=1"),
	drive{typ: "room_air_conditioner", command: command{cluster: "OnOff", name: "off"}, wish: `"on":false`, shown: []string{"0x6/0x0=false"}}.
		then(`{"mode":"heat"}`, "0x201/0x1c=4"),
	drive{typ: "water_valve", command: command{cluster: "ValveConfigurationAndControl", name: "open", fields: args{"targetLevel": 40}},
		wish: `"level_percent":40`, shown: []string{"0x81/0x4=1", "0x81/0x6=40", "0x81!0x0"}}.
		then(`{"open":false}`, "0x81/0x4=0", "0x81!0x0"),
	drive{typ: "robotic_vacuum_cleaner", command: command{cluster: "RvcRunMode", name: "changeToMode", fields: args{"newMode": 1}},
		wish: `"run_mode":"cleaning"`, shown: []string{"0x54/0x1=1", "0x61/0x4=1"}}.
		then(`{"state":"error","error":"stuck"}`, "0x61/0x4=3", "0x61!0x0"),
}

// TestLibrary makes matter.js commission a node with every type and composition of
// the library at once, and tests a device of each type: a command, its effect at
// the source, a report, an event.
func TestLibrary(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	s := r.startSource()
	r.begin("library")
	endpoints := r.putAll(library())
	r.openController("one", args{})
	r.join("one")
	var first reported
	r.call("subscription to everything", "subscribe", args{"controller": "one", "min": 0, "max": 60, "everything": true}, &first, func() error {
		on := map[uint16]bool{}
		for _, a := range first.Attributes {
			on[a.Endpoint] = true
		}
		if want := 120; len(on) < want {
			return fmt.Errorf("attributes of %d endpoints, want %d at least", len(on), want)
		}
		return nil
	})
	driven := map[string]bool{}
	for _, d := range drives {
		r.begin(d.typ)
		r.drive(s, &d, endpoints["api:"+d.typ])
		driven[d.typ] = true
	}
	for _, typ := range devices.Types() {
		if !driven[typ] {
			t.Errorf("no device of the type %s was driven", typ)
		}
	}
	r.begin("library")
	var wants []string
	for _, d := range drives {
		r.step("the source loses "+d.typ, func() error { return s.api.do("PATCH", "/v1/devices/api:"+d.typ, `{"reachable":false}`, nil) })
		wants = append(wants, fmt.Sprintf("%d/0x39/0x11=false", endpoints["api:"+d.typ]), fmt.Sprintf("%d/0x39!0x3", endpoints["api:"+d.typ]))
	}
	r.await("an event for each that is lost", wants...)
	r.step("the source did all that was wanted", s.stop)
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// drive runs a test with the device on an endpoint.
func (r *run) drive(s *source, d *drive, endpoint uint16) {
	r.t.Helper()
	id := "api:" + d.typ
	at := func(wants []string) (all []string) {
		for _, w := range wants {
			all = append(all, fmt.Sprintf("%d/%s", endpoint, w))
		}
		return all
	}
	if c := d.command; c.cluster != "" {
		c.endpoint = endpoint
		var res struct {
			Status   *int
			Response *struct{ Status int }
		}
		r.invoke(c.cluster+"."+c.name, "one", c, &res, func() error {
			if res.Status != nil && *res.Status != 0 || res.Response != nil && res.Response.Status != 0 {
				return fmt.Errorf("answer %+v", res)
			}
			return nil
		})
		r.await("what follows is reported", at(d.shown)...)
		r.step("the source was asked", func() error { return s.awaitWish(id, d.wish) })
	}
	r.step("the source speaks", func() error {
		if d.press != "" {
			return s.api.do("POST", "/v1/devices/"+id+"/events", fmt.Sprintf(`{"part":"main","event":%q}`, d.press), nil)
		}
		return s.api.do("PATCH", "/v1/devices/"+id, `{"state":`+d.says+`}`, nil)
	})
	r.await("what it says is reported", at(d.heard)...)
}

// awaitWish waits until the source has received a command.
func (s *source) awaitWish(device, text string) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(commandToSource); time.Now().Before(end); <-look.C {
		if strings.Contains(s.wish(device), text) {
			return nil
		}
	}
	return fmt.Errorf("no %s; last was %q", text, s.wish(device))
}

// await waits until reports have contained each of wants:
// "ENDPOINT/CLUSTER/ATTRIBUTE=VALUE", or "ENDPOINT/CLUSTER!EVENT".
func (r *run) await(text string, wants ...string) {
	r.t.Helper()
	missing := map[string]bool{}
	for _, w := range wants {
		missing[w] = true
	}
	var seen []string
	r.step(text, func() error {
		for end := time.Now().Add(2 * reportAfterItsSource); len(missing) > 0 && time.Now().Before(end); {
			var p *reported
			if _, err := r.ctl.call(r.ctx, "report", args{"controller": "one", "timeoutMs": time.Until(end).Milliseconds()}, &p); err != nil {
				return err
			}
			if p == nil {
				break
			}
			for _, a := range p.Attributes {
				s := fmt.Sprintf("%d/%#x/%#x=%s", a.Endpoint, a.Cluster, a.Attribute, a.Value)
				delete(missing, s)
				seen = append(seen, s)
			}
			for _, e := range p.Events {
				s := fmt.Sprintf("%d/%#x!%#x", e.Endpoint, e.Cluster, e.Event)
				delete(missing, s)
				seen = append(seen, s)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("no report of %v; there were %v", missing, seen)
		}
		return nil
	})
}
