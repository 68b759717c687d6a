//go:build crash

package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// deviceScenarios are the writes of the bridge's registry: whatever happens, a device is
// the same one as before, and no number belongs to two.
var deviceScenarios = []*scenario{
	{
		name: "PUT of a device", fabrics: 1, prepare: addRealDevices, bridged: true,
		steps: []step{asks("PUT", "/v1/devices/api:new", lampJSON)},
		after: func(a *attempt) state { return changed(a, fresh("api:new")) },
	},
	{
		name: "PUT of all devices of a source", fabrics: 1, prepare: addRealDevices, bridged: true, long: true,
		steps: []step{asks("PUT", "/v1/devices?source=api", `[{"id":"api:b",`+lampJSON[1:]+`,{"id":"api:new",`+lampJSON[1:]+`]`)},
		after: func(a *attempt) state { return changed(a, gone("api:a"), fresh("api:new")) },
	},
	{
		name: "another shape", fabrics: 1, prepare: addRealDevices, bridged: true, long: true,
		steps: []step{asks("PUT", "/v1/devices/api:a", `{"name":"Lamp","type":"on_off_plug","state":{"on":false}}`)},
		after: func(a *attempt) state {
			return changed(a, func(d devices, next *matter.EndpointID) {
				d["api:a"].device("parts").([]any)[0].(map[string]any)["type"] = "on_off_plug"
				d["api:a"].renumber(next, "on_off_plug")
			})
		},
	},
	{
		name: "removal of a device", fabrics: 1, prepare: addRealDevices, bridged: true, long: true,
		steps: []step{asks("DELETE", "/v1/devices/api:a", "")},
		after: func(a *attempt) state { return changed(a, gone("api:a")) },
	},
	{
		name: "return of a removed device", fabrics: 1, prepare: addRealDevices, bridged: true, long: true,
		steps: []step{asks("PUT", "/v1/devices/api:gone", lampJSON)},
		after: func(a *attempt) state {
			return changed(a, func(d devices, next *matter.EndpointID) {
				delete(d["api:gone"], "gone")
				d["api:gone"].renumber(next, "on_off_light")
			})
		},
	},
	{
		name: "name by the operator", fabrics: 1, prepare: addRealDevices, bridged: true, long: true,
		steps: []step{{"rename", func(ctx context.Context, a *attempt) error {
			return operator(a.node).RenameDevice(ctx, admin.DeviceName{ID: "api:a", Name: "Hall"})
		}}},
		after: func(a *attempt) state { return changed(a, named("api:a", "Hall", "operator")) },
	},
	{
		name: "name by a controller", fabrics: 1, prepare: addRealDevices, bridged: true, long: true, open: enter,
		steps: []step{{"write", func(ctx context.Context, a *attempt) error {
			return writeOn(ctx, a, "api:a", datamodel.BridgedDeviceBasicInformationID, datamodel.BridgedDeviceBasicInformationAttrNodeLabel,
				func(w *tlv.Writer, t tlv.Tag) { w.Text(t, "Hall") })
		}}},
		after: func(a *attempt) state { return changed(a, named("api:a", "Hall", "controller")) },
	},
	{
		name: "attribute that is kept", fabrics: 1, prepare: addRealDevices, bridged: true, long: true, open: enter,
		steps: []step{{"write", func(ctx context.Context, a *attempt) error {
			return writeOn(ctx, a, "api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1) })
		}}},
		after: func(a *attempt) state {
			s := a.base.state.clone()
			s.bridge.endpoints = maps.Clone(s.bridge.endpoints)
			s.bridge.endpoints[a.base.state.bridge.number("api:a")] = otherThan + s.bridge.endpoints[a.base.state.bridge.number("api:a")]
			return s
		},
	},
}

func init() { scenarios = append(scenarios, deviceScenarios...) }

const lampJSON = `{"name":"Lamp","type":"on_off_light","state":{"on":false}}`

// Marks in a state that is expected: a unique id that nobody knows, attributes that are
// not those after the mark.
const (
	anyUnique = "*"
	otherThan = "not "
)

// asks is a request to the bridge API.
func asks(method, path, body string) step {
	return step{method, func(ctx context.Context, a *attempt) error { return request(ctx, a.node, method, path, body) }}
}

func request(ctx context.Context, n *node, method, path, body string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(n.dir, "bridge.sock"))
	}}}
	r, err := http.NewRequestWithContext(ctx, method, "http://bridge"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	return err
}

// addRealDevices has the daemon bridge two devices, and forget a third.
func addRealDevices(b *base) error {
	n, err := startNode("run", b.home, nil)
	if err != nil {
		return err
	}
	defer n.kill()
	if err := n.serving(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
	defer cancel()
	for _, id := range []string{"api:a", "api:b", "api:gone"} {
		if err := request(ctx, n, "PUT", "/v1/devices/"+id, lampJSON); err != nil {
			return err
		}
	}
	for shown := 0; shown < 3; time.Sleep(20 * time.Millisecond) {
		all, err := operator(n).Devices(ctx)
		if err != nil {
			return err
		}
		shown = 0
		for i := range all {
			if all[i].Exposed {
				shown++
			}
		}
	}
	if err := request(ctx, n, "DELETE", "/v1/devices/api:gone?now=1", ""); err != nil {
		return err
	}
	return n.stop()
}

// writeOn writes an attribute of a bridged device of one part.
func writeOn(ctx context.Context, a *attempt, id string, cl matter.ClusterID, at matter.AttributeID, v commissioner.Value) error {
	status, err := a.session.Write(ctx, a.base.state.bridge.number(id), cl, at, v)
	if err == nil && status.Status != matter.StatusSuccess {
		return status
	}
	return err
}

// recorded is a device's record without the times in it.
type recorded map[string]any

// devices are the records of a state by their ids.
type devices map[string]recorded

// canonical returns a record that may be compared. One that the daemon did not make stays
// as it is.
func canonical(value []byte) string {
	var r recorded
	if json.Unmarshal(value, &r) != nil {
		return string(value)
	}
	delete(r, "created")
	delete(r, "updated")
	if r["gone"] != nil {
		r["gone"] = true
	}
	return r.String()
}

func (r recorded) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (r recorded) device(member string) any { return r["device"].(map[string]any)[member] }

// endpoint returns the identity of the only part.
func (r recorded) endpoint() map[string]any {
	return r["endpoints"].(map[string]any)["main"].(map[string]any)
}

// renumber gives the only part the next number, and another shape.
func (r recorded) renumber(next *matter.EndpointID, shape string) {
	e := r.endpoint()
	e["number"], e["shape"] = float64(*next), shape
	*next++
}

// number returns the endpoint of a device of one part.
func (b *bridge) number(id string) matter.EndpointID {
	var r recorded
	if err := json.Unmarshal([]byte(b.devices[id]), &r); err != nil {
		panic(err)
	}
	return matter.EndpointID(r.endpoint()["number"].(float64))
}

// changed is the state before with changes to the devices.
func changed(a *attempt, changes ...func(d devices, next *matter.EndpointID)) state {
	s := a.base.state.clone()
	all := devices{}
	for id, text := range s.bridge.devices {
		var r recorded
		if json.Unmarshal([]byte(text), &r) == nil {
			all[id] = r
		}
	}
	for _, f := range changes {
		f(all, &s.bridge.next)
	}
	s.bridge.devices, s.bridge.endpoints = maps.Clone(s.bridge.devices), maps.Clone(s.bridge.endpoints)
	for id, r := range all {
		was := a.base.state.bridge.devices[id]
		s.bridge.devices[id] = r.String()
		if was != "" && a.base.state.bridge.number(id) != s.bridge.number(id) {
			delete(s.bridge.endpoints, a.base.state.bridge.number(id)) // nobody's any more
		}
	}
	return s
}

// fresh adds a device like api:b.
func fresh(id string) func(devices, *matter.EndpointID) {
	return func(d devices, next *matter.EndpointID) {
		var r recorded
		if err := json.Unmarshal([]byte(d["api:b"].String()), &r); err != nil {
			panic(err)
		}
		r["device"].(map[string]any)["id"] = id
		r.endpoint()["unique_id"] = anyUnique
		delete(r.endpoint(), "version")
		delete(r.endpoint(), "elements")
		r.renumber(next, r.endpoint()["shape"].(string))
		d[id] = r
	}
}

func gone(id string) func(devices, *matter.EndpointID) {
	return func(d devices, _ *matter.EndpointID) { d[id]["gone"] = true }
}

func named(id, name, by string) func(devices, *matter.EndpointID) {
	return func(d devices, _ *matter.EndpointID) {
		d[id]["labels"] = map[string]any{"main": map[string]any{"name": name, "by": by, "source": "Lamp"}}
	}
}

// is returns how b differs from what is expected. lenient says that the daemon shows the
// devices, so that the version of the composition grows when they change.
func (b *bridge) is(want *bridge, lenient bool) error {
	owner := map[matter.EndpointID]string{}
	for id, text := range b.devices {
		var r recorded
		if json.Unmarshal([]byte(text), &r) != nil {
			continue
		}
		for _, e := range r["endpoints"].(map[string]any) { // a device of several parts has one more
			n := matter.EndpointID(e.(map[string]any)["number"].(float64))
			if other, twice := owner[n]; twice || n >= b.next {
				return fmt.Errorf("%s has endpoint %d, as has %q; the next one is %d", id, n, other, b.next)
			}
			owner[n] = id
		}
	}
	if b.next != want.next || b.composition < want.composition || b.composition > want.composition && !lenient {
		return fmt.Errorf("next endpoint %d in place of %d, composition %d in place of %d", b.next, want.next, b.composition, want.composition)
	}
	if len(b.devices) != len(want.devices) {
		return fmt.Errorf("%d devices in place of %d", len(b.devices), len(want.devices))
	}
	for id, text := range want.devices {
		if is := b.devices[id]; !sameRecord(is, text) {
			return fmt.Errorf("%s is %.400s in place of %.400s", id, is, text)
		}
	}
	for n := range b.endpoints {
		if _, ok := want.endpoints[n]; !ok && owner[n] == "" && lenient {
			return fmt.Errorf("endpoint %d, which is nobody's, keeps something", n)
		}
	}
	for n, text := range want.endpoints {
		is := b.endpoints[n]
		if other, marked := strings.CutPrefix(text, otherThan); marked && is == other || !marked && is != text {
			return fmt.Errorf("endpoint %d keeps %x in place of %x", n, is, text)
		}
	}
	if len(b.endpoints) != len(want.endpoints) && !lenient {
		return fmt.Errorf("%d endpoints keep something in place of %d", len(b.endpoints), len(want.endpoints))
	}
	return nil
}

// sameRecord compares records, except unknown unique ids, and versions that have grown.
func sameRecord(is, want string) bool {
	var a, b recorded
	if json.Unmarshal([]byte(is), &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return is == want
	}
	if strings.Contains(want, `"unique_id":"`+anyUnique+`"`) && len(a.endpoint()["unique_id"].(string)) == 32 {
		a.endpoint()["unique_id"] = anyUnique
	}
	for key, e := range b["endpoints"].(map[string]any) {
		found, ok := a["endpoints"].(map[string]any)[key].(map[string]any)
		if !ok || !follows(found, e.(map[string]any)) {
			return false
		}
	}
	return a.String() == b.String()
}

// follows reports whether the version of an endpoint in a record is that of another, with
// the same elements, or a later one, and removes both. The first version is stored some
// seconds after controllers have seen it.
func follows(found, want map[string]any) bool {
	had, _ := want["version"].(float64)
	has, _ := found["version"].(float64)
	same := found["elements"] == want["elements"]
	for _, e := range []map[string]any{found, want} {
		delete(e, "version")
		delete(e, "elements")
	}
	return has > had || has == had && same
}
