package bridgeapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/bridgetest"
	"github.com/opcredsd/opcredsd/pkg/bridge"
)

// loop is a node with the goroutine that a registry works on.
type loop struct {
	bridgetest.Node
	calls    chan func()
	registry *bridge.Registry
}

func (l *loop) Do(f func(now time.Time) error) error {
	result := make(chan error)
	l.calls <- func() { result <- f(time.Now()) }
	return <-result
}

func (l *loop) run(quit chan struct{}) {
	for {
		var due <-chan time.Time
		if at, ok := l.registry.Deadline(); ok {
			due = time.After(time.Until(at))
		}
		select {
		case f := <-l.calls:
			f()
		case <-due:
		case <-quit:
			return
		}
		l.registry.Advance(time.Now())
	}
}

// rig is the API on a real socket.
type rig struct {
	t       *testing.T
	loop    *loop
	handler *Handler
	url     string
}

func newRig(t *testing.T, token string) *rig {
	r := bridgetest.New(t)
	l := &loop{calls: make(chan func()), registry: r}
	if err := r.Attach(time.Now(), l); err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	ended := make(chan struct{})
	go func() { l.run(quit); close(ended) }()
	t.Cleanup(func() { close(quit); <-ended })
	h := New(Options{Registry: r, Token: token})
	s := httptest.NewServer(h)
	t.Cleanup(func() { h.Close(); s.Close() })
	return &rig{t: t, loop: l, handler: h, url: s.URL}
}

// newIdleRig returns the API with a registry that has no node.
func newIdleRig(t *testing.T) *rig {
	r := bridgetest.New(t)
	h := New(Options{Registry: r})
	s := httptest.NewServer(h)
	t.Cleanup(func() { h.Close(); s.Close() })
	return &rig{t: t, handler: h, url: s.URL}
}

// do sends a request and returns the status and the body.
func (g *rig) do(method, path, body string, header ...string) (int, map[string]any) {
	g.t.Helper()
	status, b := g.raw(method, path, body, header...)
	var v map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			g.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return status, v
}

func (g *rig) raw(method, path, body string, header ...string) (int, []byte) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, b
}

// stream opens a stream and returns its events, each a name and its data.
func (g *rig) stream(path string, header ...string) <-chan [2]string {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), "GET", g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { res.Body.Close() })
	events := make(chan [2]string)
	go func() {
		defer close(events)
		defer res.Body.Close()
		var e [2]string
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), ": ")
			switch name {
			case "event":
				e[0] = value
			case "data":
				e[1] = value
			case "":
				select {
				case events <- e:
				case <-g.t.Context().Done():
					return
				}
				e = [2]string{}
			}
		}
	}()
	return events
}
