package zigbee2mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

const yes = `"value_on":true,"value_off":false`

// TestNames checks exposes that only their name or the description of the device
// identifies, with a state and the resulting reports.
func TestNames(t *testing.T) {
	binary := func(name, values string) string {
		return fmt.Sprintf(`{"type":"binary","name":%q,"property":%q,"access":1,%s}`, name, name, values)
	}
	enum := func(name string, words ...string) string {
		return fmt.Sprintf(`{"type":"enum","name":%q,"property":%q,"access":1,"values":["%s"]}`, name, name, strings.Join(words, `","`))
	}
	number := func(name, unit string, access int) string {
		return fmt.Sprintf(`{"type":"numeric","name":%q,"property":%q,"access":%d,"unit":%q}`, name, name, access, unit)
	}
	const cover = `{"type":"enum","name":"state","property":"state","access":3,"values":["open","stop","close"]}`
	const sounder = `{"type":"binary","name":"alarm","property":"alarm","access":3,"value_on":true,"value_off":false}`
	for _, c := range []struct {
		description string
		exposes     []string
		parts       string
		state       string
		reported    []string
	}{
		{"Door sensor", []string{binary("alarm_1", yes)}, "contact:contact_sensor", `{"alarm_1":true}`, []string{"report z2m:0x1/contact closed=false"}},
		{"Smoke sensor", []string{binary("alarm_1", yes), binary("alarm_2", yes)}, "alarm:smoke_co_alarm smoke", `{"alarm_1":true,"alarm_2":false}`, []string{"report z2m:0x1/alarm smoke=critical"}},
		{"CO alarm", []string{binary("alarm", yes), binary("carbon_monoxide", yes)}, "alarm:smoke_co_alarm co", `{"alarm":true,"carbon_monoxide":false}`, []string{"report z2m:0x1/alarm carbon_monoxide=normal"}},
		{"Smart water leakage alarm sensor", []string{enum("alarm_status", "normal", "alarm")}, "leak:water_leak_detector", `{"alarm_status":"alarm"}`, []string{"report z2m:0x1/leak detected=true"}},
		{"Smart siren", []string{binary("alarm", yes)}, "", "", nil}, // it cannot be switched
		{"Temperature & humidity sensor and alarm", []string{sounder, number("temperature", "°C", 1)}, "siren:on_off_plug, temperature:temperature_sensor", `{"alarm":true}`, []string{"report z2m:0x1/siren on=true"}},
		{"Siren", []string{warning, sounder}, "siren:on_off_plug", `{"alarm":false}`, []string{"report z2m:0x1/siren on=false"}},
		{"Smart light & sound siren", []string{`{"type":"enum","name":"alarm","property":"alarm","access":3,"values":["alarm_sound","alarm_light","alarm_sound_light","normal"]}`}, "siren:on_off_plug", `{"alarm":"alarm_light"}`, []string{"report z2m:0x1/siren on=true"}},
		{"Vibration alarm", []string{`{"type":"enum","name":"alarm","property":"alarm","access":3,"values":["beep","ring","stop"]}`}, "siren:on_off_plug", `{"alarm":"stop"}`, []string{"report z2m:0x1/siren on=false"}},
		{"Siren", []string{`{"type":"binary","name":"siren_on","property":"siren_on","access":2,"value_on":"ON","value_off":"OFF"}`}, "siren:on_off_plug", `{"siren_on":"ON"}`, nil}, // without a state
		{"Smart siren", []string{warning}, "siren:on_off_plug", `{"warning":{"mode":"stop"}}`, nil},
		{"Smoke alarm", []string{binary("smoke", yes), sounder, warning}, "alarm:smoke_co_alarm smoke", "", nil},  // its buzzer
		{"Window handle", []string{strings.ReplaceAll(sounder, `"alarm"`, `"alarm_switch"`)}, "", "", nil},        // a setting
		{"Siren", []string{`{"type":"composite","name":"warning","property":"warning","access":2}`}, "", "", nil}, // cannot be given a mode
		{"Vibration alarm sensor", []string{enum("alarm_status", "normal", "alarm")}, "", "", nil},
		{"Smoke detector", []string{enum("smoke_state", "alarm", "normal")}, "alarm:smoke_co_alarm smoke", `{"smoke_state":"normal"}`, []string{"report z2m:0x1/alarm smoke=normal"}},
		{"Smoke detector", []string{binary("smoke", yes), enum("smoke_state", "alarm", "normal")}, "alarm:smoke_co_alarm smoke", `{"smoke":false,"smoke_state":"alarm"}`, []string{"report z2m:0x1/alarm smoke=normal"}},
		{"Open/close sensor", []string{binary("contact_alarm_1", yes)}, "contact:contact_sensor", `{"contact_alarm_1":true}`, []string{"report z2m:0x1/contact closed=true"}},
		{"Dry contact sensor", []string{binary("dry_contact", `"value_on":"contact_closed","value_off":"contact_open"`)}, "contact:contact_sensor", `{"dry_contact":"contact_open"}`, []string{"report z2m:0x1/contact closed=false"}},
		{"Window alarm", []string{enum("opening_state", "open", "closed", "tilted")}, "contact:contact_sensor", `{"opening_state":"tilted"}`, []string{"report z2m:0x1/contact closed=false"}},
		{"Presence sensor", []string{enum("presence_state", "none", "motion", "stationary")}, "occupancy:occupancy_sensor radar", `{"presence_state":"stationary"}`, []string{"report z2m:0x1/occupancy occupied=true"}},
		{"Presence sensor", []string{enum("presence_state", "NONE", "PRESENCE")}, "occupancy:occupancy_sensor radar", `{"presence_state":"NONE"}`, []string{"report z2m:0x1/occupancy occupied=false"}},
		{"Presence sensor", []string{enum("state", "none", "presence", "move"), binary("presence", yes)}, "occupancy:occupancy_sensor radar", `{"state":"move","presence":false}`, []string{"report z2m:0x1/occupancy occupied=false"}},
		{"Lock", []string{enum("state", "locked", "unlocked")}, "", "", nil},
		{"Roller shutter", []string{cover}, "cover:window_covering shutter no-position", `{"state":"open"}`, []string{"report z2m:0x1/cover position_percent=100"}},
		{"Roller shutter", []string{`{"type":"cover","features":[{"type":"enum","name":"state","property":"state","access":7,"values":["OPEN","CLOSE","STOP"]}]}`, cover}, "cover:window_covering shutter no-position", `{"state":"CLOSE"}`, []string{"report z2m:0x1/cover position_percent=0"}},
		{"Gate", []string{enum("state", "open", "stop", "close")}, "", "", nil}, // it cannot be moved
		{"Linky", []string{`{"type":"numeric","name":"EAST","property":"east","access":1,"unit":"kWh"}`, `{"type":"numeric","name":"EASF01","property":"t1","access":1,"unit":"kWh"}`}, "meter:electrical_sensor [energy_kwh]", `{"east":12.5,"t1":3}`, []string{"report z2m:0x1/meter energy_kwh=12.5"}},
		{"Freezer probe", []string{number("temperature", "°C", 1), number("probe_temperature", "°F", 1), number("probe_temperature_calibration", "°C", 3)}, "temperature:temperature_sensor, temperature_probe:temperature_sensor",
			`{"temperature":20,"probe_temperature":14}`, []string{"report z2m:0x1/temperature temperature_celsius=20", "report z2m:0x1/temperature_probe temperature_celsius=-10"}},
		{"Radiator valve", []string{number("local_temperature", "°C", 1)}, "temperature:temperature_sensor", `{"local_temperature":19.5}`, []string{"report z2m:0x1/temperature temperature_celsius=19.5"}},
		{"Clock", []string{number("temperature", "°C", 1), number("local_temperature", "°C", 1)}, "temperature:temperature_sensor", `{"local_temperature":19.5}`, nil},
		{"Meter", []string{number("total_power", "W", 1), number("total_energy", "kWh", 1)}, "meter:electrical_sensor [power_watts energy_kwh]", `{"total_power":7}`, []string{"report z2m:0x1/meter power_watts=7"}},
		{"Meter", []string{number("power_a", "W", 1), number("power_b", "W", 1), number("total_power", "W", 1)}, "meter_a:electrical_sensor [power_watts], meter_b:electrical_sensor [power_watts], meter_total:electrical_sensor [power_watts]",
			`{"total_power":7}`, []string{"report z2m:0x1/meter_total power_watts=7"}},
		{"Air", []string{number("formaldehyde", "ppb", 1)}, "air_quality:air_quality_sensor [formaldehyde_mg_per_m3]", `{"formaldehyde":100}`, []string{"report z2m:0x1/air_quality formaldehyde_mg_per_m3=0.122822"}},
		{"2-zone watering timer", []string{`{"type":"binary","name":"valve_1","property":"valve_1","access":3,"value_on":"ON","value_off":"OFF"}`, `{"type":"binary","name":"valve_2","property":"valve_2","access":3,"value_on":"ON","value_off":"OFF"}`}, "valve_1:water_valve, valve_2:water_valve",
			`{"valve_2":"ON"}`, []string{"report z2m:0x1/valve_2 open=true"}},
		{"Watering timer", []string{number("valve_state", "%", 3)}, "valve:water_valve", `{"valve_state":40}`, []string{"report z2m:0x1/valve level_percent=40 open=true"}},
		{"SOS button", []string{binary("sos", yes)}, "button_emergency:generic_switch [single]", `{"sos":true}`, []string{"event z2m:0x1/button_emergency single"}},
		{"Remote", []string{enum("action", "hexagon", "square")}, "button_hexagon:generic_switch [single], button_square:generic_switch [single]", `{"action":"square"}`, []string{"event z2m:0x1/button_square single"}},
		{"Presence", []string{enum("action", "enter", "leave", "region_1_enter")}, "", "", nil},
		{"Knob", []string{enum("action", "brightness_move_up", "brightness_move_down", "brightness_stop")}, "button_brightness_down:generic_switch [single], button_brightness_up:generic_switch [single]", `{"action":"brightness_move_up"}`, []string{"event z2m:0x1/button_brightness_up single"}},
		{"Plug", []string{`{"type":"switch","features":[{"type":"binary","name":"state","property":"state","access":7,"value_on":"ON","value_off":"OFF"}]}`,
			`{"type":"lock","features":[{"type":"binary","name":"state","property":"child_lock","access":3,"value_on":"LOCK","value_off":"UNLOCK"}]}`,
			`{"type":"switch","features":[{"type":"binary","name":"state","property":"auto_off","access":3,"value_on":"ON","value_off":"OFF"}]}`}, "switch:on_off_plug",
			`{"state":"ON","child_lock":"LOCK","auto_off":"ON"}`, []string{"report z2m:0x1/switch on=true"}},
		{"Keypad", []string{enum("action", "*_single", "*_double", "*_release", "*_hold"), `{"type":"enum","name":"switch_type","property":"switch_type_button_1","endpoint":"button_1","access":7,"values":["toggle"]}`, `{"type":"enum","name":"switch_type","property":"switch_type_button_2","endpoint":"button_2","access":7,"values":["toggle"]}`},
			"button_1:generic_switch [single double long], button_2:generic_switch [single double long]", `{"action":"button_2_double"}`, []string{"event z2m:0x1/button_2 double"}},
		{"Keypad without names", []string{enum("action", "*_single")}, "", "", nil},
		{"Rocker", []string{enum("action", "on_up", "on_down", "toggle_up")}, "button_down:generic_switch [single], button_up:generic_switch [single]", `{"action":"toggle_up"}`, []string{"event z2m:0x1/button_up single"}},
	} {
		w := newWorld(t)
		w.Up()
		w.send("bridge/state", "online")
		w.devices(fmt.Sprintf(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":%q,"exposes":[%s]}}`, c.description, strings.Join(c.exposes, ",")))
		w.send("bridge/groups", "[]")
		w.Settled(w.now)
		w.rec.Take()
		if got := summary(w.rec.Devices["z2m:0x1"]); got != c.parts {
			t.Errorf("%s %v:\n got %s\nwant %s", c.description, c.exposes, got, c.parts)
			continue
		}
		if c.state == "" {
			continue
		}
		w.send("x", c.state)
		w.want(c.reported...)
		w.Message(w.now, link.Message{Topic: "zigbee2mqtt/x", Payload: []byte(c.state), Retained: true})
		w.want() // a retained message without changes, which presses no button
	}
}

// warning is a siren that is given a mode and a time.
const warning = `{"type":"composite","name":"warning","property":"warning","access":2,"features":[{"type":"enum","name":"mode","property":"mode","access":2,"values":["stop","burglar","emergency"]},` +
	`{"type":"enum","name":"level","property":"level","access":2,"values":["low","high"]},{"type":"binary","name":"strobe","property":"strobe","access":2,"value_on":true,"value_off":false},{"type":"numeric","name":"duration","property":"duration","access":2,"unit":"s"}]}`

// TestWarning checks a siren without a state: it is shown as on for as long as it sounds.
func TestWarning(t *testing.T) {
	w := newWorld(t)
	w.start(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":"Siren","exposes":[` + warning + `]}}`)
	on, off := device.Values{"on": device.Bool(true)}, device.Values{"on": device.Bool(false)}
	const loud, stop = `publish zigbee2mqtt/x/set {"warning":{"duration":60,"level":"high","mode":"emergency","strobe":true}}`, `publish zigbee2mqtt/x/set {"warning":{"mode":"stop"}}`
	w.command("z2m:0x1", "siren", on)
	w.want(loud, "report z2m:0x1/siren on=true")
	w.command("z2m:0x1", "siren", off)
	w.want(stop, "report z2m:0x1/siren on=false")
	w.Advance(w.now.Add(soundsFor))
	w.want() // it is off already
	w.command("z2m:0x1", "siren", on)
	w.want(loud, "report z2m:0x1/siren on=true")
	if at := w.Deadline(); at.IsZero() || at.After(w.now.Add(soundsFor)) {
		t.Errorf("the next deadline is %v", at)
	}
	w.Advance(w.now.Add(soundsFor - time.Second))
	w.want()
	w.Advance(w.now.Add(soundsFor))
	w.want("report z2m:0x1/siren on=false")
}

// TestWordedSiren checks a siren whose state is one of some words.
func TestWordedSiren(t *testing.T) {
	w := newWorld(t)
	w.start(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":"Siren","exposes":[{"type":"enum","name":"alarm_state","property":"alarm_state","access":3,"values":["alarm_sound","alarm_sound_light","normal"]}]}}`)
	w.command("z2m:0x1", "siren", device.Values{"on": device.Bool(true)})
	w.want(`publish zigbee2mqtt/x/set {"alarm_state":"alarm_sound_light"}`)
	w.command("z2m:0x1", "siren", device.Values{"on": device.Bool(false)})
	w.want(`publish zigbee2mqtt/x/set {"alarm_state":"normal"}`)
}

// TestCoverOfWords checks the commands for a cover that has only the words of a state.
func TestCoverOfWords(t *testing.T) {
	w := newWorld(t)
	w.start(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":"Shutter","exposes":[{"type":"enum","name":"state","property":"state","access":3,"values":["open","stop","close"]}]}}`)
	w.command("z2m:0x1", "cover", device.Values{"position_percent": device.Number(80)})
	w.want(`publish zigbee2mqtt/x/set {"state":"open"}`)
	w.command("z2m:0x1", "cover", device.Values{"position_percent": device.Number(0)})
	w.want(`publish zigbee2mqtt/x/set {"state":"close"}`)
	if err := w.Command(w.now, device.Command{Device: "z2m:0x1", Part: "cover", Do: device.Stop}); err != nil {
		t.Error(err)
	}
	w.want(`publish zigbee2mqtt/x/set {"state":"stop"}`)
}

// TestFanWithoutSwitch checks fans that have no property for on and off.
func TestFanWithoutSwitch(t *testing.T) {
	mode := func(words string) string {
		return `{"type":"enum","name":"mode","property":"fan_mode","access":7,"values":[` + words + `]}`
	}
	percent, word := func(f float64) device.Values { return device.Values{"fan_percent": device.Number(f)} }, func(s string) device.Values { return device.Values{"fan_mode": device.Text(s)} }
	type step struct {
		set  device.Values
		want string // published, or an error
	}
	for _, c := range []struct {
		features, state, report string
		steps                   []step
	}{
		{mode(`"low","medium","high","on","auto"`), `{"fan_mode":"medium"}`, "fan_mode=medium fan_percent=66", []step{ // of an air conditioner
			{percent(100), `{"fan_mode":"high"}`}, {word("auto"), `{"fan_mode":"auto"}`}, {word("off"), "the device cannot do that"},
		}},
		{mode(`"off","low","high"`), `{"fan_mode":"off"}`, "fan_mode=off fan_percent=0", []step{{percent(0), `{"fan_mode":"off"}`}, {percent(20), `{"fan_mode":"low"}`}}},
		{`{"type":"numeric","name":"speed","property":"speed","access":7,"value_min":0,"value_max":5}`, `{"speed":0}`, "fan_percent=0", []step{{percent(0), `{"speed":0}`}, {percent(60), `{"speed":3}`}}},
	} {
		w := newWorld(t)
		w.start(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":"Fan","exposes":[{"type":"fan","features":[` + c.features + `]}]}}`)
		w.rec.Take()
		w.send("x", c.state)
		w.want("report z2m:0x1/fan " + c.report)
		for _, s := range c.steps {
			got := ""
			if err := w.Command(w.now, device.Command{Device: "z2m:0x1", Part: "fan", Set: s.set}); err != nil {
				got = err.Error()
			}
			got += strings.TrimPrefix(strings.Join(w.rec.Take(), " "), "publish zigbee2mqtt/x/set ")
			if got != s.want {
				t.Errorf("%v: %s, want %s", s.set, got, s.want)
			}
		}
	}
}

// TestValveLevel checks the commands for a valve with a position in percent.
func TestValveLevel(t *testing.T) {
	w := newWorld(t)
	w.start(`{"ieee_address":"0x1","friendly_name":"x","type":"Router","definition":{"model":"M","vendor":"V","description":"Watering timer","exposes":[{"type":"numeric","name":"valve_state","property":"valve_state","access":3,"unit":"%"}]}}`)
	for _, c := range []struct {
		set  device.Values
		want string
	}{
		{device.Values{"open": device.Bool(true)}, "100"},
		{device.Values{"open": device.Bool(true), "level_percent": device.Number(30)}, "30"},
		{device.Values{"level_percent": device.Number(250)}, "100"},
		{device.Values{"open": device.Bool(false), "level_percent": device.Number(30)}, "0"},
	} {
		w.command("z2m:0x1", "valve", c.set)
		w.want(`publish zigbee2mqtt/x/set {"valve_state":` + c.want + `}`)
	}
}
