package web

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/logs"
)

// healthBody is the content of the health page.
type healthBody struct {
	Status   admin.Status
	Checked  time.Time // zero: not yet
	Checking bool
	Faults   []doctor.Finding
	Notes    []doctor.Finding
	Fine     []doctor.Finding
	MQTT     *MQTT
	Began    time.Time // start of this browser's session
}

// Well reports whether there is no problem.
func (b *healthBody) Well() bool { return b.Status.Ready && len(b.Faults) == 0 }

func (p *Page) health(r *http.Request, f *frame) error {
	s, err := p.status(r.Context())
	if err != nil {
		return err
	}
	b := &healthBody{Status: s, Began: sessionOf(r).began}
	p.checks.start(p, checksAge)
	var found []doctor.Finding
	found, b.Checked, b.Checking = p.checks.result(r.Context())
	for _, x := range found {
		switch x.Result {
		case doctor.Fault:
			b.Faults = append(b.Faults, x)
		case doctor.Note:
			b.Notes = append(b.Notes, x)
		default:
			b.Fine = append(b.Fine, x)
		}
	}
	if p.opt.MQTT != nil {
		m := p.opt.MQTT()
		b.MQTT = &m
	}
	f.Title, f.Tab, f.Live, f.Body = "Health", "health", "/live/health", b
	return nil
}

// logBody is the content of the log page.
type logBody struct {
	Lines  []logs.Line // newest first
	Level  string      // the lowest level that is shown
	Levels []string
	Last   uint64
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// levelOf returns the lowest level that a request wants to see.
func levelOf(r *http.Request) (name string, l slog.Level) {
	name = r.URL.Query().Get("level")
	l, ok := levels[name]
	if !ok {
		return "debug", slog.LevelDebug
	}
	return name, l
}

func (p *Page) logLines(r *http.Request, f *frame) error {
	b := &logBody{Levels: []string{"debug", "info", "warn", "error"}}
	var least slog.Level
	b.Level, least = levelOf(r)
	if p.opt.Lines != nil {
		lines, _ := p.opt.Lines.Since(0)
		for _, l := range slices.Backward(lines) {
			b.Last = max(b.Last, l.N)
			if l.Level >= least {
				b.Lines = append(b.Lines, l)
			}
		}
	}
	f.Title, f.Tab, f.Body = "Log", "log", b
	f.Live = "/live/log?level=" + b.Level + "&since=" + uitoa(b.Last)
	return nil
}

// checksAge is the maximum age of the doctor's findings when a page is opened.
const checksAge = time.Minute

// checksWait is how long a page waits for the doctor. It shows the findings later
// if they take longer.
const checksWait = 1500 * time.Millisecond

// checksTime bounds a run of the doctor.
const checksTime = 30 * time.Second

// checks holds the doctor's findings. There is one run at a time for all browsers.
type checks struct {
	mu      sync.Mutex
	found   []doctor.Finding
	at      time.Time
	running chan struct{} // closed when the run has ended; nil: no run
}

// start runs the doctor unless its findings are younger than age.
func (c *checks) start(p *Page, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.opt.Findings == nil || c.running != nil || !c.at.IsZero() && time.Since(c.at) < age {
		return
	}
	done := make(chan struct{})
	c.running = done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), checksTime)
		defer cancel()
		found := p.opt.Findings(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found, c.at, c.running = found, time.Now(), nil
		close(done)
	}()
}

// result returns the findings. It waits a moment for the first ones.
func (c *checks) result(ctx context.Context) (found []doctor.Finding, at time.Time, running bool) {
	c.mu.Lock()
	run, first := c.running, c.at.IsZero()
	c.mu.Unlock()
	if run != nil && first {
		select {
		case <-run:
		case <-ctx.Done():
		case <-time.After(checksWait):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found, c.at, c.running != nil
}
