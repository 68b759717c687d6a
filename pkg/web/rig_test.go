package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/bridgetest"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// rig is a page over a real registry, and a node of which the test says what it is.
type rig struct {
	t        testing.TB
	registry *bridge.Registry
	node     bridgetest.Node
	page     *Page
	server   *httptest.Server
	lines    *logs.Tail
	log      *slog.Logger

	mu     sync.Mutex
	status admin.Status
	did    []string
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t}
	r.registry = bridgetest.New(t)
	bridgetest.Attach(t, r.registry, &r.node)
	r.lines = logs.NewTail(slog.DiscardHandler)
	r.log = slog.New(r.lines)
	r.status = admin.Status{Version: "1.2.3", Ready: true, MaxFabrics: 16, Window: admin.WindowState{Kind: "closed"}}
	opt := Options{Operator: r.operator().Audited(r.log), Watch: r.registry.Watch, Lines: r.lines, Names: []string{"bridge"}, Log: r.log}
	for _, f := range change {
		f(&opt)
	}
	r.page = New(opt)
	t.Cleanup(r.page.Close)
	r.server = httptest.NewServer(r.page)
	t.Cleanup(r.server.Close)
	return r
}

func (r *rig) operator() admin.Operator {
	note := func(format string, args ...any) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.did = append(r.did, fmt.Sprintf(format, args...))
		return nil
	}
	return admin.Operator{
		Status: func(context.Context) (admin.Status, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.status, nil
		},
		Pairing: func(context.Context) (admin.Pairing, error) {
			return admin.Pairing{QR: "MT:-24J0AFN00KA0648G00", Manual: "34970112332"}, nil
		},
		Devices:        func(context.Context) ([]bridge.View, error) { return r.registry.Devices() },
		IgnoredDevices: func(context.Context) ([]device.Ignored, error) { return r.registry.Ignored() },
		OpenWindow: func(_ context.Context, w admin.WindowRequest) (admin.Window, error) {
			return admin.Window{}, note("open window %d %v", w.Seconds, w.Enhanced)
		},
		CloseWindow:  func(context.Context) error { return note("close window") },
		RemoveFabric: func(_ context.Context, i matter.FabricIndex) error { return note("remove fabric %d", i) },
		RenameDevice: func(_ context.Context, n admin.DeviceName) error { return r.registry.Rename(n.ID, n.Part, n.Name) },
		HideDevice:   func(_ context.Context, h admin.DeviceHiding) error { return r.registry.Hide(h.ID, h.Hidden) },
		RemoveDevice: func(_ context.Context, d admin.DeviceRemoval) error { return r.registry.Remove(d.ID, d.Now) },
		SetDevice: func(_ context.Context, v admin.DeviceValues) error {
			return r.registry.Patch(v.ID, bridge.Patch{States: []bridge.PartState{{Part: v.Part, State: v.State}}})
		},
		IdentifyDevice: func(_ context.Context, i admin.DeviceIdentification) error {
			return note("identify %s %d", i.ID, i.Seconds)
		},
		SetLogLevel: func(_ context.Context, l admin.LogLevel) error { return note("log level %s", l.Level) },
	}
}

func (r *rig) put(d device.Device) {
	r.t.Helper()
	if _, err := r.registry.Put(d); err != nil {
		r.t.Fatal(err)
	}
	r.list()
}

// list has the registry bring its lists of devices up to date.
func (r *rig) list() {
	_ = r.node.Do(func(now time.Time) error {
		r.registry.Advance(now.Add(time.Minute))
		return nil
	})
}

// lamp is a lamp with a name.
func lamp(id, name string) device.Device {
	return device.Device{ID: id, Name: name, Room: "Kitchen", Reachable: true, Parts: []device.Part{{
		ID: "main", Type: "dimmable_light", State: device.Values{"on": device.Bool(true), "brightness_percent": device.Number(60)},
	}}}
}

// browser is a browser with a session, or without one yet.
type browser struct {
	r      *rig
	client *http.Client
}

func (r *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &browser{r, &http.Client{Jar: jar, Timeout: 10 * time.Second}}
}

// inside returns a browser that has been let in.
func (r *rig) inside() *browser {
	r.t.Helper()
	b := r.browser()
	token, _ := r.page.gate.newToken(time.Now())
	if status, body := b.post("/login", url.Values{"token": {token}}); status != http.StatusOK || !strings.Contains(body, "Sign out") {
		r.t.Fatalf("not let in: %d %s", status, body)
	}
	return b
}

func (b *browser) do(req *http.Request) (status int, body string) {
	b.r.t.Helper()
	rsp, err := b.client.Do(req)
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer rsp.Body.Close()
	all, err := io.ReadAll(rsp.Body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	return rsp.StatusCode, string(all)
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.r.t.Helper()
	req, err := http.NewRequest(method, b.r.server.URL+path, body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	return req
}

func (b *browser) get(path string) (status int, body string) {
	b.r.t.Helper()
	return b.do(b.request("GET", path, nil))
}

func (b *browser) post(path string, form url.Values) (status int, body string) {
	b.r.t.Helper()
	req := b.request("POST", path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`)

// submit posts a form with the page's token against forged requests.
func (b *browser) submit(path string, form url.Values) (status int, body string) {
	b.r.t.Helper()
	_, page := b.get("/")
	m := csrfField.FindStringSubmatch(page)
	if m == nil {
		b.r.t.Fatal("the page has no token for forms")
	}
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf", m[1])
	return b.post(path, form)
}

// stream follows a page's stream and returns its events.
func (b *browser) stream(ctx context.Context, path string) <-chan string {
	b.r.t.Helper()
	req := b.request("GET", path, nil).WithContext(ctx)
	rsp, err := (&http.Client{Jar: b.client.Jar}).Do(req)
	if err != nil {
		b.r.t.Fatal(err)
	}
	events := make(chan string, 1000)
	go func() {
		defer close(events)
		defer rsp.Body.Close()
		var all bytes.Buffer
		buf := make([]byte, 2<<10)
		for {
			n, err := rsp.Body.Read(buf)
			all.Write(buf[:n])
			for {
				event, rest, whole := strings.Cut(all.String(), "\n\n")
				if !whole {
					break
				}
				all.Reset()
				all.WriteString(rest)
				events <- event
			}
			if err != nil {
				return
			}
		}
	}()
	return events
}

// await returns the first event that contains a text.
func await(t testing.TB, events <-chan string, text string) string {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before %q", text)
			}
			if strings.Contains(e, text) {
				return e
			}
		case <-timeout:
			t.Fatalf("no event with %q", text)
		}
	}
}
