package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Nothing is shown or changed without a session, whatever is asked for.
func TestNothingWithoutSession(t *testing.T) {
	r := newRig(t)
	r.put(lamp("api:lamp", "Secret lamp"))
	b := r.browser()
	for _, path := range []string{"/", "/devices", "/devices/api:lamp", "/ignored", "/fabrics", "/fabrics/1/remove", "/health", "/log", "/live/home", "/live/devices", "/live/log", "/nonsense"} {
		status, body := b.get(path)
		if status != http.StatusUnauthorized || !strings.Contains(body, "opcredsd web-url") || strings.Contains(body, "Secret") {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/window/open", "/window/close", "/devices/api:lamp/rename", "/devices/api:lamp/remove", "/fabrics/1/remove", "/log/level", "/health/check", "/logout/all"} {
		if status, _ := b.post(path, url.Values{"name": {"x"}, "minutes": {"5"}}); status != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	if len(r.did) > 0 {
		t.Errorf("done without a session: %q", r.did)
	}
}

// A change needs the token of the session's own forms, and comes from a page of this host.
func TestForgedRequestsChangeNothing(t *testing.T) {
	r := newRig(t)
	b, other := r.inside(), r.inside()
	_, page := other.get("/")
	theirs := csrfField.FindStringSubmatch(page)[1]
	for _, token := range []string{"", "0", theirs} {
		if status, body := b.post("/window/open", url.Values{"minutes": {"5"}, "csrf": {token}}); status != http.StatusForbidden {
			t.Errorf("with token %q: %d %s", token, status, body)
		}
	}
	_, page = b.get("/")
	own := csrfField.FindStringSubmatch(page)[1]
	for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
		req := b.request("POST", "/window/open", strings.NewReader(url.Values{"minutes": {"5"}, "csrf": {own}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(header, value)
		if status, _ := b.do(req); status != http.StatusForbidden {
			t.Errorf("with %s: %s: %d", header, value, status)
		}
	}
	if len(r.did) > 0 {
		t.Fatalf("done: %q", r.did)
	}
	if status, body := b.post("/window/open", url.Values{"minutes": {"5"}, "csrf": {own}}); status != http.StatusOK || !slices.Equal(r.did, []string{"open window 300 false"}) {
		t.Errorf("the right one: %d %q %s", status, r.did, body)
	}
}

// A page of another site whose name points here gets nothing (DNS rebinding).
func TestHostNames(t *testing.T) {
	r := newRig(t)
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "evil.example:8380": http.StatusMisdirectedRequest, "bridge.evil.example": http.StatusMisdirectedRequest,
		"": http.StatusOK, "localhost": http.StatusOK, "localhost:8380": http.StatusOK, "bridge": http.StatusOK, "Bridge.local": http.StatusOK, "bridge.local.:8380": http.StatusOK,
		"192.168.1.5:8380": http.StatusOK, "[fd00::1]:8380": http.StatusOK, "[fd00::1]": http.StatusOK,
	} {
		req := r.browser().request("GET", "/login", nil)
		req.Host = host
		if status, _ := r.browser().do(req); status != want {
			t.Errorf("Host %q: %d, want %d", host, status, want)
		}
	}
}

// Strangers cannot fill the log.
func TestDeniedBrowsersAreLoggedSparingly(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	for i := range 100 {
		status, _ := b.post("/login", url.Values{"token": {"wrong"}})
		if want := http.StatusForbidden; i < maxTries && status != want || i >= maxTries && status != http.StatusTooManyRequests {
			t.Fatalf("try %d: %d", i, status)
		}
	}
	if lines, _ := r.lines.Since(0); len(lines) == 0 || len(lines) > 10 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestHeaders(t *testing.T) {
	r := newRig(t)
	b := r.inside()
	for _, path := range []string{"/", "/login", "/static/app.js", "/nonsense"} {
		rsp, err := b.client.Get(r.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		rsp.Body.Close()
		csp := rsp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %q", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || rsp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, rsp.Header)
		}
	}
}

func TestCookie(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.TLS = tls })
		token, _ := r.page.gate.newToken(time.Now())
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		rsp, err := client.PostForm(r.server.URL+"/login", url.Values{"token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		rsp.Body.Close()
		c := rsp.Cookies()
		if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Secure != tls || c[0].Path != "/" || strings.HasPrefix(c[0].Name, "__Host-") != tls {
			t.Errorf("TLS %v: %+v", tls, c)
		}
	}
}

// The page makes changes with the operator's requests. The log shows that the operator made
// them through the page.
func TestChanges(t *testing.T) {
	r := newRig(t)
	r.put(lamp("api:lamp", "Lamp"))
	r.put(lamp("demo:lamp", "Demo lamp"))
	r.status.Fabrics = []admin.FabricStatus{{Fabric: admin.Fabric{Index: 2, VendorID: 0x1349, CompressedFabricID: "87E1B004E235A130"}}}
	b := r.inside()
	name := func(id string) string {
		v, err := r.registry.Device(id)
		if err != nil {
			return err.Error()
		}
		return v.Name
	}
	for _, tc := range []struct {
		path   string
		form   url.Values
		says   string
		done   func() bool
		audit  string
		device string
	}{
		{"/window/open", url.Values{"minutes": {"15"}, "enhanced": {"yes"}}, "Open for pairing", func() bool { return slices.Contains(r.did, "open window 900 true") }, "open window", ""},
		{"/window/close", nil, "Nobody can pair now", func() bool { return slices.Contains(r.did, "close window") }, "close window", ""},
		{"/devices/api:lamp/rename", url.Values{"name": {" Reading lamp "}}, "Renamed", func() bool { return name("api:lamp") == "Reading lamp" }, "rename device", "api:lamp"},
		{"/devices/api:lamp/rename", url.Values{"name": {""}}, "name from its source", func() bool { return name("api:lamp") == "Lamp" }, "rename device", "api:lamp"},
		{"/devices/api:lamp/hide", url.Values{"hidden": {"yes"}}, "Hidden", func() bool { v, _ := r.registry.Device("api:lamp"); return v.Reason != "" }, "hide device", "api:lamp"},
		{"/devices/api:lamp/hide", nil, "Shown to controllers", func() bool { v, _ := r.registry.Device("api:lamp"); return v.Reason != "an operator has hidden it" }, "hide device", "api:lamp"},
		{"/devices/api:lamp/identify", nil, "blink or beep", func() bool { return slices.Contains(r.did, "identify api:lamp 10") }, "identify device", "api:lamp"},
		{"/devices/demo:lamp/set", url.Values{"part": {"main"}, "property": {"brightness_percent"}, "value": {"12,5"}}, "Set.", func() bool {
			v, _ := r.registry.Device("demo:lamp")
			f, _ := v.Parts[0].State["brightness_percent"].Number()
			return f > 12 && f < 13
		}, "set device", "demo:lamp"},
		{"/devices/api:lamp/remove", nil, "Removed", func() bool { return strings.Contains(name("api:lamp"), "no device") }, "remove device", "api:lamp"},
		{"/fabrics/2/remove", url.Values{"fabric": {"87E1B004E235A130"}}, "Apple Home is removed", func() bool { return slices.Contains(r.did, "remove fabric 2") }, "remove fabric", ""},
		{"/log/level", url.Values{"level": {"debug"}}, "logs from level debug", func() bool { return slices.Contains(r.did, "log level debug") }, "log level", ""},
	} {
		before, _ := r.lines.Since(0)
		status, body := b.submit(tc.path, tc.form)
		if status != http.StatusOK || !strings.Contains(body, tc.says) || !tc.done() {
			t.Errorf("%s: %d, done: %v\n%s", tc.path, status, tc.done(), body)
		}
		lines, _ := r.lines.Since(before[len(before)-1].N)
		if len(lines) != 1 || lines[0].Text != "operator's request done" || !strings.Contains(lines[0].Attrs, `by="web page" peer=127.0.0.1:`) ||
			!strings.Contains(lines[0].Attrs, tc.audit) || !strings.Contains(lines[0].Attrs, tc.device) {
			t.Errorf("%s: the log has %+v", tc.path, lines)
		}
	}
}

// The page shows the reason for a refusal, and nothing changes.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.put(lamp("api:lamp", "Lamp"))
	r.put(lamp("demo:lamp", "Demo lamp"))
	r.status.Fabrics = []admin.FabricStatus{{Fabric: admin.Fabric{Index: 2, VendorID: 0x1349, CompressedFabricID: "87E1B004E235A130"}}}
	b := r.inside()
	for _, tc := range []struct {
		path string
		form url.Values
		says string
	}{
		{"/window/open", url.Values{"minutes": {"-1"}}, "not a number of minutes"},
		{"/window/open", url.Values{"minutes": {"x"}}, "not a number of minutes"},
		{"/devices/api:lamp/set", url.Values{"part": {"main"}, "property": {"on"}, "value": {"false"}}, "simulated devices only"},
		{"/devices/demo:lamp/set", url.Values{"part": {"main"}, "property": {"on"}, "value": {"maybe"}}, "neither true nor false"},
		{"/devices/demo:lamp/set", url.Values{"part": {"main"}, "property": {"brightness_percent"}, "value": {"101"}}, "from 0 to 100|up to 100"},
		{"/devices/demo:lamp/set", url.Values{"part": {"main"}, "property": {"nonsense"}, "value": {"1"}}, "no value"},
		{"/devices/demo:lamp/rename", url.Values{"name": {strings.Repeat("x", 5000)}}, "5000 octets"},
		{"/fabrics/2/remove", url.Values{"fabric": {"0000000000000000"}}, "no longer there"},
		{"/fabrics/3/remove", url.Values{"fabric": {"87E1B004E235A130"}}, "no longer there"},
		{"/fabrics/999/remove", nil, "no such fabric"},
	} {
		_, body := b.submit(tc.path, tc.form)
		_, alert, _ := strings.Cut(body, `role="alert">`)
		alert, _, _ = strings.Cut(alert, "<")
		if !slices.ContainsFunc(strings.Split(tc.says, "|"), func(s string) bool { return strings.Contains(alert, s) }) {
			t.Errorf("%s %v: the page says %q, want %q", tc.path, tc.form, alert, tc.says)
		}
	}
	if len(r.did) > 0 {
		t.Errorf("done: %q", r.did)
	}
}

// Names come from strangers: they are texts, wherever they stand.
func TestHostileNames(t *testing.T) {
	const script = `"><script>alert(1)</script>'`
	r := newRig(t)
	d := lamp("api:lamp", script)
	d.Room, d.Vendor, d.Product, d.Serial = script, script, script, script
	r.put(d)
	if err := r.registry.SetIgnored("z2m", []device.Ignored{{ID: "z2m:1", Source: "z2m", What: script, Reason: script}}); err != nil {
		t.Fatal(err)
	}
	r.status.Fabrics = []admin.FabricStatus{{Fabric: admin.Fabric{Index: 1, Label: script}}}
	r.status.Product = admin.Product{VendorName: script, ProductName: script}
	r.status.Fault, r.status.Ready = script, false
	r.page.opt.Findings = func(context.Context) []doctor.Finding {
		return []doctor.Finding{{Check: "x", Result: doctor.Fault, Text: script, Remedy: script}}
	}
	r.log.Warn(script, script, script)
	b := r.inside()
	for _, path := range []string{"/", "/devices", "/devices?q=" + url.QueryEscape(script), "/devices/api:lamp", "/devices/api:lamp/remove", "/ignored", "/fabrics", "/fabrics/1/remove", "/health", "/log"} {
		_, body := b.get(path)
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s has the script in it:\n%s", path, body)
		}
		if path != "/" && !strings.Contains(body, "alert(1)") {
			t.Errorf("%s does not show the text", path)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if e := await(t, b.stream(ctx, "/live/devices"), "event: rows"); strings.Contains(e, "<script>") || !strings.Contains(e, "alert(1)") {
		t.Errorf("the stream has %s", e)
	}
}

// A page after a change shows what has changed.
func TestPageAfterChange(t *testing.T) {
	r := newRig(t, func(o *Options) {
		inner := o.Operator.Status
		open := true
		o.Operator.CloseWindow = func(context.Context) error { open = false; return nil }
		o.Operator.Status = func(ctx context.Context) (admin.Status, error) {
			s, err := inner(ctx)
			if open {
				s.Window.Kind = "basic"
			}
			return s, err
		}
	})
	b := r.inside()
	if _, body := b.get("/"); !strings.Contains(body, `<svg class="qr"`) {
		t.Error("no code while the window is open")
	}
	if _, body := b.submit("/window/close", nil); strings.Contains(body, `<svg class="qr"`) {
		t.Error("a code after the window was closed")
	}
}

func TestWindow(t *testing.T) {
	r := newRig(t)
	b := r.inside()
	if _, body := b.get("/"); strings.Contains(body, "<svg class=\"qr\"") || strings.Contains(body, "3497") {
		t.Error("codes without a window")
	}
	closes := time.Now().Add(10 * time.Minute)
	r.status.Window = admin.WindowState{Kind: "basic", Closes: &closes}
	r.page.hub.status.forget()
	if _, body := b.get("/"); !strings.Contains(body, `<svg class="qr"`) || !strings.Contains(body, "3497-011-2332") || !strings.Contains(body, ">10 minutes<") {
		t.Errorf("no codes: %s", body)
	}
	r.status.Window.Kind = "enhanced"
	r.page.hub.status.forget()
	if _, body := b.get("/"); strings.Contains(body, "3497") || !strings.Contains(body, "opened elsewhere") {
		t.Errorf("codes of another window: %s", body)
	}
}

// The page follows devices: what changes, comes and goes, and only that.
func TestLiveDevices(t *testing.T) {
	r := newRig(t)
	r.put(lamp("api:a", "A"))
	r.put(lamp("api:b", "B"))
	b := r.inside()
	_, body := b.get("/devices")
	_, live, _ := strings.Cut(body, `data-live="`)
	live, _, _ = strings.Cut(live, `"`)
	live = strings.ReplaceAll(live, "&amp;", "&")
	if !strings.HasPrefix(live, "/live/devices?since=") {
		t.Fatalf("stream %q", live)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := b.stream(ctx, live)
	await(t, events, "event: hello")
	if err := r.registry.Report("api:b", "main", device.Values{"brightness_percent": device.Number(33)}); err != nil {
		t.Fatal(err)
	}
	if e := await(t, events, "33 %"); strings.Contains(e, "api:a") || strings.Contains(e, "whole") {
		t.Errorf("more than what has changed: %s", e)
	}
	r.put(lamp("api:c", "C"))
	await(t, events, "d-api:c")
	if err := r.registry.Remove("api:a", true); err != nil {
		t.Fatal(err)
	}
	await(t, events, `"gone":["api:a"]`)

	// A button has nothing to show but what was done to it last.
	r.put(device.Device{ID: "api:button", Name: "Button", Reachable: true, Parts: []device.Part{{ID: "main", Type: "generic_switch"}}})
	await(t, events, "d-api:button")
	if err := r.registry.Event("api:button", "main", device.Double); err != nil {
		t.Fatal(err)
	}
	await(t, events, "Pressed twice")

	// A stream that continues one of another run gets everything.
	if e := await(t, b.stream(ctx, "/live/devices?since=other.7&q=api:b"), "event: rows"); !strings.Contains(e, `"whole":true`) || !strings.Contains(e, "d-api:b") || strings.Contains(e, "d-api:c") {
		t.Errorf("the whole list: %s", e)
	}
}

// The streams of a session end with it.
func TestSessionsEnd(t *testing.T) {
	r := newRig(t)
	b, other := r.inside(), r.inside()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, theirs := b.stream(ctx, "/live/log"), other.stream(ctx, "/live/home")
	await(t, events, "hello")
	await(t, theirs, "event: body")
	b.submit("/logout", nil)
	if status, _ := b.get("/"); status != http.StatusUnauthorized {
		t.Errorf("after the end: %d", status)
	}
	ended(t, events)
	if status, _ := other.get("/"); status != http.StatusOK {
		t.Errorf("another's session: %d", status)
	}
	other.submit("/logout/all", nil)
	ended(t, theirs)
}

func ended(t *testing.T, events <-chan string) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		case <-timeout:
			t.Fatal("the stream goes on")
		}
	}
}

func TestLiveLog(t *testing.T) {
	r := newRig(t)
	b := r.inside()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := b.stream(ctx, "/live/log?level=warn&since=0")
	await(t, events, "hello")
	r.log.Info("chatter")
	r.log.Warn("trouble", "with", "a <b>")
	if e := await(t, events, "trouble"); strings.Contains(e, "chatter") || !strings.Contains(e, "a &lt;b&gt;") {
		t.Errorf("%s", e)
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Findings = func(context.Context) []doctor.Finding {
			return []doctor.Finding{{Check: "port", Result: doctor.Fault, Text: "port is taken", Remedy: "free it"}, {Check: "ipv6", Result: doctor.OK, Text: "has IPv6"}}
		}
		o.MQTT = func() MQTT { return MQTT{Broker: "mqtt://broker", Connected: true, Received: 5} }
	})
	r.status.Interfaces = []admin.Interface{{Name: "eth0", Found: true, Addresses: []string{"fe80::1"}}, {Name: "docker0", Reason: "container"}}
	_, body := r.inside().get("/health")
	for _, want := range []string{"1 fault found", "Port is taken|port is taken", "Free it.", "1 check is fine", "Has IPv6.", "eth0", "fe80::1", "not used: container", "Connected to mqtt://broker", "5 messages received", "1.2.3"} {
		if !slices.ContainsFunc(strings.Split(want, "|"), func(s string) bool { return strings.Contains(body, s) }) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

func TestEmptyPagesSayWhatToDo(t *testing.T) {
	b := newRig(t).inside()
	for path, want := range map[string]string{
		"/": "Open for pairing", "/devices": "There are no devices yet", "/ignored": "Everything is shown", "/fabrics": "No home has this bridge yet",
	} {
		if status, body := b.get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in\n%s", path, status, want, body)
		}
	}
	if status, _ := b.get("/devices/api:none"); status != http.StatusNotFound {
		t.Errorf("a device that there is not: %d", status)
	}
	if status, _ := b.get("/fabrics/1/remove"); status != http.StatusNotFound {
		t.Errorf("a fabric that there is not: %d", status)
	}
}

// The page says when a fabric was added, and what is known if it is not known when.
func TestFabricAdded(t *testing.T) {
	now := time.Now()
	later := now.AddDate(30, 0, 0) // the node's clock has gone back
	day := now.Add(-25 * time.Hour)
	for _, tc := range []struct {
		added *time.Time
		want  string
	}{
		{&day, "a day ago</time>"},
		{&later, "<dd>" + later.Local().Format("2 January 2006, 15:04") + "</dd>"},
		{nil, ", when the daemon started"},
	} {
		r := newRig(t)
		r.status.Fabrics = []admin.FabricStatus{{Fabric: admin.Fabric{Index: 1, VendorID: 0x1349, Added: tc.added}}}
		if _, body := r.inside().get("/fabrics"); !strings.Contains(body, tc.want) {
			t.Errorf("added %v: no %q in\n%s", tc.added, tc.want, body)
		}
	}
}

func TestEcosystem(t *testing.T) {
	for v, want := range map[matter.VendorID]string{0x1349: "Apple Home", 0x134B: "Home Assistant", 0xFFF1: "Test controller", 0x1234: "Vendor 0x1234"} {
		if got := ecosystem(v); got != want {
			t.Errorf("0x%04X: %s, want %s", v, got, want)
		}
	}
}
