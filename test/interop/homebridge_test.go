//go:build interop && homeassistant

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Paths of attributes on a bridged endpoint, as the Matter server writes them.
const (
	homeVendorName  = "57/1"
	homeProductName = "57/3"
	homeLabel       = "57/5"
	homeSerial      = "57/15"
	homeReachable   = "57/17"
	homeOnOff       = "6/0"
	homeTemperature = "1026/0"
	homeBatteryBad  = "92/3"  // Smoke CO Alarm, BatteryAlert
	homeChargeLevel = "47/14" // Power Source, BatChargeLevel
	homeDevices     = "1/29/3"
)

// at returns the path of an attribute on an endpoint.
func at(endpoint uint16, attribute string) string { return fmt.Sprintf("%d/%s", endpoint, attribute) }

// node returns the Matter server's data of a node.
func (h *home) node(id int) (n homeNode, err error) {
	err = h.call("get_node", args{"node_id": id}, &n)
	return n, err
}

// knows waits until the Matter server has the expected value of an attribute.
func (h *home) knows(text string, id int, path, want string) {
	h.r.t.Helper()
	h.r.step(h.name+": "+text, func() error {
		return until(func() (bool, error) {
			n, err := h.node(id)
			return string(n.Attributes[path]) == want, err
		})
	})
}

// endpointEvent matches an event about an added or removed endpoint.
func endpointEvent(event string, endpoint uint16) func(m *homeMessage) bool {
	return func(m *homeMessage) bool {
		var e struct {
			Endpoint uint16 `json:"endpoint_id"`
		}
		return m.Event == event && json.Unmarshal(m.Data, &e) == nil && e.Endpoint == endpoint
	}
}

// lists returns the number of reports of the device list among the events so far.
func (h *home) lists() (count int) {
	for _, m := range h.heard {
		if m.Event == "attribute_updated" && strings.Contains(string(m.Data), strconv.Quote(homeDevices)) {
			count++
		}
	}
	return count
}

// TestHomeAssistantBridge checks with Home Assistant's Matter server what its
// integration expects of a bridge: it reads a device only when it appears, and
// interviews the node after each change of the device list.
func TestHomeAssistantBridge(t *testing.T) {
	makeSDKDirectory(t)
	r := newRun(t)
	r.startAll()
	r.begin("Home Assistant, bridge")
	lamp := r.put("api:lamp", `{"name":"Lamp","vendor":"ACME","product":"L1","serial":"0042","type":"on_off_light","state":{"on":false}}`)
	plug := r.put("api:plug", `{"name":"Plug","type":"on_off_plug","state":{"on":true}}`)
	smoke := r.put("api:smoke", `{"name":"Smoke","battery":{"percent":4,"low":true},"type":"smoke_co_alarm","options":{"smoke":true},"state":{"smoke":"normal"}}`)
	cellar := r.put("api:cellar", `{"name":"Cellar","type":"temperature_sensor"}`)
	events, stream, err := r.device.api().commands("api")
	r.must(err)
	defer stream.Close()
	go func() {
		for range events {
		}
	}()
	r.step("devices are shown", func() error { return r.shown("api:lamp", "api:plug", "api:smoke") })
	h := r.openHome("home", 5582)
	n := h.commission(r.pairing.Manual)

	// Rules 8 and 9.
	r.step("each device has a vendor, a product and a name; a serial number if it is known", func() error {
		var errs []error
		for _, d := range []bridged{lamp, plug, smoke} {
			for _, path := range []string{homeVendorName, homeProductName, homeLabel} {
				if s := string(n.Attributes[at(d.Endpoint, path)]); s == "" || s == `""` || s == "null" {
					errs = append(errs, fmt.Errorf("%s has %s %q", d.ID, path, s))
				}
			}
		}
		if s := string(n.Attributes[at(lamp.Endpoint, homeSerial)]); s != `"0042"` {
			errs = append(errs, fmt.Errorf("the lamp's serial number is %q", s))
		}
		for _, d := range []bridged{plug, smoke} {
			if s, ok := n.Attributes[at(d.Endpoint, homeSerial)]; ok {
				errs = append(errs, fmt.Errorf("%s has the serial number %s, which nobody has said", d.ID, s))
			}
		}
		return errors.Join(errs...)
	})

	// Rule 7.
	r.step("the alarm's battery is not worse than the battery", func() error {
		alert, charge := string(n.Attributes[at(smoke.Endpoint, homeBatteryBad)]), string(n.Attributes[at(smoke.Endpoint, homeChargeLevel)])
		a, err1 := strconv.Atoi(alert)
		c, err2 := strconv.Atoi(charge)
		if err := errors.Join(err1, err2); err != nil || a > c || c == 0 {
			return fmt.Errorf("BatteryAlert %q, BatChargeLevel %q", alert, charge)
		}
		return nil
	})

	// Rule 1.
	r.step("a device without its first value is not there", func() error {
		for path := range n.Attributes {
			if strings.HasPrefix(path, fmt.Sprint(cellar.Endpoint, "/")) {
				return fmt.Errorf("there is %s", path)
			}
		}
		return nil
	})
	h.heard = nil
	r.step("the first value", func() error {
		return r.device.api().do("PATCH", "/v1/devices/api:cellar", `{"state":{"temperature_celsius":12.5}}`, nil)
	})
	h.wait("the device is added", 10*time.Second, endpointEvent("endpoint_added", cellar.Endpoint))
	h.knows("and with its value", n.ID, at(cellar.Endpoint, homeTemperature), "1250")

	// Rule 12.
	h.heard = nil
	var five []bridged
	for i := range 5 {
		five = append(five, r.put(fmt.Sprintf("api:five-%d", i), `{"type":"on_off_light","state":{"on":true}}`))
	}
	for _, d := range five {
		h.knows("knows "+d.ID, n.ID, at(d.Endpoint, homeOnOff), "true")
	}
	r.step("five devices came in one report", func() error {
		if got := h.lists(); got != 1 {
			return fmt.Errorf("the list was reported %d times", got)
		}
		return nil
	})

	// Rule 13.
	h.heard = nil
	r.step("DELETE api:plug", func() error { return r.device.api().do("DELETE", "/v1/devices/api:plug", "", nil) })
	h.knows("it is unreachable", n.ID, at(plug.Endpoint, homeReachable), "false")
	r.put("api:plug", `{"name":"Plug","type":"on_off_plug","state":{"on":true}}`)
	h.knows("and back, as the same", n.ID, at(plug.Endpoint, homeReachable), "true")
	r.step("the list was not reported", func() error {
		if got := h.lists(); got != 0 {
			return fmt.Errorf("%d times", got)
		}
		return nil
	})
	r.step("DELETE api:plug?now=1", func() error { return r.device.api().do("DELETE", "/v1/devices/api:plug?now=1", "", nil) })
	h.wait("it is removed", 10*time.Second, endpointEvent("endpoint_removed", plug.Endpoint))
	again := r.put("api:plug", `{"name":"Plug","type":"on_off_plug","state":{"on":false}}`)
	// The server compares with a list that it does not update when an endpoint is
	// removed. So it would not notice an endpoint that returns under the same
	// number.
	r.step("the same device comes back as a new one", func() error {
		if again.Endpoint == plug.Endpoint || again.UniqueID != plug.UniqueID {
			return fmt.Errorf("endpoint %d, was %d", again.Endpoint, plug.Endpoint)
		}
		return nil
	})
	h.wait("it is added", 10*time.Second, endpointEvent("endpoint_added", again.Endpoint))
	h.knows("and with its value", n.ID, at(again.Endpoint, homeOnOff), "false")

	// A command that the source does not confirm.
	var result json.RawMessage
	h.command("On", "device_command", args{"node_id": n.ID, "endpoint_id": lamp.Endpoint, "cluster_id": 6, "command_name": "On", "payload": args{}}, &result)
	h.knows("it is on at once", n.ID, at(lamp.Endpoint, homeOnOff), "true")
	h.knows("and taken back", n.ID, at(lamp.Endpoint, homeOnOff), "false")

	r.begin("Home Assistant, bridge, SIGKILL")
	stream.Close()
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	h.knows("the devices stand, unreachable", n.ID, at(lamp.Endpoint, homeReachable), "false")
	r.step("no device was removed meanwhile", func() error {
		if i := slices.IndexFunc(h.heard, func(m homeMessage) bool { return m.Event == "endpoint_removed" }); i >= 0 {
			return fmt.Errorf("%s", h.heard[i].Data)
		}
		return nil
	})
	r.put("api:lamp", `{"name":"Lamp","vendor":"ACME","product":"L1","serial":"0042","type":"on_off_light","state":{"on":true}}`)
	h.knows("and come back with their source", n.ID, at(lamp.Endpoint, homeReachable), "true")
	h.knows("with their values", n.ID, at(lamp.Endpoint, homeOnOff), "true")
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}
