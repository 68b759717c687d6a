package bridgeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const lamp = `{"name":"Kitchen lamp","type":"on_off_light","state":{"on":false}}`

func TestDevice(t *testing.T) {
	g := newRig(t, "")
	status, d := g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	if status != http.StatusCreated || d["id"] != "api:lamp-1" || d["source"] != "api" || d["endpoint"].(float64) < 2 {
		t.Fatalf("%d %v", status, d)
	}
	number := d["endpoint"]
	status, d = g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	if status != http.StatusOK || d["endpoint"] != number {
		t.Fatalf("%d %v", status, d)
	}
	status, d = g.do("PATCH", "/v1/devices/api:lamp-1", `{"state":{"on":true},"name":"Lamp","battery":{"percent":80}}`)
	part := d["parts"].([]any)[0].(map[string]any)
	if status != http.StatusOK || d["name"] != "Lamp" || part["state"].(map[string]any)["on"] != true || d["battery"].(map[string]any)["percent"] != 80.0 {
		t.Fatalf("%d %v", status, d)
	}
	if status, _ := g.do("DELETE", "/v1/devices/api:lamp-1", ""); status != http.StatusNoContent {
		t.Fatal(status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if status, _ := g.do(method, "/v1/devices/api:lamp-1", ""); status != http.StatusNotFound {
			t.Fatalf("%s of a removed device: %d", method, status)
		}
	}
	// The answer can be sent back as a request.
	_, d = g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	b, _ := json.Marshal(d)
	if status, d := g.do("PUT", "/v1/devices/api:lamp-1", string(b)); status != http.StatusOK || d["endpoint"] != number {
		t.Fatalf("%d %v", status, d)
	}
}

// TestPromisedShape: an answer has everything that the description had, also what may be
// left out, and what the daemon adds.
func TestPromisedShape(t *testing.T) {
	g := newRig(t, "")
	const text = `{
  "id": "api:lamp-1", "name": "Kitchen lamp", "room": "Kitchen",
  "vendor": "ACME", "product": "L1", "serial": "0042", "hardware_version": "1.0", "software_version": "2.3",
  "reachable": true,
  "battery": {"percent": 80, "low": false},
  "parts": [{"id": "main", "type": "color_temperature_light", "name": "", "options": {}, "state": {"on": true, "brightness_percent": 60, "color_temperature_kelvin": 2700}}]
}`
	var sent map[string]any
	if err := json.Unmarshal([]byte(text), &sent); err != nil {
		t.Fatal(err)
	}
	status, got := g.do("PUT", "/v1/devices/api:lamp-1", text)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	part := got["parts"].([]any)[0].(map[string]any)
	added := map[string][]string{"device": {"endpoint", "unique_id", "source", "created", "last_update", "exposed", "label_by"}, "part": {"endpoint"}}
	for what, pair := range map[string][2]map[string]any{"device": {sent, got}, "part": {sent["parts"].([]any)[0].(map[string]any), part}} {
		for name, want := range pair[0] {
			if is, ok := pair[1][name]; name != "parts" && (!ok || !reflect.DeepEqual(is, want)) {
				t.Errorf("%s: %s is %v, want %v", what, name, is, want)
			}
		}
		for _, name := range added[what] {
			if _, ok := pair[1][name]; !ok {
				t.Errorf("%s: no %s in %v", what, name, pair[1])
			}
		}
	}
	// A part of which nothing is known has an empty state.
	if _, d := g.do("PUT", "/v1/devices/api:door", `{"type":"generic_switch"}`); !reflect.DeepEqual(d["parts"].([]any)[0].(map[string]any)["state"], map[string]any{}) {
		t.Errorf("%v", d)
	}
}

// TestReachableAtOnce: what a source says is seen in the next answer.
func TestReachableAtOnce(t *testing.T) {
	g := newRig(t, "")
	g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	for _, want := range []bool{false, true} {
		if status, d := g.do("PATCH", "/v1/devices/api:lamp-1", fmt.Sprintf(`{"reachable":%v}`, want)); status != http.StatusOK || d["reachable"] != want {
			t.Errorf("%d %v, want reachable %v", status, d, want)
		}
	}
}

// TestOnlyPart: the part may be left out of an event of a device with one.
func TestOnlyPart(t *testing.T) {
	g := newRig(t, "")
	g.do("PUT", "/v1/devices/api:button", `{"type":"generic_switch","options":{"gestures":["single"]}}`)
	g.do("PUT", "/v1/devices/api:remote", `{"parts":[{"id":"1","type":"generic_switch"},{"id":"2","type":"generic_switch"}]}`)
	if status, d := g.do("POST", "/v1/devices/api:button/events", `{"event":"single"}`); status != http.StatusNoContent {
		t.Errorf("%d %v", status, d)
	}
	if status, d := g.do("POST", "/v1/devices/api:remote/events", `{"event":"single"}`); status != http.StatusBadRequest || d["pointer"] != "/part" {
		t.Errorf("%d %v", status, d)
	}
	g.do("DELETE", "/v1/devices/api:remote", "")
	for _, id := range []string{"api:none", "api:remote"} {
		if status, d := g.do("POST", "/v1/devices/"+id+"/events", `{"event":"single"}`); status != http.StatusNotFound {
			t.Errorf("%s: %d %v", id, status, d)
		}
	}
}

func TestBadRequests(t *testing.T) {
	g := newRig(t, "")
	g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		method, path, body string
		status             int
		pointer            string
	}{
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","colour":1}`, 400, "/colour"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","state":{"on":1}}`, 400, "/state/on"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","state":{"hue":1}}`, 400, "/state/hue"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","options":{"min":"x"}}`, 400, "/options/min"},
		{"PUT", "/v1/devices/api:a", `{"type":"lava_lamp"}`, 400, "/type"},
		{"PUT", "/v1/devices/api:a", `{}`, 400, "/type"},
		{"PUT", "/v1/devices/api:a", `[]`, 400, ""},
		{"PUT", "/v1/devices/api:a", `{"type":`, 400, ""},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","type":"on_off_plug"}`, 400, "/type"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","parts":[]}`, 400, "/type"},
		{"PUT", "/v1/devices/api:a", `{"parts":[{"id":"1","type":"on_off_light"},{"id":"1","type":"on_off_light"}]}`, 400, "/parts/1/id"},
		{"PUT", "/v1/devices/api:a", `{"parts":[{"id":"1","type":"on_off_light"},{"id":"2","type":"no"}]}`, 400, "/parts/1/type"},
		{"PUT", "/v1/devices/api:a", `{"parts":[{"id":"1","type":"on_off_light","state":{"on":"x"}}]}`, 400, "/parts/0/state/on"},
		{"PUT", "/v1/devices/api:a", `{"id":"api:b","type":"on_off_light"}`, 400, "/id"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","name":"` + long + `"}`, 400, "/name"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","battery":{"percent":101}}`, 400, "/battery/percent"},
		{"PUT", "/v1/devices/api:a", `{"type":"on_off_light","battery":{"charging":1}}`, 400, "/battery/charging"},
		{"PUT", "/v1/devices/nocolon", lamp, 400, "/id"},
		{"PUT", "/v1/devices/z2m:0x1", lamp, 409, "/id"},
		{"PUT", "/v1/devices?source=api", `[{"id":"api:x","type":"on_off_light"},{"id":"api:y","type":"on_off_light","state":{"on":3}}]`, 400, "/1/state/on"},
		{"PUT", "/v1/devices?source=api", `[{"id":"other:x","type":"on_off_light"}]`, 400, "/0/id"},
		{"PUT", "/v1/devices", `[]`, 400, ""},
		{"PATCH", "/v1/devices/api:lamp-1", `{"state":{"on":"yes"}}`, 400, "/state/on"},
		{"PATCH", "/v1/devices/api:lamp-1", `{"parts":[{"id":"2","state":{"on":true}}]}`, 404, "/parts/0/state"},
		{"PATCH", "/v1/devices/api:lamp-1", `{"room":"x"}`, 400, "/room"},
		{"PATCH", "/v1/devices/api:none", `{}`, 404, ""},
		{"POST", "/v1/devices/api:lamp-1/events", `{"part":"main","event":"single"}`, 400, "/event"},
		{"POST", "/v1/devices/api:lamp-1/events", `{"part":"2","event":"single"}`, 404, "/part"},
		{"POST", "/v1/devices/api:lamp-1/events", `{}`, 400, "/event"},
		{"DELETE", "/v1/devices/api:lamp-1?now=maybe", ``, 400, ""},
		{"GET", "/v1/devices?x=1", ``, 400, ""},
		{"GET", "/v1/commands?source=a:b", ``, 400, ""},
		{"GET", "/v1/commands?linger_seconds=-1", ``, 400, ""},
		{"GET", "/v1/nothing", ``, 404, ""},
		{"POST", "/v1/devices", ``, 405, ""},
	} {
		status, b := g.do(tt.method, tt.path, tt.body)
		pointer, _ := b["pointer"].(string)
		if status != tt.status || pointer != tt.pointer || b["detail"] == "" || b["title"] == "" || b["status"] != float64(tt.status) {
			t.Errorf("%s %s %s: %d %v, want %d at %q", tt.method, tt.path, tt.body, status, b, tt.status, tt.pointer)
		}
	}
	if _, b := g.raw("GET", "/v1/devices", ""); strings.Count(string(b), `"id":"api:`) != 1 {
		t.Errorf("bad requests have changed something: %s", b)
	}
}

func TestToken(t *testing.T) {
	g := newRig(t, "secret")
	for header, want := range map[string]int{
		"":               401,
		"Bearer":         401,
		"Bearer wrong":   401,
		"Basic secret":   401,
		"Bearer secret":  200,
		"Bearer secretx": 401,
	} {
		if status, _ := g.raw("GET", "/v1/devices", "", "Authorization", header); status != want {
			t.Errorf("%q: %d, want %d", header, status, want)
		}
	}
}

func TestCommands(t *testing.T) {
	g := newRig(t, "")
	_, d := g.do("PUT", "/v1/devices/api:lamp-1", lamp)
	events := g.stream("/v1/commands?source=api")
	if e := <-events; e[0] != "hello" {
		t.Fatalf("the first event is %v", e)
	}
	// Changes of the device list are collected for a second.
	number := matter.EndpointID(d["endpoint"].(float64))
	for there := false; !there; {
		g.loop.Do(func(now time.Time) error {
			ep, ok := g.loop.Endpoints[number]
			if there = ok; ok {
				w := tlv.NewWriter(nil)
				w.StartStruct(tlv.Anonymous)
				w.End()
				fields := tlv.NewReader(w.Bytes())
				i := slices.IndexFunc(ep.Clusters, func(c im.Cluster) bool { return c.Spec().ID == datamodel.OnOffID })
				return ep.Clusters[i].Invoke(&im.Request{Now: now}, datamodel.OnOffCmdOn, fields.Element(), tlv.NewWriter(nil))
			}
			return nil
		})
	}
	e := <-events
	if e[0] != "command" || e[1] != `{"device":"api:lamp-1","part":"main","set":{"on":true}}` {
		t.Fatalf("event %v", e)
	}
	again := g.stream("/v1/commands?source=api", "Last-Event-ID", "0")
	if e := <-again; e[0] != "hello" {
		t.Fatalf("the first event is %v", e)
	}
}
