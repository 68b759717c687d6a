package reader

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Echo is how long after a command a state may still be from before it.
const Echo = 2 * time.Second

// Memory holds what a device has reported, to find the changes in a new state.
type Memory struct {
	known   map[string]device.Values // by part
	pending map[string]map[string]pending
}

// pending is a property that was commanded. Its old value may arrive once more, in
// a message about something else.
type pending struct {
	before, want device.Value
	until        time.Time
}

// NewMemory returns the memory of a device that has reported nothing.
func NewMemory() *Memory {
	return &Memory{known: map[string]device.Values{}, pending: map[string]map[string]pending{}}
}

// Forget removes all values, so that the next state is news as a whole.
func (m *Memory) Forget() {
	clear(m.known)
	clear(m.pending)
}

// Known returns the last reported value.
func (m *Memory) Known(part, name string) device.Value { return m.known[part][name] }

// News removes from a state what was reported before, and reports whether anything
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

// Commanded records a command.
func (m *Memory) Commanded(now time.Time, part string, set device.Values) {
	if m.pending[part] == nil {
		m.pending[part] = map[string]pending{}
	}
	for name, want := range set {
		m.pending[part][name] = pending{before: m.known[part][name], want: want, until: now.Add(Echo)}
	}
}
