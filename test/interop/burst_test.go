//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	burstSessions = 10
	burstDevices  = 500
	burstLimitMS  = 5000 // for the last answer to a burst of commands
)

// TestBurst switches 500 devices at once on one session, and 50 at once on each of
// ten. matter.js must get an answer to every command, and the source must receive
// it.
func TestBurst(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	endpoints := r.putPlugs(burstDevices)
	names := r.moveIn(0, burstSessions)
	r.begin("bursts")
	events, stream, err := r.device.api().commands("api")
	r.must(err)
	defer stream.Close()
	r.burst(fmt.Sprintf("%d commands on one session", burstDevices), "on", names[:1], endpoints)
	r.wantCommands(events, burstDevices, `"on":true`)
	some := endpoints[:burstDevices/burstSessions]
	r.burst(fmt.Sprintf("%d commands on each of %d sessions", len(some), burstSessions), "off", names, some)
	r.wantCommands(events, len(some), `"on":false`)
	r.step("daemon stopped", r.device.stop)
}

// putPlugs adds a number of plugs, and returns their endpoints.
func (r *run) putPlugs(count int) (endpoints []uint16) {
	r.t.Helper()
	var all []json.RawMessage
	var last string
	for i := range count {
		last = fmt.Sprintf("api:plug%d", i)
		all = append(all, fmt.Appendf(nil, `{"id":%q,"name":"Plug %d","type":"on_off_plug","state":{"on":false}}`, last, i))
	}
	b, err := json.Marshal(all)
	r.must(err)
	r.step(fmt.Sprintf("PUT of %d plugs", count), func() error {
		return r.device.api().do("PUT", "/v1/devices?source=api", string(b), nil)
	})
	r.step("devices are shown", func() error { return r.shown(last) })
	var list []bridged
	r.step("GET of all", func() error { return r.device.api().do("GET", "/v1/devices", "", &list) })
	for _, d := range list {
		endpoints = append(endpoints, d.Endpoint)
	}
	if len(endpoints) != count {
		r.fail("GET of all", fmt.Errorf("%d devices", len(endpoints)))
	}
	return endpoints
}

// burst sends an On/Off command to each endpoint, at once, from each controller.
func (r *run) burst(text, command string, controllers []string, endpoints []uint16) {
	r.t.Helper()
	var res struct {
		Succeeded int
		LastMS    float64
		Errors    []string
	}
	a := args{"controllers": controllers, "endpoints": endpoints, "cluster": "OnOff", "command": command}
	r.call(text, "burst", a, &res, func() error {
		if want := len(controllers) * len(endpoints); res.Succeeded != want {
			return fmt.Errorf("%d of %d succeeded: %q", res.Succeeded, want, res.Errors)
		}
		if res.LastMS > burstLimitMS {
			return fmt.Errorf("the last answer came after %.0f ms", res.LastMS)
		}
		return nil
	})
}

// wantCommands waits for a command for each of a number of devices.
func (r *run) wantCommands(events <-chan string, devices int, want string) {
	r.t.Helper()
	r.step(fmt.Sprintf("the source gets a command for each of %d devices", devices), func() error {
		seen := make(map[string]bool)
		for end := time.After(commandToSource); len(seen) < devices; {
			select {
			case data := <-events:
				var c struct{ Device string }
				if strings.Contains(data, want) && json.Unmarshal([]byte(data), &c) == nil {
					seen[c.Device] = true
				}
			case <-end:
				return fmt.Errorf("for %d only", len(seen))
			}
		}
		return nil
	})
}
