package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/bridgetest"
	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// patience bounds what a test waits for. It is only reached by a failure.
const patience = 30 * time.Second

// fakeRegistry records its calls.
type fakeRegistry struct {
	mu       sync.Mutex
	devices  map[string]device.Device
	log      []string
	batches  int
	ignored  map[string][]device.Ignored
	handlers map[string]func(device.Command)
	refuse   func(device.Values) error
	changed  chan struct{}
}

func newRegistry() *fakeRegistry {
	return &fakeRegistry{devices: map[string]device.Device{}, ignored: map[string][]device.Ignored{}, handlers: map[string]func(device.Command){}, changed: make(chan struct{}, 1)}
}

func (r *fakeRegistry) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

func (r *fakeRegistry) PutAll(all []device.Device) []error {
	r.mu.Lock()
	r.batches++
	for _, d := range all {
		r.devices[d.ID] = d
	}
	r.mu.Unlock()
	r.note("put %d", len(all))
	return make([]error, len(all))
}

func (r *fakeRegistry) Remove(id string, _ bool) error {
	r.mu.Lock()
	delete(r.devices, id)
	r.mu.Unlock()
	return r.note("remove %s", id)
}

func (r *fakeRegistry) IDs(string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.devices)), nil
}

func (r *fakeRegistry) Report(id, part string, v device.Values) error {
	if r.refuse != nil {
		if err := r.refuse(v); err != nil {
			return err
		}
	}
	return r.note("report %s/%s %s", id, part, reader.Format(v))
}

func (r *fakeRegistry) Battery(id string, b device.Battery) error {
	return r.note("battery %s %s", id, b.Percent)
}
func (r *fakeRegistry) Reachable(id string, reachable bool) error {
	return r.note("reachable %s %v", id, reachable)
}

func (r *fakeRegistry) Away(id string) error { return r.Reachable(id, false) }
func (r *fakeRegistry) Event(id, part string, g device.Gesture) error {
	return r.note("event %s/%s %s", id, part, g)
}
func (r *fakeRegistry) SetIgnored(source string, all []device.Ignored) error {
	r.mu.Lock()
	r.ignored[source] = all
	r.mu.Unlock()
	return r.note("ignored %s %d", source, len(all))
}
func (r *fakeRegistry) Lost(source string) error  { return r.note("lost %s", source) }
func (r *fakeRegistry) Found(source string) error { return r.note("found %s", source) }
func (r *fakeRegistry) Handle(source string, f func(device.Command)) error {
	r.mu.Lock()
	r.handlers[source] = f
	r.mu.Unlock()
	if f == nil {
		return r.note("handle %s no more", source)
	}
	return r.note("handle %s", source)
}

func (r *fakeRegistry) Device(id string) (bridge.View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.devices[id]
	if !ok {
		return bridge.View{}, errors.New("there is none")
	}
	v := bridge.View{Device: d}
	for _, p := range d.Parts {
		v.Parts = append(v.Parts, bridge.PartView{Part: p})
	}
	return v, nil
}

// await waits for a line of the log, and removes the log up to it.
func (r *fakeRegistry) await(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		i := slices.Index(r.log, want)
		if i >= 0 {
			r.log = r.log[i+1:]
		}
		log := slices.Clone(r.log)
		r.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-r.changed:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", want, strings.Join(log, "\n"))
		}
	}
}

// start runs a front until the test ends.
func start(t *testing.T, b *brokertest.Broker, r Registry, change ...func(*Options)) *Front {
	t.Helper()
	o := Options{
		Link: link.Options{URL: b.URL(), ClientID: "front-test"}, Zigbee2MQTT: []string{"zigbee2mqtt"},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	for _, f := range change {
		f(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

const (
	plug  = `{"type":"Router","ieee_address":"0x1","friendly_name":"plug","power_source":"Mains (single phase)","definition":{"model":"P","vendor":"V","exposes":[{"type":"switch","features":[{"name":"state","property":"state","access":7,"value_on":"ON","value_off":"OFF"}]},{"type":"numeric","name":"power","property":"power","access":1,"unit":"W"}]}}`
	valve = `{"type":"EndDevice","ieee_address":"0x2","friendly_name":"garden/climate","power_source":"Battery","definition":{"model":"C","vendor":"V","exposes":[{"type":"numeric","name":"temperature","property":"temperature","access":1,"unit":"°C"},{"type":"numeric","name":"battery","property":"battery","access":1,"unit":"%","category":"diagnostic"},{"type":"numeric","name":"linkquality","property":"linkquality","access":1,"category":"diagnostic"}]}}`
)

// network publishes the retained messages of a zigbee2mqtt. The first state of a device must
// be retained as well in a test: the front may know the device before it has subscribed to
// its states.
func network(c *brokertest.Client, devices ...string) {
	c.Publish("zigbee2mqtt/bridge/state", `{"state":"online"}`, true)
	c.Publish("zigbee2mqtt/bridge/info", `{"config":{"availability":{"enabled":false}}}`, true)
	c.Publish("zigbee2mqtt/bridge/devices", "["+strings.Join(devices, ",")+"]", true)
	c.Publish("zigbee2mqtt/bridge/groups", "[]", true)
}

// TestFront follows a network from the start to a restart of its broker: without a
// broker, with devices, states and commands, and after the broker has lost its
// retained messages.
func TestFront(t *testing.T) {
	b := brokertest.New(t, "")
	r := newRegistry()
	f := start(t, b, r)
	r.await(t, "handle z2m no more") // the source is known before there is a broker
	b.Start()
	r.await(t, "handle z2m")
	c := b.Client()
	c.Subscribe("zigbee2mqtt/+/set", "zigbee2mqtt/+/get")
	network(c, plug, valve)
	r.await(t, "reachable z2m:0x2 true")

	c.Publish("zigbee2mqtt/plug", `{"state":"ON","power":12}`, true)
	r.await(t, "report z2m:0x1/switch on=true power_watts=12")
	c.Publish("zigbee2mqtt/garden/climate", `{"temperature":20.5,"battery":50}`, true)
	r.await(t, "report z2m:0x2/temperature temperature_celsius=20.5")
	r.await(t, "battery z2m:0x2 50")
	r.await(t, "ignored z2m 1")

	r.handlers["z2m"](device.Command{Device: "z2m:0x1", Part: "switch", Set: device.Values{"on": device.Bool(false)}})
	if got := c.Next("zigbee2mqtt/plug/set"); got != `{"state":"OFF"}` {
		t.Errorf("published %s", got)
	}

	b.Stop()
	r.await(t, "handle z2m no more") // commands fail at once
	r.await(t, "lost z2m")           // the devices become unreachable after a while
	b.Start()
	r.await(t, "handle z2m")
	r.await(t, "found z2m") // the broker is up without retained messages
	c = b.Client()
	network(c, plug, valve)
	r.await(t, "reachable z2m:0x1 true")
	c.Publish("zigbee2mqtt/plug", `{"state":"ON","power":12}`, true)
	r.await(t, "report z2m:0x1/switch on=true power_watts=12")
	if ids, _ := r.IDs("z2m"); len(ids) != 2 || r.batches != 1 {
		t.Errorf("%v after %d batches", ids, r.batches)
	}
	c.Publish("zigbee2mqtt/bridge/devices", "["+plug+"]", true)
	r.await(t, "remove z2m:0x2")
	if s, _ := f.Stats(); !s.Connected || s.Received == 0 || s.Sent == 0 {
		t.Errorf("%+v", s)
	}
}

// TestTwoNetworks checks that a device of one network is not removed because the
// other network does not list it, and that nothing is removed before both have
// reported.
func TestTwoNetworks(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	r := newRegistry()
	r.devices["z2m:0x2"] = device.Device{ID: "z2m:0x2"} // of the other network, in the last run
	r.devices["z2m:0x9"] = device.Device{ID: "z2m:0x9"} // of neither
	network(c, plug)
	start(t, b, r, func(o *Options) { o.Zigbee2MQTT = []string{"zigbee2mqtt", "attic"} })
	r.await(t, "reachable z2m:0x1 true")
	c.Publish("attic/bridge/state", "online", true)
	c.Publish("attic/bridge/devices", "["+valve+"]", true)
	c.Publish("attic/bridge/groups", "[]", true)
	r.await(t, "remove z2m:0x9")
	if ids, _ := r.IDs("z2m"); !slices.Equal(ids, []string{"z2m:0x1", "z2m:0x2"}) {
		t.Errorf("%v", ids)
	}
}

// TestRefusedValue checks that a value that the bridge rejects does not affect
// other values.
func TestRefusedValue(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	r := newRegistry()
	r.refuse = func(v device.Values) error {
		if _, ok := v["power_watts"]; ok {
			return errors.New("power_watts: not today")
		}
		return nil
	}
	network(c, plug)
	f := start(t, b, r)
	r.await(t, "reachable z2m:0x1 true")
	c.Publish("zigbee2mqtt/plug", `{"state":"ON","power":12}`, true)
	r.await(t, "report z2m:0x1/switch on=true")
	if _, counts := f.Stats(); counts["value"] != 1 {
		t.Errorf("%v", counts)
	}
}

// TestOutOfRange checks that a number that a device cannot have in Matter is shown as the
// nearest that it can have, also beside others.
func TestOutOfRange(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	r := bridgetest.New(t)
	bridgetest.Attach(t, r, &bridgetest.Node{})
	const sensor = `{"type":"EndDevice","ieee_address":"0x3","friendly_name":"tyre","definition":{"model":"T","vendor":"V","exposes":[{"type":"numeric","name":"pressure","property":"pressure","access":1,"unit":"bar"},{"type":"numeric","name":"co2","property":"co2","access":1,"unit":"ppm"}]}}`
	network(c, plug, sensor)
	c.Publish("zigbee2mqtt/plug", `{"state":"ON","power":1e18}`, true)
	c.Publish("zigbee2mqtt/tyre", `{"pressure":40,"co2":-1}`, true)
	f := start(t, b, r)
	want := map[string]device.Value{"z2m:0x1/switch on": device.Bool(true), "z2m:0x1/switch power_watts": device.Number(1e6), "z2m:0x3/pressure pressure_hpa": device.Number(32767), "z2m:0x3/air_quality co2_ppm": device.Number(0)}
	got := map[string]device.Value{}
	for end := time.Now().Add(patience); time.Now().Before(end) && !maps.Equal(got, want); time.Sleep(5 * time.Millisecond) {
		views, err := r.Devices()
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		for _, v := range views {
			for _, p := range v.Parts {
				for name, value := range p.State {
					if !value.IsNull() && name != "air_quality" {
						got[v.ID+"/"+p.ID+" "+name] = value
					}
				}
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("shown is %v, want %v", got, want)
	}
	if _, counts := f.Stats(); counts["value"] != 0 {
		t.Errorf("%v", counts)
	}
}

// TestPanic checks that a panic in a reader affects only the message that caused
// it.
func TestPanic(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	r := newRegistry()
	r.refuse = func(v device.Values) error {
		if f, _ := v["power_watts"].Number(); f == 13 {
			panic("thirteen")
		}
		return nil
	}
	network(c, plug)
	f := start(t, b, r, func(o *Options) { o.Log = slog.New(slog.DiscardHandler) })
	c.Publish("zigbee2mqtt/plug", `{"power":12}`, true)
	r.await(t, "report z2m:0x1/switch power_watts=12")
	c.Publish("zigbee2mqtt/plug", `{"power":13}`, false)
	c.Publish("zigbee2mqtt/plug", `{"power":14}`, false)
	r.await(t, "report z2m:0x1/switch power_watts=14")
	if _, counts := f.Stats(); counts["panic"] != 1 {
		t.Errorf("%v", counts)
	}
}

// TestHostilePublisher checks that a flood, and messages that are too large or
// invalid, are counted and do not affect other devices.
func TestHostilePublisher(t *testing.T) {
	b := brokertest.New(t, "max_queued_messages 100000\n")
	b.Start()
	c := b.Client()
	r := newRegistry()
	network(c, plug, valve)
	f := start(t, b, r)
	c.Publish("zigbee2mqtt/plug", `{"power":13}`, true)
	r.await(t, "report z2m:0x1/switch power_watts=13")
	c.Publish("zigbee2mqtt/garden/climate", `{"temperature":76}`, true)
	r.await(t, "report z2m:0x2/temperature temperature_celsius=76")
	big := `{"temperature":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`
	for i := range 2000 {
		c.PublishFast("zigbee2mqtt/garden/climate", fmt.Sprintf(`{"temperature":%d}`, i%50))
		c.PublishFast("zigbee2mqtt/nobody", `{"state":"ON"}`)
		c.PublishFast("zigbee2mqtt/garden/climate", `{"temperature":`)
		if i%100 == 0 {
			c.PublishFast("zigbee2mqtt/plug", big)
			c.PublishFast("zigbee2mqtt/bridge/devices", `[{"ieee_address":`)
		}
	}
	c.Publish("zigbee2mqtt/garden/climate", `{"temperature":77}`, false)
	c.Publish("zigbee2mqtt/plug", `{"power":14}`, false)
	r.await(t, "report z2m:0x2/temperature temperature_celsius=77")
	r.await(t, "report z2m:0x1/switch power_watts=14")
	s, counts := f.Stats()
	if s.Errors[link.ReasonTooLarge] != 20 || counts["json"] == 0 {
		t.Errorf("%+v %v", s, counts)
	}
	if ids, _ := r.IDs("z2m"); len(ids) != 2 {
		t.Errorf("%v", ids)
	}
}

// TestAllReaders checks that each device is read once: from zigbee2mqtt's and
// Tasmota's own topics, and not from Home Assistant's discovery of the same
// devices.
func TestAllReaders(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	c.Subscribe("homeassistant/status", "cmnd/#")
	network(c, plug)
	c.Publish("homeassistant/switch/0x1/switch/config", `{"unique_id":"0x1_switch_zigbee2mqtt","command_topic":"zigbee2mqtt/plug/set","state_topic":"zigbee2mqtt/plug","value_template":"{{ value_json[\"state\"] }}","device":{"identifiers":["zigbee2mqtt_0x1"]},"origin":{"name":"Zigbee2MQTT"}}`, true)
	c.Publish("homeassistant/binary_sensor/bridge/connection/config", `{"unique_id":"bridge","state_topic":"zigbee2mqtt/bridge/state","device_class":"door","device":{"identifiers":["zigbee2mqtt_bridge_0x9"]},"origin":{"name":"Zigbee2MQTT"}}`, true)
	c.Publish("tasmota/discovery/AABBCC000001/config", `{"dn":"T","mac":"AABBCC000001","ofln":"Offline","onln":"Online","state":["OFF","ON"],"t":"t","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],"rl":[1],"so":{}}`, true)
	c.Publish("tele/t/LWT", "Online", true)
	c.Publish("homeassistant/switch/000001_RL_1/config", `{"unique_id":"000001_RL_1","command_topic":"cmnd/t/POWER1","state_topic":"tele/t/STATE","value_template":"{{ value_json.POWER }}","device":{"identifiers":["000001"]}}`, true)
	c.Publish("homeassistant/switch/esp/config", `{"unique_id":"esp","name":"Esp","command_topic":"esp/set","state_topic":"esp/state"}`, true)
	r := newRegistry()
	start(t, b, r, func(o *Options) { o.Discovery, o.Tasmota, o.Birth = "homeassistant", "tasmota/discovery", true })
	if got := c.Next("homeassistant/status"); got != "online" {
		t.Errorf("birth: %s", got)
	}
	c.Publish("esp/state", "ON", false)
	r.await(t, "report ha:switch_esp/switch_esp on=true")
	c.Publish("tele/t/STATE", `{"POWER":"ON"}`, false)
	r.await(t, "report tasmota:AABBCC000001/relay_1 on=true")
	if ids, _ := r.IDs(""); !slices.Equal(ids, []string{"ha:switch_esp", "tasmota:AABBCC000001", "z2m:0x1"}) {
		t.Errorf("%v", ids)
	}
	r.handlers["tasmota"](device.Command{Device: "tasmota:AABBCC000001", Part: "relay_1", Set: device.Values{"on": device.Bool(false)}})
	if got := c.Next("cmnd/t/POWER1"); got != "OFF" {
		t.Errorf("published %s", got)
	}
}

// TestOwn checks that the operator's devices are shown, and can be replaced while
// the front runs.
func TestOwn(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	c.Publish("pump", "ON", true)
	r := newRegistry()
	pump := homeassistant.Own{"pump": {"platform": "switch", "command_topic": "pump/set", "state_topic": "pump"}}
	f := start(t, b, r, func(o *Options) { o.Own = pump })
	r.await(t, "report mqtt:pump/switch_switch on=true")
	if err := f.SetOwn(homeassistant.Own{"pump": {"platform": "switch"}}); err == nil {
		t.Error("a switch without a topic is taken")
	}
	pump = homeassistant.Own{"pump": pump["pump"], "well": {"platform": "sensor", "device_class": "temperature", "unit_of_measurement": "°C", "state_topic": "well"}}
	if err := f.SetOwn(pump); err != nil {
		t.Fatal(err)
	}
	r.await(t, "put 1")
	c.Publish("well", "8.5", true)
	r.await(t, "report mqtt:well/sensor_sensor temperature_celsius=8.5")
}
