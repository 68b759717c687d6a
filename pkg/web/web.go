package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/logs"
)

// Options configure a Page.
type Options struct {
	// Operator has the operations. Those that change something are logged; see
	// [admin.Operator.Audited].
	Operator admin.Operator
	// Watch starts watching the bridged devices; nil: the node has none.
	Watch func() (*bridge.Watcher, error)
	// Lines is the log; nil: there is no log page.
	Lines *logs.Tail
	// Findings runs the doctor, which may take some seconds; nil: findings are not
	// shown.
	Findings func(ctx context.Context) []doctor.Finding
	// MQTT is the state of the connection to a broker; nil: there is none.
	MQTT func() MQTT
	// Names are the names of this host that browsers may use, besides its own and its
	// addresses.
	Names []string
	// TLS is true if the page is served over TLS.
	TLS bool
	Log *slog.Logger
}

// MQTT is the state of the connection to a broker.
type MQTT struct {
	Broker    string // its address, without credentials
	Connected bool
	Received  uint64 // messages
	Sent      uint64 // messages
}

// Page serves the page. Its methods may be called by several goroutines.
type Page struct {
	opt     Options
	names   []string // of this host
	op      admin.Operator
	log     *slog.Logger
	gate    gate
	hub     hub
	checks  checks
	windows windows
	viewers atomic.Int64
	handler http.Handler
	closed  chan struct{}
	close   sync.Once
}

// New returns a page.
func New(opt Options) *Page {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	opt.Operator.Otherwise(admin.Refuse("this node does not do that"))
	p := &Page{opt: opt, op: opt.Operator, log: opt.Log, closed: make(chan struct{})}
	p.names = opt.Names
	if own, err := os.Hostname(); err == nil && own != "" {
		p.names = append([]string{own}, p.names...)
	}
	p.hub = hub{page: p, seen: map[string]*row{}, gone: map[string]uint64{}}
	mux := http.NewServeMux()
	p.routes(mux)
	p.handler = p.guarded(mux)
	return p
}

func (p *Page) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /static/{name}", serveStatic)
	mux.HandleFunc("GET /login", p.getLogin)
	mux.HandleFunc("POST /login", p.login)
	get := func(pattern string, h http.HandlerFunc) { mux.HandleFunc("GET "+pattern, p.inside(h)) }
	get("/{$}", p.view("home"))
	get("/devices", p.view("devices"))
	get("/devices/{id}", p.view("device"))
	get("/devices/{id}/remove", p.view("remove-device"))
	get("/ignored", p.view("ignored"))
	get("/fabrics", p.view("fabrics"))
	get("/fabrics/{index}/remove", p.view("remove-fabric"))
	get("/health", p.view("health"))
	get("/log", p.view("log"))
	get("/live/{page}", p.live)
	get("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
	post := func(pattern string, h func(http.ResponseWriter, *http.Request) (string, string, error)) {
		mux.HandleFunc("POST "+pattern, p.changing(h))
	}
	post("/window/open", p.openWindow)
	post("/window/close", p.closeWindow)
	post("/devices/{id}/rename", p.renameDevice)
	post("/devices/{id}/hide", p.hideDevice)
	post("/devices/{id}/identify", p.identifyDevice)
	post("/devices/{id}/set", p.setDevice)
	post("/devices/{id}/remove", p.removeDevice)
	post("/fabrics/{index}/remove", p.removeFabric)
	post("/health/check", p.checkAgain)
	post("/log/level", p.setLogLevel)
	post("/logout", p.logout)
	post("/logout/all", p.logoutAll)
}

// ServeHTTP serves a request.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Close ends the streams.
func (p *Page) Close() { p.close.Do(func() { close(p.closed) }) }

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// templates are parsed for the first page; a daemon without a page does not need
// them.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"asset":    func(name string) string { return "/static/" + name + "?" + assets()[name].version },
		"ago":      ago,
		"left":     left,
		"count":    count,
		"count64":  func(n uint64, one, many string) string { return count(int(min(n, math.MaxInt)), one, many) },
		"tab":      newTab,
		"at":       func(at, now time.Time) moment { return moment{At: at, Now: now} },
		"list":     list,
		"sentence": sentence,
		"eco":      ecosystem,
		"stamp":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"date":     func(t *time.Time) string { return t.Local().Format("2 January 2006") },
		"clock":    func(t time.Time) string { return t.Local().Format("2 January 2006, 15:04") },
	}).ParseFS(templateFiles, "templates/*.html"))
})

// tab is an entry of the navigation.
type tab struct {
	Href, Text string
	Here       bool
}

func newTab(f *frame, name, href, text string) tab {
	return tab{Href: href, Text: text, Here: f.Tab == name}
}

// moment is a time that a page shows in words.
type moment struct{ At, Now time.Time }

// asset is a file that pages use.
type asset struct {
	body        []byte
	contentType string
	version     string // changes with the body, so that browsers may keep it
}

var assets = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{}
	names, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic("BUG: web: " + err.Error())
	}
	for _, n := range names {
		b, err := staticFiles.ReadFile("static/" + n.Name())
		if err != nil {
			panic("BUG: web: " + err.Error())
		}
		sum := sha256.Sum256(b)
		all[n.Name()] = asset{body: b, contentType: mime.TypeByExtension(path.Ext(n.Name())), version: hex.EncodeToString(sum[:6])}
	}
	return all
})

// assetTime is how long browsers may keep an asset. Its address changes with its
// content.
const assetTime = "max-age=31536000, immutable"

func serveStatic(w http.ResponseWriter, r *http.Request) {
	a, ok := assets()[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", assetTime)
	write(w, r, http.StatusOK, a.contentType, a.body)
}

// frame is the part that all pages share.
type frame struct {
	Title string
	Page  string // the page's name, for static/app.js
	Tab   string // the place in the navigation
	Live  string // the address of the stream; "": the page does not change
	CSRF  string
	Flash flash
	Now   time.Time
	Node  string // the node's name
	Body  any
}

const htmlType = "text/html; charset=utf-8"

// render writes a page.
func (p *Page) render(w http.ResponseWriter, r *http.Request, status int, f *frame) {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, "page", f); err != nil {
		p.log.Error("a page was not made", "page", f.Page, "error", err)
		http.Error(w, "The page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	write(w, r, status, htmlType, b.Bytes())
}

// fail writes an error page.
func (p *Page) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	p.render(w, r, status, &frame{Title: "That did not work", Page: "fail", CSRF: sessionOf(r).csrf, Now: time.Now(), Body: text})
}

// errGone is returned for a page about something that no longer exists.
var errGone = errors.New("gone")

// view serves a page by name.
func (p *Page) view(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := p.build(r, name)
		switch {
		case errors.Is(err, errGone):
			p.fail(w, r, http.StatusNotFound, "This is no longer there.")
			return
		case err != nil:
			p.fail(w, r, http.StatusServiceUnavailable, sentence("the daemon does not answer: "+err.Error()))
			return
		}
		s := sessionOf(r)
		f.CSRF, f.Flash = s.csrf, p.gate.said(s)
		p.render(w, r, http.StatusOK, f)
	}
}
