package im

import (
	"cmp"
	"encoding/binary"
	"io"
	"log/slog"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Defaults and bounds of Options.
const (
	DefaultMaxPayload         = 1162
	DefaultExtraSubscriptions = 64
	// SubscriptionsPerFabric are guaranteed to each fabric.
	SubscriptionsPerFabric = 3

	minMaxPayload       = 128
	limitPathsPerInvoke = 64
	waitingPerFabric    = 512              // interactions that wait for the peer's next message
	responseTimeout     = 30 * time.Second // for that message, acknowledgements apart
)

// Options configure an Engine.
type Options struct {
	ACL      *acl.List    // required
	Rand     io.Reader    // required; first data versions, subscription ids
	Events   EventNumbers // required
	Sessions Sessions     // required; opens exchanges for subscription reports
	Log      *slog.Logger // nil: no log

	// Self returns the node's id in a fabric, 0 where there is none. A path may name
	// the node that it is for. nil: it has no id.
	NodeID func(matter.FabricIndex) matter.NodeID

	// Keep, if set, is called before a subscriber is told that its subscription is
	// active, and so among the Subscriptions: they are to be remembered now.
	PersistSubscriptions func()

	// Boot is when the process started: events carry the time since then while
	// the clock is not set.
	Boot time.Time

	// Observe, if set, is called when a request has ended, with its outcome (see
	// RequestStats) and with when it came: the time that the owner passed with the
	// event that is handled is before what that takes.
	Observe func(a Action, st matter.Status, came time.Time)

	// Background calls work on another goroutine and then done on the Engine's, with the
	// time. nil: commands do not wait for work, see [Request.Later].
	Background func(work func(), done func(now time.Time))

	MaxPayload         int // octets of one message; 0: DefaultMaxPayload
	MaxPathsPerInvoke  int // commands of one request, 1 to 64; 0: 1
	ExtraSubscriptions int // beyond the guaranteed ones, for all fabrics together; 0: DefaultExtraSubscriptions
}

// Engine serves the Interaction Model for one node. It is owned by one
// goroutine: no method may be called by two at once, nor by a cluster that the
// Engine has called, except where the method says so.
type Engine struct {
	opt Options
	log *slog.Logger

	layout
	pending

	events        eventLog
	subscriptions []*subscription
	revision      uint64                  // counts what happens to subscriptions, see Revision
	reports       int                     // interactions in stateReporting
	lingering     []*Interaction          // sent a keep-alive, see there
	waiting       [256]int                // interactions that wait for a message, by fabric
	waitingLater  int                     // commands that wait for work, see Request.Later
	lists         [256]int                // octets of lists that are being put together, by fabric
	requests      [numActions][256]uint64 // by status, which this node chose
	load          load

	scratch
}

// scratch is what a call works in. Nothing in it outlives the call, so that
// serving a request allocates next to nothing.
type scratch struct {
	req     Request
	w       tlv.Writer // the message being built
	value   tlv.Writer // a list that is to be sent in parts
	spare   *reading   // nil while a reading that was taken is in use
	write   writeRequest
	invoke  invokeRequest
	results []int // where each response of an invoke ends
}

// New returns an Engine without endpoints. It panics if a required option is
// missing.
func New(opt Options) *Engine {
	if opt.ACL == nil || opt.Rand == nil || opt.Events == nil || opt.Sessions == nil {
		panic("BUG: im: New without access control, random source, event numbers or sessions")
	}
	opt.MaxPayload = max(cmp.Or(opt.MaxPayload, DefaultMaxPayload), minMaxPayload)
	opt.MaxPathsPerInvoke = min(max(opt.MaxPathsPerInvoke, 1), limitPathsPerInvoke)
	opt.ExtraSubscriptions = cmp.Or(opt.ExtraSubscriptions, DefaultExtraSubscriptions)
	e := &Engine{opt: opt, log: opt.Log}
	e.layout.init()
	e.pending.init(e)
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.opt.PersistSubscriptions == nil {
		e.opt.PersistSubscriptions = func() {}
	}
	e.w.Reset(make([]byte, 0, 2*opt.MaxPayload))
	e.req.engine = e
	return e
}

// allowed is the one place that asks for access.
func (e *Engine) allowed(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, p matter.Privilege) bool {
	return e.opt.ACL.Check(s, acl.Target{Endpoint: ep, Cluster: cl}, p)
}

// prepare makes e.req the context of what follows for one subject.
func (e *Engine) prepare(now time.Time, s acl.Subject, session Session, filtered bool) {
	e.req.Now, e.req.Subject, e.req.Session, e.req.FabricFiltered = now, s, session, filtered
}

// at makes e.req the context of one call of a cluster.
func (e *Engine) at(in *instance) *Request {
	e.req.Endpoint, e.req.Cluster = in.ep.id, in.id
	return &e.req
}

// newMessage empties e.w and opens the structure of a message.
func (e *Engine) newMessage() *tlv.Writer {
	e.w.Reset(e.w.Bytes()[:0])
	e.w.StartStruct(tlv.Anonymous)
	return &e.w
}

// endMessage writes the revision, closes the message and returns it.
func (e *Engine) endMessage() []byte {
	e.w.Uint(tagRevision, matter.InteractionModelRevision)
	e.w.End()
	return e.w.Bytes()
}

// messageEnd is what may follow the members of a message's last array: its
// end, one flag, the revision and the end of the message.
const messageEnd = 1 + 2 + 3 + 1

// room returns how many octets more fit into the message in e.w; it may be
// negative.
func (e *Engine) room() int { return e.opt.MaxPayload - messageEnd - e.w.Len() }

func (e *Engine) random32() uint32 {
	var b [4]byte
	if _, err := io.ReadFull(e.opt.Rand, b[:]); err != nil {
		panic("BUG: im: the random source failed: " + err.Error())
	}
	return binary.LittleEndian.Uint32(b[:])
}
