//go:build interop

package interop

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/pkg/mqtt"
)

// typeIDs are Matter's device type ids of the types of parts.
var typeIDs = map[string]int{
	"on_off_plug": 0x10A, "dimmable_light": 0x101, "color_temperature_light": 0x10C, "extended_color_light": 0x10D, "contact_sensor": 0x15,
	"occupancy_sensor": 0x107, "temperature_sensor": 0x302, "humidity_sensor": 0x307, "pressure_sensor": 0x305, "light_sensor": 0x106,
	"water_leak_detector": 0x43, "smoke_co_alarm": 0x76, "air_quality_sensor": 0x2C, "generic_switch": 0x0F, "window_covering": 0x202,
	"door_lock": 0x0A, "thermostat": 0x301, "fan": 0x2B, "water_valve": 0x42, "electrical_sensor": 0x510,
}

// fleet is the expected state of the devices of a broker.
type fleet struct {
	r     *run
	parts map[string]string // id and part to type
	ids   []string
	ends  map[string]uint16 // the first endpoints
}

// newFleet returns a fleet from a map of "ID/PART" to types of parts.
func newFleet(r *run, parts map[string]string) *fleet {
	n := &fleet{r: r, parts: parts}
	for key := range parts {
		if id, _, _ := strings.Cut(key, "/"); !slices.Contains(n.ids, id) {
			n.ids = append(n.ids, id)
		}
	}
	slices.Sort(n.ids)
	return n
}

// endpoints returns the endpoint of each part from the daemon, and whether all are
// shown and reachable.
func (n *fleet) endpoints() (map[string]uint16, error) {
	var all []bridged
	if err := n.r.device.api().do("GET", "/v1/devices", "", &all); err != nil {
		return nil, err
	}
	out := map[string]uint16{}
	for _, id := range n.ids {
		i := slices.IndexFunc(all, func(d bridged) bool { return d.ID == id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("%s is not there", id)
		case !all[i].Exposed || !all[i].Reachable:
			return nil, fmt.Errorf("%s: exposed %v, reachable %v", id, all[i].Exposed, all[i].Reachable)
		}
		for _, p := range all[i].Parts {
			out[id+"/"+p.ID] = p.Endpoint
		}
	}
	return out, nil
}

// await waits until all devices are shown and reachable, with the same endpoints as
// at first.
func (n *fleet) await(text string, limit time.Duration) {
	n.r.t.Helper()
	n.r.step(text, func() (err error) {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		var ends map[string]uint16
		for end := time.Now().Add(limit); time.Now().Before(end); <-look.C {
			if ends, err = n.endpoints(); err == nil {
				break
			}
		}
		if err != nil {
			return err
		}
		if n.ends == nil {
			n.ends = ends
		}
		if !maps.Equal(ends, n.ends) {
			return fmt.Errorf("endpoints %v, they were %v", ends, n.ends)
		}
		return nil
	})
}

// checkTypes makes a controller read the device type of each endpoint.
func (n *fleet) checkTypes(controller string) {
	n.r.t.Helper()
	const attrDeviceTypeList = 0
	var reports []report
	path := args{"cluster": descriptorCluster, "attribute": attrDeviceTypeList}
	n.r.call(fmt.Sprintf("%d parts have their types", len(n.parts)), "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		types := map[uint16][]int{}
		for _, a := range reports {
			var list []struct{ DeviceType int }
			if err := json.Unmarshal(a.Value, &list); err != nil {
				return err
			}
			for _, t := range list {
				types[a.Endpoint] = append(types[a.Endpoint], t.DeviceType)
			}
		}
		for key, typ := range n.parts {
			if end, ok := n.ends[key]; !ok || !slices.Contains(types[end], typeIDs[typ]) {
				return fmt.Errorf("%s: endpoint %d has the types %x, want %s %x", key, end, types[end], typ, typeIDs[typ])
			}
		}
		return nil
	})
}

// subscribeAll subscribes a controller to everything.
func (r *run) subscribeAll(controller string) {
	r.t.Helper()
	r.step("subscription to everything", func() error {
		_, err := r.ctl.call(r.ctx, "subscribe", args{"controller": controller, "min": 0, "max": 60, "everything": true}, nil)
		return err
	})
}

// gesture is a command of a controller, the MQTT message for it, and the report
// after that.
type gesture struct {
	part      string // id and part
	command   command
	topic     string // where the command is published
	payload   string
	state     string // what the device answers
	cluster   uint32
	attribute uint32
	want      string
}

// captured returns messages of a real zigbee2mqtt about some devices: their entries
// in bridge/devices, and their states.
func (r *run) captured(names ...string) (entries []json.RawMessage, states map[string]string) {
	f, err := os.Open("../../pkg/mqtt/testdata/captured.jsonl.gz")
	r.must(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	r.must(err)
	messages, err := mqtt.ReadCaptured(z)
	r.must(err)
	states = map[string]string{}
	for _, m := range messages {
		topic := strings.TrimPrefix(m.Topic, "zigbee2mqtt/")
		if slices.Contains(names, topic) {
			states[topic] = string(m.Payload)
		}
		if topic != "bridge/devices" {
			continue
		}
		var all []json.RawMessage
		r.must(json.Unmarshal(m.Payload, &all))
		for _, e := range all {
			var d struct {
				Name string `json:"friendly_name"`
			}
			r.must(json.Unmarshal(e, &d))
			if slices.Contains(names, d.Name) {
				entries = append(entries, e)
			}
		}
	}
	return entries, states
}

// TestMQTT makes the daemon bridge the devices of a broker, with captured messages
// of a real zigbee2mqtt. matter.js finds and switches them, and receives reports.
// Then broker and daemon end and start again in each order.
func TestMQTT(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	b := brokertest.New(t, "")
	b.Start()
	names := []string{"929002376801", "ZCM-300", "5047230P6", "LDSENK02S", "YNDX-00591", "YRD226_246_TSDB", "014G2461", "VA4200WZ", "MOSZB-140", "FLSZB-110", "SMSZB-120", "WISZB-120", "E2201"}
	entries, states := r.captured(names...)
	ids := map[string]string{}
	for _, e := range entries {
		var d struct {
			Name string `json:"friendly_name"`
			IEEE string `json:"ieee_address"`
		}
		r.must(json.Unmarshal(e, &d))
		ids[d.Name] = "z2m:" + d.IEEE
	}
	list, err := json.Marshal(entries)
	r.must(err)
	var c *brokertest.Client
	publish := func() {
		c = b.Client()
		c.Subscribe("zigbee2mqtt/+/set")
		c.Publish("zigbee2mqtt/bridge/state", `{"state":"online"}`, true)
		c.Publish("zigbee2mqtt/bridge/info", `{"version":"2.14.1","config":{"availability":{"enabled":false}}}`, true)
		c.Publish("zigbee2mqtt/bridge/devices", string(list), true)
		c.Publish("zigbee2mqtt/bridge/groups", `[]`, true)
		for name, state := range states {
			c.Publish("zigbee2mqtt/"+name, state, true)
		}
	}
	publish()
	n := newFleet(r, map[string]string{
		ids["929002376801"] + "/light": "extended_color_light", ids["ZCM-300"] + "/light": "dimmable_light", ids["5047230P6"] + "/light": "color_temperature_light",
		ids["LDSENK02S"] + "/switch": "on_off_plug", ids["YNDX-00591"] + "/cover": "window_covering", ids["YRD226_246_TSDB"] + "/lock": "door_lock",
		ids["014G2461"] + "/thermostat": "thermostat", ids["VA4200WZ"] + "/valve": "water_valve", ids["MOSZB-140"] + "/occupancy": "occupancy_sensor",
		ids["FLSZB-110"] + "/leak": "water_leak_detector", ids["SMSZB-120"] + "/alarm": "smoke_co_alarm", ids["SMSZB-120"] + "/temperature": "temperature_sensor",
		ids["WISZB-120"] + "/contact": "contact_sensor", ids["E2201"] + "/button_on": "generic_switch", ids["E2201"] + "/button_off": "generic_switch",
	})
	r.device.args = []string{"--mqtt-url", b.URL()}
	r.startAll()
	r.openController("one", args{})
	r.begin("MQTT")
	n.await("all devices are shown", 10*time.Second)
	r.join("one")
	n.checkTypes("one")
	r.subscribeAll("one")

	r.begin("MQTT, commands")
	for _, g := range []gesture{
		{ids["ZCM-300"] + "/light", command{cluster: "OnOff", name: "off"}, "ZCM-300", `{"state":"OFF"}`, `{"state":"OFF"}`, onOff, 0, "false"},
		{ids["ZCM-300"] + "/light", command{cluster: "LevelControl", name: "moveToLevelWithOnOff", fields: args{"level": 254, "transitionTime": 10, "optionsMask": args{}, "optionsOverride": args{}}},
			"ZCM-300", `{"brightness":254,"state":"ON","transition":1}`, `{"state":"ON","brightness":254}`, levelControl, 0, "254"},
		{ids["LDSENK02S"] + "/switch", command{cluster: "OnOff", name: "off"}, "LDSENK02S", `{"state":"OFF"}`, `{"state":"OFF"}`, onOff, 0, "false"},
		{ids["YNDX-00591"] + "/cover", command{cluster: "WindowCovering", name: "goToLiftPercentage", fields: args{"liftPercent100thsValue": 6000}}, "YNDX-00591", `{"position":40}`, `{"position":40}`, 0x102, 14, "6000"},
		{ids["YRD226_246_TSDB"] + "/lock", command{cluster: "DoorLock", name: "unlockDoor", timed: true, fields: args{}}, "YRD226_246_TSDB", `{"state":"UNLOCK"}`, `{"state":"UNLOCK","lock_state":"unlocked"}`, 0x101, 0, "2"},
		{ids["VA4200WZ"] + "/valve", command{cluster: "ValveConfigurationAndControl", name: "close"}, "VA4200WZ", `{"state":"CLOSE"}`, `{"state":"CLOSE"}`, 0x81, 4, "0"},
	} {
		r.status(g.command.name+" "+g.topic, "one", g.command.at(n.ends[g.part]), 0)
		r.step("the message", func() error {
			if got := c.Next("zigbee2mqtt/" + g.topic + "/set"); got != g.payload {
				return fmt.Errorf("published %s, want %s", got, g.payload)
			}
			return nil
		})
		c.Publish("zigbee2mqtt/"+g.topic, g.state, false)
		r.attribute("the report", "one", n.ends[g.part], g.cluster, g.attribute, g.want)
	}
	c.Publish("zigbee2mqtt/SMSZB-120", `{"temperature":25.5}`, false)
	r.attribute("a temperature", "one", n.ends[ids["SMSZB-120"]+"/temperature"], temperature, 0, "2550")

	on := command{endpoint: n.ends[ids["LDSENK02S"]+"/switch"], cluster: "OnOff", name: "on"}
	connected := func(want bool) {
		line := map[bool]string{false: "opcredsd_mqtt_connected 0\n", true: "opcredsd_mqtt_connected 1\n"}[want]
		r.step(strings.TrimSpace(line), func() error {
			return until(func() (bool, error) {
				out, err := r.device.ns.output(r.ctx, "curl", "-sS", "http://127.0.0.1:9540/metrics")
				return bytes.Contains(out, []byte(line)), err
			})
		})
	}
	toggle := func() {
		connected(true) // before that a command fails
		r.call("new session", "reconnect", args{"controller": "one"}, nil, nil)
		r.status("On", "one", on, 0)
		r.step("the message", func() error {
			if got := c.Next("zigbee2mqtt/LDSENK02S/set"); got != `{"state":"ON"}` {
				return fmt.Errorf("published %s", got)
			}
			return nil
		})
	}
	r.begin("MQTT, SIGKILL of the broker, which loses what it had")
	b.Stop()
	b.Start()
	publish()
	n.await("all devices are there again", 15*time.Second)
	toggle()
	r.begin("MQTT, SIGKILL of both, the broker first")
	b.Stop()
	r.step("daemon killed", r.device.kill)
	b.Start()
	publish()
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	n.await("all devices are there again", 15*time.Second)
	toggle()
	r.begin("MQTT, SIGKILL of both, the daemon first")
	r.step("daemon killed", r.device.kill)
	b.Stop()
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	b.Start()
	publish()
	n.await("all devices are there again", 15*time.Second)
	toggle()
	r.begin("MQTT, without the broker")
	var plug bridged
	r.must(r.device.api().do("GET", "/v1/devices/"+ids["LDSENK02S"], "", &plug))
	b.Stop()
	connected(false)
	r.status("On", "one", on, statusFailure)
	becomes := func(reachable bool) { // a device that has just become reachable stays so for a while
		r.step(fmt.Sprintf("reachable %v", reachable), func() (err error) {
			for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
				if err = r.reachable("one", plug.Endpoint, reachable); err == nil {
					return nil
				}
			}
			return err
		})
	}
	becomes(false)
	b.Start()
	publish()
	n.await("all devices are there again", 40*time.Second)
	becomes(true)
	toggle()
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

func (c command) at(endpoint uint16) command {
	c.endpoint = endpoint
	return c
}
