package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"net/http"
	"strconv"
	"time"
)

const (
	maxViewers = 64 // streams at once

	pollEvery = time.Second      // interval for rendering pages without notifications
	pingEvery = 15 * time.Second // interval of keep-alives
	writeTime = 10 * time.Second // maximum time for a browser to read
)

func uitoa(n uint64) string { return strconv.FormatUint(n, 10) }

// stream is a browser that follows a page.
type stream struct {
	page *Page
	w    http.ResponseWriter
	r    *http.Request
	ctl  *http.ResponseController
	out  bytes.Buffer
	last uint64 // digest of the last page that was sent
}

var errEnd = errors.New("end of the stream")

// live serves the stream of a page: server-sent events (HTML standard, section 9.2).
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	serve := map[string]func(*stream) error{
		"home": (*stream).poll, "fabrics": (*stream).poll, "health": (*stream).poll,
		"devices": (*stream).devices, "device": (*stream).device, "log": (*stream).log,
	}[r.PathValue("page")]
	if serve == nil {
		http.NotFound(w, r)
		return
	}
	if p.viewers.Add(1) > maxViewers {
		p.viewers.Add(-1)
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer p.viewers.Add(-1)
	s := &stream{page: p, w: w, r: r, ctl: http.NewResponseController(w)}
	_ = s.ctl.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	if err := s.send("hello", "", []byte(time.Now().UTC().Format(time.RFC3339Nano))); err != nil {
		return
	}
	_ = serve(s) // the browser has disconnected, or is asked to reconnect
}

// send sends an event. It returns an error if the browser does not read for a
// while.
func (s *stream) send(event, id string, data []byte) error {
	s.out.Reset()
	if event == "" {
		s.out.WriteString(":\n\n")
	} else {
		s.out.WriteString("event: " + event + "\n")
		if id != "" {
			s.out.WriteString("id: " + id + "\n")
		}
		for line := range bytes.Lines(data) {
			s.out.WriteString("data: ")
			s.out.Write(bytes.TrimRight(line, "\r\n"))
			s.out.WriteByte('\n')
		}
		if len(data) == 0 {
			s.out.WriteString("data:\n")
		}
		s.out.WriteByte('\n')
	}
	_ = s.ctl.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := s.w.Write(s.out.Bytes()); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// wait waits for a change, and keeps the connection alive meanwhile. It returns an
// error if the stream must end.
func (s *stream) wait(changed <-chan struct{}) error {
	ping := time.NewTimer(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-changed:
			return nil
		case <-ping.C:
			s.page.hub.touch()
			if s.page.session(s.r) == nil {
				return errEnd
			}
			if err := s.send("", "", nil); err != nil {
				return err
			}
			ping.Reset(pingEvery)
		case <-sessionOf(s.r).ended:
			return errEnd
		case <-s.page.closed:
			return errEnd
		case <-s.r.Context().Done():
			return errEnd
		}
	}
}

// pause waits for a time that is short compared to pingEvery.
func (s *stream) pause(d time.Duration) error {
	c := make(chan struct{})
	t := time.AfterFunc(d, func() { close(c) })
	defer t.Stop()
	return s.wait(c)
}

var seed = maphash.MakeSeed()

// sendBody sends the content of a page, without its flash, unless it has not
// changed.
func (s *stream) sendBody(name string) error {
	f, err := s.page.build(s.r, name)
	if err != nil {
		if errors.Is(err, errGone) {
			return s.send("gone", "", nil)
		}
		return nil // the next time
	}
	f.CSRF = sessionOf(s.r).csrf
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, "body", f); err != nil {
		return err
	}
	digest := maphash.Bytes(seed, b.Bytes())
	if digest == s.last {
		return nil
	}
	s.last = digest
	return s.send("body", "", b.Bytes())
}

// poll sends a page whenever it has changed.
func (s *stream) poll() error {
	name := s.r.PathValue("page")
	for n := 1; ; n++ {
		if err := s.sendBody(name); err != nil {
			return err
		}
		if err := s.pause(pollEvery); err != nil {
			return err
		}
		if n%int(pingEvery/pollEvery) == 0 {
			if err := s.send("", "", nil); err != nil || s.page.session(s.r) == nil {
				return errEnd
			}
		}
	}
}

// device sends the page of a device whenever the device has changed.
func (s *stream) device() error {
	s.r.SetPathValue("id", s.r.URL.Query().Get("id"))
	for {
		if err := s.page.hub.follow(s.r.Context()); err != nil {
			return err
		}
		next := s.page.hub.next()
		if err := s.sendBody("device"); err != nil {
			return err
		}
		if err := s.wait(next); err != nil {
			return err
		}
	}
}

// deviceRow is a device of the list, in the format of static/app.js.
type deviceRow struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// rows contains the changes of the list of devices.
type rows struct {
	Whole bool        `json:"whole,omitempty"` // all devices: what is not among them is gone
	Rows  []deviceRow `json:"rows,omitempty"`
	Gone  []string    `json:"gone,omitempty"`
	Sum   string      `json:"sum"`
}

// devices sends the changes of the list of devices.
func (s *stream) devices() error {
	filter := filterOf(s.r)
	mark := s.r.Header.Get("Last-Event-ID")
	if mark == "" {
		mark = s.r.URL.Query().Get("since")
	}
	for {
		if err := s.page.hub.follow(s.r.Context()); err != nil {
			return err
		}
		d := s.page.hub.since(mark)
		mark = d.mark
		if d.whole || len(d.changed)+len(d.gone) > 0 {
			b, err := s.page.rows(&d, filter)
			if err != nil {
				return err
			}
			if err := s.send("rows", mark, b); err != nil {
				return err
			}
		}
		if err := s.wait(d.next); err != nil {
			return err
		}
	}
}

// rows builds the event for a delta.
func (p *Page) rows(d *delta, f filter) ([]byte, error) {
	out := rows{Whole: d.whole, Gone: d.gone}
	for _, r := range d.changed {
		if f.matches(r.view) {
			out.Rows = append(out.Rows, deviceRow{ID: r.view.ID, HTML: string(r.html())})
		} else if !d.whole {
			out.Gone = append(out.Gone, r.view.ID)
		}
	}
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, "sum", p.hub.totals()); err != nil {
		return nil, err
	}
	out.Sum = b.String()
	b.Reset()
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the HTML is escaped already
	err := enc.Encode(out)
	return b.Bytes(), err
}

// log sends new lines of the log.
func (s *stream) log() error {
	if s.page.opt.Lines == nil {
		return s.wait(nil)
	}
	since, _ := strconv.ParseUint(s.r.URL.Query().Get("since"), 10, 64)
	if id := s.r.Header.Get("Last-Event-ID"); id != "" {
		since, _ = strconv.ParseUint(id, 10, 64)
	}
	_, least := levelOf(s.r)
	for {
		lines, next := s.page.opt.Lines.Since(since)
		var b bytes.Buffer
		for _, l := range lines {
			since = l.N
			if l.Level < least {
				continue
			}
			if err := templates().ExecuteTemplate(&b, "logline", l); err != nil {
				return err
			}
		}
		if b.Len() > 0 {
			if err := s.send("lines", uitoa(since), b.Bytes()); err != nil {
				return err
			}
		}
		if err := s.pause(batch); err != nil { // what comes at once is sent at once
			return err
		}
		if err := s.wait(next); err != nil {
			return err
		}
	}
}
