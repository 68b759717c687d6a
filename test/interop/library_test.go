//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	devices "github.com/opcredsd/opcredsd/pkg/device"
)

// firstStates are the states that devices of each type begin with, and what they can do.
var firstStates = map[string]devices.Part{
	"air_purifier":                  part(`{"state":{"fan_mode":"off","fan_percent":0,"filter_percent":80},"options":{"modes":["low","medium","high","auto"]}}`),
	"air_quality_sensor":            part(`{"state":{"air_quality":"good","co2_ppm":412,"co_ppm":1,"no2_ppm":0.01,"ozone_ppm":0.02,"pm1_ug_per_m3":3,"pm25_ug_per_m3":5,"pm10_ug_per_m3":9,"tvoc_ppb":120,"formaldehyde_mg_per_m3":0.02,"radon_bq_per_m3":40}}`),
	"color_temperature_light":       part(`{"state":{"on":true,"brightness_percent":60,"color_temperature_kelvin":2700}}`),
	"contact_sensor":                part(`{"state":{"closed":true}}`),
	"dimmable_light":                part(`{"state":{"on":true,"brightness_percent":50}}`),
	"dimmable_plug":                 part(`{"state":{"on":true,"brightness_percent":50}}`),
	"door_lock":                     part(`{"state":{"lock":"locked","door":"closed"}}`),
	"electrical_sensor":             part(`{"state":{"power_watts":0,"voltage_volts":230,"current_amperes":0,"energy_kwh":1,"energy_exported_kwh":0}}`),
	"extended_color_light":          part(`{"state":{"on":true,"brightness_percent":60,"hue_degrees":120,"saturation_percent":50,"color_mode":"hs"},"options":{"color_modes":["hs","xy","loop"]}}`),
	"fan":                           part(`{"state":{"fan_mode":"off","fan_percent":0},"options":{"modes":["low","medium","high","auto"],"speeds":10}}`),
	"flow_sensor":                   part(`{"state":{"flow_m3_per_hour":1.5}}`),
	"generic_switch":                part(`{"options":{"gestures":["single","double","triple","long"]}}`),
	"humidity_sensor":               part(`{"state":{"humidity_percent":40}}`),
	"light_sensor":                  part(`{"state":{"illuminance_lux":500}}`),
	"mounted_dimmable_load_control": part(`{"state":{"on":true,"brightness_percent":50}}`),
	"mounted_on_off_control":        part(`{"state":{"on":false}}`),
	"occupancy_sensor":              part(`{"state":{"occupied":false}}`),
	"on_off_light":                  part(`{"state":{"on":false}}`),
	"on_off_plug":                   part(`{"state":{"on":false}}`),
	"pressure_sensor":               part(`{"state":{"pressure_hpa":1013}}`),
	"pump":                          part(`{"state":{"on":false}}`),
	"rain_sensor":                   part(`{"state":{"detected":false}}`),
	"robotic_vacuum_cleaner":        part(`{"state":{"run_mode":"idle","state":"docked"},"options":{"clean_modes":["Vacuum","Mop","Quiet"],"areas":["Kitchen","Hall","Bath"]}}`),
	"room_air_conditioner":          part(`{"state":{"on":true,"mode":"cool","temperature_celsius":24,"cooling_setpoint_celsius":22,"heating_setpoint_celsius":20,"fan_mode":"auto"},"options":{"modes":["cool","heat"]}}`),
	"smoke_co_alarm":                part(`{"state":{"smoke":"normal","carbon_monoxide":"normal"},"options":{"smoke":true,"carbon_monoxide":true}}`),
	"soil_sensor":                   part(`{"state":{"moisture_percent":30}}`),
	"temperature_sensor":            part(`{"state":{"temperature_celsius":21.5},"options":{"min":-40,"max":85}}`),
	"thermostat":                    part(`{"state":{"mode":"heat","temperature_celsius":20,"heating_setpoint_celsius":21,"cooling_setpoint_celsius":25,"running":"heating"},"options":{"modes":["heat","cool","auto"]}}`),
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

// newPart is a part of a type with its first state.
func newPart(id, typ string) devices.Part {
	p := firstStates[typ]
	p.ID, p.Type = id, typ
	return p
}

// meterStates are what a meter begins with.
var meterStates = firstStates["electrical_sensor"].State

// library is devices of every type and composition: each type by itself, on a battery in a
// room, and on mains with a meter; and devices of several parts.
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
		add("meter-"+typ, devices.Device{Mains: true, Parts: []devices.Part{p}})
		everything = append(everything, newPart(typ, typ))
	}
	for name, c := range compositions {
		var parts []devices.Part
		for _, f := range strings.Fields(c.parts) {
			id, typ, _ := strings.Cut(f, ":")
			parts = append(parts, newPart(id, typ))
		}
		add(name, devices.Device{Layout: c.layout, Battery: battery, Room: "Hall", Parts: parts})
	}
	add("everything", devices.Device{Layout: devices.Composed, Mains: true, Parts: everything})
	slices.SortFunc(all, func(a, b devices.Device) int { return strings.Compare(a.ID, b.ID) })
	return all
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

// putAll puts devices into the bridge and waits until all are shown. It returns their
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
