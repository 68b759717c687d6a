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
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// ErrRefused is wrapped by errors that the operator can correct.
var ErrRefused = errors.New("refused")

// Refuse returns an error with a formatted text that wraps ErrRefused.
func Refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

type refusal string

// ErrConfiguration is wrapped by errors in the configuration.
var ErrConfiguration = errors.New("wrong configuration")

// WrongConfiguration returns an error with the text of err that wraps ErrConfiguration.
func WrongConfiguration(err error) error { return configuration(err.Error()) }

type configuration string

func (c configuration) Error() string        { return string(c) }
func (c configuration) Is(target error) bool { return target == ErrConfiguration }

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

type actorKey struct{}

// WithActor returns a context for calls of an [Operator]'s functions that says who the
// operator is: attributes of the lines in the log, as those of [slog.Logger.With].
func WithActor(ctx context.Context, attrs ...any) context.Context {
	return context.WithValue(ctx, actorKey{}, attrs)
}

// ConnContext keeps who is at the other end, for http.Server.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return WithActor(ctx, "uid", c.who.Uid, "pid", c.who.Pid)
	}
	return ctx
}

// record logs a change that an operator has asked for.
func record(ctx context.Context, log *slog.Logger, what, request string, in any, err error) {
	log = log.With("what", what, "request", request)
	if in, ok := in.(subject); ok {
		log = log.With("device", in.subject())
	}
	if attrs, ok := ctx.Value(actorKey{}).([]any); ok {
		log = log.With(attrs...)
	}
	if err != nil {
		log.Warn("operator's request failed", "error", err)
		return
	}
	log.Info("operator's request done")
}

// Handler serves the API over o. Changes are written to log.
func Handler(o Operator, log *slog.Logger) http.Handler {
	o.Otherwise(Refuse("this node does not do that"))
	mux := http.NewServeMux()
	for _, r := range routes(&o) {
		h := r.handler(log)
		if r.stream != nil {
			h = r.streamHandler(log)
		}
		mux.Handle(r.method+" /v1/"+r.path, h)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// ReadHandler serves the requests of o that change nothing and reveal no secret, for users
// who may only look. It refuses the others.
func ReadHandler(o Operator, log *slog.Logger) http.Handler {
	o.Otherwise(Refuse("this node does not do that"))
	mux := http.NewServeMux()
	for _, r := range routes(&o) {
		h := r.handler(log)
		switch {
		case !r.readable:
			h = func(w http.ResponseWriter, _ *http.Request) {
				answer(w, nil, Refuse("only root and the daemon's own user may do that"))
			}
		case r.stream != nil:
			h = r.streamHandler(log)
		}
		mux.Handle(r.method+" /v1/"+r.path, h)
	}
	return mux
}

func (v *route) handler(log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		out, err := v.serve(r, log)
		answer(w, out, err)
	}
}

func decode(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return Refuse("request: %s: a %s does not belong there", kind.Field, kind.Value) // without the names of Go's types
	}
	if err != nil {
		return Refuse("request: %v", err)
	}
	return nil
}

// streamHandler serves a request whose answer is not JSON. A missing trailer means that it
// is incomplete.
func (v *route) streamHandler(log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Trailer", trailerComplete)
		// It may take longer than an answer otherwise may.
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
		if err := v.stream(r.Context(), flushing{w, c}); err != nil && r.Context().Err() == nil {
			log.Warn("an answer to the operator broke off", "request", v.method+" "+v.path, "error", err)
			return
		}
		w.Header().Set(trailerComplete, "yes")
	}
}

// flushing sends what is written without waiting for more.
type flushing struct {
	io.Writer
	c *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

const trailerComplete = "X-Complete"

type failure struct {
	Error   string `json:"error"`
	Refused bool   `json:"refused,omitempty"`
	Config  bool   `json:"configuration,omitempty"`
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := failure{Error: err.Error(), Refused: errors.Is(err, ErrRefused), Config: errors.Is(err, ErrConfiguration)}
		if f.Refused || f.Config {
			w.WriteHeader(http.StatusConflict)
		} else {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(f)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}
