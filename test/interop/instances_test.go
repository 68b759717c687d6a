//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// instance returns a second daemon on the same machine.
func (r *run) instance(name string, args ...string) *device {
	return &device{binary: r.device.binary, state: filepath.Join(r.t.TempDir(), name), logs: r.logs, name: name, ns: r.device.ns, args: args}
}

// listed is an entry of "devices list".
type listed struct {
	ID      string
	Exposed bool
	Reason  string
	Parts   []struct{ Type string }
}

func (d *device) list(r *run) (all map[string]listed, err error) {
	out, err := d.ns.output(r.ctx, d.binary, "devices", "list", "-o", "json", "--state-dir", d.state)
	if err != nil {
		return nil, err
	}
	var list []listed
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, err
	}
	all = map[string]listed{}
	for _, v := range list {
		all[v.ID] = v
	}
	return all, nil
}

// deviceTypes reads the device types of all endpoints except the root.
func (r *run) deviceTypes(controller string) (all map[uint16][]uint32) {
	r.t.Helper()
	var reports []report
	path := args{"cluster": descriptorCluster, "attribute": 0}
	all = map[uint16][]uint32{}
	r.call("device types of all endpoints", "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		for _, x := range reports {
			var types []struct{ DeviceType uint32 }
			if err := json.Unmarshal(x.Value, &types); err != nil {
				return err
			}
			for _, t := range types {
				if x.Endpoint > 0 {
					all[x.Endpoint] = append(all[x.Endpoint], t.DeviceType)
				}
			}
		}
		return nil
	})
	return all
}

// TestInstances runs two daemons on one machine, each with its own state, port and
// settings. One controller commissions both: one without restrictions, and one for
// an ecosystem that supports less.
func TestInstances(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	r.openController("one", args{})
	full, alexa := r.device, r.instance("alexa", "--port", "5541", "--profile", "alexa", "--metrics-addr", "", "--vendor-name", "second")
	r.begin("two instances")
	r.step("the second daemon ready", func() error { return alexa.start(r.ctx, testProduct) })
	t.Cleanup(func() {
		if alexa.proc != nil {
			_ = alexa.kill() // it has ended already unless the test failed
		}
	})
	const devices = 55
	for _, d := range []*device{full, alexa} {
		r.step("devices of "+d.state, func() error { return describeMany(d.api(), devices) })
	}
	codes, err := alexa.pairing(r.ctx)
	r.must(err)
	if codes.Discriminator == r.pairing.Discriminator && codes.Passcode == r.pairing.Passcode {
		r.fail("codes of its own", errors.New("both instances have the same"))
	}
	r.join("one")
	first := r.fabrics["one"].nodeID
	r.device, r.pairing = alexa, codes
	r.join("one")
	second := r.fabrics["one"].nodeID
	if first == second {
		r.fail("nodes of their own", errors.New("both instances are one node"))
	}

	r.begin("profile alexa")
	shown, err := alexa.list(r)
	r.must(err)
	bridged := 0
	for id, types := range r.deviceTypes("one") {
		for _, x := range types {
			switch x {
			case bridgedNode:
				bridged++
			case leakDetector, pressureSensor:
				r.fail("what Alexa does not take", fmt.Errorf("endpoint %d is a 0x%04X", id, x))
			}
		}
	}
	r.step("it takes 50 devices, and not one more", func() error {
		if bridged != 50 {
			return fmt.Errorf("%d bridged devices", bridged)
		}
		return nil
	})
	for id, want := range map[string]string{
		"api:pressure": "alexa knows no pressure_sensor",
		"api:leak":     "shown as a contact sensor, as alexa knows no water_leak_detector",
		"api:lamp-54":  "alexa takes 50 devices of one bridge",
	} {
		r.step("the list says of "+id+": "+want, func() error {
			if got := shown[id]; !strings.Contains(got.Reason, want) || got.Exposed != (id == "api:leak") {
				return fmt.Errorf("exposed %v, %q", got.Exposed, got.Reason)
			}
			return nil
		})
	}
	r.step("and so does its text", func() error {
		out, err := alexa.ns.output(r.ctx, alexa.binary, "devices", "list", "--state-dir", alexa.state)
		if err == nil && !bytes.Contains(out, []byte("\napi:pressure: alexa knows no pressure_sensor\n")) {
			err = fmt.Errorf("%s", out)
		}
		return err
	})

	r.begin("two instances, the first")
	r.device = full
	r.call("the controller turns to it", "adopt", args{"controller": "one", "nodeId": integerArg(first)}, nil, nil)
	r.call("session", "reconnect", args{"controller": "one"}, nil, nil)
	r.step("it has all devices", func() error {
		bridged := 0
		for _, types := range r.deviceTypes("one") {
			for _, x := range types {
				if x == bridgedNode {
					bridged++
				}
			}
		}
		if bridged != devices+2 {
			return fmt.Errorf("%d bridged devices", bridged)
		}
		return nil
	})
	r.step("the first daemon killed", full.kill)
	r.call("the controller turns to the second", "adopt", args{"controller": "one", "nodeId": integerArg(second)}, nil, nil)
	r.call("session", "reconnect", args{"controller": "one"}, nil, nil)
	if got := len(r.parts("one", aggregator)); got != 50 {
		r.fail("the second goes on", fmt.Errorf("%d parts", got))
	}
	r.step("the second daemon stopped", alexa.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

const (
	bridgedNode    = 0x13
	leakDetector   = 0x43
	pressureSensor = 0x305
)

// describeMany adds a leak detector, a pressure sensor, and a number of lamps.
func describeMany(api *bridgeAPI, lamps int) error {
	list := []string{
		`{"id":"api:leak","type":"water_leak_detector","state":{"detected":false}}`,
		`{"id":"api:pressure","type":"pressure_sensor","state":{"pressure_hpa":1013}}`,
	}
	for i := range lamps {
		list = append(list, fmt.Sprintf(`{"id":"api:lamp-%02d","type":"on_off_light","state":{"on":false}}`, i))
	}
	if err := api.do("PUT", "/v1/devices?source=api", "["+strings.Join(list, ",")+"]", nil); err != nil {
		return err
	}
	return api.gathered(lamps)
}

// gathered waits until a number of devices are shown, or the number stays the same
// for a moment.
func (a *bridgeAPI) gathered(want int) error {
	return until(func() (bool, error) {
		var all []bridged
		if err := a.do("GET", "/v1/devices", "", &all); err != nil {
			return false, err
		}
		shown := 0
		for _, d := range all {
			if d.Exposed {
				shown++
			}
		}
		return shown >= min(want, 50), nil
	})
}
