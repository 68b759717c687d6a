package zigbee2mqtt

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// thing is a device or a group of zigbee2mqtt that is shown: what is known of it by its
// description.
type thing struct {
	id     string
	name   string // the last part of its topic
	device device.Device

	bindings map[string][]binding // what becomes of a property of its state
	buttons  map[string]press     // what becomes of an action
	calls    map[string]call      // properties that are a button
	handlers map[string]handler   // what becomes of a command, by part
	// after looks over the values of a part that a state has brought.
	after    map[string]func(t *thing, out device.Values)
	blinks   bool            // it has an effect for that
	readable map[string]bool // properties that it can be asked for
	members  []groupMember   // of a group

	*memory
}

// memory is what is known of a thing by what was said since. It outlives descriptions.
type memory struct {
	available *bool // as its availability topic says; nil: it has said nothing
	reachable bool  // as was said last
	asked     bool  // for its state, since the connection was made

	follows bool // a group: it is as its members are, as long as nothing is said of it

	known    map[string]any     // properties as they were said last
	pending  map[string]pending // properties that were commanded a moment ago
	battery  device.Battery
	deferred map[string]float64       // brightness for the next time that a light is turned on, by part
	values   map[string]device.Values // as they were reported, by part
}

// groupMember is a member of a group.
type groupMember struct {
	id   string
	load *expose // that the group commands
}

// binding is what a property of a state means for a part.
type binding struct {
	part string
	// read puts what v, which is not null, means into out.
	read func(t *thing, v any, out device.Values)
}

// press is what an action means.
type press struct {
	part    string
	gesture device.Gesture
}

// call is a button that is pressed when a property becomes true.
type call struct {
	press
	isOn func(v any) (on, ok bool)
}

// handler makes the message for a command of a part, member by member. It returns an
// error for what the device cannot do.
type handler func(t *thing, c device.Command, msg map[string]any) error

// pending is a property that was commanded: what was said of it before may be said once
// more, in a message about something else.
type pending struct {
	before any
	until  time.Time
}

// fresh reports whether a value of a property is news.
func (t *thing) fresh(now time.Time, property string, v any) bool {
	known, seen := t.known[property]
	p, waiting := t.pending[property]
	switch {
	case !waiting:
		return !seen || !equal(known, v)
	case equal(p.before, v) && now.Before(p.until):
		return false
	}
	delete(t.pending, property)
	return true
}

// takesCommands reports whether a property is one of a part that can be commanded.
func (t *thing) takesCommands(property string) bool {
	return slices.ContainsFunc(t.bindings[property], func(b binding) bool { return t.handlers[b.part] != nil })
}

// commanded notes that properties have been commanded.
func (t *thing) commanded(now time.Time, msg map[string]any) {
	for property := range msg {
		if _, ok := t.bindings[property]; !ok {
			continue
		}
		if before, ok := t.known[property]; ok && !equal(before, msg[property]) {
			t.pending[property] = pending{before: before, until: now.Add(reader.Echo)}
		} else {
			delete(t.known, property) // what comes now is an answer, even if it is the same
		}
	}
}

// equal compares values of JSON.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(a) != len(m) {
			return false
		}
		for k, v := range a {
			if w, ok := m[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(a) != len(l) {
			return false
		}
		for i := range a {
			if !equal(a[i], l[i]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}
