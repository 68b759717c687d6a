package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// node is an operator's node that records its calls and can fail.
type node struct {
	asked []string
	err   error
	copy  string // result of Backup
}

// operator returns the functions of n.
func (n *node) operator() Operator {
	return Operator{
		Status: n.Status, Pairing: n.Pairing, Fabrics: n.Fabrics, RemoveFabric: n.RemoveFabric,
		OpenWindow: n.OpenWindow, CloseWindow: n.CloseWindow,
		Attestation: n.Attestation, VerifyAttestation: n.VerifyAttestation, ImportAttestation: n.ImportAttestation, GenerateAttestation: n.GenerateAttestation,
		FactoryReset: n.FactoryReset, CheckStore: n.CheckStore, Backup: n.Backup, SetLogLevel: n.SetLogLevel, Reload: n.Reload, Health: n.Health,
	}
}

func (n *node) ask(what string) error {
	n.asked = append(n.asked, what)
	return n.err
}

func (n *node) Status(context.Context) (Status, error) { return Status{Port: 5540}, n.ask("status") }

func (n *node) Pairing(context.Context) (Pairing, error) {
	return Pairing{QR: "MT:X", Passcode: 1}, n.ask("pairing")
}

func (n *node) Fabrics(context.Context) ([]Fabric, error) {
	return []Fabric{{Index: 3, Label: "home"}}, n.ask("fabrics")
}

func (n *node) RemoveFabric(_ context.Context, i matter.FabricIndex) error {
	return n.ask("remove " + string('0'+rune(i)))
}

func (n *node) OpenWindow(_ context.Context, r WindowRequest) (Window, error) {
	if !r.Enhanced || r.Seconds != 240 {
		return Window{}, errors.New("another request")
	}
	return Window{Pairing: Pairing{QR: "MT:Y"}}, n.ask("open")
}

func (n *node) CloseWindow(context.Context) error { return n.ask("close") }

func (n *node) Attestation(context.Context) (Attestation, error) {
	return Attestation{Kind: "TEST"}, n.ask("attestation")
}

func (n *node) VerifyAttestation(_ context.Context, t AttestationTrust) (Attestation, error) {
	return Attestation{Notes: []string{string(t.Roots[0])}}, n.ask("verify")
}

func (n *node) ImportAttestation(_ context.Context, m AttestationMaterial) (AttestationChange, error) {
	if string(m.DAC)+string(m.PAI)+string(m.CD)+string(m.Key) != "abcd" {
		return AttestationChange{}, errors.New("another request")
	}
	return AttestationChange{Restart: true}, n.ask("import")
}

func (n *node) GenerateAttestation(_ context.Context, r GenerateRequest) (AttestationChange, error) {
	return AttestationChange{Attestation: Attestation{VendorID: r.VendorID}}, n.ask("generate")
}

func (n *node) FactoryReset(context.Context) error { return n.ask("reset") }
func (n *node) CheckStore(context.Context) error   { return n.ask("check") }
func (n *node) Health(context.Context) error       { return n.ask("health") }

func (n *node) Backup(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, n.copy); err != nil {
		return err
	}
	return n.ask("backup")
}

func (n *node) Reload(context.Context) (Reloaded, error) {
	return Reloaded{Restart: []string{"port"}}, n.ask("reload")
}

func (n *node) SetLogLevel(_ context.Context, l LogLevel) error { return n.ask("level " + l.Level) }

// serve serves the API of n on a socket and returns its client and its log.
func serve(t *testing.T, n *node) (*Client, *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: Handler(n.operator(), slog.New(slog.NewTextHandler(log, nil))), ConnContext: ConnContext}}
	srv.Start()
	t.Cleanup(srv.Close)
	return NewClient(path), log
}

// calls are all calls of a client, with the resulting calls of the node.
func calls(ctx context.Context, c *Client, w io.Writer) []struct {
	asks string
	want any
	call func() (any, error)
} {
	nothing := func(f func() error) func() (any, error) { return func() (any, error) { return nil, f() } }
	return []struct {
		asks string
		want any
		call func() (any, error)
	}{
		{"status", Status{Port: 5540}, func() (any, error) { return c.Status(ctx) }},
		{"pairing", Pairing{QR: "MT:X", Passcode: 1}, func() (any, error) { return c.Pairing(ctx) }},
		{"fabrics", []Fabric{{Index: 3, Label: "home"}}, func() (any, error) { return c.Fabrics(ctx) }},
		{"remove 7", nil, nothing(func() error { return c.RemoveFabric(ctx, 7) })},
		{"open", Window{Pairing: Pairing{QR: "MT:Y"}}, func() (any, error) { return c.OpenWindow(ctx, WindowRequest{240, true}) }},
		{"close", nil, nothing(func() error { return c.CloseWindow(ctx) })},
		{"attestation", Attestation{Kind: "TEST"}, func() (any, error) { return c.Attestation(ctx) }},
		{"verify", Attestation{Notes: []string{"root"}}, func() (any, error) {
			return c.VerifyAttestation(ctx, AttestationTrust{Roots: [][]byte{[]byte("root")}})
		}},
		{"import", AttestationChange{Restart: true}, func() (any, error) {
			return c.ImportAttestation(ctx, AttestationMaterial{DAC: []byte("a"), PAI: []byte("b"), CD: []byte("c"), Key: []byte("d")})
		}},
		{"generate", AttestationChange{Attestation: Attestation{VendorID: 0xFFF2}}, func() (any, error) {
			return c.GenerateAttestation(ctx, GenerateRequest{VendorID: 0xFFF2})
		}},
		{"reset", nil, nothing(func() error { return c.FactoryReset(ctx) })},
		{"check", nil, nothing(func() error { return c.CheckStore(ctx) })},
		{"health", nil, nothing(func() error { return c.Health(ctx) })},
		{"level debug", nil, nothing(func() error { return c.SetLogLevel(ctx, LogLevel{"debug"}) })},
		{"reload", Reloaded{Restart: []string{"port"}}, func() (any, error) { return c.Reload(ctx) }},
		{"backup", nil, nothing(func() error { return c.Backup(ctx, w) })},
	}
}

func TestEveryCall(t *testing.T) {
	n := &node{copy: "the copy"}
	c, _ := serve(t, n)
	var copied bytes.Buffer
	for _, tc := range calls(t.Context(), c, &copied) {
		n.asked = nil
		got, err := tc.call()
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v; want %+v", tc.asks, got, err, tc.want)
		}
		if len(n.asked) != 1 || n.asked[0] != tc.asks {
			t.Errorf("%s: asked %q", tc.asks, n.asked)
		}
	}
	if copied.String() != "the copy" {
		t.Errorf("copied %q", copied.String())
	}
}

// An error contains its reason, whether the node refuses or fails.
func TestEveryCallFails(t *testing.T) {
	n := &node{}
	c, _ := serve(t, n)
	for _, tc := range calls(t.Context(), c, io.Discard) {
		if tc.asks == "backup" {
			continue
		}
		n.err = Refuse("not while %s", "it rains")
		if _, err := tc.call(); !errors.Is(err, ErrRefused) || err.Error() != "not while it rains" {
			t.Errorf("%s: refused with %v", tc.asks, err)
		}
		n.err = WrongConfiguration(errors.New("config.yaml:3: port: no number"))
		if _, err := tc.call(); !errors.Is(err, ErrConfiguration) || errors.Is(err, ErrRefused) || err.Error() != "config.yaml:3: port: no number" {
			t.Errorf("%s: wrong configuration: %v", tc.asks, err)
		}
		n.err = errors.New("the disk is full")
		if _, err := tc.call(); err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrUnreachable) || err.Error() != "the disk is full" {
			t.Errorf("%s: failed with %v", tc.asks, err)
		}
	}
}

// An incomplete copy is an error.
func TestBackupBrokenOff(t *testing.T) {
	n := &node{copy: "half a co", err: errors.New("the disk is gone")}
	c, log := serve(t, n)
	if err := c.Backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "broke the copy off") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(log.String(), "the disk is gone") {
		t.Errorf("log %q", log)
	}
}

// Users who may only look are served what changes nothing and has no secret in it.
func TestReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{copy: "the copy"}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: ReadHandler(n.operator(), slog.New(slog.DiscardHandler))}}
	srv.Start()
	defer srv.Close()
	open := []string{"status", "fabrics", "attestation", "check", "health"}
	for _, tc := range calls(t.Context(), NewClient(path), io.Discard) {
		n.asked = nil
		_, err := tc.call()
		if slices.Contains(open, tc.asks) {
			if err != nil || len(n.asked) != 1 {
				t.Errorf("%s: %v, asked %q", tc.asks, err, n.asked)
			}
		} else if !errors.Is(err, ErrRefused) || len(n.asked) != 0 {
			t.Errorf("%s for a reader: %v, asked %q", tc.asks, err, n.asked)
		}
	}
	w := httptest.NewRecorder()
	ReadHandler(n.operator(), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/heap", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("memory for a reader: %d", w.Code)
	}
}

func TestUnreachable(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "admin.sock"))
	for _, tc := range calls(t.Context(), c, io.Discard) {
		if _, err := tc.call(); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", tc.asks, err)
		}
	}
}

// If a daemon does not answer, the client reports whether this user may connect to
// it at all.
func TestWhyUnreachable(t *testing.T) {
	c := NewClient("/run/admin.sock")
	for _, tc := range []struct {
		err       error
		connected bool
		denied    bool
		want      string
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", unix.EACCES)}, false, true, "only root and the daemon's own user"},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", unix.ECONNRESET)}, true, true, "closed the connection"},
		{io.EOF, true, true, "closed the connection"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", unix.ENOENT)}, false, false, "is it running"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", unix.ECONNREFUSED)}, false, false, "is it running"},
		{context.DeadlineExceeded, true, false, "does not answer in time"},
	} {
		err := c.unreachable(&url.Error{Op: "Get", URL: "http://admin/v1/status", Err: tc.err}, tc.connected)
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDenied) != tc.denied || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%v: %v", tc.err, err)
		}
	}
	if err := c.unreachable(&url.Error{Err: context.Canceled}, true); errors.Is(err, ErrUnreachable) {
		t.Errorf("canceled: %v", err)
	}
}

// The call to a daemon that hangs ends with its context.
func TestSilentDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path) // and never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := NewClient(path).Health(ctx); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

// A daemon may close the connection of another user at any moment of the request.
func TestHungUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for range 200 {
		if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
}

// Every change is logged with the user who made it, without secrets. Reading is not
// logged.
func TestAudit(t *testing.T) {
	n := &node{}
	c, log := serve(t, n)
	changes := map[string]string{
		"remove 7": "remove fabric", "open": "open window", "close": "close window", "import": "import attestation",
		"generate": "generate attestation", "reset": "factory reset", "level debug": "log level", "reload": "reload configuration",
	}
	for _, tc := range calls(t.Context(), c, io.Discard) {
		for _, n.err = range []error{nil, errors.New("no")} {
			log.Reset()
			_, _ = tc.call()
			what, change := changes[tc.asks]
			if !change {
				if n.err == nil && log.Len() > 0 {
					t.Errorf("%s: %s", tc.asks, log)
				}
				continue
			}
			line := log.String()
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, `what="`+what+`"`) || !strings.Contains(line, " uid=") ||
				!strings.Contains(line, " pid=") || strings.Contains(line, "level=WARN") != (n.err != nil) {
				t.Errorf("%s: %q", tc.asks, line)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	n := &node{}
	h := Handler(n.operator(), slog.New(slog.DiscardHandler))
	for _, tc := range []struct {
		method, path, body string
		status             int
		say                string
	}{
		{"DELETE", "/v1/fabrics/0", "", http.StatusConflict, "not between 1 and 254"},
		{"DELETE", "/v1/fabrics/255", "", http.StatusConflict, "not between 1 and 254"},
		{"DELETE", "/v1/fabrics/x", "", http.StatusConflict, "not between 1 and 254"},
		{"POST", "/v1/window", "", http.StatusConflict, "EOF"},
		{"POST", "/v1/window", `{"seconds":240,"enhanced":true,"colour":"blue"}`, http.StatusConflict, "colour"},
		{"POST", "/v1/window", `{"seconds":"240"}`, http.StatusConflict, `{"error":"request: seconds: a string does not belong there"`},
		{"PUT", "/v1/attestation", `{"dac":"***"}`, http.StatusConflict, "base64"},
		{"PUT", "/v1/attestation", `{"dac":"` + strings.Repeat("A", maxBody) + `"}`, http.StatusConflict, "too large"},
		{"POST", "/v1/attestation/verify", `{"roots":["` + strings.Repeat("A", maxBody) + `"]}`, http.StatusConflict, "too large"},
		{"GET", "/v1/nothing", "", http.StatusNotFound, ""},
		{"PUT", "/v1/status", "", http.StatusMethodNotAllowed, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
			t.Errorf("%s %s %.40s: %d %s", tc.method, tc.path, tc.body, w.Code, w.Body)
		}
	}
	if len(n.asked) > 0 {
		t.Errorf("the node was asked: %q", n.asked)
	}
}

// A request that a node does not support is refused, by the node and over the
// socket.
func TestVerbThatIsNotThere(t *testing.T) {
	o := Operator{Status: (&node{}).Status}
	o.Otherwise(Refuse("the daemon must run"))
	if st, err := o.Status(t.Context()); err != nil || st.Port != 5540 {
		t.Errorf("a verb that is there: %+v, %v", st, err)
	}
	for name, call := range map[string]func() error{
		"a query":  func() error { _, err := o.Fabrics(t.Context()); return err },
		"a change": func() error { return o.CloseWindow(t.Context()) },
		"an index": func() error { return o.RemoveFabric(t.Context(), 1) },
		"a copy":   func() error { return o.Backup(t.Context(), io.Discard) },
	} {
		if err := call(); !errors.Is(err, ErrRefused) || err.Error() != "the daemon must run" {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := httptest.NewRecorder()
	Handler(Operator{}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/v1/status", nil))
	if w.Code != http.StatusConflict {
		t.Errorf("over the socket: %d %s", w.Code, w.Body)
	}
}

// Every field of Operator has a route.
func TestEveryVerbHasARoute(t *testing.T) {
	var o Operator
	o.Otherwise(errors.New("not set"))
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			t.Errorf("%s has no route", v.Type().Field(i).Name)
		}
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{path: 0o600 | os.ModeSocket, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(file); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process listens on") {
		t.Errorf("a second one: %v", err)
	}
	// The socket of a killed daemon is replaced.
	l.(*listener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	// A file is not replaced.
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("in the place of a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// Root and the daemon's own user may connect, nobody else.
func TestWhoMayConnect(t *testing.T) {
	for _, tc := range []struct {
		uid  uint32
		own  int
		want bool
	}{{0, 1000, true}, {1000, 1000, true}, {1001, 1000, false}, {65534, 0, false}, {0, 0, true}} {
		if got := welcome(tc.uid, tc.own); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// The kernel reports the user of the other end.
func TestCredentials(t *testing.T) {
	l, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if who := c.(*conn).who; int(who.Uid) != os.Getuid() || int(who.Pid) != os.Getpid() {
		t.Errorf("%+v", who)
	}
}
