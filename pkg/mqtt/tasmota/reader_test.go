package tasmota

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

type world struct {
	*Reader
	t   testing.TB
	rec *reader.Record
	now time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, rec: reader.NewRecord(), now: time.Unix(1_800_000_000, 0)}
	w.Reader = New(DefaultTopic, w.rec)
	w.Up()
	return w
}

func (w *world) send(topic, payload string) {
	w.Message(w.now, link.Message{Topic: topic, Payload: []byte(payload)})
}

func (w *world) retained(topic, payload string) {
	w.Message(w.now, link.Message{Topic: topic, Payload: []byte(payload), Retained: true})
}

// pass advances the time and calls Advance when it is due.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		at := w.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		w.Advance(w.now)
	}
	w.now = end
}

// want compares the calls since the last one, without subscriptions.
func (w *world) want(lines ...string) {
	w.t.Helper()
	got := slices.DeleteFunc(w.rec.Take(), func(l string) bool {
		return strings.HasPrefix(l, "subscribe") || strings.HasPrefix(l, "unsubscribe")
	})
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "tasmota:AABBCC000001", "T")
	}
	if !slices.Equal(got, lines) {
		w.t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

// config is a configuration with some members changed.
func config0(change ...string) string {
	return `{"ip":"192.0.2.7","dn":"Plug","fn":["Plug",null],"hn":"plug-0001","mac":"AABBCC000001","md":"Generic","ty":0,"ofln":"Offline","onln":"Online","state":["OFF","ON","TOGGLE","HOLD"],"sw":"14.0.0","t":"plug","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],"swc":[-1],"swn":[null],"lk":0,` +
		strings.Join(change, ",") + `,"ver":1}`
}

// step is a message or a command, and the resulting calls.
type step struct {
	topic, payload string
	command        *device.Command
	want           []string
}

func set1(part string, v device.Values) *device.Command {
	return &device.Command{Device: "tasmota:AABBCC000001", Part: part, Set: v}
}

func TestDevices(t *testing.T) {
	number, yes, no := device.Number, device.Bool(true), device.Bool(false)
	for _, d := range []struct {
		name    string
		config  string
		sensors string
		want    string
		steps   []step
	}{
		{"a plug with a meter", config0(`"rl":[1,0,0,0]`, `"btn":[0]`, `"so":{"30":0,"73":0}`, `"lt_st":0`),
			`{"sn":{"Time":"2026-01-01T00:00:00","ENERGY":{"Total":1.2,"Power":5,"Voltage":230,"Current":0.03,"Factor":0.5}},"ver":1}`,
			`Plug relay_1:on_off_plug+meter`, []step{
				{topic: "stat/plug/RESULT", payload: `{"POWER":"ON"}`, want: []string{"report T/relay_1 on=true"}},
				{topic: "tele/plug/STATE", payload: `{"Time":"x","POWER":"ON","Wifi":{"RSSI":80}}`},
				{topic: "tele/plug/SENSOR", payload: `{"ENERGY":{"Power":12,"Total":1.21,"Voltage":231,"Current":0.06}}`, want: []string{"report T/relay_1 current_amperes=0.06 energy_kwh=1.21 power_watts=12 voltage_volts=231"}},
				{topic: "stat/plug/STATUS10", payload: `{"StatusSNS":{"ENERGY":{"Power":13}}}`, want: []string{"report T/relay_1 power_watts=13"}},
				{command: set1("relay_1", device.Values{"on": no}), want: []string{"publish cmnd/plug/POWER1 OFF"}},
				{topic: "stat/plug/RESULT", payload: `{"Command":"Unknown"}`},
				{topic: "stat/plug/RESULT", payload: `OFF`},
				{topic: "stat/plug/POWER", payload: `{"POWER":"OFF"}`}, // not of this one
				{command: set1("relay_9", device.Values{"on": no}), want: []string{"error the device cannot do that"}},
			}},
		{"answers at the topic of the command (SetOption4)", config0(`"rl":[2]`, `"so":{"4":1}`, `"lt_st":1`), "",
			`Plug light_1:dimmable_light`, []step{
				{topic: "stat/plug/POWER", payload: `{"POWER":"ON"}`, want: []string{"report T/light_1 on=true"}},
				{topic: "stat/plug/POWER", payload: `ON`},
				{topic: "stat/plug/DIMMER", payload: `{"POWER":"ON","Dimmer":40}`, want: []string{"report T/light_1 brightness_percent=40"}},
				{topic: "stat/plug/STATE", payload: `{"POWER":"OFF","Dimmer":40}`, want: []string{"report T/light_1 on=false"}},
				{topic: "tele/plug/STATE", payload: `{"POWER":"ON","Dimmer":40}`, want: []string{"report T/light_1 on=true"}},
			}},
		{"two relays that are lights, with names", config0(`"rl":[1,1]`, `"so":{"30":1}`, `"lt_st":0`, `"fn":["Plug","Hall"]`), "",
			`Plug relay_1:on_off_light relay_2:on_off_light(Hall)`, []step{
				{topic: "tele/plug/STATE", payload: `{"POWER1":"ON","POWER2":"OFF"}`, want: []string{"report T/relay_1 on=true", "report T/relay_2 on=false"}},
				{topic: "stat/plug/RESULT", payload: `{"POWER":"OFF"}`},
				{command: set1("relay_2", device.Values{"on": yes}), want: []string{"publish cmnd/plug/POWER2 ON"}},
			}},
		{"a lamp with all colors", config0(`"rl":[2]`, `"so":{"82":0}`, `"lt_st":5`), "",
			`Plug light_1:extended_color_light 2000-6536`, []step{
				{topic: "stat/plug/RESULT", payload: `{"POWER":"ON","Dimmer":50,"Color":"0,128,0,0,0","HSBColor":"120,100,50","White":0,"CT":327,"Channel":[0,50,0,0,0]}`, want: []string{"report T/light_1 brightness_percent=50 color_mode=hs hue_degrees=120 on=true saturation_percent=100"}},
				{topic: "stat/plug/RESULT", payload: `{"POWER":"ON","Dimmer":50,"HSBColor":"120,0,0","White":50,"CT":250}`, want: []string{"report T/light_1 color_mode=temperature color_temperature_kelvin=4000"}},
				{command: set1("light_1", device.Values{"on": yes, "brightness_percent": number(40), "hue_degrees": number(10), "saturation_percent": number(90)}), want: []string{"publish cmnd/plug/Backlog NoDelay;POWER1 ON;NoDelay;Dimmer 40;NoDelay;HSBColor1 10;NoDelay;HSBColor2 90"}},
				{command: set1("light_1", device.Values{"color_temperature_kelvin": number(2700)}), want: []string{"publish cmnd/plug/CT 370"}},
				{command: set1("light_1", device.Values{"on": no, "brightness_percent": number(40)}), want: []string{"publish cmnd/plug/POWER1 OFF"}},
				{command: set1("light_1", device.Values{"color_x": number(0.64), "color_y": number(0.33)}), want: []string{"publish cmnd/plug/Backlog NoDelay;HSBColor1 0;NoDelay;HSBColor2 100"}},
			}},
		{"white with a color temperature in the short range", config0(`"rl":[2]`, `"so":{"82":1}`, `"lt_st":2`), "",
			`Plug light_1:color_temperature_light 2632-5000`, []step{
				{topic: "tele/plug/STATE", payload: `{"POWER":"ON","Dimmer":0,"CT":153}`, want: []string{"report T/light_1 color_temperature_kelvin=5000 on=true"}},
			}},
		{"channels of their own", config0(`"rl":[2,2]`, `"so":{"68":1}`, `"lt_st":2`), "",
			`Plug light_1:dimmable_light light_2:dimmable_light`, []step{
				{topic: "tele/plug/STATE", payload: `{"POWER1":"ON","Channel1":50,"POWER2":"ON","Channel2":20}`, want: []string{"report T/light_1 brightness_percent=50 on=true", "report T/light_2 brightness_percent=20 on=true"}},
				{topic: "tele/plug/STATE", payload: `{"Channel":[60,30]}`, want: []string{"report T/light_1 brightness_percent=60", "report T/light_2 brightness_percent=30"}},
				{command: set1("light_2", device.Values{"brightness_percent": number(70)}), want: []string{"publish cmnd/plug/Channel2 70"}},
			}},
		{"two shutters", config0(`"rl":[3,3,3,3,1]`, `"so":{}`, `"lt_st":0`, `"sht":[[0,0,0],[-90,90,1]]`), "",
			`Plug shutter_1:window_covering shutter_2:window_covering relay_5:on_off_plug`, []step{
				{topic: "stat/plug/RESULT", payload: `{"Shutter1":{"Position":50,"Direction":1,"Target":100,"Tilt":0}}`, want: []string{"report T/shutter_1 moving=opening position_percent=50"}},
				{topic: "tele/plug/SENSOR", payload: `{"Shutter2":{"Position":0,"Direction":0,"Tilt":-45}}`, want: []string{"report T/shutter_2 moving=stopped position_percent=0 tilt_percent=25"}},
				{command: set1("shutter_2", device.Values{"position_percent": number(30)}), want: []string{"publish cmnd/plug/ShutterPosition2 30"}},
				{command: &device.Command{Device: "tasmota:AABBCC000001", Part: "shutter_1", Do: device.Stop}, want: []string{"publish cmnd/plug/ShutterStop1 "}},
				{command: set1("shutter_2", device.Values{"tilt_percent": number(100)}), want: []string{"publish cmnd/plug/ShutterTilt2 90"}},
				{command: set1("shutter_1", device.Values{"tilt_percent": number(100)}), want: []string{"error the device cannot do that"}},
			}},
		{"a ceiling fan with a lamp", config0(`"rl":[1,1,1,1]`, `"if":1`, `"so":{"30":1}`, `"lt_st":0`), "",
			`Plug relay_1:on_off_light fan:fan`, []step{
				{topic: "stat/plug/RESULT", payload: `{"FanSpeed":2}`, want: []string{"report T/fan fan_mode=medium fan_percent=66"}},
				{topic: "tele/plug/STATE", payload: `{"POWER1":"ON","FanSpeed":0}`, want: []string{"report T/fan fan_mode=off fan_percent=0", "report T/relay_1 on=true"}},
				{command: set1("fan", device.Values{"fan_percent": number(100), "fan_mode": device.Text("high")}), want: []string{"publish cmnd/plug/FanSpeed 3"}},
				{command: set1("fan", device.Values{"fan_percent": number(34)}), want: []string{"publish cmnd/plug/FanSpeed 2"}},
				{command: set1("fan", device.Values{"fan_mode": device.Text("low")}), want: []string{"publish cmnd/plug/FanSpeed 1"}},
				{command: set1("fan", device.Values{"fan_percent": number(0)}), want: []string{"publish cmnd/plug/FanSpeed 0"}},
				{command: set1("fan", device.Values{"fan_mode": device.Text("auto")}), want: []string{"error the device cannot do that"}},
			}},
		{"sensors and buttons", config0(`"rl":[0]`, `"btn":[1,1]`, `"so":{"73":1}`, `"lt_st":0`),
			`{"sn":{"Time":"x","BME280":{"Temperature":70.5,"Humidity":40,"Pressure":29.9,"DewPoint":9},"BH1750":{"Illuminance":100},"SCD40":{"CarbonDioxide":500},"TempUnit":"F","PressureUnit":"inHg"}}`,
			`Plug temperature_BME280:temperature_sensor(BME280) humidity_BME280:humidity_sensor(BME280) illuminance_BH1750:light_sensor(BH1750) pressure_BME280:pressure_sensor(BME280) air_quality:air_quality_sensor button_1:generic_switch button_2:generic_switch`, []step{
				{topic: "tele/plug/SENSOR", payload: `{"BME280":{"Temperature":68,"Humidity":41,"Pressure":29.92},"BH1750":{"Illuminance":null},"SCD40":{"CarbonDioxide":600},"TempUnit":"F"}`, want: []string{
					"report T/air_quality co2_ppm=600", "report T/humidity_BME280 humidity_percent=41", "report T/pressure_BME280 pressure_hpa=1013.207469", "report T/temperature_BME280 temperature_celsius=20"}},
				{topic: "stat/plug/RESULT", payload: `{"Button2":{"Action":"DOUBLE"}}`, want: []string{"event T/button_2 double"}},
				{topic: "stat/plug/RESULT", payload: `{"Button2":{"Action":"CLEAR"}}`},
			}},
		{"a meter for each of two relays", config0(`"rl":[1,1]`, `"so":{}`, `"lt_st":0`), `{"sn":{"ENERGY":{"Total":[1,2],"Power":[5,6],"Voltage":230}}}`,
			`Plug relay_1:on_off_plug+meter relay_2:on_off_plug+meter`, []step{
				{topic: "tele/plug/SENSOR", payload: `{"ENERGY":{"Power":[7,8],"Total":[1,2]}}`, want: []string{"report T/relay_1 energy_kwh=1 power_watts=7", "report T/relay_2 energy_kwh=2 power_watts=8"}},
			}},
	} {
		t.Run(d.name, func(t *testing.T) {
			w := newWorld(t)
			w.retained("tasmota/discovery/AABBCC000001/config", d.config)
			if d.sensors != "" {
				w.retained("tasmota/discovery/AABBCC000001/sensors", d.sensors)
			}
			w.retained("tele/plug/LWT", "Online")
			w.Settled(w.now)
			got := w.rec.Devices["tasmota:AABBCC000001"]
			s := got.Name
			for _, p := range got.Parts {
				s += " " + p.ID + ":" + p.Type
				if p.Meter {
					s += "+meter"
				}
				if p.Name != "" && !slices.Contains([]string{"relay_" + p.Name, "light_" + p.Name, "shutter_" + p.Name, "button_" + p.Name}, p.ID) {
					s += "(" + p.Name + ")"
				}
				if p.Options.MinKelvin > 0 {
					s += fmt.Sprintf(" %v-%v", p.Options.MinKelvin, p.Options.MaxKelvin)
				}
			}
			if s != d.want || !got.Reachable {
				t.Fatalf("described as %s, reachable %v\nwant %s", s, got.Reachable, d.want)
			}
			w.pass(time.Second)
			w.rec.Take()
			for _, s := range d.steps {
				if s.command != nil {
					if err := w.Command(w.now, *s.command); err != nil {
						w.rec.Log = append(w.rec.Log, "error "+err.Error())
					}
				} else {
					w.send(s.topic, s.payload)
				}
				w.now = w.now.Add(3 * time.Second)
				w.want(s.want...)
			}
		})
	}
}

// TestLife follows a device from the first announcement to its removal.
func TestLife(t *testing.T) {
	w := newWorld(t)
	w.Settled(w.now)
	w.rec.Take()
	plain := config0(`"rl":[1]`, `"so":{}`, `"lt_st":0`)
	w.send("tasmota/discovery/AABBCC000001/config", plain)
	w.send("tele/plug/LWT", "Online")
	w.send("tasmota/discovery/AABBCC000001/sensors", `{"sn":{"DS18B20":{"Temperature":20}}}`)
	w.pass(5 * time.Second)
	w.want(`describe T "Plug" relay_1:on_off_plug temperature_DS18B20:temperature_sensor`, "publish cmnd/plug/STATE ", "publish cmnd/plug/STATUS 10")
	w.send("tasmota/discovery/AABBCC000001/config", plain) // sent again after each connect
	w.pass(time.Minute)
	w.want()
	w.send("tele/plug/LWT", "Offline")
	w.send("tele/plug/LWT", "nonsense")
	w.send("tele/plug/LWT", "Online")
	w.pass(time.Second)
	w.want("reachable T false", "reachable T true", "publish cmnd/plug/STATE ", "publish cmnd/plug/STATUS 10")

	w.send("tasmota/discovery/AABBCC000001/config", strings.Replace(plain, `"t":"plug"`, `"t":"hall/plug"`, 1))
	w.send("tele/hall/plug/LWT", "Online")
	w.pass(5 * time.Second)
	w.want("publish cmnd/hall/plug/STATE ", "publish cmnd/hall/plug/STATUS 10") // the same device
	w.send("tele/plug/STATE", `{"POWER":"ON"}`)
	w.want()
	w.send("tele/hall/plug/STATE", `{"POWER":"ON"}`)
	w.want("report T/relay_1 on=true")

	w.Up()
	w.send("tasmota/discovery/AABBCC000001/config", strings.Replace(plain, `"t":"plug"`, `"t":"hall/plug"`, 1))
	w.Settled(w.now)
	w.want("reachable T false") // until its last will changes
	w.send("tele/hall/plug/LWT", "Online")
	w.pass(time.Second)
	w.want("reachable T true", "publish cmnd/hall/plug/STATE ", "publish cmnd/hall/plug/STATUS 10")
	if !w.Knows("00:00:01") || !w.Knows("AABBCC000001") || w.Knows("00:00:02") {
		t.Error("Knows")
	}
	w.send("tasmota/discovery/AABBCC000001/config", "")
	w.want("remove T")
	if len(w.things)+len(w.byTopic) != 0 {
		t.Errorf("left: %v", w.byTopic)
	}
}

// TestUnfit checks that an unreadable device is left out with a reason and does not
// affect others.
func TestUnfit(t *testing.T) {
	w := newWorld(t)
	for mac, c := range map[string]string{
		"AABBCC000002": `{"mac":"AABBCC000002"}`,
		"AABBCC000003": `{"mac":"x","tp":["a","b","c"],"t":"t","ft":"%topic%"}`,
		"AABBCC000004": config0(`"rl":[1]`),
		"AABBCC000005": strings.Replace(strings.ReplaceAll(config0(`"rl":[1]`), "AABBCC000001", "AABBCC000005"), `"t":"plug"`, `"t":"#"`, 1),
		"AABBCC000006": strings.ReplaceAll(config0(`"rl":[0]`), "AABBCC000001", "AABBCC000006"),
	} {
		w.retained("tasmota/discovery/"+mac+"/config", c)
	}
	w.retained("tasmota/discovery/AABBCC000007/config", "{")
	w.retained("tasmota/discovery/AABBCC000001/config", config0(`"rl":[1]`, `"so":[]`, `"fn":"x"`))
	w.Settled(w.now)
	if len(w.rec.Devices) != 1 || len(w.rec.Ignored) != 5 {
		t.Errorf("%v\n%v", w.rec.Devices, w.rec.Ignored)
	}
}

func FuzzTasmota(f *testing.F) {
	f.Add(config0(`"rl":[1,2,3,3]`, `"so":{"73":1,"68":1}`, `"lt_st":5`, `"btn":[1]`, `"sht":[[1],[0,1]]`), `{"sn":{"ENERGY":{"Power":[1,2]},"A":{"Temperature":1}}}`, `{"POWER":"ON","HSBColor":"1,2,3","White":1,"CT":0,"Shutter1":{"Position":1}}`)
	f.Add(config0(`"rl":[2]`, `"so":{"82":1}`, `"lt_st":2`), `{}`, `{"StatusSNS":{"ENERGY":7}}`)
	f.Fuzz(func(t *testing.T, c, s, state string) {
		w := newWorld(t)
		w.retained("tasmota/discovery/AABBCC000001/config", c)
		w.retained("tasmota/discovery/AABBCC000001/sensors", s)
		w.Settled(w.now)
		for topic := range w.rec.Filters {
			w.send(topic, state)
		}
		for id, d := range w.rec.Devices {
			if len(d.Parts) == 0 || len(d.Parts) > reader.MaxParts {
				t.Errorf("%+v", d)
			}
			for _, p := range d.Parts {
				_ = w.Command(w.now, device.Command{Device: id, Part: p.ID, Set: device.Values{"on": device.Bool(true), "brightness_percent": device.Number(1), "color_x": device.Number(0.1), "color_y": device.Number(0.1), "color_temperature_kelvin": device.Number(3000), "position_percent": device.Number(9), "tilt_percent": device.Number(3)}})
			}
		}
		w.pass(time.Minute)
	})
}
