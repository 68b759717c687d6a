package bridgeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// commands serves a stream of server-sent events.
func (h *Handler) commands(w http.ResponseWriter, r *http.Request) error {
	source := r.URL.Query().Get("source")
	if source != "" {
		if err := bridge.CheckID(source + ":x"); err != nil || strings.Contains(source, ":") {
			return wrong("", "the parameter source is not the name of a source: %q", source)
		}
		if err := own(source); err != nil {
			return err
		}
	}
	linger := bridge.DefaultLinger
	if v := r.URL.Query().Get("linger_seconds"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || time.Duration(n)*time.Second > maxLinger {
			return wrong("", "the parameter linger_seconds is a number from 0 to %d, not %q", int(maxLinger.Seconds()), v)
		}
		linger = time.Duration(n) * time.Second
	}
	var since uint64
	if v := r.Header.Get("Last-Event-ID"); v != "" {
		var err error
		if since, err = strconv.ParseUint(v, 10, 64); err != nil {
			return wrong("", "Last-Event-ID is not the number of an event: %q", v)
		}
	}
	s, err := h.opt.Registry.Open(source, since, linger)
	if err != nil {
		return err
	}
	defer s.Close()
	h.serve(w, r, s, source)
	return nil
}

// serve writes a stream until the client, the daemon or the registry ends it. A
// client that is too slow is disconnected.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, s *bridge.Stream, source string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // the deadline is for the request only
	send := func(text string) bool {
		c.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return c.Flush() == nil
	}
	hello, _ := json.Marshal(map[string]string{"source": source})
	if !send(fmt.Sprintf("event: hello\ndata: %s\n\n", hello)) {
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-s.Ready():
			all, ok := s.Take()
			var b strings.Builder
			for _, d := range all {
				b.WriteString(event(d))
			}
			if b.Len() > 0 && !send(b.String()) {
				return
			}
			if !ok {
				h.opt.Log.Warn("closed a stream of commands, since its reader is too slow", "source", source)
				return
			}
		case <-tick.C:
			if !send(": \n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-h.quit:
			return
		}
	}
}

// commandEvent is the data of an event.
type commandEvent struct {
	Device     string        `json:"device"`
	Part       string        `json:"part"`
	Set        device.Values `json:"set,omitempty"`
	Transition *float64      `json:"transition_seconds,omitempty"`
	Do         device.Action `json:"do,omitempty"`
	Seconds    *int          `json:"seconds,omitempty"`
	PIN        string        `json:"pin,omitempty"`
	By         *by           `json:"by,omitempty"`
}

type by struct {
	Fabric uint8  `json:"fabric"`
	Node   string `json:"node"`
}

// event writes a command as an event.
func event(d bridge.Delivered) string {
	c := d.Command
	e := commandEvent{Device: c.Device, Part: c.Part, Set: c.Set, Do: c.Do, PIN: c.PIN}
	if c.Transition != nil {
		seconds := c.Transition.Seconds()
		e.Transition = &seconds
	}
	if c.Do == device.Identify {
		e.Seconds = &c.Seconds
	}
	if c.Fabric != 0 {
		e.By = &by{c.Fabric, fmt.Sprintf("%016X", c.Node)}
	}
	kind := "command"
	if c.Do != "" {
		kind = "do"
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic("BUG: bridgeapi: " + err.Error())
	}
	return fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", kind, d.ID, data)
}
