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

// Defaults and limits of Options.
const (
	DefaultMaxPayload         = 1162
	DefaultExtraSubscriptions = 64
	// SubscriptionsPerFabric is the number of subscriptions guaranteed to each
	// fabric.
	SubscriptionsPerFabric = 3

	minMaxPayload       = 128
	limitPathsPerInvoke = 64
	waitingPerFabric    = 512              // interactions that wait for the peer's next message
	responseTimeout     = 30 * time.Second // for that message; retransmissions have their own timeout
)

// Options configure an Engine.
type Options struct {
	ACL      *acl.List    // required
	Rand     io.Reader    // required; first data versions, subscription ids
	Events   EventNumbers // required
	Sessions Sessions     // required; opens exchanges for subscription reports
	Log      *slog.Logger // nil disables logging

	// NodeID returns the node's id in a fabric, or 0 if it has none. It is compared
	// with the node in a path. If NodeID is nil, the node has no id.
	NodeID func(matter.FabricIndex) matter.NodeID

	// PersistSubscriptions, if set, stores the result of Subscriptions. It is
	// called before a SubscribeResponse is sent, so that the store has the
	// subscription before its subscriber relies on it.
	PersistSubscriptions func()

	// Boot is when the process started. While the clock is not set, events carry
	// the time since then.
	Boot time.Time

	// Observe, if set, is called at the end of each request with its outcome (see
	// RequestStats) and the time at which it was received. It reads the clock
	// itself for the duration, because the Engine's time does not advance while the
	// Engine handles an event.
	Observe func(a Action, st matter.Status, came time.Time)

	// Background calls work on another goroutine, and then calls done with the time
	// on the Engine's goroutine. If it is nil, [Request.Later] calls work at once.
	Background func(work func(), done func(now time.Time))

	MaxPayload         int // octets of one message; 0: DefaultMaxPayload
	MaxPathsPerInvoke  int // commands of one request, 1 to 64; 0: 1
	ExtraSubscriptions int // beyond the guaranteed ones, for all fabrics together; 0: DefaultExtraSubscriptions
}

// Engine serves the Interaction Model for one node. One goroutine owns it. Its
// methods may not be called concurrently. A cluster may call a method only if the
// method's comment says so.
type Engine struct {
	opt Options
	log *slog.Logger

	layout
	pending

	events        eventLog
	subscriptions []*subscription
	revision      uint64                  // incremented when subscriptions change, see Revision
	reports       int                     // interactions in stateReporting
	lingering     []*Interaction          // those that sent a keep-alive, see sendKeepAlive
	waiting       [256]int                // interactions that wait for a message, by fabric
	waitingLater  int                     // commands that wait, see Request.Later
	lists         [256]int                // octets of partly received lists, by fabric
	requests      [numActions][256]uint64 // by status; this node chose it
	load          load

	scratch
}

// scratch holds buffers that are reused, so that a request causes few allocations.
// Nothing in it is valid after the call.
type scratch struct {
	req     Request
	w       tlv.Writer // the message being built
	value   tlv.Writer // a list to be sent in parts
	spare   *reading   // nil while a reading is in use
	write   writeRequest
	invoke  invokeRequest
	results []int // the end of each response of an invoke

	dueReports []*subscription // see sendReports
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

// allowed checks access. Nothing else calls the access control list.
func (e *Engine) allowed(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, p matter.Privilege) bool {
	return e.opt.ACL.Check(s, acl.Target{Endpoint: ep, Cluster: cl}, p)
}

// prepare initializes e.req for the following calls by one subject.
func (e *Engine) prepare(now time.Time, s acl.Subject, session Session, filtered bool) {
	e.req.Now, e.req.Subject, e.req.Session, e.req.FabricFiltered = now, s, session, filtered
}

// at prepares e.req for one call of a cluster.
func (e *Engine) at(in *instance) *Request {
	e.req.Endpoint, e.req.Cluster = in.ep.id, in.id
	return &e.req
}

// newMessage resets e.w and opens the message's structure.
func (e *Engine) newMessage() *tlv.Writer {
	e.w.Reset(e.w.Bytes()[:0])
	e.w.StartStruct(tlv.Anonymous)
	return &e.w
}

// endMessage appends the revision, closes the message and returns it.
func (e *Engine) endMessage() []byte {
	e.w.Uint(tagRevision, matter.InteractionModelRevision)
	e.w.End()
	return e.w.Bytes()
}

// messageEnd is the size of what follows the members of a message's last array: the
// end of the array, one flag, the revision and the end of the message.
const messageEnd = 1 + 2 + 3 + 1

// room returns how many more octets fit into the message in e.w. The result may be
// negative.
func (e *Engine) room() int { return e.opt.MaxPayload - messageEnd - e.w.Len() }

func (e *Engine) random32() uint32 {
	var b [4]byte
	if _, err := io.ReadFull(e.opt.Rand, b[:]); err != nil {
		panic("BUG: im: the random source failed: " + err.Error())
	}
	return binary.LittleEndian.Uint32(b[:])
}
