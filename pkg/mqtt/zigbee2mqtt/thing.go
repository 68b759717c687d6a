package zigbee2mqtt

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// thing is a device or a group that is shown, as described by its exposes.
type thing struct {
	id     string
	name   string // the last part of its topic
	device device.Device

	bindings map[string][]binding // by property of the state
	buttons  map[string]press     // by action
	calls    map[string]call      // by property that stands for a button
	handlers map[string]handler   // by part
	// after adjusts the values of a part after a state was read.
	after    map[string]func(t *thing, out device.Values)
	blinks   bool            // it has the effect blink
	readable map[string]bool // properties that can be requested
	members  []groupMember   // of a group
	warning  string          // the part that is a siren without a state

	*memory
}

// memory is the known state of a thing. It survives new descriptions.
type memory struct {
	available *bool // from its availability topic; nil: unknown
	reachable bool  // the last reported value
	asked     bool  // its state was requested in this connection

	follows bool // a group whose state is derived from its members, as it has none

	known    map[string]any     // last values of properties
	pending  map[string]pending // properties that were commanded recently
	battery  device.Battery
	deferred map[string]float64       // brightness for the next time that a light is turned on, by part
	values   map[string]device.Values // last reported values, by part
	silentAt time.Time                // when the siren stops; zero: it does not sound
}

// groupMember is a member of a group.
type groupMember struct {
	id   string
	load *expose // what the group commands
}

// binding is how a property of a state is read for a part.
type binding struct {
	part string
	// read converts v, which is not null, and adds the result to out.
	read func(t *thing, v any, out device.Values)
}

// press is the gesture of an action.
type press struct {
	part    string
	gesture device.Gesture
}

// call is a button that is pressed when a property becomes true.
type call struct {
	press
	isOn func(v any) (on, ok bool)
}

// handler adds the members for a command of a part to the message. It returns an
// error if the device does not support the command.
type handler func(t *thing, c device.Command, msg map[string]any) error

// pending is a property that was commanded. Its old value may arrive once more, in
// a message about something else.
type pending struct {
	before any
	until  time.Time
}

// fresh reports whether a value of a property is new.
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

// takesCommands reports whether a property belongs to a part with commands.
func (t *thing) takesCommands(property string) bool {
	return slices.ContainsFunc(t.bindings[property], func(b binding) bool { return t.handlers[b.part] != nil })
}

// commanded records the properties of a command.
func (t *thing) commanded(now time.Time, msg map[string]any) {
	for property := range msg {
		if _, ok := t.bindings[property]; !ok {
			continue
		}
		if before, ok := t.known[property]; ok && !equal(before, msg[property]) {
			t.pending[property] = pending{before: before, until: now.Add(reader.Echo)}
		} else {
			delete(t.known, property) // the next value is an answer, even if it is the same
		}
	}
}

// equal compares JSON values.
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
