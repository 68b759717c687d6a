package bridgeapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// TestDocumentedRoutes: the document has exactly the routes of the handler, with
// their parameters.
func TestDocumentedRoutes(t *testing.T) {
	g := newRig(t, "")
	routes := New(Options{Registry: g.loop.registry}).routes()
	all := parseDocument(t).operations(t)
	if is, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(routes)); !slices.Equal(is, want) {
		t.Fatalf("documented %v, served %v", is, want)
	}
	for name, o := range all {
		var query []string
		for _, p := range o.Parameters {
			if p.In == "query" {
				query = append(query, p.Name)
			}
		}
		if !slices.Equal(query, routes[name].parameters) {
			t.Errorf("%s: documented are the parameters %v, served %v", name, query, routes[name].parameters)
		}
		if method, _, _ := strings.Cut(name, " "); (o.RequestBody != nil) != (method == "PUT" || method == "PATCH" || method == "POST") {
			t.Errorf("%s: a body: %v", name, o.RequestBody != nil)
		}
	}
}

// tags returns the names that a struct's fields have in JSON, those of embedded structs
// included.
func tags(x reflect.Type) (all []string) {
	for i := range x.NumField() {
		f := x.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			all = append(all, tags(f.Type)...)
		default:
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestDocumentedMembers: each schema has exactly the members that the API reads or
// writes.
func TestDocumentedMembers(t *testing.T) {
	d := parseDocument(t)
	names := func(schema string, except ...string) []string {
		all := slices.Sorted(maps.Keys(d.Components.Schemas[schema].Properties))
		return slices.DeleteFunc(all, func(s string) bool { return slices.Contains(except, s) })
	}
	for schema, x := range map[string]any{
		"Device": bridge.View{}, "Part": bridge.PartView{}, "Battery": device.Battery{}, "Ignored": device.Ignored{},
		"Problem": problem{}, "Command": commandEvent{},
	} {
		if is, want := names(schema), tags(reflect.TypeOf(x)); !slices.Equal(is, want) {
			t.Errorf("schema %s has the members %v, answers have %v", schema, is, want)
		}
	}
	if is, want := names("Options", "meter"), tags(reflect.TypeFor[device.Options]()); !slices.Equal(is, want) {
		t.Errorf("options: documented are %v, there are %v", is, want)
	}
	// Requests: the decoder accepts every documented member, and no other.
	for schema, decode := range map[string]func(raw json.RawMessage) error{
		"Description": func(raw json.RawMessage) error { _, err := decodeDevice("", raw, "api:a"); return err },
		"Part":        func(raw json.RawMessage) error { return decodePart("", raw, &device.Part{}) },
		"Options":     func(raw json.RawMessage) error { return options(&device.Options{}, new(bool))("", raw) },
		"Patch":       func(raw json.RawMessage) error { _, err := decodePatch(raw); return err },
		"Event":       func(raw json.RawMessage) error { _, err := decodeGesture(raw); return err },
		"Battery": func(raw json.RawMessage) error {
			var b *device.Battery
			return battery(&b)("", raw)
		},
	} {
		candidates := map[string]bool{"colour": true}
		for _, other := range d.Components.Schemas {
			for name := range other.Properties {
				candidates[name] = true
			}
		}
		for name := range candidates {
			err := decode(json.RawMessage(fmt.Sprintf(`{%q:[{}]}`, name)))
			known := err == nil || !strings.Contains(err.Error(), fmt.Sprintf("there is no member %q here", name))
			if documented := d.Components.Schemas[schema].Properties[name] != nil; known != documented {
				t.Errorf("schema %s: the member %s is documented: %v, and read: %v", schema, name, documented, known)
			}
		}
	}
}

// request is a request with the expected status.
type request struct {
	operation, path, body string
	status                int
}

// TestDocumentedStatuses: each request has exactly its documented statuses, and the
// answers match the document.
func TestDocumentedStatuses(t *testing.T) {
	d := parseDocument(t)
	all := d.operations(t)
	seen := map[string]map[string]bool{}
	try := func(g *rig, r request, header ...string) {
		t.Helper()
		method, _, _ := strings.Cut(r.operation, " ")
		status, body := g.raw(method, r.path, r.body, header...)
		if status != r.status {
			t.Errorf("%s %s %.80s: %d, want %d: %s", method, r.path, r.body, status, r.status, body)
			return
		}
		if seen[r.operation] == nil {
			seen[r.operation] = map[string]bool{}
		}
		seen[r.operation][strconv.Itoa(status)] = true
		res, ok := all[r.operation].Responses[strconv.Itoa(status)]
		if !ok {
			t.Errorf("%s: %d is not documented", r.operation, status)
			return
		}
		for _, c := range res.Content {
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Errorf("%s: %v", r.operation, err)
			} else if err := d.check(c.Schema, "", v); err != nil {
				t.Errorf("%s %s: the answer is not what is documented: %v", method, r.path, err)
			}
		}
		if len(res.Content) == 0 && len(body) > 0 {
			t.Errorf("%s: %d has a body", r.operation, status)
		}
		// The handler also rejects what the document does not allow.
		if body := all[r.operation].RequestBody; body != nil && status < 300 {
			var v any
			if err := json.Unmarshal([]byte(r.body), &v); err != nil {
				t.Fatal(err)
			}
			if err := d.check(body.Content["application/json"].Schema, "", v); err != nil {
				t.Errorf("%s: %s was taken, and is not as documented: %v", r.operation, r.body, err)
			}
		}
	}
	plain := newRig(t, "")
	const (
		list, sync, get, put, patch, remove, post = "GET /v1/devices", "PUT /v1/devices", "GET /v1/devices/{id}", "PUT /v1/devices/{id}", "PATCH /v1/devices/{id}", "DELETE /v1/devices/{id}", "POST /v1/devices/{id}/events"
		commands, ignored, self                   = "GET /v1/commands", "GET /v1/ignored", "GET /v1/openapi.json"
	)
	large := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	for _, r := range []request{
		{put, "/v1/devices/api:lamp", lamp, 201},
		{put, "/v1/devices/api:lamp", lamp, 200},
		{put, "/v1/devices/api:button", `{"parts":[{"id":"1","type":"generic_switch","options":{"gestures":["single"]}}],"battery":{"percent":50,"low":false},"room":"Hall"}`, 201},
		{put, "/v1/devices/api:lamp", `{}`, 400},
		{put, "/v1/devices/z2m:lamp", lamp, 409},
		{put, "/v1/devices/api:lamp", large, 413},
		{get, "/v1/devices/api:lamp", "", 200},
		{get, "/v1/devices/api:lamp?x=1", "", 400},
		{get, "/v1/devices/api:none", "", 404},
		{list, "/v1/devices", "", 200},
		{list, "/v1/devices?x=1", "", 400},
		{sync, "/v1/devices?source=other", `[{"id":"other:a","type":"on_off_plug"}]`, 200},
		{sync, "/v1/devices?source=other", `{}`, 400},
		{sync, "/v1/devices?source=z2m", `[]`, 409},
		{sync, "/v1/devices?source=other", large, 413},
		{patch, "/v1/devices/api:lamp", `{"state":{"on":true},"battery":{"low":true,"charging":false},"hardware_version":"1"}`, 200},
		{patch, "/v1/devices/api:lamp", `[]`, 400},
		{patch, "/v1/devices/api:none", `{}`, 404},
		{patch, "/v1/devices/z2m:a", `{}`, 409},
		{patch, "/v1/devices/api:lamp", large, 413},
		{post, "/v1/devices/api:button/events", `{"part":"1","event":"single"}`, 204},
		{post, "/v1/devices/api:lamp/events", `{"part":"main","event":"single"}`, 400},
		{post, "/v1/devices/api:none/events", `{"part":"main","event":"single"}`, 404},
		{post, "/v1/devices/z2m:a/events", `{"event":"single"}`, 409},
		{post, "/v1/devices/api:lamp/events", large, 413},
		{ignored, "/v1/ignored", "", 200},
		{ignored, "/v1/ignored?x=1", "", 400},
		{self, "/v1/openapi.json", "", 200},
		{self, "/v1/openapi.json?x=1", "", 400},
		{commands, "/v1/commands?linger_seconds=x", "", 400},
		{commands, "/v1/commands?source=z2m", "", 409},
		{remove, "/v1/devices/api:lamp?now=1", "", 204},
		{remove, "/v1/devices/api:lamp", "", 404},
		{remove, "/v1/devices/api:lamp?now=x", "", 400},
		{remove, "/v1/devices/z2m:a", "", 409},
	} {
		try(plain, r)
	}
	refused := newRig(t, "secret")
	for name := range all {
		_, path, _ := strings.Cut(name, " ")
		try(refused, request{name, strings.ReplaceAll(path, "{id}", "api:lamp"), "", 401})
	}
	seen[commands]["200"] = plain.streams(t) // and 507, when there are too many
	try(plain, request{commands, "/v1/commands", "", 507})
	full := make([]string, bridge.MaxDevices)
	for i := range full {
		full[i] = fmt.Sprintf(`{"id":"full:%d","type":"on_off_light"}`, i)
	}
	crowded := newRig(t, "")
	try(crowded, request{sync, "/v1/devices?source=full", "[" + strings.Join(full, ",") + "]", 200})
	try(crowded, request{put, "/v1/devices/api:lamp", lamp, 507})
	try(crowded, request{sync, "/v1/devices?source=api", `[{"id":"api:a","type":"on_off_plug"}]`, 507})
	hurried := newRig(t, "")
	hurried.handler.limit.exhaust()
	for name := range all {
		_, path, _ := strings.Cut(name, " ")
		try(hurried, request{name, strings.ReplaceAll(path, "{id}", "api:lamp"), "", 429})
	}
	idle := newIdleRig(t)
	for name, body := range map[string]string{list: "", get: "", put: lamp, patch: `{}`, remove: "", post: `{"event":"single"}`, commands: "", ignored: ""} {
		_, path, _ := strings.Cut(name, " ")
		try(idle, request{name, strings.ReplaceAll(path, "{id}", "api:lamp"), body, 500})
	}
	try(idle, request{sync, "/v1/devices?source=api", `[]`, 500})
	for name, o := range all {
		for status := range o.Responses {
			if !seen[name][status] {
				t.Errorf("%s: %s is documented, and nothing has shown it", name, status)
			}
		}
	}
}

// exhaust makes the limiter reject every request.
func (l *limiter) exhaust() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.left = time.Now(), -1e12
}

// streams opens the maximum number of streams.
func (g *rig) streams(t *testing.T) bool {
	t.Helper()
	for range bridge.MaxStreams {
		if e := <-g.stream("/v1/commands"); e[0] != "hello" {
			t.Fatalf("a stream begins with %v", e)
		}
	}
	return true
}

// TestDocumentIsServed: the handler serves the document.
func TestDocumentIsServed(t *testing.T) {
	g := newRig(t, "")
	if status, b := g.raw(http.MethodGet, "/v1/openapi.json", ""); status != 200 || !bytes.Equal(b, openAPI) {
		t.Errorf("%d, %d octets", status, len(b))
	}
}
