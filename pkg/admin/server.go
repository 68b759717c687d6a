package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// ErrRefused says that the node will not do what was asked, as things are.
var ErrRefused = errors.New("refused")

// Refuse returns an error that wraps ErrRefused and reads as the format says.
func Refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrRefused }

// maxBody bounds what a client sends.
const maxBody = 1 << 16

// Listen binds the socket at path, mode 0600, in place of one that nobody
// listens on any more. Connections of other users than root and the daemon's
// own are closed at once.
func Listen(path string) (net.Listener, error) {
	l, err := host.ListenUnix(path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("admin-socket: %w (choose another with --admin-socket)", err)
	}
	return &listener{l}, nil
}

type listener struct{ *net.UnixListener }

// Accept returns the next connection of somebody who may connect.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		who, err := credentials(c)
		if err == nil && welcome(who.Uid, os.Geteuid()) {
			return &conn{c, who}, nil
		}
		_ = c.Close()
	}
}

// welcome reports whether a user may connect to the daemon of another.
func welcome(uid uint32, own int) bool { return uid == 0 || int64(uid) == int64(own) }

type conn struct {
	net.Conn
	who *unix.Ucred
}

func credentials(c *net.UnixConn) (who *unix.Ucred, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		who, serr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return who, serr
}

type connKey struct{}

// ConnContext keeps who is at the other end, for http.Server.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c.who)
	}
	return ctx
}

type api struct {
	node Node
	log  *slog.Logger
}

// Handler serves the API over n. Changes are written to log.
func Handler(n Node, log *slog.Logger) http.Handler {
	a := &api{n, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", get(n.Status))
	mux.HandleFunc("GET /v1/pairing", get(n.Pairing))
	mux.HandleFunc("GET /v1/fabrics", get(n.Fabrics))
	mux.HandleFunc("GET /v1/attestation", get(n.Attestation))
	mux.HandleFunc("POST /v1/attestation/verify", limited(func(r *http.Request) (any, error) { return with(r, n.VerifyAttestation) }))
	mux.HandleFunc("PUT /v1/attestation", a.change("import attestation", func(r *http.Request) (any, error) { return with(r, n.ImportAttestation) }))
	mux.HandleFunc("POST /v1/attestation/generate", a.change("generate attestation", func(r *http.Request) (any, error) { return with(r, n.GenerateAttestation) }))
	mux.HandleFunc("GET /v1/health", get(nothing(n.Health)))
	mux.HandleFunc("GET /v1/store/check", get(nothing(n.CheckStore)))
	mux.HandleFunc("GET /v1/store/backup", a.backup)
	mux.HandleFunc("DELETE /v1/fabrics/{index}", a.change("remove fabric", a.removeFabric))
	mux.HandleFunc("POST /v1/window", a.change("open window", func(r *http.Request) (any, error) { return with(r, n.OpenWindow) }))
	mux.HandleFunc("DELETE /v1/window", a.change("close window", func(r *http.Request) (any, error) { return nil, n.CloseWindow(r.Context()) }))
	mux.HandleFunc("POST /v1/factory-reset", a.change("factory reset", func(r *http.Request) (any, error) { return nil, n.FactoryReset(r.Context()) }))
	mux.HandleFunc("PUT /v1/log-level", a.change("log level", func(r *http.Request) (any, error) {
		return with(r, func(ctx context.Context, l LogLevel) (any, error) { return nil, n.SetLogLevel(ctx, l) })
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

func nothing(f func(context.Context) error) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) { return nil, f(ctx) }
}

func get[T any](f func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r.Context())
		answer(w, v, err)
	}
}

// change serves a request that changes something, and leaves an audit line.
func (a *api) change(what string, f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := f(r)
		log := a.log.With("what", what, "request", r.Method+" "+r.URL.Path)
		if who, ok := r.Context().Value(connKey{}).(*unix.Ucred); ok {
			log = log.With("uid", who.Uid, "pid", who.Pid)
		}
		if err != nil {
			log.Warn("operator's request failed", "error", err)
		} else {
			log.Info("operator's request done")
		}
		answer(w, v, err)
	}
}

func (a *api) removeFabric(r *http.Request) (any, error) {
	i, err := strconv.ParseUint(r.PathValue("index"), 10, 8)
	if err != nil || !matter.FabricIndex(i).Valid() {
		return nil, Refuse("fabric index %q is not between %d and %d", r.PathValue("index"), matter.MinFabricIndex, matter.MaxFabricIndex)
	}
	return nil, a.node.RemoveFabric(r.Context(), matter.FabricIndex(i))
}

// with reads the request's body and calls f with it.
func with[Q, R any](r *http.Request, f func(context.Context, Q) (R, error)) (any, error) {
	var q Q
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	return f(r.Context(), q)
}

// limited serves a request with a body that changes nothing.
func limited(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := f(r)
		answer(w, v, err)
	}
}

func decode(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Refuse("request: %v", err)
	}
	return nil
}

// backup streams a copy. A failure on the way shows as a missing trailer.
func (a *api) backup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", trailerComplete)
	// A copy may take longer than an answer otherwise may.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if err := a.node.Backup(r.Context(), w); err != nil {
		a.log.Warn("backup failed", "error", err)
		return
	}
	w.Header().Set(trailerComplete, "yes")
}

const trailerComplete = "X-Complete"

type failure struct {
	Error   string `json:"error"`
	Refused bool   `json:"refused,omitempty"`
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := failure{Error: err.Error(), Refused: errors.Is(err, ErrRefused)}
		if f.Refused {
			w.WriteHeader(http.StatusConflict)
		} else {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(f)
		return
	}
	if v == nil {
		v = struct{}{}
	}
	_ = json.NewEncoder(w).Encode(v)
}
