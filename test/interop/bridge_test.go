//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	onOff                = 0x06
	levelControl         = 0x08
	bridgedInformation   = 0x39
	temperature          = 0x402
	attrPartsList        = 3
	attrReachable        = 0x11
	statusFailure        = 1
	aggregator           = 1
	commandToSource      = 3 * time.Second
	reportAfterItsSource = 8 * time.Second
)

// bridgeAPI is the bridge API of a device, over its Unix socket.
type bridgeAPI struct{ client http.Client }

func (d *device) api() *bridgeAPI {
	a := &bridgeAPI{}
	a.client.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var n net.Dialer
			return n.DialContext(ctx, "unix", filepath.Join(d.state, "bridge.sock"))
		},
	}
	return a
}

// do sends a request and decodes the answer into result. It returns an error if the
// status is not a success.
func (a *bridgeAPI) do(method, path, body string, result any) error {
	r, err := http.NewRequest(method, "http://bridge"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(b))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(b, result)
}

// bridged is the API's description of a device.
type bridged struct {
	ID        string
	Endpoint  uint16
	UniqueID  string `json:"unique_id"`
	Reachable bool
	Exposed   bool
	Parts     []struct {
		ID       string
		Endpoint uint16
		State    map[string]any
	}
}

// commands follows a source's stream. The channel is closed when it ends.
func (a *bridgeAPI) commands(source string) (<-chan string, io.Closer, error) {
	res, err := a.client.Get("http://bridge/v1/commands?source=" + source)
	if err != nil {
		return nil, nil, err
	}
	events := make(chan string, 2000)
	go func() {
		defer close(events)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	<-events // hello
	return events, res.Body, nil
}

// put adds a device.
func (r *run) put(id, description string) (d bridged) {
	r.t.Helper()
	r.step("PUT "+id, func() error { return r.device.api().do("PUT", "/v1/devices/"+id, description, &d) })
	return d
}

// attribute waits until reports have brought the value of an attribute.
func (r *run) attribute(text, controller string, endpoint uint16, cluster, attribute uint32, want string) {
	r.t.Helper()
	r.attributeWithin(reportAfterItsSource, text, controller, endpoint, cluster, attribute, want)
}

// attributeWithin does the same with another limit.
func (r *run) attributeWithin(limit time.Duration, text, controller string, endpoint uint16, cluster, attribute uint32, want string) {
	r.t.Helper()
	end := time.Now().Add(limit)
	var seen []string
	r.step(text, func() error {
		for time.Now().Before(end) {
			var p *reported
			if _, err := r.ctl.call(r.ctx, "report", args{"controller": controller, "timeoutMs": time.Until(end).Milliseconds()}, &p); err != nil {
				return err
			}
			if p == nil {
				break
			}
			for _, a := range p.Attributes {
				if a.Endpoint == endpoint && a.Cluster == cluster && a.Attribute == attribute {
					if seen = append(seen, string(a.Value)); string(a.Value) == want {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("no report of %s; reported were %v", want, seen)
	})
}

// parts reads the parts of an endpoint.
func (r *run) parts(controller string, endpoint uint16) (list []uint16) {
	r.t.Helper()
	var reports []report
	path := args{"endpoint": endpoint, "cluster": descriptorCluster, "attribute": attrPartsList}
	r.call(fmt.Sprintf("PartsList of endpoint %d", endpoint), "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		return value(reports, descriptorCluster, attrPartsList, &list)
	})
	return list
}

// wantParts compares the parts of the root and of the aggregator.
func (r *run) wantParts(controller string, want ...uint16) {
	r.t.Helper()
	for _, endpoint := range []uint16{aggregator, 0} {
		got := r.parts(controller, endpoint)
		slices.Sort(got)
		all := slices.Clone(want)
		if endpoint == 0 {
			all = append([]uint16{aggregator}, all...)
		}
		r.step(fmt.Sprintf("endpoint %d lists all devices", endpoint), func() error {
			if !slices.Equal(got, all) {
				return fmt.Errorf("parts %v, want %v", got, all)
			}
			return nil
		})
	}
}

// wantCommand waits for a command on a stream.
func (r *run) wantCommand(text string, events <-chan string, want ...string) {
	r.t.Helper()
	r.step(text, func() error {
		select {
		case data, ok := <-events:
			if !ok {
				return errors.New("the stream has ended")
			}
			for _, w := range want {
				if !strings.Contains(data, w) {
					return fmt.Errorf("command %s has no %s", data, w)
				}
			}
			return nil
		case <-time.After(commandToSource):
			return errors.New("no command")
		}
	})
}

// TestBridge adds devices through the API. matter.js finds them, switches them and
// receives their reports. Then the test kills the daemon.
func TestBridge(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	r.openController("one", args{})
	r.begin("bridge")
	lamp := r.put("api:lamp", `{"name":"Kitchen lamp","type":"dimmable_light","state":{"on":false,"brightness_percent":50}}`)
	room := r.put("api:room", `{"name":"Climate","battery":{"percent":80},"parts":[
		{"id":"t","type":"temperature_sensor","state":{"temperature_celsius":21.5}},{"id":"h","type":"humidity_sensor","state":{"humidity_percent":40}}]}`)
	r.step("devices are shown", func() error { return r.shown("api:lamp", "api:room") })
	r.join("one")
	r.wantParts("one", lamp.Endpoint, room.Endpoint, room.Parts[0].Endpoint, room.Parts[1].Endpoint)
	r.step("subscription to everything", func() error {
		_, err := r.ctl.call(r.ctx, "subscribe", args{"controller": "one", "min": 0, "max": 60, "everything": true}, nil)
		return err
	})

	r.begin("bridge, commands")
	on := command{endpoint: lamp.Endpoint, cluster: "OnOff", name: "on"}
	r.status("On with nobody there", "one", on, statusFailure)
	events, stream, err := r.device.api().commands("api")
	r.must(err)
	r.status("On", "one", on, 0)
	r.wantCommand("the source gets On", events, `"device":"api:lamp"`, `"on":true`, `"fabric":1`)
	r.attribute("On is reported at once", "one", lamp.Endpoint, onOff, 0, "true")
	r.step("the source agrees", func() error {
		return r.device.api().do("PATCH", "/v1/devices/api:lamp", `{"state":{"on":true}}`, nil)
	})
	r.status("MoveToLevelWithOnOff", "one", command{endpoint: lamp.Endpoint, cluster: "LevelControl", name: "moveToLevelWithOnOff",
		fields: args{"level": 254, "transitionTime": 0, "optionsMask": args{}, "optionsOverride": args{}}}, 0)
	r.wantCommand("the source gets the brightness", events, `"brightness_percent":100`)
	r.attribute("the brightness that nobody confirms is taken back", "one", lamp.Endpoint, levelControl, 0, "127")

	r.begin("bridge, reports")
	r.step("21.5 to 25.5 degrees", func() error {
		return r.device.api().do("PATCH", "/v1/devices/api:room", `{"parts":[{"id":"t","state":{"temperature_celsius":25.5}}]}`, nil)
	})
	r.attribute("temperature", "one", room.Parts[0].Endpoint, temperature, 0, "2550")
	r.step("the source goes", func() error { return stream.Close() })

	r.begin("bridge, SIGKILL")
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	r.call("new session", "reconnect", args{"controller": "one"}, nil, nil)
	r.wantParts("one", lamp.Endpoint, room.Endpoint, room.Parts[0].Endpoint, room.Parts[1].Endpoint)
	r.step("the devices are unreachable until their source comes", func() error { return r.reachable("one", lamp.Endpoint, false) })
	again := r.put("api:lamp", `{"name":"Kitchen lamp","type":"dimmable_light","state":{"on":true,"brightness_percent":50}}`)
	r.step("the lamp is the same", func() error {
		if again.Endpoint != lamp.Endpoint || again.UniqueID != lamp.UniqueID {
			return fmt.Errorf("it is endpoint %d, %s; it was %d, %s", again.Endpoint, again.UniqueID, lamp.Endpoint, lamp.UniqueID)
		}
		return r.reachable("one", lamp.Endpoint, true)
	})
	r.step("DELETE api:lamp", func() error { return r.device.api().do("DELETE", "/v1/devices/api:lamp?now=1", "", nil) })
	r.wantParts("one", room.Endpoint, room.Parts[0].Endpoint, room.Parts[1].Endpoint)
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// shown waits until devices are in the node's lists.
func (r *run) shown(ids ...string) error {
	return until(func() (bool, error) {
		for _, id := range ids {
			var d bridged
			if err := r.device.api().do("GET", "/v1/devices/"+id, "", &d); err != nil || !d.Exposed {
				return false, err
			}
		}
		return true, nil
	})
}

// until repeats a check for some seconds until it succeeds.
func until(there func() (bool, error)) error {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-look.C {
		if ok, err := there(); ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errors.New("not within 10 s")
		}
	}
}

// reachable compares what a controller reads of a device.
func (r *run) reachable(controller string, endpoint uint16, want bool) error {
	var reports []report
	path := args{"endpoint": endpoint, "cluster": bridgedInformation, "attribute": attrReachable}
	if _, err := r.ctl.call(r.ctx, "read", args{"controller": controller, "paths": []args{path}}, &reports); err != nil {
		return err
	}
	var is bool
	if err := value(reports, bridgedInformation, attrReachable, &is); err != nil {
		return err
	}
	if is != want {
		return fmt.Errorf("Reachable is %v", is)
	}
	return nil
}
