package zigbee2mqtt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// world is a reader with a simulated zigbee2mqtt.
type world struct {
	*Reader
	t   *testing.T
	rec *reader.Record
	now time.Time
	all map[string]json.RawMessage // entries of the sample, by model
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, rec: reader.NewRecord(), now: time.Unix(1_800_000_000, 0), all: sample()}
	w.Reader = New(DefaultBase, w.rec)
	return w
}

// sample returns the entries of the sample by their models.
var sample = sync.OnceValue(func() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	b, err := readModels()
	if err != nil {
		panic(err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(b, &entries); err != nil {
		panic(err)
	}
	for _, e := range entries {
		var d struct{ Definition struct{ Model string } }
		if err := json.Unmarshal(e, &d); err != nil {
			panic(err)
		}
		all[d.Definition.Model] = e
	}
	return all
})

// entry returns a device of the sample with an address and a name.
func (w *world) entry(model string, address int, name string) string {
	w.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.all[model], &m); err != nil {
		w.t.Fatalf("%s: %v", model, err)
	}
	m["ieee_address"], m["friendly_name"] = fmt.Sprintf("0x%x", address), name
	b, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func (w *world) send(topic, payload string) {
	w.Message(w.now, link.Message{Topic: "zigbee2mqtt/" + topic, Payload: []byte(payload)})
}

func (w *world) devices(entries ...string) {
	w.send("bridge/devices", "["+strings.Join(append([]string{`{"type":"Coordinator","ieee_address":"0xc0"}`}, entries...), ",")+"]")
}

// start simulates a broker with these devices retained and zigbee2mqtt online.
func (w *world) start(entries ...string) {
	w.Up()
	w.send("bridge/state", `{"state":"online"}`)
	w.send("bridge/info", `{"version":"2","config":{"availability":{"enabled":false}}}`)
	w.devices(entries...)
	w.send("bridge/groups", "[]")
	w.Settled(w.now)
	w.rec.Take()
}

// want compares the calls since the last one.
func (w *world) want(lines ...string) {
	w.t.Helper()
	if got := w.rec.Take(); !slices.Equal(got, lines) {
		w.t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

func (w *world) command(id, part string, set device.Values) {
	w.t.Helper()
	if err := w.Command(w.now, device.Command{Device: id, Part: part, Set: set}); err != nil {
		w.t.Errorf("command: %v", err)
	}
}

func TestStart(t *testing.T) {
	w := newWorld(t)
	w.Up()
	w.send("bridge/devices", `[{"type":"Coordinator","ieee_address":"0xc0"},`+w.entry("SP 240", 1, "kitchen/plug")+`]`)
	w.want("subscribe zigbee2mqtt/kitchen/plug", "subscribe zigbee2mqtt/kitchen/plug/availability", `describe z2m:0x1 "plug" switch:on_off_plug`)
}

// TestStartOrder checks that a device is described once, and is reachable when
// everything is known, for any order of the retained messages.
func TestStartOrder(t *testing.T) {
	w := newWorld(t)
	messages := [][2]string{
		{"bridge/state", `{"state":"online"}`},
		{"bridge/info", `{"config":{"availability":{"enabled":true}}}`},
		{"bridge/devices", "[" + w.entry("SP 240", 1, "plug") + "]"},
		{"bridge/groups", "[]"},
		{"plug/availability", `{"state":"online"}`},
	}
	permute(messages, func(order [][2]string) {
		w := newWorld(t)
		w.Up()
		for _, m := range order {
			w.send(m[0], m[1])
		}
		w.Settled(w.now)
		described := 0
		for _, l := range w.rec.Take() {
			if strings.HasPrefix(l, "describe") {
				described++
			}
		}
		if d := w.rec.Devices["z2m:0x1"]; described != 1 || !d.Reachable {
			t.Errorf("%v: described %d times, %+v", order, described, d)
		}
		if got := w.rec.Lists["zigbee2mqtt"]; !slices.Equal(got, []string{"z2m:0x1"}) {
			t.Errorf("%v: listed %v", order, got)
		}
	})
}

func permute(list [][2]string, f func([][2]string)) {
	var walk func(n int)
	walk = func(n int) {
		if n == len(list) {
			f(slices.Clone(list))
			return
		}
		for i := n; i < len(list); i++ {
			list[n], list[i] = list[i], list[n]
			walk(n + 1)
			list[n], list[i] = list[i], list[n]
		}
	}
	walk(0)
}

// TestStates checks how states are read: null and missing values are not changes,
// and unchanged values are not reported.
func TestStates(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("WSDCGQ11LM", 1, "climate"), w.entry("9290022166", 2, "lamp"), w.entry("SP 240", 3, "plug"), w.entry("014G2461", 4, "trv"), w.entry("YRD226/246 TSDB", 5, "front"), w.entry("E1757", 6, "blind"), w.entry("HS1CG-E", 7, "gas"))
	for _, step := range []struct {
		topic, payload string
		want           []string
	}{
		{"climate", `{"temperature":23.45,"humidity":45.5,"pressure":1013.2,"battery":88,"linkquality":90}`, []string{
			"report z2m:0x1/humidity humidity_percent=45.5", "report z2m:0x1/pressure pressure_hpa=1013.2", "report z2m:0x1/temperature temperature_celsius=23.45", "battery z2m:0x1 percent=88 low=null"}},
		{"climate", `{"temperature":null,"humidity":null,"pressure":null,"battery":null,"linkquality":120}`, nil},
		{"climate", `{"temperature":23.45,"humidity":46,"linkquality":70}`, []string{"report z2m:0x1/humidity humidity_percent=46"}},
		{"climate", `{"temperature":"24.1"}`, []string{"report z2m:0x1/temperature temperature_celsius=24.1"}},
		{"climate", `{"temperature":-5000}`, nil},
		{"climate", `not JSON`, []string{"failed zigbee2mqtt/climate json"}},
		{"climate", ``, nil},
		{"climate", `[]`, []string{"failed zigbee2mqtt/climate json"}},

		{"lamp", `{"state":"ON","brightness":127,"color_mode":"xy","color":{"x":0.4,"y":0.38,"hue":30,"saturation":50},"color_temp":370}`, []string{
			"report z2m:0x2/light brightness_percent=50 color_mode=xy color_x=0.4 color_y=0.38 on=true"}},
		{"lamp", `{"state":"ON","brightness":127,"color_mode":"color_temp","color":{"x":0.45,"y":0.4,"hue":30,"saturation":50},"color_temp":250}`, []string{
			"report z2m:0x2/light color_mode=temperature color_temperature_kelvin=4000"}},
		{"lamp", `{"color_temp":200}`, []string{"report z2m:0x2/light color_mode=temperature color_temperature_kelvin=5000"}},
		{"lamp", `{"color_mode":"hs","color":{"x":0.2,"y":0.1,"hue":240.2,"saturation":99}}`, []string{"report z2m:0x2/light color_mode=hs hue_degrees=240.2 saturation_percent=99"}},
		{"lamp", `{"state":"OFF","brightness":0}`, []string{"report z2m:0x2/light on=false"}},

		{"plug", `{"state":"ON","power":12.4,"voltage":231,"current":0.06,"energy":3.21}`, []string{"report z2m:0x3/switch current_amperes=0.06 energy_kwh=3.21 on=true power_watts=12.4 voltage_volts=231"}},
		{"plug", `{"state":"maybe","power":"?"}`, nil},

		{"trv", `{"local_temperature":20.5,"occupied_heating_setpoint":21,"system_mode":"heat","running_state":"heat"}`, []string{"report z2m:0x4/thermostat heating_setpoint_celsius=21 mode=heat running=heating temperature_celsius=20.5"}},
		{"front", `{"state":"LOCK","lock_state":"locked"}`, []string{"report z2m:0x5/lock lock=locked"}},
		{"front", `{"state":"UNLOCK","lock_state":"not_fully_locked"}`, []string{"report z2m:0x5/lock lock=jammed"}},
		{"blind", `{"state":"OPEN","position":70}`, []string{"report z2m:0x6/cover position_percent=70"}},
		{"gas", `{"gas":true,"battery_low":false}`, []string{"report z2m:0x7/alarm gas=critical", "battery z2m:0x7 percent=null low=false"}},
		{"nobody", `{"state":"ON"}`, nil},
	} {
		w.send(step.topic, step.payload)
		t.Run(step.topic+" "+step.payload, func(t *testing.T) { w.t = t; w.want(step.want...) })
	}
}

// TestButtons checks that an action is an event unless it was retained.
func TestButtons(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("E1524/E1810", 1, "remote"), w.entry("324131092621", 2, "hue"))
	w.send("remote", `{"action":"arrow_left_click","battery":70}`)
	w.want("battery z2m:0x1 percent=70 low=null", "event z2m:0x1/button_arrow_left single")
	w.send("remote", `{"action":"arrow_left_click","battery":70}`)
	w.want("event z2m:0x1/button_arrow_left single") // the same action again is another press
	w.send("remote", `{"action":"brightness_up_hold"}`)
	w.want("event z2m:0x1/button_brightness_up long")
	w.send("remote", `{"action":"brightness_up_release"}`)
	w.send("remote", `{"action":""}`)
	w.send("remote", `{"action":null}`)
	w.Message(w.now, link.Message{Topic: "zigbee2mqtt/remote", Payload: []byte(`{"action":"toggle"}`), Retained: true})
	w.want()
	for _, action := range []string{"on_press", "on_press_release", "off_press", "off_hold", "off_hold_release"} {
		w.send("hue", `{"action":"`+action+`"}`)
	}
	w.want("event z2m:0x2/button_on single", "event z2m:0x2/button_off long")
}

// TestCommands checks what is published for commands of controllers.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("9290022166", 2, "lamp"), w.entry("TS0002", 3, "gangs"), w.entry("014G2461", 4, "trv"), w.entry("YRD226/246 TSDB", 5, "front"), w.entry("E1757", 6, "blind"), w.entry("99432", 7, "fan"), w.entry("BHT-209-GCZB", 8, "floor"), w.entry("SWV", 9, "garden/valve"), w.entry("E2007", 10, "air"))
	number, yes, no, text := device.Number, device.Bool(true), device.Bool(false), device.Text
	second := time.Second
	for _, c := range []struct {
		c    device.Command
		want string // topic and payload, or the error
	}{
		{device.Command{Device: "z2m:0x2", Part: "light", Set: device.Values{"on": yes, "brightness_percent": number(25)}, Transition: &second}, `lamp/set {"brightness":64,"state":"ON","transition":1}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Set: device.Values{"color_temperature_kelvin": number(4000)}}, `lamp/set {"color_temp":250}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Set: device.Values{"color_x": number(0.3), "color_y": number(0.31)}}, `lamp/set {"color":{"x":0.3,"y":0.31}}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Set: device.Values{"hue_degrees": number(120), "saturation_percent": number(80), "on": yes}}, `lamp/set {"color":{"hue":120,"saturation":80},"state":"ON"}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Set: device.Values{"on": no}}, `lamp/set {"state":"OFF"}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Do: device.Identify, Seconds: 5}, `lamp/set {"effect":"blink"}`},
		{device.Command{Device: "z2m:0x2", Do: device.Identify}, `lamp/set {"effect":"stop_effect"}`},
		{device.Command{Device: "z2m:0x2", Part: "light", Do: device.Stop}, `nothing`},
		{device.Command{Device: "z2m:0x3", Part: "switch_l2", Set: device.Values{"on": yes}}, `gangs/set {"state_l2":"ON"}`},
		{device.Command{Device: "z2m:0x3", Part: "switch_l2", Do: device.Identify, Seconds: 1}, `the device cannot do that`},
		{device.Command{Device: "z2m:0x4", Part: "thermostat", Set: device.Values{"heating_setpoint_celsius": number(21.5), "mode": text("heat")}}, `trv/set {"occupied_heating_setpoint":21.5,"system_mode":"heat"}`},
		{device.Command{Device: "z2m:0x4", Part: "thermostat", Set: device.Values{"heating_setpoint_celsius": number(99)}}, `trv/set {"occupied_heating_setpoint":35}`},
		{device.Command{Device: "z2m:0x4", Part: "thermostat", Set: device.Values{"mode": text("cool")}}, `the device cannot do that`},
		{device.Command{Device: "z2m:0x5", Part: "lock", Do: device.Lock}, `front/set {"state":"LOCK"}`},
		{device.Command{Device: "z2m:0x5", Part: "lock", Do: device.Unlock, PIN: "1234"}, `front/set {"state":"UNLOCK"}`},
		{device.Command{Device: "z2m:0x6", Part: "cover", Set: device.Values{"position_percent": number(30)}}, `blind/set {"position":30}`},
		{device.Command{Device: "z2m:0x6", Part: "cover", Do: device.Stop}, `blind/set {"state":"STOP"}`},
		{device.Command{Device: "z2m:0x7", Part: "fan", Set: device.Values{"fan_percent": number(60)}}, `fan/set {"fan_mode":"medium"}`},
		{device.Command{Device: "z2m:0x7", Part: "fan", Set: device.Values{"fan_percent": number(0)}}, `fan/set {"fan_state":"OFF"}`},
		{device.Command{Device: "z2m:0x7", Part: "fan", Set: device.Values{"fan_mode": text("high")}}, `fan/set {"fan_mode":"high"}`},
		{device.Command{Device: "z2m:0xa", Part: "fan", Set: device.Values{"fan_percent": number(100), "fan_mode": text("high")}}, `air/set {"fan_mode":"9"}`},
		{device.Command{Device: "z2m:0xa", Part: "fan", Set: device.Values{"fan_mode": text("auto")}}, `air/set {"fan_mode":"auto"}`},
		{device.Command{Device: "z2m:0x8", Part: "thermostat", Set: device.Values{"mode": text("off")}}, `floor/set {"state":"OFF"}`},
		{device.Command{Device: "z2m:0x8", Part: "thermostat", Set: device.Values{"mode": text("heat")}}, `floor/set {"state":"ON"}`},
		{device.Command{Device: "z2m:0x9", Part: "valve", Set: device.Values{"open": yes}}, `garden/valve/set {"state":"ON"}`},
		{device.Command{Device: "z2m:0x9", Part: "flow", Set: device.Values{"flow_m3_per_hour": number(1)}}, `the device cannot do that`},
		{device.Command{Device: "z2m:0x99", Part: "x"}, `the device cannot do that`},
	} {
		w.rec.Take()
		err := w.Command(w.now, c.c)
		got := "nothing"
		if err != nil {
			got = err.Error()
		} else if l := w.rec.Take(); len(l) == 1 {
			got = strings.TrimPrefix(l[0], "publish zigbee2mqtt/")
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.c, got, c.want)
		}
	}
}

// TestBrightnessOfALampThatIsOff checks that the brightness is kept until the lamp
// is turned on, since zigbee2mqtt would turn it on.
func TestBrightnessOfALampThatIsOff(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("9290022166", 2, "lamp"))
	w.send("lamp", `{"state":"OFF","brightness":100}`)
	w.rec.Take()
	w.command("z2m:0x2", "light", device.Values{"brightness_percent": device.Number(50)})
	w.want()
	w.command("z2m:0x2", "light", device.Values{"brightness_percent": device.Number(50), "color_temperature_kelvin": device.Number(4000)})
	w.want(`publish zigbee2mqtt/lamp/set {"color_temp":250}`)
	w.command("z2m:0x2", "light", device.Values{"on": device.Bool(true)})
	w.want(`publish zigbee2mqtt/lamp/set {"brightness":127,"state":"ON"}`)
	w.command("z2m:0x2", "light", device.Values{"on": device.Bool(true)})
	w.want(`publish zigbee2mqtt/lamp/set {"state":"ON"}`)
}

// TestEcho checks states after a command. For a moment, a state with the old value
// is ignored, since it may be about something else. A state with any other value is
// used at once.
func TestEcho(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("SP 240", 3, "plug"))
	w.send("plug", `{"state":"OFF","power":0}`)
	w.rec.Take()
	w.command("z2m:0x3", "switch", device.Values{"on": device.Bool(true)})
	w.rec.Take()
	w.now = w.now.Add(100 * time.Millisecond)
	w.send("plug", `{"state":"OFF","power":1}`)
	w.want("report z2m:0x3/switch power_watts=1")
	w.send("plug", `{"state":"ON","power":1}`)
	w.want("report z2m:0x3/switch on=true")
	w.now = w.now.Add(500 * time.Millisecond)
	w.send("plug", `{"state":"OFF","power":1}`) // somebody has pressed the plug's button
	w.want("report z2m:0x3/switch on=false")

	w.command("z2m:0x3", "switch", device.Values{"on": device.Bool(true)})
	w.rec.Take()
	w.now = w.now.Add(reader.Echo)
	w.send("plug", `{"state":"OFF"}`) // it did not work
	w.want("report z2m:0x3/switch on=false")

	w.command("z2m:0x3", "switch", device.Values{"on": device.Bool(false)})
	w.rec.Take()
	w.send("plug", `{"state":"OFF"}`) // no change, but an answer
	w.want("report z2m:0x3/switch on=false")
}

// TestListsChange checks that a renamed device is the same device, that a removed
// one is reported, and that a missing list removes nothing.
func TestListsChange(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("SP 240", 1, "plug"), w.entry("SWV", 2, "valve"))
	w.devices(w.entry("SP 240", 1, "kitchen/hall plug"), w.entry("SWV", 2, "valve"))
	w.want("subscribe zigbee2mqtt/kitchen/hall plug", "subscribe zigbee2mqtt/kitchen/hall plug/availability", `describe z2m:0x1 "hall plug" switch:on_off_plug`, "listed zigbee2mqtt 2")
	w.send("plug", `{"state":"ON"}`)
	w.want()
	w.send("kitchen/hall plug", `{"state":"ON"}`)
	w.want("report z2m:0x1/switch on=true")
	w.devices(w.entry("SP 240", 1, "kitchen/hall plug"))
	w.want("listed zigbee2mqtt 1")
	w.devices(w.entry("SP 240", 1, "plug"), w.entry("SWV", 2, "valve"))
	w.want("unsubscribe zigbee2mqtt/kitchen/hall plug", "unsubscribe zigbee2mqtt/kitchen/hall plug/availability", `describe z2m:0x1 "plug" switch:on_off_plug`,
		`describe z2m:0x2 "valve" valve:water_valve flow:flow_sensor`, "listed zigbee2mqtt 2", "reachable z2m:0x2 true")

	w.devices() // the coordinator was reset, or the list is not ready
	w.want()
	w.send("bridge/devices", "")
	w.send("bridge/devices", "{}")
	w.want("failed zigbee2mqtt/bridge/devices json")
	if len(w.rec.Devices) != 2 {
		t.Errorf("%v", w.rec.Devices)
	}
}

// TestOffline checks that nothing is reachable while zigbee2mqtt is offline, that
// nothing is removed, and that everything comes back.
func TestOffline(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("SP 240", 1, "plug"), w.entry("SWV", 2, "valve"))
	w.send("bridge/state", `{"state":"offline"}`)
	w.want("away z2m:0x1", "away z2m:0x2")
	w.devices(w.entry("SP 240", 1, "plug"))
	if got := w.rec.Lists["zigbee2mqtt"]; len(got) != 2 {
		t.Errorf("an old list was believed: %v", got)
	}
	w.rec.Take()
	w.send("bridge/state", "online")
	w.want("listed zigbee2mqtt 1", "reachable z2m:0x1 true")

	w.Up() // the broker has restarted without its retained messages
	w.Settled(w.now)
	w.want("reachable z2m:0x1 false")
	w.send("bridge/state", `{"state":"online"}`)
	w.want("listed zigbee2mqtt 1", "reachable z2m:0x1 true")
	w.send("plug", `{"state":"ON"}`)
	w.want("report z2m:0x1/switch on=true")
}

// TestAvailability checks that a device's own availability is used if zigbee2mqtt
// publishes it.
func TestAvailability(t *testing.T) {
	w := newWorld(t)
	w.Up()
	w.send("bridge/state", `{"state":"online"}`)
	w.send("bridge/info", `{"config":{"availability":{"enabled":true}}}`)
	w.devices(w.entry("SP 240", 1, "plug"), w.entry("SWV", 2, "valve"))
	w.send("bridge/groups", "[]")
	w.send("plug/availability", `{"state":"online"}`)
	w.rec.Take()
	w.Settled(w.now)
	w.want("reachable z2m:0x1 true", "reachable z2m:0x2 false")
	w.send("valve/availability", "online")
	w.send("plug/availability", `{"state":"offline"}`)
	w.want("reachable z2m:0x2 true", "reachable z2m:0x1 false")
	w.send("plug/availability", `{"state":"online"}`)
	w.rec.Take()
	w.devices(strings.Replace(w.entry("SP 240", 1, "plug"), `"disabled":false`, `"disabled":true`, 1), w.entry("SWV", 2, "valve"))
	w.want("listed zigbee2mqtt 2", "reachable z2m:0x1 false")
}

// TestLeavesAndJoins checks that a device that joins again is reachable as before.
// Its availability was retained by the broker and is not published again.
func TestLeavesAndJoins(t *testing.T) {
	w := newWorld(t)
	w.Up()
	w.send("bridge/state", `{"state":"online"}`)
	w.send("bridge/info", `{"config":{"availability":{"enabled":true}}}`)
	w.send("bridge/groups", "[]")
	both := []string{w.entry("SP 240", 1, "plug"), w.entry("SP 240", 2, "other")}
	w.devices(both...)
	w.send("plug/availability", `{"state":"online"}`)
	w.Settled(w.now)
	w.rec.Take()
	w.devices(both[1])
	w.want("listed zigbee2mqtt 1")
	w.devices(both...)
	w.want(`describe z2m:0x1 "plug" switch:on_off_plug`, "listed zigbee2mqtt 2", "reachable z2m:0x1 true")
	w.send("plug/availability", `{"state":"offline"}`)
	w.want("reachable z2m:0x1 false")
	w.devices(both[1])
	w.send("plug/availability", "") // zigbee2mqtt clears it for a removed device
	w.rec.Take()
	w.devices(both...)
	if d := w.rec.Devices["z2m:0x1"]; d.Reachable {
		t.Error("it can be reached")
	}
}

// TestUnfit checks that a device that cannot be shown has a reason, and is not removed.
func TestUnfit(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("SP 240", 1, "plug"),
		`{"type":"Router","ieee_address":"0x2","friendly_name":"new","interview_state":"IN_PROGRESS","definition":null}`,
		`{"type":"Router","ieee_address":"0x3","friendly_name":"strange","interview_state":"SUCCESSFUL","supported":false,"definition":null}`,
		w.entry("E1746", 4, "repeater"),
		w.entry("SP 240", 5, "bad/+/name"),
		w.entry("MFKZQ01LM", 6, "cube"))
	for id, want := range map[string]string{
		"z2m:0x2": "its interview is not complete", "z2m:0x3": "zigbee2mqtt does not know this model",
		"z2m:0x4": "nothing of it has a type in Matter", "z2m:0x5": "its name cannot be a topic", "z2m:0x6": "actions that are not those of buttons are not shown",
	} {
		if !slices.ContainsFunc(w.rec.Ignored[id], func(i device.Ignored) bool { return i.Reason == want && i.Source == Source && i.ID == id }) {
			t.Errorf("%s: %+v, want %s", id, w.rec.Ignored[id], want)
		}
	}
	if got := w.rec.Lists["zigbee2mqtt"]; len(got) != 6 {
		t.Errorf("listed: %v", got)
	}
	w.devices(w.entry("SP 240", 1, "plug"))
	if len(w.rec.Ignored) != 1 { // the plug's settings
		t.Errorf("%v", w.rec.Ignored)
	}
}

// TestBadEntry checks that a bad entry does not affect others, and that an
// unreadable device is not removed.
func TestBadEntry(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("SP 240", 1, "plug"), w.entry("SWV", 2, "valve"))
	w.devices(w.entry("SP 240", 1, "plug"), `"what is this"`, `{"ieee_address":7,"friendly_name":{"a":1},"definition":[]}`)
	if got := w.rec.Lists["zigbee2mqtt"]; len(got) != 2 {
		t.Errorf("listed: %v", got)
	}
	if len(w.rec.Ignored["z2m:zigbee2mqtt"]) != 1 {
		t.Errorf("%v", w.rec.Ignored)
	}
	// A member of another kind affects only itself.
	w.devices(strings.Replace(w.entry("SP 240", 1, "plug"), `"software_build_id":"1.0.0"`, `"software_build_id":17`, 1))
	if d := w.rec.Devices["z2m:0x1"]; len(d.Parts) != 1 || d.SoftwareVersion != "" {
		t.Errorf("%+v", d)
	}
}

// TestGroups checks that a group is a device with the features that all its members
// have.
func TestGroups(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("9290022166", 1, "color"), w.entry("LED1545G12", 2, "white"), w.entry("SP 240", 3, "plug"), w.entry("WSDCGQ11LM", 4, "climate"), w.entry("E1757", 5, "blind"))
	w.send("bridge/groups", `[
		{"id":1,"friendly_name":"lamps","members":[{"ieee_address":"0x1","endpoint":11},{"ieee_address":"0x2","endpoint":1}]},
		{"id":2,"friendly_name":"all of it","members":[{"ieee_address":"0x1"},{"ieee_address":"0x3"}]},
		{"id":3,"friendly_name":"nothing","members":[]},
		{"id":4,"friendly_name":"odd","members":[{"ieee_address":"0x1"},{"ieee_address":"0x4"}]},
		{"id":5,"friendly_name":"blinds","members":[{"ieee_address":"0x5"}]},
		{"id":6,"friendly_name":"mixed","members":[{"ieee_address":"0x5"},{"ieee_address":"0x1"}]}]`)
	w.want(`describe z2m:group_1 "lamps" light:color_temperature_light`, `describe z2m:group_2 "all of it" switch:on_off_plug`, `describe z2m:group_5 "blinds" cover:window_covering`,
		"reachable z2m:group_1 true", "reachable z2m:group_2 true", "reachable z2m:group_5 true", "listed zigbee2mqtt 11")
	for _, id := range []string{"z2m:group_3", "z2m:group_4", "z2m:group_6"} {
		if len(w.rec.Ignored[id]) != 1 {
			t.Errorf("%s: %v", id, w.rec.Ignored[id])
		}
	}
	w.command("z2m:group_1", "light", device.Values{"on": device.Bool(true), "brightness_percent": device.Number(100)})
	w.want(`publish zigbee2mqtt/lamps/set {"brightness":254,"state":"ON"}`)
	w.send("lamps", `{"state":"ON","brightness":254,"color_temp":250}`)
	w.want("report z2m:group_1/light brightness_percent=100 color_temperature_kelvin=4000 on=true")

	other := New("attic/z2m", w.rec)
	if id := other.groupID(1); id != "z2m:attic_z2m_group_1" {
		t.Errorf("a group of another network is %s", id)
	}
}

// TestGroupFollows checks that a group without a state follows its members.
func TestGroupFollows(t *testing.T) {
	w := newWorld(t)
	w.start(w.entry("LED1545G12", 1, "a"), w.entry("LED1545G12", 2, "b"), w.entry("E1757", 3, "blind"))
	w.send("a", `{"state":"OFF","brightness":254,"color_temp":250}`)
	w.rec.Take()
	w.send("bridge/groups", `[
		{"id":1,"friendly_name":"lamps","members":[{"ieee_address":"0x1","endpoint":1},{"ieee_address":"0x2","endpoint":1}]},
		{"id":2,"friendly_name":"first","members":[{"ieee_address":"0x1","endpoint":1}]},
		{"id":3,"friendly_name":"blinds","members":[{"ieee_address":"0x3","endpoint":1}]}]`)
	w.want(`describe z2m:group_1 "lamps" light:color_temperature_light`, `describe z2m:group_2 "first" light:color_temperature_light`, `describe z2m:group_3 "blinds" cover:window_covering`,
		"report z2m:group_2/light brightness_percent=100 color_temperature_kelvin=4000 on=false",
		"reachable z2m:group_1 true", "reachable z2m:group_2 true", "reachable z2m:group_3 true", "listed zigbee2mqtt 6")
	w.send("b", `{"state":"ON","brightness":127,"color_temp":250}`)
	w.want("report z2m:0x2/light brightness_percent=50 color_temperature_kelvin=4000 on=true",
		"report z2m:group_1/light brightness_percent=50 color_temperature_kelvin=4000 on=true")
	// From now on zigbee2mqtt publishes the state of the group.
	w.send("b", `{"state":"OFF","brightness":127,"color_temp":250}`)
	w.want("report z2m:0x2/light on=false")
	w.send("lamps", `{"state":"OFF"}`)
	w.want("report z2m:group_1/light on=false")
	w.send("blinds", `{"state":"OPEN","position":100}`)
	w.rec.Take()
	w.send("blind", `{"state":"CLOSE","position":0}`)
	w.want("report z2m:0x3/cover position_percent=0")
}

// TestAsks checks that the unknown states of devices are requested, one after
// another, except from sleeping devices.
func TestAsks(t *testing.T) {
	w := newWorld(t)
	battery := func(entry string) string {
		return strings.Replace(entry, "Mains (single phase)", "Battery", 1)
	}
	w.start(w.entry("SP 240", 1, "plug"), battery(w.entry("9290012607", 2, "motion")), w.entry("TS0002", 3, "gangs"), w.entry("LED1545G12", 4, "lamp"), battery(w.entry("E1757", 5, "blind")))
	w.send("gangs", `{"state_l1":"ON","state_l2":null}`)
	w.rec.Take()
	var asked []string
	for range 10 {
		if at := w.Deadline(); !at.IsZero() {
			w.now = at
		}
		w.Advance(w.now)
		asked = append(asked, w.rec.Take()...)
	}
	want := []string{
		`publish zigbee2mqtt/plug/get {"current":"","energy":"","power":"","state":"","voltage":""}`,
		`publish zigbee2mqtt/gangs/get {"state_l2":""}`,
		`publish zigbee2mqtt/lamp/get {"brightness":"","color_temp":"","state":""}`,
		`publish zigbee2mqtt/blind/get {"position":""}`, // has a battery, but accepts commands
	}
	if !slices.Equal(asked, want) || !w.Deadline().IsZero() {
		t.Errorf("asked %q until %v", asked, w.Deadline())
	}
}

// FuzzReader sends messages to a reader, which must neither fail nor grow.
func FuzzReader(f *testing.F) {
	f.Add("bridge/devices", `[{"type":"Router","ieee_address":"0x1","friendly_name":"a","definition":{"exposes":[{"type":"light","features":[{"name":"state","property":"state","access":7}]}]}}]`, "a", `{"state":"ON"}`)
	f.Add("bridge/groups", `[{"id":1,"friendly_name":"g","members":[{"ieee_address":"0x1"}]}]`, "g", `{"state":"ON","brightness":3}`)
	f.Add("bridge/info", `{"config":{"availability":{"enabled":true}}}`, "a/availability", `{"state":"online"}`)
	f.Add("bridge/state", "online", "a", `{"color":{"x":1e308,"y":-1},"color_mode":"xy"}`)
	for _, e := range []string{
		`{"type":"binary","name":"alarm_1","property":"alarm_1","access":1,"value_on":true,"value_off":false}`, `{"type":"binary","name":"sos","property":"sos","access":1,"value_on":true,"value_off":false}`,
		`{"type":"enum","name":"presence_state","property":"p","access":1,"values":["none","motion",3]}`, `{"type":"numeric","name":"valve_state","property":"v","access":7,"unit":"%"}`,
		`{"type":"numeric","name":"probe_temperature","property":"v","access":1,"unit":"°F"}`, `{"type":"numeric","name":"total_power","property":"v","access":1,"unit":"W"}`,
	} {
		f.Add("bridge/devices", `[{"ieee_address":"0x1","friendly_name":"a","definition":{"description":"Smoke valve","exposes":[`+e+`]}}]`, "a", `{"alarm_1":true,"sos":true,"p":"none","v":1e300}`)
	}
	for _, e := range strings.Split(strings.Trim(string(models(f)), "[]\n"), ",\n")[:60] {
		f.Add("bridge/devices", "["+e+"]", "a", `{"temperature":1,"action":"on","state":"OFF","state_l1":1,"battery":"3"}`)
	}
	f.Fuzz(func(t *testing.T, topic, payload, topic2, payload2 string) {
		rec := reader.NewRecord()
		r := New(DefaultBase, rec)
		now := time.Unix(1_800_000_000, 0)
		r.Up()
		for range 2 {
			r.Message(now, link.Message{Topic: "zigbee2mqtt/" + topic, Payload: []byte(payload)})
			r.Message(now, link.Message{Topic: "zigbee2mqtt/" + topic2, Payload: []byte(payload2)})
			r.Settled(now)
		}
		for id, d := range rec.Devices {
			if len(d.Parts) == 0 || len(d.Parts) > reader.MaxParts || len(d.Name) > reader.MaxText || len(id) > 128 {
				t.Errorf("%+v", d)
			}
			for _, p := range d.Parts {
				if p.ID == "" || p.Type == "" {
					t.Errorf("%+v", p)
				}
				for _, set := range []device.Values{
					{"on": device.Bool(true)}, {"brightness_percent": device.Number(3), "color_x": device.Number(0.3), "color_y": device.Number(0.3), "mode": device.Text("heat"), "position_percent": device.Number(3), "fan_percent": device.Number(30), "open": device.Bool(true)},
				} {
					_ = r.Command(now, device.Command{Device: id, Part: p.ID, Set: set})
				}
			}
		}
		r.Advance(now.Add(time.Hour))
	})
}

// BenchmarkState measures a message of a plug with a meter in which one value has
// changed.
func BenchmarkState(b *testing.B) {
	sink := &countingSink{}
	r := New(DefaultBase, sink)
	now := time.Unix(1_800_000_000, 0)
	r.Message(now, link.Message{Topic: "zigbee2mqtt/bridge/devices", Payload: []byte("[" + string(sample()["SP 240"]) + "]")})
	var payloads [2][]byte
	for i := range payloads {
		payloads[i] = fmt.Appendf(nil, `{"state":"ON","power":12.%d,"voltage":231,"current":0.06,"energy":3.21,"linkquality":120,"power_on_behavior":"previous","update":{"state":"idle","installed_version":1,"latest_version":1}}`, i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Message(now, link.Message{Topic: "zigbee2mqtt/SP 240", Payload: payloads[i%2]})
		i++
	}
	if sink.reports != i {
		b.Errorf("%d reports of %d messages", sink.reports, i)
	}
}

// countingSink counts reports.
type countingSink struct {
	reader.Record
	reports int
}

func (s *countingSink) Describe(device.Device)               {}
func (s *countingSink) Subscribe(...link.Subscription)       {}
func (s *countingSink) Ignore(string, []device.Ignored)      {}
func (s *countingSink) Report(string, string, device.Values) { s.reports++ }

// TestSwappedNames checks that two devices that have exchanged their names each have the
// topic of their new name, also where it needs a subscription.
func TestSwappedNames(t *testing.T) {
	for _, names := range [][2]string{{"a", "b"}, {"hall/a", "hall/b"}} {
		w := newWorld(t)
		w.start(w.entry("SP 240", 1, names[0]), w.entry("SP 240", 2, names[1]))
		w.devices(w.entry("SP 240", 1, names[1]), w.entry("SP 240", 2, names[0]))
		w.rec.Take()
		w.send(names[1], `{"state":"ON"}`)
		w.want("report z2m:0x1/switch on=true")
		w.send(names[0], `{"state":"OFF"}`)
		w.want("report z2m:0x2/switch on=false")
		for _, name := range names {
			if _, there := w.rec.Filters["zigbee2mqtt/"+name]; there != strings.Contains(name, "/") {
				t.Errorf("%s: subscribed %v", name, there)
			}
		}
	}
}
