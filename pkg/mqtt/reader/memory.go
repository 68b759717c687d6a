package reader

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Echo is how long a state may still be from before a command.
const Echo = 2 * time.Second

// Memory is what has been reported of a device: it tells what of a state is news.
type Memory struct {
	known   map[string]device.Values // by part
	pending map[string]map[string]pending
}

// pending is a property that was commanded: what was said of it before may be said once
// more, in a message about something else.
type pending struct {
	before, want device.Value
	until        time.Time
}

// NewMemory returns one of a device that nothing is known of.
func NewMemory() *Memory {
	return &Memory{known: map[string]device.Values{}, pending: map[string]map[string]pending{}}
}

// Forget makes everything news.
func (m *Memory) Forget() {
	clear(m.known)
	clear(m.pending)
}

// Known returns a value as it was reported last.
func (m *Memory) Known(part, name string) device.Value { return m.known[part][name] }

// News takes out of a state what has been reported before, and reports whether anything
// is left.
func (m *Memory) News(now time.Time, part string, v device.Values) bool {
	known := m.known[part]
	if known == nil {
		known = device.Values{}
		m.known[part] = known
	}
	for name, x := range v {
		before, seen := known[name]
		if p, waiting := m.pending[part][name]; waiting {
			if x == p.before && x != p.want && now.Before(p.until) {
				delete(v, name)
				continue
			}
			delete(m.pending[part], name)
		} else if seen && x == before {
			delete(v, name)
			continue
		}
		known[name] = x
	}
	return len(v) > 0
}

// Commanded notes what has been commanded.
func (m *Memory) Commanded(now time.Time, part string, set device.Values) {
	if m.pending[part] == nil {
		m.pending[part] = map[string]pending{}
	}
	for name, want := range set {
		m.pending[part][name] = pending{before: m.known[part][name], want: want, until: now.Add(Echo)}
	}
}
