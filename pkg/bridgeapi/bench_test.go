package bridgeapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/bridgetest"
)

// countingNode counts what is run on the loop. It runs it at once.
type countingNode struct {
	bridgetest.Node
	turns int
}

func (n *countingNode) Do(f func(now time.Time) error) error {
	n.turns++
	return n.Node.Do(f)
}

// lamps returns the API of a registry with n lamps.
func lamps(t testing.TB, n int) (*Handler, *countingNode) {
	t.Helper()
	r := bridgetest.New(t)
	node := &countingNode{}
	if err := r.Attach(time.Now(), node); err != nil {
		t.Fatal(err)
	}
	h := New(Options{Registry: r})
	for i := range n {
		body := fmt.Sprintf(`{"name":"Lamp %d","vendor":"ACME","product":"P1","serial":"%06d","type":"color_temperature_light",
			"state":{"on":true,"brightness_percent":50,"color_temperature_kelvin":2700}}`, i, i)
		if rec := serve(h, "PUT", fmt.Sprintf("/v1/devices/bench:%d", i), body); rec.Code != http.StatusCreated {
			t.Fatal(rec.Code, rec.Body)
		}
	}
	r.Advance(time.Now().Add(time.Minute))
	return h, node
}

func serve(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

// patches are two states that differ.
var patches = [2]string{`{"state":{"on":true,"brightness_percent":50}}`, `{"state":{"on":false,"brightness_percent":51}}`}

// BenchmarkPatch measures an update of one of 150 lamps, without the server and the loop.
func BenchmarkPatch(b *testing.B) {
	h, _ := lamps(b, 150)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.limit = limiter{}
		if rec := serve(h, "PATCH", "/v1/devices/bench:7", patches[i%2]); rec.Code != http.StatusOK {
			b.Fatal(rec.Code, rec.Body)
		}
		i++
	}
}

// TestPatchIsOneTurn checks that an update and its answer take the loop once: after each turn
// it looks for everything that may follow.
func TestPatchIsOneTurn(t *testing.T) {
	h, node := lamps(t, 1)
	for i, want := range []string{`"on":true`, `"on":false`} {
		before := node.turns
		rec := serve(h, "PATCH", "/v1/devices/bench:0", patches[i])
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Fatalf("%d %s, want %s", rec.Code, rec.Body, want)
		}
		if n := node.turns - before; n != 1 {
			t.Errorf("%d turns of the loop", n)
		}
	}
}

// TestPointerAllocatesNothing: every member of a request is escaped for its pointer.
func TestPointerAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { escape("brightness_percent") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
