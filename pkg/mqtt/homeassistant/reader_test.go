package homeassistant

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// world is a reader with a simulated broker.
type world struct {
	*Reader
	t   testing.TB
	rec *reader.Record
	now time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, rec: reader.NewRecord(), now: time.Unix(1_800_000_000, 0)}
	w.Reader = New(Options{Prefix: DefaultPrefix}, w.rec)
	w.Up()
	return w
}

func (w *world) send(topic, payload string) {
	w.Message(w.now, link.Message{Topic: topic, Payload: []byte(payload)})
}

func (w *world) retained(topic, payload string) {
	w.Message(w.now, link.Message{Topic: topic, Payload: []byte(payload), Retained: true})
}

// start settles, and forgets the calls so far.
func (w *world) start() {
	w.Settled(w.now)
	w.rec.Take()
}

// pass advances the time and calls Advance when it is due.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		at := w.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		w.now = at
		w.Advance(at)
	}
	w.now = end
}

// want compares the calls since the last one, without subscriptions.
func (w *world) want(lines ...string) {
	w.t.Helper()
	got := slices.DeleteFunc(w.rec.Take(), func(l string) bool {
		return strings.HasPrefix(l, "subscribe") || strings.HasPrefix(l, "unsubscribe")
	})
	if !slices.Equal(got, lines) {
		w.t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

// TestSample reads what zigbee2mqtt publishes with its Home Assistant extension.
func TestSample(t *testing.T) {
	f, err := os.Open("testdata/zigbee2mqtt.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newWorld(t)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct {
			Topic   string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		w.retained(m.Topic, string(m.Payload))
	}
	w.Settled(w.now)
	var got []string
	for _, id := range slices.Sorted(maps.Keys(w.rec.Devices)) {
		d := w.rec.Devices[id]
		var parts []string
		for _, p := range d.Parts {
			s := p.Type
			if p.Meter {
				s += "+meter"
			}
			parts = append(parts, s)
		}
		if d.Battery != nil {
			parts = append(parts, "battery")
		}
		got = append(got, strings.TrimPrefix(id, "ha:zigbee2mqtt_0xa4c13800000000")+" "+d.Name+": "+strings.Join(parts, " "))
	}
	want := []string{
		"01 bulb_ct: color_temperature_light", "02 bulb_color: extended_color_light", "03 kitchen/plug: on_off_plug+meter", "04 hall dimmer: dimmable_light",
		"05 contact: contact_sensor", "06 motion: occupancy_sensor light_sensor", "07 climate: temperature_sensor humidity_sensor pressure_sensor battery",
		"08 leak: water_leak_detector battery", "09 smoke: smoke_co_alarm", "0c cover: window_covering", "0d lock: door_lock", "0e trv: thermostat", "0f fan: fan",
		"11 switch2: on_off_plug on_off_plug", "12 air: air_quality_sensor",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	for _, id := range []string{"0e trv"} {
		trv := w.rec.Devices["ha:zigbee2mqtt_0xa4c138000000000e"].Parts[0].Options
		if trv.MinCelsius == nil || *trv.MinCelsius != 5 || *trv.MaxCelsius != 35 || !slices.Equal(trv.Modes, []string{"heat"}) {
			t.Errorf("%s: %+v", id, trv)
		}
	}
	for reason, n := range map[string]int{"settings are not shown": 1, "Matter has no type for update": 1, "Matter has no type for select": 1} {
		found := 0
		for _, list := range w.rec.Ignored {
			for _, i := range list {
				if i.Reason == reason {
					found++
				}
			}
		}
		if found < n {
			t.Errorf("%d are left out as %s", found, reason)
		}
	}
}

// step is a message or a command, and the resulting calls.
type step struct {
	topic, payload string
	command        *device.Command
	want           []string
}

func set(part string, v device.Values) *device.Command { return &device.Command{Part: part, Set: v} }

func do(part string, a device.Action) *device.Command { return &device.Command{Part: part, Do: a} }

// TestPublishers checks the discovery, the states, and the commands of different
// programs.
func TestPublishers(t *testing.T) {
	number, yes, no, text := device.Number, device.Bool(true), device.Bool(false), device.Text
	second := time.Second
	for _, p := range []struct {
		name   string
		config [][2]string
		id     string
		want   string // its description
		steps  []step
	}{
		{"ESPHome: short names, plain values", [][2]string{
			{"sensor/node1/room_temperature", `{"dev_cla":"temperature","unit_of_meas":"°C","stat_cla":"measurement","name":"Room Temperature","stat_t":"node1/sensor/room_temperature/state","avty_t":"node1/status","uniq_id":"ESPsensorroom_temperature","dev":{"ids":"aabbcc000002","name":"node1","sw":"2026.x","mdl":"esp32dev","mf":"Espressif","cns":[["mac","aabbcc000002"]],"sa":"Attic"}}`},
			{"light/node1/lamp", `{"schema":"json","name":"Lamp","color_mode":true,"supported_color_modes":["rgbww"],"stat_t":"node1/light/lamp/state","cmd_t":"node1/light/lamp/command","uniq_id":"ESPlightlamp","avty_t":"node1/status","dev":{"ids":"aabbcc000002"}}`},
			{"cover/node1/blind", `{"name":"Blind","stat_t":"node1/cover/blind/state","cmd_t":"node1/cover/blind/command","pos_t":"node1/cover/blind/position/state","set_pos_t":"node1/cover/blind/position/command","dev_cla":"shutter","uniq_id":"ESPcoverblind","dev":{"ids":"aabbcc000002"}}`},
			{"fan/node1/fan", `{"name":"Fan","stat_t":"node1/fan/fan/state","cmd_t":"node1/fan/fan/command","pct_cmd_t":"node1/fan/fan/speed_level/command","pct_stat_t":"node1/fan/fan/speed_level/state","spd_rng_max":3,"uniq_id":"ESPfan","dev":{"ids":"aabbcc000002"}}`},
			{"binary_sensor/node1/status", `{"name":"Status","dev_cla":"connectivity","stat_t":"node1/status","uniq_id":"x","ent_cat":"diagnostic","dev":{"ids":"aabbcc000002"}}`},
		}, "ha:aabbcc000002", "node1 light_ESPlightlamp:extended_color_light cover_ESPcoverblind:window_covering fan_ESPfan:fan sensor_ESPsensorroom_temperature:temperature_sensor", []step{
			{topic: "node1/sensor/room_temperature/state", payload: "21.4", want: []string{"report sensor_ESPsensorroom_temperature temperature_celsius=21.4"}},
			{topic: "node1/sensor/room_temperature/state", payload: "nan"},
			{topic: "node1/light/lamp/state", payload: `{"state":"ON","brightness":255,"color_mode":"rgbww","color":{"r":0,"g":0,"b":255,"c":0,"w":0}}`, want: []string{"report light_ESPlightlamp brightness_percent=100 color_mode=hs hue_degrees=240 on=true saturation_percent=100"}},
			{command: set("light_ESPlightlamp", device.Values{"on": yes, "hue_degrees": number(0), "saturation_percent": number(100)}), want: []string{`publish node1/light/lamp/command {"color":{"b":0,"c":0,"g":0,"r":255,"w":0},"state":"ON"}`}},
			{topic: "node1/cover/blind/position/state", payload: "30", want: []string{"report cover_ESPcoverblind position_percent=30"}},
			{topic: "node1/cover/blind/state", payload: "opening", want: []string{"report cover_ESPcoverblind moving=opening"}},
			{command: set("cover_ESPcoverblind", device.Values{"position_percent": number(75)}), want: []string{"publish node1/cover/blind/position/command 75"}},
			{command: do("cover_ESPcoverblind", device.Stop), want: []string{"publish node1/cover/blind/command STOP"}},
			{topic: "node1/fan/fan/state", payload: "ON"},
			{topic: "node1/fan/fan/speed_level/state", payload: "2", want: []string{"report fan_ESPfan fan_percent=66"}},
			{topic: "node1/fan/fan/state", payload: "OFF", want: []string{"report fan_ESPfan fan_mode=off fan_percent=0"}},
			{command: set("fan_ESPfan", device.Values{"fan_percent": number(50)}), want: []string{"publish node1/fan/fan/command ON", "publish node1/fan/fan/speed_level/command 2"}},
			{topic: "node1/fan/fan/state", payload: "ON", want: []string{"report fan_ESPfan fan_percent=66"}},
			{command: set("fan_ESPfan", device.Values{"fan_percent": number(100)}), want: []string{"publish node1/fan/fan/speed_level/command 3"}},
			{command: set("fan_ESPfan", device.Values{"fan_percent": number(0)}), want: []string{"publish node1/fan/fan/command OFF"}},
		}},
		{"a fan with a percentage and presets", [][2]string{
			{"fan/p/fan", `{"name":null,"unique_id":"p","cmd_t":"p/c","stat_t":"p/s","pct_cmd_t":"p/p","pct_stat_t":"p/ps","pr_mode_cmd_t":"p/m","pr_mode_stat_t":"p/ms","pr_modes":["Auto","low","sleep"],"dev":{"ids":"p"}}`},
		}, "ha:p", "p fan_p:fan[off low medium high auto] 100", []step{
			{topic: "p/s", payload: "ON"},
			{topic: "p/ps", payload: "40", want: []string{"report fan_p fan_percent=40"}},
			{topic: "p/ms", payload: "Auto", want: []string{"report fan_p fan_mode=auto"}},
			{topic: "p/ps", payload: "55", want: []string{"report fan_p fan_percent=55"}},
			{topic: "p/ms", payload: "sleep", want: []string{"report fan_p fan_mode=medium"}},
			{topic: "p/s", payload: "OFF", want: []string{"report fan_p fan_mode=off fan_percent=0"}},
			{command: set("fan_p", device.Values{"fan_mode": text("auto")}), want: []string{"publish p/c ON", "publish p/m Auto"}},
			{topic: "p/s", payload: "ON", want: []string{"report fan_p fan_mode=medium fan_percent=55"}},
			{command: set("fan_p", device.Values{"fan_mode": text("low"), "fan_percent": number(33)}), want: []string{"publish p/p 33"}},
			{command: set("fan_p", device.Values{"fan_mode": text("off"), "fan_percent": number(0)}), want: []string{"publish p/c OFF"}},
		}},
		{"a fan with presets alone", [][2]string{
			{"fan/p/fan", `{"name":null,"unique_id":"p","cmd_t":"p/c","stat_t":"p/s","pr_mode_cmd_t":"p/m","pr_mode_stat_t":"p/ms","pr_modes":["auto","low","medium","high"],"dev":{"ids":"p"}}`},
		}, "ha:p", "p fan_p:fan[off low medium high auto] 3", []step{
			{topic: "p/s", payload: "ON"},
			{topic: "p/ms", payload: "medium", want: []string{"report fan_p fan_mode=medium fan_percent=66"}},
			{command: set("fan_p", device.Values{"fan_percent": number(100), "fan_mode": text("high")}), want: []string{"publish p/m high"}},
			{command: set("fan_p", device.Values{"fan_percent": number(20)}), want: []string{"publish p/m low"}},
			{command: set("fan_p", device.Values{"fan_mode": text("auto")}), want: []string{"publish p/m auto"}},
			{topic: "p/ms", payload: "auto", want: []string{"report fan_p fan_mode=auto"}},
			{command: set("fan_p", device.Values{"fan_mode": text("off"), "fan_percent": number(0)}), want: []string{"publish p/c OFF"}},
		}},
		{"a fan with presets that are numbers", [][2]string{
			{"fan/p/fan", `{"name":null,"unique_id":"p","cmd_t":"p/c","pr_mode_cmd_t":"p/m","pr_modes":["3","1","2","4"],"dev":{"ids":"p"}}`},
		}, "ha:p", "p fan_p:fan[off low medium high] 4", []step{
			{command: set("fan_p", device.Values{"fan_percent": number(75)}), want: []string{"publish p/m 3", "report fan_p fan_percent=75"}},
		}},
		{"a fan with presets that are no speeds", [][2]string{
			{"fan/p/fan", `{"name":null,"unique_id":"p","cmd_t":"p/c","stat_t":"p/s","pr_mode_cmd_t":"p/m","pr_modes":["auto","boost"],"dev":{"ids":"p"}}`},
		}, "ha:p", "p fan_p:on_off_plug", []step{
			{topic: "p/s", payload: "ON", want: []string{"report fan_p on=true"}},
		}},
		{"zwave-js-ui: values in JSON, keys that are numbers, a lock of 255 and 0", [][2]string{
			{"lock/front/lock", `{"payload_lock":255,"payload_unlock":0,"state_locked":255,"state_unlocked":0,"value_template":"{{ value_json.value }}","command_topic":"zwave/front/lock/set","state_topic":"zwave/front/lock","unique_id":"zwavejs2mqtt_0xab_3-98-0-targetMode","device":{"identifiers":["zwavejs2mqtt_0xab_node3"],"name":"front"},"name":null}`},
			{"climate/front/thermostat", `{"min_temp":"5","max_temp":"30","modes":["off","heat"],"mode_state_topic":"zwave/front/mode","mode_state_template":"{{ {0: \"off\", 1: \"heat\"}[value_json.value] | default('off') }}","mode_command_topic":"zwave/front/mode/set","mode_command_template":"{{ {\"off\": 0, \"heat\": 1}[value] }}","temperature_state_topic":"zwave/front/setpoint","temperature_state_template":"{{ value_json.value }}","temperature_command_topic":"zwave/front/setpoint/set","current_temperature_topic":"zwave/front/air","current_temperature_template":"{{ value_json.value }}","unique_id":"z_climate","device":{"identifiers":["zwavejs2mqtt_0xab_node3"]}}`},
			{"binary_sensor/front/battery", `{"payload_on":true,"payload_off":false,"device_class":"battery","value_template":"{{ value_json.value }}","state_topic":"zwave/front/low","entity_category":"diagnostic","unique_id":"z_low","device":{"identifiers":["zwavejs2mqtt_0xab_node3"]}}`},
			{"binary_sensor/front/charging", `{"payload_on":true,"payload_off":false,"device_class":"battery_charging","value_template":"{{ value_json.value }}","state_topic":"zwave/front/charging","entity_category":"diagnostic","unique_id":"z_charging","device":{"identifiers":["zwavejs2mqtt_0xab_node3"]}}`},
			{"cover/front/position", `{"position_topic":"zwave/front/pos","position_template":"{{ (value_json.value / 99 * 100) | round(0) }}","set_position_topic":"zwave/front/pos/set","set_position_template":"{{ ((position / 100) * 99) | round(0) }}","command_topic":"zwave/front/pos/set","payload_open":99,"payload_close":0,"payload_stop":null,"position_open":100,"position_closed":0,"unique_id":"z_cover","device":{"identifiers":["zwavejs2mqtt_0xab_node3"]}}`},
		}, "ha:zwavejs2mqtt_0xab_node3", "front cover_z_cover:window_covering lock_zwavejs2mqtt_0xab_3-98-0-targetMode:door_lock climate_z_climate:thermostat", []step{
			{topic: "zwave/front/lock", payload: `{"time":1,"value":255}`, want: []string{"report lock_zwavejs2mqtt_0xab_3-98-0-targetMode lock=locked"}},
			{command: do("lock_zwavejs2mqtt_0xab_3-98-0-targetMode", device.Unlock), want: []string{"publish zwave/front/lock/set 0"}},
			{topic: "zwave/front/mode", payload: `{"value":1}`, want: []string{"report climate_z_climate mode=heat"}},
			{topic: "zwave/front/setpoint", payload: `{"value":"21.5"}`, want: []string{"report climate_z_climate heating_setpoint_celsius=21.5"}},
			{topic: "zwave/front/air", payload: `{"value":19}`, want: []string{"report climate_z_climate temperature_celsius=19"}},
			{command: set("climate_z_climate", device.Values{"mode": text("off")}), want: []string{"publish zwave/front/mode/set 0"}},
			{command: set("climate_z_climate", device.Values{"heating_setpoint_celsius": number(99)}), want: []string{"publish zwave/front/setpoint/set 30.0"}},
			{topic: "zwave/front/low", payload: `{"value":true}`, want: []string{"battery percent=null low=true"}},
			{topic: "zwave/front/charging", payload: `{"value":true}`, want: []string{"battery percent=null low=true charging=true"}},
			{topic: "zwave/front/pos", payload: `{"value":50}`, want: []string{"report cover_z_cover position_percent=51"}},
			{command: set("cover_z_cover", device.Values{"position_percent": number(50)}), want: []string{"publish zwave/front/pos/set 50"}},
			{command: do("cover_z_cover", device.Stop), want: []string{"error the device cannot do that"}},
		}},
		{"OpenMQTTGateway: one wildcard topic, keys that are missing", [][2]string{
			{"sensor/AABBCC000001-tempc", `{"stat_t":"+/+/BTtoMQTT/AABBCC000001","name":"temp","uniq_id":"AABBCC000001-tempc","dev_cla":"temperature","unit_of_meas":"°C","val_tpl":"{{ value_json.tempc | is_defined }}","device":{"identifiers":["AABBCC000001"],"name":"LYWSD","mf":"Xiaomi"}}`},
			{"sensor/AABBCC000001-hum", `{"stat_t":"+/+/BTtoMQTT/AABBCC000001","name":"hum","uniq_id":"AABBCC000001-hum","dev_cla":"humidity","unit_of_meas":"%","val_tpl":"{{ value_json.hum | is_defined }}","device":{"identifiers":["AABBCC000001"]}}`},
			{"sensor/AABBCC000001-batt", `{"stat_t":"+/+/BTtoMQTT/AABBCC000001","name":"batt","uniq_id":"AABBCC000001-batt","dev_cla":"battery","unit_of_meas":"%","val_tpl":"{{ value_json.batt | is_defined }}","device":{"identifiers":["AABBCC000001"]}}`},
			{"sensor/AABBCC000001-rssi", `{"stat_t":"+/+/BTtoMQTT/AABBCC000001","uniq_id":"AABBCC000001-rssi","dev_cla":"signal_strength","unit_of_meas":"dB","val_tpl":"{{ value_json.rssi | is_defined }}","device":{"identifiers":["AABBCC000001"]}}`},
		}, "ha:AABBCC000001", "LYWSD sensor_AABBCC000001-tempc:temperature_sensor sensor_AABBCC000001-hum:humidity_sensor", []step{
			{topic: "home/gw/BTtoMQTT/AABBCC000001", payload: `{"tempc":21.5,"rssi":-80}`, want: []string{"report sensor_AABBCC000001-tempc temperature_celsius=21.5"}},
			{topic: "home/gw2/BTtoMQTT/AABBCC000001", payload: `{"hum":40,"batt":90}`, want: []string{"report sensor_AABBCC000001-hum humidity_percent=40", "battery percent=90 low=null"}},
			{topic: "home/gw/BTtoMQTT/AABBCC000009", payload: `{"hum":41}`},
		}},
		{"rtl_433: a topic for each value", [][2]string{
			{"sensor/Acurite-1/temperature_C", `{"device_class":"temperature","name":"Temperature","unit_of_measurement":"°C","value_template":"{{ value|float|round(1) }}","state_class":"measurement","state_topic":"rtl_433/h/devices/Acurite/1/temperature_C","unique_id":"Acurite-1-T","device":{"identifiers":["Acurite-1"],"name":"Acurite-1","model":"Acurite"}}`},
			{"sensor/Acurite-1/battery_ok", `{"device_class":"battery","name":"Battery","unit_of_measurement":"%","value_template":"{{ ((float(value) * 99)|round(0)) + 1 }}","state_topic":"rtl_433/h/devices/Acurite/1/battery_ok","unique_id":"Acurite-1-B","device":{"identifiers":["Acurite-1"]}}`},
			{"device_automation/Acurite-1/ring", `{"automation_type":"trigger","type":"button_short_release","subtype":"button_1","topic":"rtl_433/h/devices/Acurite/1/button","device":{"identifiers":["Acurite-1"]}}`},
		}, "ha:Acurite-1", "Acurite-1 sensor_Acurite-1-T:temperature_sensor", []step{
			{topic: "rtl_433/h/devices/Acurite/1/temperature_C", payload: "21.25", want: []string{"report sensor_Acurite-1-T temperature_celsius=21.2"}},
			{topic: "rtl_433/h/devices/Acurite/1/battery_ok", payload: "1", want: []string{"battery percent=100 low=null"}},
			{topic: "rtl_433/h/devices/Acurite/1/temperature_C", payload: "none", want: []string{"failed rtl_433/h/devices/Acurite/1/temperature_C template"}},
		}},
		{"EMS-ESP: a topic base, nested keys", [][2]string{
			{"sensor/ems-esp/boiler_outdoor", `{"~":"ems-esp","uniq_id":"boiler_outdoortemp","stat_t":"~/boiler_data","name":"Outdoor","dev_cla":"temperature","uom":"°C","unit_of_meas":"°C","val_tpl":"{{value_json['hc1']['t'] if value_json.hc1 is defined and value_json['hc1']['t'] is defined else -1}}","dev":{"ids":["ems-esp-boiler"],"name":"Boiler"},"avty":[{"t":"~/status","val_tpl":"{{value}}"}],"avty_mode":"all"}`},
		}, "ha:ems-esp-boiler", "Boiler sensor_boiler_outdoortemp:temperature_sensor", []step{
			{topic: "ems-esp/boiler_data", payload: `{"hc1":{"t":7.5}}`, want: []string{"report sensor_boiler_outdoortemp temperature_celsius=7.5"}},
			{topic: "ems-esp/status", payload: "online", want: []string{"reachable true"}},
		}},
		{"a whole device in one message, with short names", [][2]string{
			{"device/0AFFD2", `{"dev":{"ids":"ea334450945afc","name":"Kitchen","mf":"Bla","sn":"ea33"},"o":{"name":"bla2mqtt","sw":"2.1"},"cmps":{"id1":{"p":"sensor","device_class":"temperature","unit_of_measurement":"°C","value_template":"{{ value_json.temperature }}","unique_id":"t1"},"id2":{"p":"sensor","device_class":"humidity","unit_of_measurement":"%","value_template":"{{ value_json.humidity }}","unique_id":"h1"},"id3":{"p":"switch","unique_id":"s1","name":null,"~":"kitchen","cmd_t":"~/relay/set","stat_t":"~/relay","ret":true,"qos":1}},"state_topic":"sensorBedroom/state","qos":2}`},
		}, "ha:ea334450945afc", "Kitchen switch_s1:on_off_plug sensor_t1:temperature_sensor sensor_h1:humidity_sensor", []step{
			{topic: "sensorBedroom/state", payload: `{"temperature":20,"humidity":50}`, want: []string{"report sensor_t1 temperature_celsius=20", "report sensor_h1 humidity_percent=50"}},
			{topic: "kitchen/relay", payload: "ON", want: []string{"report switch_s1 on=true"}},
			{command: set("switch_s1", device.Values{"on": no}), want: []string{"publish kitchen/relay/set OFF"}},
		}},
		{"a light of the basic schema", [][2]string{
			{"light/l", `{"unique_id":"l","name":"L","state_topic":"l/s","command_topic":"l/c","brightness_state_topic":"l/bs","brightness_command_topic":"l/b","color_temp_state_topic":"l/cts","color_temp_command_topic":"l/ct","hs_state_topic":"l/hss","hs_command_topic":"l/hs","rgb_command_topic":"l/rgb","rgb_command_template":"{{ '#%02x%02x%02x' | format(red, green, blue) }}"}`},
		}, "ha:light_l", "L light_l:extended_color_light", []step{
			{topic: "l/s", payload: "ON", want: []string{"report light_l on=true"}},
			{topic: "l/bs", payload: "128", want: []string{"report light_l brightness_percent=50.196"}},
			{topic: "l/hss", payload: "120,50", want: []string{"report light_l color_mode=hs hue_degrees=120 saturation_percent=50"}},
			{topic: "l/cts", payload: "250", want: []string{"report light_l color_mode=temperature color_temperature_kelvin=4000"}},
			{command: set("light_l", device.Values{"on": yes, "brightness_percent": number(100)}), want: []string{"publish l/b 255", "publish l/c ON"}},
			{command: set("light_l", device.Values{"hue_degrees": number(10), "saturation_percent": number(20)}), want: []string{"publish l/hs 10,20", "publish l/c ON"}},
			{command: set("light_l", device.Values{"color_temperature_kelvin": number(2700)}), want: []string{"publish l/ct 370", "publish l/c ON"}},
			{command: set("light_l", device.Values{"on": no}), want: []string{"publish l/c OFF"}},
		}},
		{"a light of the basic schema that brightness turns on, and that says nothing", [][2]string{
			{"light/l", `{"unique_id":"l","command_topic":"l/c","brightness_command_topic":"l/b","brightness_scale":99,"on_command_type":"brightness","rgb_command_topic":"l/rgb","rgb_command_template":"{{ '#%02x%02x%02x' | format(red, green, blue) }}"}`},
		}, "ha:light_l", "l light_l:extended_color_light", []step{
			{command: set("light_l", device.Values{"on": yes, "brightness_percent": number(50)}), want: []string{"publish l/b 50", "report light_l brightness_percent=50 on=true"}},
			{command: set("light_l", device.Values{"on": yes}), want: []string{"publish l/b 50", "report light_l on=true"}},
			{command: set("light_l", device.Values{"hue_degrees": number(0), "saturation_percent": number(100)}), want: []string{"publish l/rgb #ff0000", "publish l/b 50", "report light_l hue_degrees=0 saturation_percent=100"}},
		}},
		{"a light of the template schema", [][2]string{
			{"light/l", `{"schema":"template","unique_id":"l","command_topic":"l/c","state_topic":"l/s","command_on_template":"on,{{ brightness|d }},{{ '%0.2x%0.2x%0.2x'|format(red|d(0), green|d(0), blue|d(0)) }}{% if transition is defined %},{{ transition }}{% endif %}","command_off_template":"off","state_template":"{{ value.split(',')[0] }}","brightness_template":"{{ value.split(',')[1] }}","red_template":"{{ value.split(',')[2] }}","green_template":"{{ value.split(',')[3] }}","blue_template":"{{ value.split(',')[4] }}"}`},
		}, "ha:light_l", "l light_l:extended_color_light", []step{
			{topic: "l/s", payload: "on,255,0,255,0", want: []string{"report light_l on=true", "report light_l brightness_percent=100", "report light_l color_mode=hs hue_degrees=0 saturation_percent=0", "report light_l hue_degrees=120 saturation_percent=100"}},
			{command: &device.Command{Part: "light_l", Set: device.Values{"on": yes, "brightness_percent": number(100)}, Transition: &second}, want: []string{"publish l/c on,255,000000,1.0"}},
			{command: set("light_l", device.Values{"on": no}), want: []string{"publish l/c off"}},
		}},
		{"a thermostat with two set-points in °F", [][2]string{
			{"climate/c", `{"unique_id":"c","name":"C","temperature_unit":"F","min_temp":50,"max_temp":86,"modes":["off","heat","cool","heat_cool"],"mode_state_topic":"c/m","mode_command_topic":"c/m/set","current_temperature_topic":"c/t","temperature_low_state_topic":"c/l","temperature_low_command_topic":"c/l/set","temperature_high_state_topic":"c/h","temperature_high_command_topic":"c/h/set","action_topic":"c/a"}`},
		}, "ha:climate_c", "C climate_c:thermostat", []step{
			{topic: "c/t", payload: "68", want: []string{"report climate_c temperature_celsius=20"}},
			{topic: "c/l", payload: "66.2", want: []string{"report climate_c heating_setpoint_celsius=19"}},
			{topic: "c/h", payload: "77", want: []string{"report climate_c cooling_setpoint_celsius=25"}},
			{topic: "c/m", payload: "heat_cool", want: []string{"report climate_c mode=auto"}},
			{topic: "c/a", payload: "cooling", want: []string{"report climate_c running=cooling"}},
			{command: set("climate_c", device.Values{"mode": text("auto"), "heating_setpoint_celsius": number(20)}), want: []string{"publish c/m/set heat_cool", "publish c/l/set 68.0"}},
		}},
		{"buttons: events and triggers", [][2]string{
			{"event/e", `{"unique_id":"bell","name":"Bell","device_class":"doorbell","event_types":["press","double","other"],"state_topic":"e/s","device":{"identifiers":["e"],"name":"Door"}}`},
			{"device_automation/e/a1", `{"automation_type":"trigger","type":"button_short_press","subtype":"button_1","topic":"e/b","payload":"1s","device":{"identifiers":["e"]}}`},
			{"device_automation/e/a2", `{"automation_type":"trigger","type":"button_long_press","subtype":"button_1","topic":"e/b","payload":"1l","device":{"identifiers":["e"]}}`},
			{"device_automation/e/a3", `{"automation_type":"trigger","type":"action","subtype":"2_double","topic":"e/b","payload":"2d","device":{"identifiers":["e"]}}`},
		}, "ha:e", "Door event_bell:generic_switch button_1:generic_switch button_2:generic_switch", []step{
			{topic: "e/s", payload: `{"event_type":"press"}`, want: []string{"event event_bell single"}},
			{topic: "e/s", payload: `{"event_type":"other"}`},
			{topic: "e/s", payload: `press`, want: []string{"failed e/s json"}},
			{topic: "e/b", payload: "1l", want: []string{"event button_1 long"}},
			{topic: "e/b", payload: "2d", want: []string{"event button_2 double"}},
			{topic: "e/b", payload: "3d"},
		}},
		{"sensors of one kind each, and what belongs to the device", [][2]string{
			{"binary_sensor/door", `{"unique_id":"door","device_class":"door","state_topic":"d/door","device":{"identifiers":["d"],"name":"D"}}`},
			{"binary_sensor/leak", `{"unique_id":"leak","device_class":"moisture","payload_on":"wet","payload_off":"dry","state_topic":"d/leak","device":{"identifiers":["d"]}}`},
			{"binary_sensor/smoke", `{"unique_id":"smoke","device_class":"smoke","state_topic":"d/smoke","device":{"identifiers":["d"]}}`},
			{"binary_sensor/co", `{"unique_id":"co","device_class":"carbon_monoxide","state_topic":"d/co","device":{"identifiers":["d"]}}`},
			{"sensor/aqi", `{"unique_id":"aqi","device_class":"aqi","state_topic":"d/aqi","device":{"identifiers":["d"]}}`},
			{"sensor/pm25", `{"unique_id":"pm25","device_class":"pm25","unit_of_measurement":"µg/m³","state_topic":"d/pm25","device":{"identifiers":["d"]}}`},
			{"switch/plug", `{"unique_id":"plug","command_topic":"d/plug/set","state_topic":"d/plug","device":{"identifiers":["d"]}}`},
			{"sensor/power", `{"unique_id":"power","device_class":"power","unit_of_measurement":"kW","state_topic":"d/power","device":{"identifiers":["d"]}}`},
			{"sensor/energy", `{"unique_id":"energy","device_class":"energy","unit_of_measurement":"Wh","state_topic":"d/energy","device":{"identifiers":["d"]}}`},
			{"valve/v", `{"unique_id":"v","reports_position":true,"command_topic":"d/v/set","state_topic":"d/v","device":{"identifiers":["d"]}}`},
			{"vacuum/r", `{"unique_id":"r","command_topic":"d/r/set","state_topic":"d/r","device":{"identifiers":["d"]}}`},
		}, "ha:d", "D vacuum_r:robotic_vacuum_cleaner valve_v:water_valve switch_plug:on_off_plug+meter alarm:smoke_co_alarm binary_sensor_door:contact_sensor binary_sensor_leak:water_leak_detector air_quality:air_quality_sensor", []step{
			{topic: "d/door", payload: "ON", want: []string{"report binary_sensor_door closed=false"}},
			{topic: "d/leak", payload: "wet", want: []string{"report binary_sensor_leak detected=true"}},
			{topic: "d/smoke", payload: "ON", want: []string{"report alarm smoke=critical"}},
			{topic: "d/co", payload: "OFF", want: []string{"report alarm carbon_monoxide=normal"}},
			{topic: "d/aqi", payload: "120", want: []string{"report air_quality air_quality=moderate"}},
			{topic: "d/pm25", payload: "12", want: []string{"report air_quality pm25_ug_per_m3=12"}},
			{topic: "d/power", payload: "1.2", want: []string{"report switch_plug power_watts=1200"}},
			{topic: "d/energy", payload: "1500", want: []string{"report switch_plug energy_kwh=1.5"}},
			{topic: "d/v", payload: `{"state":"opening","position":40}`, want: []string{"report valve_v level_percent=40 open=true"}},
			{command: set("valve_v", device.Values{"open": no}), want: []string{"publish d/v/set 0"}},
			{topic: "d/r", payload: `{"state":"docked","fan_speed":"max"}`, want: []string{"report vacuum_r run_mode=idle state=docked"}},
			{command: set("vacuum_r", device.Values{"run_mode": text("cleaning")}), want: []string{"publish d/r/set start"}},
			{command: do("vacuum_r", device.GoHome), want: []string{"publish d/r/set return_to_base"}},
			{command: set("binary_sensor_door", device.Values{"closed": yes}), want: []string{"error the device cannot do that"}},
		}},
		{"sirens and a humidifier, as plugs", [][2]string{
			{"siren/json", `{"unique_id":"json","command_topic":"s/1/set","state_topic":"s/1","device":{"identifiers":["s"],"name":"S"}}`},
			{"siren/tone", `{"unique_id":"tone","optimistic":true,"command_topic":"s/2/set","command_template":"{\"warning\":{\"mode\":\"{{ tone | default('emergency') }}\",\"level\":\"{% if volume_level is defined %}high{% else %}medium{% endif %}\",\"duration\":{{ duration | default(10) }}}}",` +
				`"command_off_template":"{\"warning\":{\"mode\":\"stop\"}}","device":{"identifiers":["s"]}}`},
			{"humidifier/air", `{"unique_id":"air","command_topic":"s/3/set","state_topic":"s/3","state_value_template":"{{ value_json.power }}","target_humidity_command_topic":"s/3/target","device":{"identifiers":["s"]}}`},
		}, "ha:s", "S humidifier_air:on_off_plug siren_json:on_off_plug siren_tone:on_off_plug", []step{
			{command: set("siren_json", device.Values{"on": yes}), want: []string{`publish s/1/set {"state":"ON"}`}},
			{topic: "s/1", payload: `{"state":"ON","tone":"a"}`, want: []string{"report siren_json on=true"}},
			{topic: "s/1", payload: "OFF", want: []string{"report siren_json on=false"}},
			{command: set("siren_tone", device.Values{"on": yes}), want: []string{`publish s/2/set {"warning":{"mode":"emergency","level":"medium","duration":10}}`, "report siren_tone on=true"}},
			{command: set("siren_tone", device.Values{"on": no}), want: []string{`publish s/2/set {"warning":{"mode":"stop"}}`, "report siren_tone on=false"}},
			{command: do("siren_tone", device.Stop), want: []string{"error the device cannot do that"}},
			{topic: "s/3", payload: `{"power":"ON"}`, want: []string{"report humidifier_air on=true"}},
			{command: set("humidifier_air", device.Values{"on": no}), want: []string{"publish s/3/set OFF"}},
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			w := newWorld(t)
			for _, c := range p.config {
				w.retained("homeassistant/"+c[0]+"/config", c[1])
			}
			w.Settled(w.now)
			d, ok := w.rec.Devices[p.id]
			got := d.Name
			for _, part := range d.Parts {
				got += " " + part.ID + ":" + part.Type
				if part.Meter {
					got += "+meter"
				}
				if part.Type == "fan" && part.Options.Modes != nil {
					got += fmt.Sprintf("%v %d", part.Options.Modes, part.Options.Speeds)
				}
			}
			if !ok || got != p.want {
				t.Fatalf("%s is described as %s\nwant %s\nof %v; left out %v", p.id, got, p.want, slices.Collect(maps.Keys(w.rec.Devices)), w.rec.Ignored)
			}
			w.rec.Take()
			for _, s := range p.steps {
				if s.command != nil {
					c := *s.command
					c.Device = p.id
					if err := w.Command(w.now, c); err != nil {
						w.rec.Log = append(w.rec.Log, "error "+err.Error())
					}
				} else {
					w.send(s.topic, s.payload)
				}
				w.now = w.now.Add(3 * time.Second)
				for i := range w.rec.Log {
					w.rec.Log[i] = strings.Replace(strings.Replace(w.rec.Log[i], p.id+"/", "", 1), p.id+" ", "", 1)
				}
				w.want(s.want...)
			}
		})
	}
}

const (
	plugConfig = `{"unique_id":"p","name":null,"command_topic":"p/set","state_topic":"p/state","device":{"identifiers":["p"],"name":"Plug"}}`
	tempConfig = `{"unique_id":"t","device_class":"temperature","unit_of_measurement":"°C","state_topic":"p/temperature","device":{"identifiers":["p"]}}`
)

// TestGathered checks that the reader waits for all messages of a device, since a
// new set of parts would be another device.
func TestGathered(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.send("homeassistant/switch/p/config", plugConfig)
	w.pass(time.Second)
	w.send("homeassistant/sensor/t/config", tempConfig)
	w.send("p/state", "ON")
	w.want()
	w.pass(gather)
	w.want(`describe ha:p "Plug" switch_p:on_off_plug sensor_t:temperature_sensor`, "report ha:p/switch_p on=true", "reachable ha:p true")
	const fan = `{"unique_id":"f","command_topic":"f","percentage_command_topic":"f/p","device":{"identifiers":["f"]}}`
	w.send("homeassistant/fan/f/config", fan)
	w.pass(time.Minute)
	w.rec.Take()
	said := maps.Clone(w.entities)
	for range 10 {
		w.pass(time.Minute)
		w.send("homeassistant/switch/p/config", plugConfig) // some publishers send it repeatedly
		w.send("homeassistant/fan/f/config", fan)
	}
	w.want()
	if !maps.Equal(said, w.entities) {
		t.Error("entities that were said again are new ones")
	}
}

// TestEndlessMessages checks that a device is described even if its messages do not
// stop.
func TestEndlessMessages(t *testing.T) {
	w := newWorld(t)
	w.start()
	for i := range 12 {
		w.send("homeassistant/switch/p/config", strings.Replace(plugConfig, "p/state", fmt.Sprint("p/state", i), 1))
		w.pass(time.Second)
	}
	if len(w.rec.Devices) != 1 {
		t.Error("not described")
	}
}

// TestClearedAndBack checks that a cleared entity may come back on any topic as the
// same part, that its device is unreachable meanwhile, and that it is removed after
// the grace time.
func TestClearedAndBack(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/switch/p/config", plugConfig)
	w.retained("homeassistant/sensor/t/config", tempConfig)
	w.start()
	w.send("homeassistant/switch/p/config", "")
	w.want() // half of the grace time is over
	w.send("homeassistant/sensor/t/config", "")
	w.want("reachable ha:p false")
	w.pass(2 * time.Second)
	w.send("homeassistant/switch/other/config", plugConfig)
	w.send("homeassistant/sensor/other/config", tempConfig)
	w.pass(gather)
	w.want("reachable ha:p true")
	w.pass(time.Hour)
	w.want()

	w.send("homeassistant/sensor/other/config", "")
	w.pass(grace + gather)
	w.want(`describe ha:p "Plug" switch_p:on_off_plug`)
	w.send("homeassistant/switch/other/config", "")
	w.pass(grace)
	w.want("reachable ha:p false", "remove ha:p")
	if len(w.topics)+len(w.units)+len(w.byIdent)+len(w.entities) != 0 {
		t.Errorf("left: %v %v", w.topics, w.units)
	}
}

// TestMigrate checks that an entity that is announced as migrating stays without a
// time limit.
func TestMigrate(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/switch/p/config", plugConfig)
	w.start()
	w.send("homeassistant/switch/p/config", `{"migr_discvry":true}`)
	w.pass(time.Hour)
	w.want()
	w.send("homeassistant/device/p/config", `{"dev":{"ids":["p"],"name":"Plug"},"o":{"name":"x"},"cmps":{"a":{"p":"switch","unique_id":"p","name":null,"command_topic":"p/set","state_topic":"p/state"}}}`)
	w.pass(gather)
	w.want()
	if len(w.entities) != 1 || len(w.rec.Devices) != 1 {
		t.Errorf("%v", w.entities)
	}
}

// TestDeviceMessage checks that a missing component stays, one with only its
// platform is removed, and an empty message removes all.
func TestDeviceMessage(t *testing.T) {
	w := newWorld(t)
	message := func(cmps string) {
		w.send("homeassistant/device/d/config", `{"device":{"identifiers":["d"],"name":"D"},"origin":{"name":"x"},"components":{`+cmps+`}}`)
	}
	w.start()
	message(`"a":{"platform":"switch","unique_id":"a","command_topic":"a"},"b":{"platform":"switch","unique_id":"b","command_topic":"b"}`)
	w.pass(gather)
	w.want(`describe ha:d "D" switch_a:on_off_plug switch_b:on_off_plug`, "reachable ha:d true")
	message(`"a":{"platform":"switch","unique_id":"a","command_topic":"a2"}`)
	w.pass(gather + grace)
	w.want()
	message(`"b":{"platform":"switch"}`)
	w.pass(gather + grace)
	w.want(`describe ha:d "D" switch_a:on_off_plug`)
	w.send("homeassistant/device/d/config", "")
	w.pass(grace)
	w.want("reachable ha:d false", "remove ha:d")
}

// TestAvailability checks the three modes, and that an unknown payload changes
// nothing.
func TestAvailability(t *testing.T) {
	for mode, want := range map[string][]bool{"all": {false, false, true, false, true}, "any": {false, true, true, true, true}, "latest": {false, true, true, false, true}} {
		w := newWorld(t)
		w.retained("homeassistant/switch/p/config", strings.Replace(plugConfig, "{", `{"availability_mode":"`+mode+`","availability":[{"topic":"a","value_template":"{{ value_json.state }}"},{"topic":"b","payload_available":true,"payload_not_available":false,"value_template":"{{ value_json }}"}],`, 1))
		w.Settled(w.now)
		got := []bool{w.rec.Devices["ha:p"].Reachable}
		for _, m := range [][2]string{{"a", `{"state":"online"}`}, {"b", "true"}, {"b", "false"}, {"b", "true"}} {
			w.send(m[0], m[1])
			w.send("a", `{"state":"whatever"}`)
			w.send("b", "not JSON")
			got = append(got, w.rec.Devices["ha:p"].Reachable)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", mode, got, want)
		}
	}
}

// TestExpires checks that an entity is available for a time after each message, and
// that there is one timer for any number of messages.
func TestExpires(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/sensor/t/config", strings.Replace(tempConfig, "{", `{"expire_after":60,`, 1))
	w.Settled(w.now)
	w.rec.Take()
	for i := range 100 {
		w.send("p/temperature", fmt.Sprint(20+i%2))
		w.now = w.now.Add(time.Second)
	}
	if got := len(w.timers); got > 2 { // one is for the description
		t.Errorf("%d timers", got)
	}
	if !w.rec.Devices["ha:p"].Reachable {
		t.Error("not reachable")
	}
	w.rec.Take()
	w.pass(58 * time.Second)
	w.want()
	w.pass(2 * time.Second)
	w.want("reachable ha:p false")
	w.send("p/temperature", "22")
	w.want("reachable ha:p true", "report ha:p/sensor_t temperature_celsius=22")
}

// TestOffDelay checks that a motion sensor that only sends on becomes off by
// itself, each time.
func TestOffDelay(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/binary_sensor/m/config", `{"unique_id":"m","device_class":"motion","off_delay":30,"state_topic":"m"}`)
	w.start()
	w.send("m", "ON")
	w.want("report ha:binary_sensor_m/binary_sensor_m occupied=true")
	w.pass(20 * time.Second)
	w.send("m", "ON")
	w.pass(29 * time.Second)
	w.want()
	w.pass(time.Second)
	w.want("report ha:binary_sensor_m/binary_sensor_m occupied=false")
	w.send("m", "ON")
	w.pass(time.Hour)
	w.want("report ha:binary_sensor_m/binary_sensor_m occupied=true", "report ha:binary_sensor_m/binary_sensor_m occupied=false")
}

// TestOptimistic checks that an entity without a state topic has the commanded
// state, and that one with a state topic does not change before its message.
func TestOptimistic(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/switch/a/config", `{"unique_id":"a","command_topic":"a"}`)
	w.retained("homeassistant/switch/b/config", `{"unique_id":"b","command_topic":"b","state_topic":"b/s"}`)
	w.retained("homeassistant/switch/c/config", `{"unique_id":"c","command_topic":"c","state_topic":"c/s","optimistic":true}`)
	w.start()
	for _, id := range []string{"a", "b", "c"} {
		if err := w.Command(w.now, device.Command{Device: "ha:switch_" + id, Part: "switch_" + id, Set: device.Values{"on": device.Bool(true)}}); err != nil {
			t.Error(err)
		}
	}
	w.want("publish a ON", "report ha:switch_a/switch_a on=true", "publish b ON", "publish c ON", "report ha:switch_c/switch_c on=true")
}

// TestLimits checks that limits of a thermostat may be strings, and are used if
// they make a range.
func TestLimits(t *testing.T) {
	for limits, want := range map[string]string{
		`"min_temp":"5","max_temp":"30"`: "5-30", `"min_temp":5,"max_temp":30.5`: "5-30.5", `"min_temp":"21","max_temp":"21"`: "none", `"min_temp":30,"max_temp":5`: "none",
		`"min_temp":"low","max_temp":"30"`: "7-30",
	} {
		w := newWorld(t)
		w.retained("homeassistant/climate/c/config", `{"unique_id":"c","modes":["heat"],"current_temperature_topic":"t","temperature_command_topic":"s","temperature_state_topic":"s",`+limits+`}`)
		w.start()
		o := w.rec.Devices["ha:climate_c"].Parts[0].Options
		got := "none"
		if o.MinCelsius != nil {
			got = fmt.Sprintf("%v-%v", *o.MinCelsius, *o.MaxCelsius)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", limits, got, want)
		}
	}
}

// TestEcho checks that a state from before a command does not revert it for a
// moment.
func TestEcho(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/switch/p/config", plugConfig)
	w.start()
	w.send("p/state", "OFF")
	w.rec.Take()
	on := device.Command{Device: "ha:p", Part: "switch_p", Set: device.Values{"on": device.Bool(true)}}
	if err := w.Command(w.now, on); err != nil {
		t.Fatal(err)
	}
	w.send("p/state", "OFF")
	w.want("publish p/set ON")
	w.send("p/state", "ON")
	w.want("report ha:p/switch_p on=true")
	w.send("p/state", "OFF")
	w.want("report ha:p/switch_p on=false")
	if err := w.Command(w.now, on); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(reader.Echo)
	w.send("p/state", "OFF")
	w.want("publish p/set ON", "report ha:p/switch_p on=false")
}

// TestRetainedEvents checks that retained events do not press buttons.
func TestRetainedEvents(t *testing.T) {
	w := newWorld(t)
	w.retained("homeassistant/event/e/config", `{"unique_id":"e","event_types":["press"],"state_topic":"e"}`)
	w.retained("homeassistant/device_automation/x/config", `{"automation_type":"trigger","type":"button_short_press","subtype":"1","topic":"e","device":{"identifiers":["x"],"name":"X"}}`)
	w.start()
	w.retained("e", `{"event_type":"press"}`)
	w.want()
	w.send("e", `{"event_type":"press"}`)
	w.want("event ha:event_e/event_e single", "event ha:x/button_1 single")
}

// TestLeftOut checks the reasons why entities are not shown.
func TestLeftOut(t *testing.T) {
	for config, want := range map[string]string{
		`sensor {"state_topic":"t"}`:                                                                                       "it has no device class",
		`sensor {"state_topic":"t","device_class":"signal_strength"}`:                                                      "no type for the device class signal_strength",
		`sensor {"state_topic":"t","device_class":"temperature","unit_of_measurement":"%"}`:                                "its unit % cannot be converted",
		`sensor {"device_class":"temperature"}`:                                                                            "state_topic: it is missing",
		`sensor {"state_topic":"a/#/b","device_class":"temperature"}`:                                                      "is no topic",
		`sensor {"state_topic":"t","device_class":"temperature","value_template":"{{ states(1) }}"}`:                       "value_template: function states is not supported",
		`sensor {"state_topic":"t","device_class":"temperature","entity_category":"diagnostic"}`:                           "diagnostics are not shown",
		`sensor {"state_topic":"t","device_class":"temperature","enabled_by_default":false}`:                               "switched off",
		`sensor {"state_topic":"t","device_class":"temperature","encoding":""}`:                                            "raw octets",
		`sensor {"state_topic":"t","device_class":"battery","unit_of_measurement":"V"}`:                                    "its unit V",
		`binary_sensor {"state_topic":"t","device_class":"vibration"}`:                                                     "no type for the device class vibration",
		`switch {"state_topic":"t"}`:                                                                                       "command_topic: it is missing",
		`switch {"command_topic":"a/+"}`:                                                                                   "is no topic",
		`switch {"command_topic":"a","entity_category":"config"}`:                                                          "settings are not shown",
		`switch {"command_topic":"a","origin":{"name":"Zigbee2MQTT"},"value_template":"{{ value_json[\"child_lock\"] }}"}`: "settings are not shown",
		`switch {"command_topic":"a","availability":[{"x":1}]}`:                                                            "a topic is missing",
		`light {"command_topic":"a","schema":"other"}`:                                                                     "schema: it is not known",
		`light {"command_topic":"a","schema":"template","command_on_template":"x"}`:                                        "one is missing",
		`cover {"state_topic":"a"}`:                                                                                        "it cannot be moved",
		`cover {"command_topic":"a","position_open":5,"position_closed":5}`:                                                "the same position",
		`climate {"temperature_command_topic":"a"}`:                                                                        "a thermostat without a temperature",
		`climate {"current_temperature_topic":"a"}`:                                                                        "set-point cannot be set",
		`event {"state_topic":"a","event_types":["motion"]}`:                                                               "its event types are not those of a button",
		`device_automation {"automation_type":"trigger","type":"action","subtype":"shake","topic":"a"}`:                    "no gesture of a button",
		`siren {"state_topic":"t"}`:                                                                                        "command_topic: it is missing",
		`lawn_mower {"start_mowing_command_topic":"a"}`:                                                                    "Matter has no type for lawn_mower",
		`water_heater {"mode_command_topic":"a"}`:                                                                          "Matter has no type for water_heater",
		`alarm_control_panel {"command_topic":"a","state_topic":"b"}`:                                                      "Matter has no type for alarm_control_panel",
		`button {"command_topic":"a"}`:                                                                                     "Matter has no type for button",
		`frobnicator {"command_topic":"a"}`:                                                                                "the component is not known",
	} {
		component, payload, _ := strings.Cut(config, " ")
		w := newWorld(t)
		w.retained("homeassistant/"+component+"/x/config", payload)
		w.Settled(w.now)
		got := w.rec.Ignored["ha:"+component+"/x"]
		if len(got) != 1 || !strings.Contains(got[0].Reason, want) || len(w.rec.Devices) != 0 {
			t.Errorf("%s: %+v, want %s", config, got, want)
		}
		w.send("homeassistant/"+component+"/x/config", "")
		if len(w.rec.Ignored) != 0 {
			t.Errorf("%s: cleared, and still %v", config, w.rec.Ignored)
		}
	}
}

// TestSkip checks that entities of another reader are ignored.
func TestSkip(t *testing.T) {
	w := newWorld(t)
	w.o.Skip = func(origin string, identifiers, topics []string) bool {
		return origin == "Zigbee2MQTT" && slices.ContainsFunc(topics, func(t string) bool { return strings.HasPrefix(t, "zigbee2mqtt/") })
	}
	w.retained("homeassistant/climate/c/config", `{"unique_id":"c","temperature_command_topic":"zigbee2mqtt/c/set","current_temperature_topic":"zigbee2mqtt/c","origin":{"name":"Zigbee2MQTT"}}`)
	w.retained("homeassistant/switch/a/config", `{"unique_id":"a","command_topic":"a","state_topic":"zigbee2mqtt/a","origin":{"name":"Zigbee2MQTT"}}`)
	w.retained("homeassistant/switch/b/config", `{"unique_id":"b","command_topic":"b","state_topic":"other/b","origin":{"name":"Zigbee2MQTT"},"value_template":"{{ value_json[\"state\"] }}"}`)
	w.Settled(w.now)
	if len(w.rec.Devices) != 1 || w.rec.Devices["ha:switch_b"].ID == "" {
		t.Errorf("%v", w.rec.Devices)
	}
}

// TestKnownParts checks that parts that the bridge has stay until their messages
// arrive, if the broker does not retain them.
func TestKnownParts(t *testing.T) {
	known := device.Device{ID: "ha:p", Parts: []device.Part{{ID: "switch_p", Type: "on_off_plug"}, {ID: "sensor_t", Type: "temperature_sensor"}}}
	w := newWorld(t)
	w.o.Known = func(id string) (device.Device, bool) { return known, id == known.ID }
	w.start()
	w.send("homeassistant/switch/p/config", plugConfig)
	w.pass(gather)
	w.want(`describe ha:p "Plug" switch_p:on_off_plug sensor_t:temperature_sensor`, "reachable ha:p true")
	w.pass(time.Hour)
	w.send("homeassistant/sensor/t/config", tempConfig)
	w.pass(gather)
	w.want()
	w.send("p/temperature", "20")
	w.want("report ha:p/sensor_t temperature_celsius=20")

	w = newWorld(t) // retained messages are complete
	w.o.Known = func(id string) (device.Device, bool) { return known, id == known.ID }
	w.retained("homeassistant/switch/p/config", plugConfig)
	w.Settled(w.now)
	if d := w.rec.Devices["ha:p"]; len(d.Parts) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestBounds checks that only 5,000 of 50,000 entities are kept, and that the rest
// is reported.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	for i := range 10 * MaxEntities {
		w.retained(fmt.Sprintf("homeassistant/switch/x%d/config", i), fmt.Sprintf(`{"unique_id":"u%d","command_topic":"c"}`, i))
	}
	w.Settled(w.now)
	if len(w.entities) != MaxEntities || len(w.rec.Devices) != MaxEntities {
		t.Errorf("%d entities, %d devices", len(w.entities), len(w.rec.Devices))
	}
	if n := len(w.rec.Ignored); n > MaxEntities+1 {
		t.Errorf("%d are remembered that are not shown", n)
	}
}

func FuzzDiscovery(f *testing.F) {
	file, err := os.ReadFile("testdata/zigbee2mqtt.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		var m struct {
			Topic   string
			Payload json.RawMessage
		}
		if json.Unmarshal([]byte(line), &m) == nil {
			f.Add(m.Topic, string(m.Payload), `{"state":"ON","brightness":3,"temperature":"x"}`)
		}
	}
	f.Add("homeassistant/device/d/config", `{"dev":{"ids":["p"]},"o":{},"cmps":{"a":{"p":"switch","unique_id":"p","command_topic":"p/set"}}}`, "ON")
	f.Add("homeassistant/cover/d/config", `{"~":"x","cmd_t":"~/c","pos_t":"x","tilt_cmd_t":"~","tilt_status_t":"x"}`, `{"position":1e308,"tilt_position":-1}`)
	f.Add("homeassistant/climate/d/config", `{"temperature_command_topic":"a","current_temperature_topic":"x","temperature_state_topic":"x","modes":[1,null,"heat"],"min_temp":{}}`, `21`)
	f.Add("homeassistant/light/d/config", `{"command_topic":"a","xy_command_topic":"b","xy_state_topic":"x","rgbww_command_topic":"c"}`, `0.1,0`)
	f.Fuzz(func(t *testing.T, topic, payload, state string) {
		w := newWorld(t)
		for range 2 {
			w.retained(topic, payload)
			w.Settled(w.now)
			for _, s := range slices.Sorted(maps.Keys(w.rec.Filters)) {
				w.send(strings.NewReplacer("+", "a", "#", "b").Replace(s), state)
			}
			for id, d := range w.rec.Devices {
				if len(d.Parts) == 0 || len(d.Parts) > reader.MaxParts || len(d.Name) > reader.MaxText || len(id) > 128 {
					t.Errorf("%+v", d)
				}
				for _, p := range d.Parts {
					for _, v := range []device.Values{
						{"on": device.Bool(true)}, {"brightness_percent": device.Number(3), "color_x": device.Number(0.3), "color_y": device.Number(0.3), "mode": device.Text("heat"), "position_percent": device.Number(3), "tilt_percent": device.Number(3), "fan_percent": device.Number(30), "open": device.Bool(true), "hue_degrees": device.Number(9)},
					} {
						_ = w.Command(w.now, device.Command{Device: id, Part: p.ID, Set: v})
					}
					_ = w.Command(w.now, device.Command{Device: id, Part: p.ID, Do: device.Lock})
				}
			}
			w.pass(time.Minute)
		}
		w.send(topic, "")
		w.pass(time.Hour)
	})
}

// TestStaleAnnouncement checks an entity that two retained messages describe, since its
// publisher had another name before: the one that is available counts, in each order of
// the messages, and the other one takes over when that is cleared.
func TestStaleAnnouncement(t *testing.T) {
	announce := func(w *world, node string) {
		w.retained("homeassistant/sensor/"+node+"/t/config", fmt.Sprintf(`{"name":null,"uniq_id":"t","dev_cla":"temperature","unit_of_meas":"°C","stat_t":"%s/t","avty_t":"%s/status","dev":{"ids":["n"],"name":"%s"}}`, node, node, node))
	}
	for _, order := range [][]string{{"old", "new"}, {"new", "old"}} {
		w := newWorld(t)
		start := func() {
			w.Up()
			for _, node := range order {
				announce(w, node)
			}
			for range 3 { // each new subscription brings what is retained, and then settles
				for node, status := range map[string]string{"old": "offline", "new": "online"} {
					if w.rec.Filters[node+"/status"].Filter != "" {
						w.retained(node+"/status", status)
					}
				}
				w.Settled(w.now)
			}
		}
		for range 2 { // and again after a reconnect
			start()
			w.rec.Take()
			w.send("old/t", "5")
			w.send("new/t", "21.5")
			w.want("report ha:n/sensor_t temperature_celsius=21.5")
			if d := w.rec.Devices["ha:n"]; d.Name != "new" || len(w.rec.Ignored["ha:sensor/old/t"]) != 1 {
				t.Errorf("%v: %s, left out %v", order, d.Name, w.rec.Ignored)
			}
		}
		w.retained("homeassistant/sensor/new/t/config", "")
		w.pass(2 * grace)
		if _, there := w.rec.Devices["ha:n"]; !there || len(w.rec.Ignored["ha:sensor/old/t"]) != 0 {
			t.Errorf("%v: the other message does not count; left out %v", order, w.rec.Ignored)
		}
		w.rec.Take()
		w.send("old/status", "online")
		w.send("old/t", "6")
		w.want("reachable ha:n true", "report ha:n/sensor_t temperature_celsius=6")
		w.retained("homeassistant/sensor/old/t/config", "")
		w.pass(2 * grace)
		if _, there := w.rec.Devices["ha:n"]; there {
			t.Errorf("%v: the device stays", order)
		}
	}
}
