//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"
)

// source is a source of bridged devices. It carries out the commands of controllers
// and reports the result.
type source struct {
	run    *run
	api    *bridgeAPI
	stream io.Closer
	done   chan struct{} // closed when the stream has ended

	mu     sync.Mutex
	err    error             // the first
	wishes map[string]string // the last command by device, as received
	moves  map[string]*move  // of coverings, by device
}

// move is a moving covering.
type move struct {
	from, to float64
	timer    *time.Timer
	half     bool // it is half of the way
}

// travel is how long a covering takes for half of its way.
const travel = 2200 * time.Millisecond

// wish is a command of the API's stream.
type wish struct {
	Device, Part string
	Set          map[string]any
	Do           string
}

// startSource starts to follow the commands for the source "api".
func (r *run) startSource() *source {
	r.t.Helper()
	s := &source{run: r, api: r.device.api(), wishes: map[string]string{}, moves: map[string]*move{}}
	r.must(s.follow())
	return s
}

// follow opens the stream.
func (s *source) follow() error {
	events, stream, err := s.api.commands("api")
	if err != nil {
		return err
	}
	s.stream, s.done = stream, make(chan struct{})
	go func(done chan<- struct{}) {
		defer close(done)
		for data := range events {
			var w wish
			if err := json.Unmarshal([]byte(data), &w); err != nil {
				s.fail(fmt.Errorf("command %q: %w", data, err))
				continue
			}
			s.obey(&w)
			s.mu.Lock()
			s.wishes[w.Device] = data
			s.mu.Unlock()
		}
	}(s.done)
	return nil
}

// reboot restarts the daemon while the source runs.
func (s *source) reboot() error {
	s.stream.Close()
	<-s.done
	if err := s.run.device.stop(); err != nil {
		return err
	}
	if err := s.run.device.start(s.run.ctx, testProduct); err != nil {
		return err
	}
	return s.follow()
}

// wish returns the last command for a device.
func (s *source) wish(device string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wishes[device]
}

// stop ends the stream.
func (s *source) stop() error {
	s.stream.Close()
	<-s.done
	for _, m := range s.moves {
		m.timer.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// report reports the state of a part.
func (s *source) report(device, part string, state map[string]any) {
	body, err := json.Marshal(map[string]any{"parts": []any{map[string]any{"id": part, "state": state}}})
	if err == nil {
		err = s.api.do("PATCH", "/v1/devices/"+device, string(body), nil)
	}
	if err != nil {
		s.fail(fmt.Errorf("%s: %v: %w", device, state, err))
	}
}

// doings maps actions to states.
var doings = map[string]map[string]any{
	"lock":    {"lock": "locked"},
	"unlock":  {"lock": "unlocked"},
	"stop":    {"moving": "stopped"},
	"pause":   {"state": "paused"},
	"resume":  {"state": "running"},
	"go_home": {"state": "seeking_charger"},
}

// obey carries out a command.
func (s *source) obey(w *wish) {
	state := maps.Clone(doings[w.Do])
	if w.Set != nil {
		state = maps.Clone(w.Set)
	}
	if to, ok := w.Set["position_percent"].(float64); ok {
		s.travel(w, to)
		delete(state, "position_percent")
		if len(state) == 0 {
			return
		}
	}
	if w.Do == "stop" {
		if m := s.moves[w.Device]; m != nil && m.timer.Stop() {
			state["position_percent"] = (m.from + m.to) / 2
			m.to = (m.from + m.to) / 2
		}
	}
	switch w.Set["run_mode"] {
	case "cleaning", "mapping":
		state["state"] = "running"
	case "idle":
		state["state"] = "seeking_charger"
	}
	if state != nil {
		s.report(w.Device, w.Part, state)
	}
	if w.Set["test_in_progress"] == true {
		time.AfterFunc(travel, func() { s.report(w.Device, w.Part, map[string]any{"test_in_progress": false}) })
	}
}

// travel makes a covering arrive after a while.
func (s *source) travel(w *wish, to float64) {
	m := &move{from: 50, to: to}
	if last := s.moves[w.Device]; last != nil {
		last.timer.Stop()
		m.from = last.to
	}
	m.timer = time.AfterFunc(travel, func() {
		if m.half {
			s.report(w.Device, w.Part, map[string]any{"position_percent": to, "moving": "stopped"})
			return
		}
		m.half = true
		s.report(w.Device, w.Part, map[string]any{"position_percent": (m.from + to) / 2})
		m.timer.Reset(travel)
	})
	s.moves[w.Device] = m
}
