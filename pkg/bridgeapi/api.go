package bridgeapi

import (
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// Limits of the API, except those of bodies.
const (
	requestsPerSecond = 5000 // of all clients together
	requestsAtOnce    = 5000
	maxLinger         = 24 * time.Hour
	keepAlive         = 15 * time.Second // interval of comments on a silent stream
	writeTime         = 10 * time.Second // for one write to a stream
)

//go:embed openapi.json
var openAPI []byte

// Options configure a Handler.
type Options struct {
	Registry *bridge.Registry // required
	Log      *slog.Logger     // nil: no log
	// Token, if not empty, must be in every request as a bearer token.
	Token string
}

// Handler serves the API.
type Handler struct {
	opt   Options
	mux   *http.ServeMux
	limit limiter
	quit  chan struct{}
	once  sync.Once
}

// New returns a handler.
func New(opt Options) *Handler {
	if opt.Registry == nil {
		panic("BUG: bridgeapi: New without a registry")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{opt: opt, mux: http.NewServeMux(), quit: make(chan struct{})}
	for pattern, f := range h.routes() {
		h.mux.HandleFunc(pattern, h.wrap(f))
	}
	return h
}

// route is one request of the API.
type route struct {
	serve      func(w http.ResponseWriter, r *http.Request) error
	parameters []string // of the query
}

// routes are the requests of the API.
func (h *Handler) routes() map[string]route {
	return map[string]route{
		"GET /v1/devices":              {h.list, nil},
		"PUT /v1/devices":              {h.sync, []string{"source"}},
		"GET /v1/devices/{id}":         {h.get, nil},
		"PUT /v1/devices/{id}":         {h.put, nil},
		"PATCH /v1/devices/{id}":       {h.patch, nil},
		"DELETE /v1/devices/{id}":      {h.remove, []string{"now"}},
		"POST /v1/devices/{id}/events": {h.event, nil},
		"GET /v1/commands":             {h.commands, []string{"source", "linger_seconds"}},
		"GET /v1/ignored":              {h.ignored, nil},
		"GET /v1/openapi.json":         {h.openAPI, nil},
	}
}

// Close ends the streams, so that the server can stop.
func (h *Handler) Close() { h.once.Do(func() { close(h.quit) }) }

// ServeHTTP serves a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.opt.Token != "" && !h.authorized(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		fail(w, http.StatusUnauthorized, "", "the bearer token is missing or wrong")
		return
	}
	if !h.limit.take(time.Now()) {
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusTooManyRequests, "", "too many requests a second")
		return
	}
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.unknown(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(h.opt.Token)) == 1
}

// unknown answers a path or a method that does not exist.
func (h *Handler) unknown(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for _, m := range []string{"GET", "PUT", "PATCH", "POST", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := h.mux.Handler(other); pattern != "" {
			methods = append(methods, m)
		}
	}
	if methods != nil {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		fail(w, http.StatusMethodNotAllowed, "", fmt.Sprintf("%s is not possible here, but %s is", r.Method, strings.Join(methods, ", ")))
		return
	}
	fail(w, http.StatusNotFound, "", "there is nothing at "+r.URL.Path)
}

// wrap writes the answer for the error of a request.
func (h *Handler) wrap(f route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := query(r, f.parameters...)
		if err == nil {
			err = f.serve(w, r)
		}
		var e *bridge.Error
		var big *http.MaxBytesError
		switch {
		case err == nil:
		case errors.As(err, &e):
			fail(w, statusOf(e.Kind), e.Pointer, e.Detail)
		case errors.As(err, &big):
			fail(w, http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body has more than %d octets", maxBody))
		default:
			h.opt.Log.Error("a request to the bridge API failed", "method", r.Method, "path", r.URL.Path, "error", err)
			fail(w, http.StatusInternalServerError, "", "the daemon could not do it; see its log")
		}
	}
}

func statusOf(k bridge.Kind) int {
	switch k {
	case bridge.NotFound:
		return http.StatusNotFound
	case bridge.Conflict:
		return http.StatusConflict
	case bridge.Full:
		return http.StatusInsufficientStorage
	}
	return http.StatusBadRequest
}

// problem is an error in the form of RFC 9457.
type problem struct {
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Pointer string `json:"pointer,omitempty"`
}

func fail(w http.ResponseWriter, status int, pointer, detail string) {
	write(w, status, "application/problem+json", problem{http.StatusText(status), status, detail, pointer})
}

func answer(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

func write(w http.ResponseWriter, status int, kind string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: bridgeapi: " + err.Error())
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // fails if the client has gone
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	all, err := h.opt.Registry.Devices()
	if err == nil {
		answer(w, http.StatusOK, all)
	}
	return err
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) error {
	v, err := h.opt.Registry.Device(r.PathValue("id"))
	if err == nil {
		answer(w, http.StatusOK, v)
	}
	return err
}

// own returns an error for devices of the daemon's own fronts.
func own(source string) error {
	if bridge.Front(source) != "api" {
		return &bridge.Error{Kind: bridge.Conflict, Pointer: "/id", Detail: fmt.Sprintf("id: the source %q is the daemon's own", source)}
	}
	return nil
}

func (h *Handler) put(w http.ResponseWriter, r *http.Request) error {
	raw, err := body(r.Body)
	if err != nil {
		return err
	}
	d, err := decodeDevice("", raw, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := own(bridge.SourceOf(d.ID)); err != nil {
		return err
	}
	created, err := h.opt.Registry.Put(d)
	if err != nil {
		return inRequest(raw, err)
	}
	v, err := h.opt.Registry.Device(d.ID)
	if err != nil {
		return err
	}
	if created {
		answer(w, http.StatusCreated, v)
	} else {
		answer(w, http.StatusOK, v)
	}
	return nil
}

// inRequest changes the pointer of an error to that in the request, where members
// of a single part may be at the top level.
func inRequest(raw json.RawMessage, err error) error {
	var e *bridge.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Pointer, "/parts/0/") {
		return err
	}
	var top struct{ Parts json.RawMessage }
	if json.Unmarshal(raw, &top) == nil && top.Parts == nil {
		return &bridge.Error{Kind: e.Kind, Pointer: strings.TrimPrefix(e.Pointer, "/parts/0"), Detail: e.Detail}
	}
	return err
}

func (h *Handler) sync(w http.ResponseWriter, r *http.Request) error {
	source := r.URL.Query().Get("source")
	if err := bridge.CheckID(source + ":x"); err != nil || strings.Contains(source, ":") {
		return wrong("", "the parameter source is not the name of a source: %q", source)
	}
	if err := own(source); err != nil {
		return err
	}
	raw, err := body(r.Body)
	if err != nil {
		return err
	}
	devices := []device.Device{}
	var each []json.RawMessage
	err = array("", raw, bridge.MaxDevices, func(at string, v json.RawMessage) error {
		d, err := decodeDevice(at, v, "")
		devices, each = append(devices, d), append(each, v)
		return err
	})
	if err != nil {
		return err
	}
	if err := h.opt.Registry.Sync(source, devices); err != nil {
		return inArray(each, err)
	}
	all, err := h.opt.Registry.Devices()
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, slices.DeleteFunc(all, func(v bridge.View) bool { return v.Source != source }))
	return nil
}

// inArray is like inRequest, for one of several descriptions.
func inArray(each []json.RawMessage, err error) error {
	var e *bridge.Error
	if !errors.As(err, &e) {
		return err
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(e.Pointer, "/"), "/")
	i, bad := strconv.Atoi(first)
	if bad != nil || i >= len(each) {
		return err
	}
	in := inRequest(each[i], &bridge.Error{Kind: e.Kind, Pointer: "/" + rest, Detail: e.Detail})
	errors.As(in, &e)
	return &bridge.Error{Kind: e.Kind, Pointer: "/" + first + e.Pointer, Detail: e.Detail}
}

// change returns the id and the body of a request that changes a device of a program.
func change(r *http.Request) (id string, raw []byte, err error) {
	id = r.PathValue("id")
	if err := own(bridge.SourceOf(id)); err != nil {
		return "", nil, err
	}
	raw, err = body(r.Body)
	return id, raw, err
}

func (h *Handler) patch(w http.ResponseWriter, r *http.Request) error {
	id, raw, err := change(r)
	if err != nil {
		return err
	}
	p, err := decodePatch(raw)
	if err != nil {
		return err
	}
	v, err := h.opt.Registry.Patched(id, p)
	if err == nil {
		answer(w, http.StatusOK, v)
	}
	return err
}

func (h *Handler) remove(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := own(bridge.SourceOf(id)); err != nil {
		return err
	}
	now := false
	switch v := r.URL.Query().Get("now"); v {
	case "", "0", "false":
	case "1", "true":
		now = true
	default:
		return wrong("", "the parameter now is 1 or absent, not %q", v)
	}
	if err := h.opt.Registry.Remove(id, now); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) event(w http.ResponseWriter, r *http.Request) error {
	id, raw, err := change(r)
	if err != nil {
		return err
	}
	g, err := decodeGesture(raw)
	if err != nil {
		return err
	}
	if g.Event == "left" {
		err = h.opt.Registry.Left(id)
	} else {
		err = h.opt.Registry.Event(id, g.Part, device.Gesture(g.Event))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) ignored(w http.ResponseWriter, r *http.Request) error {
	all, err := h.opt.Registry.Ignored()
	if err == nil {
		answer(w, http.StatusOK, all)
	}
	return err
}

func (h *Handler) openAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Write(openAPI)
	return nil
}

// query rejects unknown and repeated parameters.
func query(r *http.Request, names ...string) error {
	for name, v := range r.URL.Query() {
		if !slices.Contains(names, name) {
			return wrong("", "there is no parameter %q here", name)
		}
		if len(v) > 1 {
			return wrong("", "the parameter %q is there twice", name)
		}
	}
	return nil
}

// limiter limits the requests per second.
type limiter struct {
	mu   sync.Mutex
	left float64
	last time.Time
}

func (l *limiter) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		l.left = requestsAtOnce
	}
	l.left = min(requestsAtOnce, l.left+now.Sub(l.last).Seconds()*requestsPerSecond)
	l.last = now
	if l.left < 1 {
		return false
	}
	l.left--
	return true
}
