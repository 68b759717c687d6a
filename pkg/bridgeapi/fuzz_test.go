package bridgeapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/bridge"
)

// wantPlaced fails if the error of a request does not name a member.
func wantPlaced(t *testing.T, err error) {
	t.Helper()
	var e *bridge.Error
	if err == nil {
		return
	}
	if !errors.As(err, &e) || e.Detail == "" || e.Pointer != "" && !strings.HasPrefix(e.Pointer, "/") {
		t.Errorf("an error without a place: %#v", err)
	}
}

// FuzzDescription checks that any JSON that is sent as a description becomes a
// device with parts or an error that names the member, and that the answer is
// accepted again.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		lamp,
		`{"parts":[{"id":"1","type":"generic_switch","options":{"gestures":["single"]}}],"layout":"flat","battery":{"percent":null,"low":true}}`,
		`{"type":"temperature_sensor","options":{"min":-20,"max":50},"state":{"temperature_celsius":12.5},"room":"x"}`,
		`{"type":"on_off_light","type":"on_off_plug"}`, `{"a/b~c":1}`, `{"parts":null}`, `[]`, `{"id":"api:b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		d, err := decodeDevice("", b, "api:a")
		wantPlaced(t, err)
		if err != nil {
			return
		}
		if d.ID != "api:a" || len(d.Parts) == 0 && !strings.Contains(string(b), "parts") {
			t.Errorf("%s: %+v", b, d)
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeDevice("", again, "api:a"); err != nil && len(d.Parts) > 0 {
			t.Errorf("%s became %s, which is refused: %v", b, again, err)
		}
	})
}

// FuzzPatch is the same for the bodies of other requests: patches, gestures and lists.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{"state":{"on":true},"name":"x","battery":{"percent":3}}`, `{"parts":[{"id":"main","state":{"on":false}}]}`,
		`{"reachable":false,"software_version":"1"}`, `{"part":"main","event":"left"}`, `{"parts":[{"id":"main","state":{}},{"id":"2"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		_, err := decodePatch(b)
		wantPlaced(t, err)
		_, err = decodeGesture(b)
		wantPlaced(t, err)
		wantPlaced(t, array("", b, 10, func(at string, v json.RawMessage) error {
			_, err := decodeDevice(at, v, "")
			return err
		}))
	})
}
