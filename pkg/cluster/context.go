package cluster

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Context is the context of a function on a state. It is valid only during the
// call.
type Context struct {
	Now     time.Time
	Request *im.Request // of a command or a write; nil if the device or time is the cause

	endpoint   *Endpoint
	wanted     uint32
	actions    []Action
	transition Opt[time.Duration]
	events     []queued
}

// Action is something that the device should do and that is not a value.
type Action struct {
	Name    string // as in the API, such as "stop"
	Seconds uint16 // of "identify"
	PIN     string // of "lock" and "unlock"
}

type queued struct {
	cluster matter.ClusterID
	event   matter.EventID
	data    func(w *tlv.Writer)
}

// Want requests that the device get the values in bits, even if the state already
// has them. The package of the state defines the bits.
func (c *Context) Want(bits uint32) { c.wanted |= bits }

// Wanted reports whether one of bits was requested.
func (c *Context) Wanted(bits uint32) bool { return c.wanted&bits != 0 }

// WantedBits returns the requested bits.
func (c *Context) WantedBits() uint32 { return c.wanted }

// Do requests an action of the device.
func (c *Context) Do(a Action) { c.actions = append(c.actions, a) }

// Actions returns the requested actions.
func (c *Context) Actions() []Action { return c.actions }

// SetTransition sets how long the device should take for the change.
func (c *Context) SetTransition(d time.Duration) { c.transition = Opt[time.Duration]{d, true} }

// Transition returns how long the device should take, and whether that was set.
func (c *Context) Transition() (time.Duration, bool) { return c.transition.V, c.transition.Valid }

// FromController reports whether a controller is the cause.
func (c *Context) FromController() bool { return c.Request != nil }

// Emit emits an event if the change is kept. data writes its fields.
func (c *Context) Emit(cl matter.ClusterID, ev matter.EventID, data func(w *tlv.Writer)) {
	c.events = append(c.events, queued{cl, ev, data})
}

// EmitNumber emits an event whose only field, 0, is a number.
func (c *Context) EmitNumber(cl matter.ClusterID, ev matter.EventID, n uint64) {
	c.Emit(cl, ev, func(w *tlv.Writer) { w.Uint(tlv.Context(0), n) })
}

// reset prepares c for another call.
func (c *Context) reset(now time.Time, r *im.Request) {
	clear(c.events)
	*c = Context{Now: now, Request: r, endpoint: c.endpoint, actions: slices.Delete(c.actions, 0, len(c.actions)), events: c.events[:0]}
}
