package cluster

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Context is what a function on a state works in. It is valid during the call.
type Context struct {
	Now     time.Time
	Request *im.Request // of a command or a write; nil if the device or time is the cause

	endpoint   *Endpoint
	wanted     uint32
	actions    []Action
	transition Opt[time.Duration]
	events     []queued
}

// Action is something that the device is to do and that is no value.
type Action struct {
	Name    string // as contract names it, such as "stop"
	Seconds uint16 // of "identify"
	PIN     string // of "lock" and "unlock"
}

type queued struct {
	cluster matter.ClusterID
	event   matter.EventID
	data    func(w *tlv.Writer)
}

// Want says that the controller wants the device to have the values that bits name,
// even if it is thought to have them already. The package of the state defines the bits.
func (c *Context) Want(bits uint32) { c.wanted |= bits }

// Wanted reports whether any of bits is wanted.
func (c *Context) Wanted(bits uint32) bool { return c.wanted&bits != 0 }

// WantedBits returns what Want has gathered.
func (c *Context) WantedBits() uint32 { return c.wanted }

// Do asks the device for an action.
func (c *Context) Do(a Action) { c.actions = append(c.actions, a) }

// Actions returns what Do was called with.
func (c *Context) Actions() []Action { return c.actions }

// SetTransition says how long the device is to take for what is wanted.
func (c *Context) SetTransition(d time.Duration) { c.transition = Opt[time.Duration]{d, true} }

// Transition returns how long the device is to take, and whether anybody said so.
func (c *Context) Transition() (time.Duration, bool) { return c.transition.V, c.transition.Valid }

// FromController reports whether a controller is the cause.
func (c *Context) FromController() bool { return c.Request != nil }

// Emit emits an event when the change is kept. data writes its fields.
func (c *Context) Emit(cl matter.ClusterID, ev matter.EventID, data func(w *tlv.Writer)) {
	c.events = append(c.events, queued{cl, ev, data})
}

// reset makes c ready for another call.
func (c *Context) reset(now time.Time, r *im.Request) {
	clear(c.events)
	*c = Context{Now: now, Request: r, endpoint: c.endpoint, actions: slices.Delete(c.actions, 0, len(c.actions)), events: c.events[:0]}
}
