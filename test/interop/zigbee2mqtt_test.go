//go:build interop && mqtt

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/internal/netns"
)

const (
	hubLink      = "eth1" // between the daemon and the broker
	hubAddress   = "10.83.8.2"
	toRadio      = 30 * time.Second // with loss, TCP waits up to 15 s between its attempts
	startOfZ2M   = 60 * time.Second
	untilAllBack = 60 * time.Second
)

var z2mReady = regexp.MustCompile(`Zigbee2MQTT started!`)

// hub is a mosquitto and a zigbee2mqtt with a simulated radio, in their own
// namespace.
type hub struct {
	r      *run
	ns     *namespace
	dir    string
	node   string
	ieee   map[string]string // addresses by name
	broker *process
	z2m    *process
	starts int
}

// newHub creates the namespace, the link to the daemon, and the configuration of
// both programs.
func newHub(r *run) *hub {
	r.t.Helper()
	nodes, err := filepath.Glob("zigbee2mqtt/node_modules/node-linux-*/bin/node")
	r.must(err)
	if len(nodes) == 0 {
		r.t.Fatal("no zigbee2mqtt/node_modules: run test/setup.sh zigbee2mqtt (make interop-mqtt does)")
	}
	node, err := filepath.Abs(nodes[0])
	r.must(err)
	inner, err := netns.New()
	r.must(err)
	r.t.Cleanup(inner.Close)
	r.must(netns.Connect(hubLink, netns.End{Namespace: r.device.ns.Namespace, Prefixes: []string{"10.83.8.1/24"}}, netns.End{Namespace: inner, Prefixes: []string{hubAddress + "/24"}}))
	r.must(inner.Do(netns.Loopback))
	dir, err := os.MkdirTemp("", "hub") // shorter than t.TempDir: a socket's path may have 107 octets
	r.must(err)
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	h := &hub{r: r, ns: &namespace{inner}, dir: dir, node: node, ieee: map[string]string{}}
	h.configure()
	return h
}

func (h *hub) configure() {
	b, err := os.ReadFile("zigbee2mqtt/devices.json")
	h.r.must(err)
	var devices []struct{ Name string }
	h.r.must(json.Unmarshal(b, &devices))
	names := ""
	for i, d := range devices {
		h.ieee[d.Name] = fmt.Sprintf("0x00124b%010x", i+1) // as in radio.cjs
		names += fmt.Sprintf("  '%s': {friendly_name: %q}\n", h.ieee[d.Name], d.Name)
	}
	h.write("mosquitto.conf", "user root\nlistener 1883\nlistener 0 "+h.path("sock")+"\nallow_anonymous true\npersistence false\n")
	h.r.must(os.Mkdir(h.path("data"), 0o755))
	h.write("data/configuration.yaml", `version: 5
homeassistant: {enabled: false}
frontend: {enabled: false}
mqtt: {base_topic: zigbee2mqtt, server: 'mqtt://127.0.0.1:1883'}
serial: {port: /dev/null, adapter: ember}
availability: {enabled: true}
advanced: {channel: 11, network_key: [1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 13], pan_id: 6754, ext_pan_id: [221, 221, 221, 221, 221, 221, 221, 221], log_level: info, log_output: [console]}
devices:
`+names)
}

func (h *hub) path(name string) string { return filepath.Join(h.dir, name) }

func (h *hub) write(name, content string) {
	h.r.must(os.WriteFile(h.path(name), []byte(content), 0o644))
}

// id returns the id of a device.
func (h *hub) id(name string) string { return "z2m:" + h.ieee[name] }

func (h *hub) startBroker() error {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	os.Remove(h.path("sock"))
	h.broker, err = h.ns.start("mosquitto", exec.Command(path, "-c", h.path("mosquitto.conf")))
	if err != nil {
		return err
	}
	for end := time.Now().Add(toRadio); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", h.path("sock")); err == nil {
			return conn.Close()
		}
	}
	return errors.New("mosquitto does not listen")
}

func (h *hub) startZ2M() error {
	h.starts++
	log, err := os.Create(filepath.Join(h.r.logs, fmt.Sprintf("zigbee2mqtt-%d.log", h.starts)))
	if err != nil {
		return err
	}
	cmd := exec.Command(h.node, "-r", "./radio.cjs", "node_modules/zigbee2mqtt/cli.js")
	cmd.Dir = "zigbee2mqtt"
	// The radio keeps the devices in memory as long as zigbee2mqtt runs.
	cmd.Env = append(environment(), "RADIO_DEVICES=devices.json", "RADIO_SOCKET="+h.path("radio"), "ZIGBEE2MQTT_DATA="+h.path("data"), "GIT_DIR=/nonexistent")
	watch := &lineWatch{Writer: log, wanted: z2mReady.MatchString, found: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = watch, watch
	if h.z2m, err = h.ns.start("zigbee2mqtt", cmd, log); err != nil {
		return err
	}
	select {
	case <-watch.found:
		return nil
	case <-h.z2m.done:
		return errEnded
	case <-time.After(startOfZ2M):
		return errors.New("zigbee2mqtt did not start; see its log")
	}
}

var errEnded = errors.New("zigbee2mqtt ended; see its log")

// keepZ2M starts zigbee2mqtt, and again if it ends: it does if it finds no broker, and its
// service manager then starts it again.
func (h *hub) keepZ2M() (err error) {
	for end := time.Now().Add(startOfZ2M); time.Now().Before(end); {
		if err = h.startZ2M(); err != errEnded {
			return err
		}
	}
	return err
}

// wish sends a request to the radio.
func (h *hub) wish(wish args, result any) error {
	conn, err := net.Dial("unix", h.path("radio"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(wish); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return err
	}
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("radio: %v: %s", wish, answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// report makes a device report attributes, or send a command.
func (h *hub) report(device string, endpoint int, cluster string, values args) error {
	return h.wish(args{"do": "report", "device": device, "endpoint": endpoint, "cluster": cluster, "values": values}, nil)
}

func (h *hub) zone(device string, status int) error {
	return h.wish(args{"do": "command", "device": device, "cluster": "ssIasZone", "command": "statusChangeNotification", "payload": args{"zonestatus": status, "extendedstatus": 0, "zoneID": 23, "delay": 0}}, nil)
}

// speak makes the sensors report, since the bridge does not show a value without a
// report.
func (h *hub) speak() error {
	return errors.Join(
		h.report("climate", 1, "msTemperatureMeasurement", args{"measuredValue": 2150}), h.report("climate", 1, "msRelativeHumidity", args{"measuredValue": 4560}),
		h.report("climate", 1, "msPressureMeasurement", args{"measuredValue": 1013}),
		h.report("air", 1, "msTemperatureMeasurement", args{"measuredValue": 2010}), h.report("air", 1, "msRelativeHumidity", args{"measuredValue": 4400}),
		h.report("motion", 2, "msOccupancySensing", args{"occupancy": 0}), h.report("motion", 2, "msTemperatureMeasurement", args{"measuredValue": 2000}),
		h.report("motion", 2, "msIlluminanceMeasurement", args{"measuredValue": 20001}),
		h.report("contact", 1, "genOnOff", args{"onOff": 0}), h.zone("leak", 0), h.zone("smoke", 0),
		h.report("valve", 1, "genOnOff", args{"onOff": 0}), h.report("lock", 1, "closuresDoorLock", args{"lockState": 1}),
		h.report("blind", 1, "closuresWindowCovering", args{"currentPositionLiftPercentage": 100}),
		h.report("radiator", 1, "hvacThermostat", args{"localTemp": 2050, "occupiedHeatingSetpoint": 2100, "systemMode": 4}),
		h.report("fan", 1, "hvacFanCtrl", args{"fanMode": 0}),
	)
}

// wantValue waits until an attribute of a device has a value.
func (h *hub) wantValue(device string, endpoint int, cluster, attribute string, want int) {
	h.r.t.Helper()
	h.r.step(fmt.Sprintf("the radio has %s %s/%s %d", device, cluster, attribute, want), func() error {
		var got float64
		for end := time.Now().Add(toRadio); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if err := h.wish(args{"do": "value", "device": device, "endpoint": endpoint, "cluster": cluster, "attribute": attribute}, &got); err != nil {
				return err
			}
			if int(got) == want {
				return nil
			}
		}
		return fmt.Errorf("it has %v", got)
	})
}

// parts returns the types of the devices of devices.json.
func (h *hub) parts() map[string]string {
	out := map[string]string{}
	for key, typ := range map[string]string{
		"lamp white/light": "color_temperature_light", "lamp color/light": "extended_color_light", "hall/dimmer/light": "dimmable_light", "plug/switch": "on_off_plug",
		"two gangs/switch_l1": "on_off_plug", "two gangs/switch_l2": "on_off_plug", "blind/cover": "window_covering", "lock/lock": "door_lock",
		"radiator/thermostat": "thermostat", "fan/fan": "fan", "fan/light": "dimmable_light", "valve/valve": "water_valve", "climate/temperature": "temperature_sensor",
		"climate/humidity": "humidity_sensor", "climate/pressure": "pressure_sensor", "air/temperature": "temperature_sensor", "air/humidity": "humidity_sensor",
		"air/air_quality": "air_quality_sensor", "motion/occupancy": "occupancy_sensor", "motion/temperature": "temperature_sensor", "motion/illuminance": "light_sensor",
		"contact/contact": "contact_sensor", "leak/leak": "water_leak_detector", "smoke/alarm": "smoke_co_alarm", "remote/button_on": "generic_switch", "remote/button_off": "generic_switch",
	} {
		i := strings.LastIndexByte(key, '/')
		out[h.id(key[:i])+key[i:]] = typ
	}
	return out
}

// TestZigbee2MQTT uses a real mosquitto and a real zigbee2mqtt; only the radio is
// simulated.
func TestZigbee2MQTT(t *testing.T) {
	r := newRun(t)
	h := newHub(r)
	r.device.args = []string{"--mqtt-url", "mqtt://" + hubAddress, "--interface", link}
	r.begin("zigbee2mqtt")
	r.step("mosquitto", h.startBroker)
	r.step("zigbee2mqtt", h.startZ2M)
	r.startAll()
	r.openController("one", args{})
	r.step("the devices join", func() error { return h.wish(args{"do": "join"}, nil) })
	n := newFleet(r, h.parts())
	r.step("the sensors speak until all is shown", func() (err error) {
		for end := time.Now().Add(untilAllBack); time.Now().Before(end); time.Sleep(2 * time.Second) {
			if err = h.speak(); err == nil {
				if _, err = n.endpoints(); err == nil {
					return nil
				}
			}
		}
		return err
	})
	n.await("all devices are shown", untilAllBack)
	r.join("one")
	n.checkTypes("one")
	r.subscribeAll("one")
	end := func(key string) uint16 {
		i := strings.LastIndexByte(key, '/')
		return n.ends[h.id(key[:i])+key[i:]]
	}
	h.commands(end)
	h.reports(end)
	h.ways(end, n)
	h.loss(end)
	h.orders(end, n)
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// commands checks that the radio carries out commands, and that its reports arrive.
func (h *hub) commands(end func(string) uint16) {
	r := h.r
	r.t.Helper()
	r.begin("zigbee2mqtt, commands")
	none := args{"optionsMask": args{}, "optionsOverride": args{}}
	with := func(a args) args {
		for k, v := range none {
			a[k] = v
		}
		return a
	}
	for _, c := range []struct {
		part, cluster, name string
		fields              args
		device              string
		endpoint            int
		zcl, attribute      string
		value               int
		matter, id          uint32
		want                string
	}{
		{"lamp white/light", "OnOff", "on", nil, "lamp white", 1, "genOnOff", "onOff", 1, onOff, 0, "true"},
		{"lamp white/light", "LevelControl", "moveToLevelWithOnOff", with(args{"level": 100, "transitionTime": 0}), "lamp white", 1, "genLevelCtrl", "currentLevel", 100, levelControl, 0, "100"},
		{"lamp white/light", "ColorControl", "moveToColorTemperature", with(args{"colorTemperatureMireds": 300, "transitionTime": 0}), "lamp white", 1, "lightingColorCtrl", "colorTemperature", 300, 0x300, 7, "300"},
		{"lamp color/light", "OnOff", "on", nil, "lamp color", 11, "genOnOff", "onOff", 1, onOff, 0, "true"},
		{"lamp color/light", "ColorControl", "moveToColor", with(args{"colorX": 20000, "colorY": 22000, "transitionTime": 0}), "lamp color", 11, "lightingColorCtrl", "colorMode", 1, 0x300, 8, "1"},
		{"hall/dimmer/light", "OnOff", "on", nil, "hall/dimmer", 1, "genOnOff", "onOff", 1, onOff, 0, "true"},
		{"plug/switch", "OnOff", "on", nil, "plug", 1, "genOnOff", "onOff", 1, onOff, 0, "true"},
		{"two gangs/switch_l2", "OnOff", "on", nil, "two gangs", 2, "genOnOff", "onOff", 1, onOff, 0, "true"},
		{"blind/cover", "WindowCovering", "goToLiftPercentage", args{"liftPercent100thsValue": 6000}, "blind", 1, "closuresWindowCovering", "currentPositionLiftPercentage", 60, 0x102, 14, "6000"},
		{"lock/lock", "DoorLock", "unlockDoor", args{}, "lock", 1, "closuresDoorLock", "lockState", 2, 0x101, 0, "2"},
		{"valve/valve", "ValveConfigurationAndControl", "open", args{}, "valve", 1, "genOnOff", "onOff", 1, 0x81, 4, "1"},
	} {
		r.status(c.name+" "+c.part, "one", command{endpoint: end(c.part), cluster: c.cluster, name: c.name, fields: c.fields, timed: c.cluster == "DoorLock"}, 0)
		h.wantValue(c.device, c.endpoint, c.zcl, c.attribute, c.value)
		r.attribute("the report", "one", end(c.part), c.matter, c.id, c.want)
	}
	r.write("OccupiedHeatingSetpoint", "one", end("radiator/thermostat"), "Thermostat", "occupiedHeatingSetpoint", 1900)
	h.wantValue("radiator", 1, "hvacThermostat", "occupiedHeatingSetpoint", 1900)
	r.write("PercentSetting", "one", end("fan/fan"), "FanControl", "percentSetting", 100)
	h.wantValue("fan", 1, "hvacFanCtrl", "fanMode", 3)
	r.status("Toggle both gangs", "one", command{endpoint: end("two gangs/switch_l1"), cluster: "OnOff", name: "toggle"}, 0)
	h.wantValue("two gangs", 1, "genOnOff", "onOff", 1)
	h.wantValue("two gangs", 2, "genOnOff", "onOff", 1)

	r.begin("zigbee2mqtt, a lamp that does not answer")
	r.step("it is silent", func() error { return h.wish(args{"do": "silent", "device": "plug", "silent": true}, nil) })
	r.status("Off", "one", command{endpoint: end("plug/switch"), cluster: "OnOff", name: "off"}, 0)
	r.attribute("it is off", "one", end("plug/switch"), onOff, 0, "false")
	r.attribute("and shown as it was", "one", end("plug/switch"), onOff, 0, "true")
	r.step("it answers", func() error { return h.wish(args{"do": "silent", "device": "plug", "silent": false}, nil) })

	r.begin("zigbee2mqtt, somebody presses the button of a lamp a moment after a command")
	r.status("Off", "one", command{endpoint: end("hall/dimmer/light"), cluster: "OnOff", name: "off"}, 0)
	h.wantValue("hall/dimmer", 1, "genOnOff", "onOff", 0)
	r.attribute("it is off", "one", end("hall/dimmer/light"), onOff, 0, "false")
	r.step("it reports that it is on", func() error { return h.report("hall/dimmer", 1, "genOnOff", args{"onOff": 1}) })
	r.attribute("it is on", "one", end("hall/dimmer/light"), onOff, 0, "true")
}

// reports checks that reports of the radio reach the controller.
func (h *hub) reports(end func(string) uint16) {
	r := h.r
	r.t.Helper()
	r.begin("zigbee2mqtt, reports")
	for _, c := range []struct {
		part       string
		say        func() error
		matter, id uint32
		want       string
	}{
		{"climate/temperature", func() error { return h.report("climate", 1, "msTemperatureMeasurement", args{"measuredValue": 2345}) }, 0x402, 0, "2345"},
		{"climate/humidity", func() error { return h.report("climate", 1, "msRelativeHumidity", args{"measuredValue": 6100}) }, 0x405, 0, "6100"},
		{"motion/occupancy", func() error { return h.report("motion", 2, "msOccupancySensing", args{"occupancy": 1}) }, 0x406, 0, `{"occupied":true}`},
		{"contact/contact", func() error { return h.report("contact", 1, "genOnOff", args{"onOff": 1}) }, 0x45, 0, "false"},
		{"leak/leak", func() error { return h.zone("leak", 1) }, 0x45, 0, "true"},
		{"smoke/alarm", func() error { return h.zone("smoke", 1) }, 0x5C, 1, "2"},
		{"lock/lock", func() error { return h.report("lock", 1, "closuresDoorLock", args{"lockState": 1}) }, 0x101, 0, "1"},
		{"radiator/thermostat", func() error { return h.report("radiator", 1, "hvacThermostat", args{"localTemp": 1850}) }, 0x201, 0, "1850"},
	} {
		r.step("the radio speaks for "+c.part, c.say)
		r.attribute("the report", "one", end(c.part), c.matter, c.id, c.want)
	}
	r.step("a button is pressed", func() error {
		return h.wish(args{"do": "command", "device": "remote", "cluster": "genOnOff", "command": "on"}, nil)
	})
	const switchCluster, initialPress = 0x3B, 1
	r.step("the event", func() error {
		var seen []any
		for limit := time.Now().Add(reportAfterItsSource); time.Now().Before(limit); {
			var p *reported
			if _, err := r.ctl.call(r.ctx, "report", args{"controller": "one", "timeoutMs": 2000}, &p); err != nil {
				return err
			}
			if p != nil && p.event(switchCluster, initialPress) {
				return nil
			}
			if p != nil {
				seen = append(seen, p.Attributes, p.Events)
			}
		}
		return fmt.Errorf("there is none in %+v", seen)
	})
}

// ways adds, removes and renames devices. Their endpoints must not change.
func (h *hub) ways(end func(string) uint16, n *fleet) {
	r := h.r
	r.t.Helper()
	r.begin("zigbee2mqtt, rename")
	c := brokertest.Connect(r.t, h.path("sock"))
	c.Publish("zigbee2mqtt/bridge/request/device/rename", `{"from":"plug","to":"cellar/freezer"}`, false)
	time.Sleep(time.Second) // there is no sign that it has happened
	n.await("the device is the same", untilAllBack)
	r.status("Off", "one", command{endpoint: end("plug/switch"), cluster: "OnOff", name: "off"}, 0)
	h.wantValue("plug", 1, "genOnOff", "onOff", 0)
	c.Publish("zigbee2mqtt/bridge/request/device/rename", `{"from":"cellar/freezer","to":"plug"}`, false)
	r.begin("zigbee2mqtt, leave and join again")
	r.step("leave", func() error { return h.wish(args{"do": "leave", "device": "two gangs"}, nil) })
	r.step("it cannot be reached", func() error {
		for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
			if r.reachable("one", end("two gangs/switch_l1")-1, false) == nil {
				return nil
			}
		}
		return r.reachable("one", end("two gangs/switch_l1")-1, false)
	})
	r.step("join", func() error { return h.wish(args{"do": "join", "device": "two gangs"}, nil) })
	n.await("the device is the same", untilAllBack)
}

// loss loses packets on the broker's link. Everything must arrive, later.
func (h *hub) loss(end func(string) uint16) {
	r := h.r
	r.t.Helper()
	r.begin("zigbee2mqtt, 20 % loss to the broker")
	r.step("loss begins", func() error { return r.setLossOn(hubLink, 20, r.device.ns, h.ns) })
	for i := range 10 {
		name, value := "on", 1
		if i%2 == 1 {
			name, value = "off", 0
		}
		h.insist(name, command{endpoint: end("lamp color/light"), cluster: "OnOff", name: name}, value)
		// Of a contact every change is reported; a number waits until its least interval is over.
		r.step("the contact speaks", func() error { return h.report("contact", 1, "genOnOff", args{"onOff": 1 - value}) })
		r.attributeWithin(toRadio, "the report", "one", end("contact/contact"), 0x45, 0, fmt.Sprint(value == 1))
	}
	r.step("loss ends", func() error { return r.setLossOn(hubLink, 0, r.device.ns, h.ns) })
}

// insist switches "lamp color" until it obeys: what is under way when a silent connection
// is given up is lost, and commands fail until there is another one.
func (h *hub) insist(text string, c command, want int) {
	r := h.r
	r.t.Helper()
	r.step(text, func() error {
		var res struct{ Status *int }
		var got float64
		for end := time.Now().Add(2 * toRadio); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if _, err := r.ctl.call(r.ctx, "invoke", c.args("one"), &res); err != nil {
				return err
			}
			for again := time.Now().Add(10 * time.Second); res.Status != nil && *res.Status == 0 && time.Now().Before(again); time.Sleep(20 * time.Millisecond) {
				if err := h.wish(args{"do": "value", "device": "lamp color", "endpoint": 11, "cluster": "genOnOff", "attribute": "onOff"}, &got); err != nil {
					return err
				}
				if int(got) == want {
					return nil
				}
			}
		}
		return fmt.Errorf("answer %s, it has %v", describe(res.Status), got)
	})
}

// orders kills the four programs and starts them again, in every order; with -short
// only in some.
func (h *hub) orders(end func(string) uint16, n *fleet) {
	r := h.r
	r.t.Helper()
	names := []string{"broker", "zigbee2mqtt", "daemon", "controller"}
	kill := map[string]func() error{
		"broker":      func() error { return h.broker.signal(syscall.SIGKILL, stopLimit) },
		"zigbee2mqtt": func() error { return h.z2m.signal(syscall.SIGKILL, stopLimit) },
		"daemon":      r.device.kill,
		"controller": func() error {
			_, err := r.ctl.call(r.ctx, "vanish", args{"controller": "one"}, nil)
			return err
		},
	}
	start := map[string]func() error{
		"broker":      h.startBroker,
		"zigbee2mqtt": h.keepZ2M,
		"daemon":      func() error { return r.device.start(r.ctx, testProduct) },
		"controller":  func() error { return nil }, // it connects when it sends something
	}
	all := orders(names)
	if testing.Short() {
		all = all[:3]
	}
	for i, order := range all {
		r.begin(fmt.Sprintf("zigbee2mqtt, order %d of %d", i+1, len(all)))
		for _, name := range order {
			r.step("kill "+name, kill[name])
		}
		var waiting []chan error
		for _, name := range order {
			// zigbee2mqtt does not start without its broker, so the next program must
			// not wait for zigbee2mqtt.
			done := make(chan error, 1)
			go func() { done <- start[name]() }()
			waiting = append(waiting, done)
			if name != "zigbee2mqtt" {
				r.step("start "+name, func() error { err := <-done; done <- err; return err })
			}
		}
		for _, done := range waiting {
			r.must(<-done)
		}
		n.await("all devices are there, with the endpoints that they had", untilAllBack)
		r.call("new session", "reconnect", args{"controller": "one"}, nil, nil)
		r.status("On", "one", command{endpoint: end("lamp white/light"), cluster: "OnOff", name: "on"}, 0)
		h.wantValue("lamp white", 1, "genOnOff", "onOff", 1) // the radio began with off
	}
}

// orders returns all orders of names.
func orders(names []string) (all [][]string) {
	if len(names) <= 1 {
		return [][]string{slices.Clone(names)}
	}
	for i, first := range names {
		rest := slices.Delete(slices.Clone(names), i, i+1)
		for _, o := range orders(rest) {
			all = append(all, append([]string{first}, o...))
		}
	}
	return all
}

// write writes one attribute of an endpoint.
func (r *run) write(text, controller string, endpoint uint16, cluster, attribute string, v any) {
	r.t.Helper()
	var res struct{ Status int }
	r.call("write "+text, "write", args{"controller": controller, "endpoint": endpoint, "cluster": cluster, "attribute": attribute, "value": v}, &res, func() error {
		if res.Status != 0 {
			return fmt.Errorf("status %#x", res.Status)
		}
		return nil
	})
}
