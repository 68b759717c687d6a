package im

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
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
	waitingPerFabric    = 64               // interactions that wait for the peer's next message
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
	Self func(matter.FabricIndex) matter.NodeID

	// Keep, if set, is called before a subscriber is told that its subscription is
	// active, and so among the Subscriptions: they are to be remembered now.
	Keep func()

	// Boot is when the process started: events carry the time since then while
	// the clock is not set.
	Boot time.Time

	// Observe, if set, is called when a request has ended, with the time since it
	// came, by the times that the owner passed, and its outcome; see RequestStats.
	Observe func(a Action, st matter.Status, d time.Duration)

	MaxPayload         int // octets of one message; 0: DefaultMaxPayload
	MaxPathsPerInvoke  int // commands of one request, 1 to 64; 0: 1
	ExtraSubscriptions int // beyond the guaranteed ones, for all fabrics together; 0: DefaultExtraSubscriptions
}

// Engine serves the Interaction Model for one node. It is owned by one
// goroutine: no method may be called by two at once, nor by a cluster that the
// Engine has called, except where the method says so. Its number of fields is that of
// what outlasts an interaction: endpoints, events, subscriptions, counts, and buffers.
type Engine struct {
	opt       Options
	log       *slog.Logger
	endpoints []Endpoint
	instances []*instance // by endpoint, then cluster
	watchers  []*instance
	timed     []timedInstance
	metadata  map[*Spec]*metadata
	layout    uint   // counts the changes of instances
	change    uint64 // number of the last change of an attribute

	events        eventLog
	subscriptions []*subscription
	revision      uint64                  // counts what happens to subscriptions, see Revision
	reports       int                     // interactions in stateReporting
	lingering     []*Interaction          // sent a keep-alive, see there
	waiting       [256]int                // interactions that wait for a message, by fabric
	lists         [256]int                // octets of lists that are being put together, by fabric
	requests      [numActions][256]uint64 // by status, which this node chose

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
	e := &Engine{opt: opt, log: opt.Log, metadata: make(map[*Spec]*metadata)}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.opt.Keep == nil {
		e.opt.Keep = func() {}
	}
	e.w.Reset(make([]byte, 0, 2*opt.MaxPayload))
	e.req.engine = e
	return e
}

// AddEndpoint adds an endpoint, before or after the first request. Subscribers
// whose paths take it in hear of its attributes. Its number must be new.
func (e *Engine) AddEndpoint(ep Endpoint) {
	i, found := slices.BinarySearchFunc(e.endpoints, ep.ID, func(x Endpoint, id matter.EndpointID) int { return cmp.Compare(x.ID, id) })
	if found {
		panic(fmt.Sprintf("BUG: im: endpoint %d is there already", ep.ID))
	}
	e.endpoints = slices.Insert(e.endpoints, i, ep)
	e.layout++
	for _, c := range ep.Clusters {
		e.addInstance(ep.ID, c)
	}
}

// RemoveEndpoint takes an endpoint away, with its events, and reports whether it was
// there. From now on its paths lead nowhere; those who have subscribed to them hear
// no more of it.
func (e *Engine) RemoveEndpoint(id matter.EndpointID) bool {
	of := func(in *instance) bool { return in.endpoint == id }
	n := len(e.endpoints)
	e.endpoints = slices.DeleteFunc(e.endpoints, func(x Endpoint) bool { return x.ID == id })
	if len(e.endpoints) == n {
		return false
	}
	e.layout++
	gone := slices.DeleteFunc(slices.Clone(e.instances), func(in *instance) bool { return !of(in) })
	e.instances = slices.DeleteFunc(e.instances, of)
	e.watchers = slices.DeleteFunc(e.watchers, of)
	e.timed = slices.DeleteFunc(e.timed, func(t timedInstance) bool { return of(t.instance) })
	for p := range e.events.kept {
		e.events.kept[p] = slices.DeleteFunc(e.events.kept[p], func(r record) bool { return of(r.in) })
	}
	for _, in := range gone {
		if !slices.ContainsFunc(e.instances, func(o *instance) bool { return o.meta == in.meta }) {
			delete(e.metadata, in.meta.spec)
		}
	}
	return true
}

func (e *Engine) addInstance(ep matter.EndpointID, c Cluster) {
	spec := c.Spec()
	meta := e.metadata[spec]
	if meta == nil {
		meta = newMetadata(spec)
		e.metadata[spec] = meta
	}
	in := &instance{
		endpoint: ep, cluster: c, meta: meta,
		version: matter.DataVersion(e.random32()),
		changed: make([]uint64, len(meta.attributes)),
	}
	if w, ok := c.(Watcher); ok {
		in.watcher = w
		in.note = func(id matter.AttributeID) { e.changed(in, id) }
		e.watchers = append(e.watchers, in)
	}
	if t, ok := c.(Timer); ok {
		e.timed = append(e.timed, timedInstance{in, t})
	}
	i := e.lowerBound(ep, spec.ID)
	if i < len(e.instances) && e.instances[i].compare(ep, spec.ID) == 0 {
		panic(fmt.Sprintf("BUG: im: endpoint %d has %s twice", ep, spec.Name))
	}
	e.instances = slices.Insert(e.instances, i, in)
	for i := range meta.attributes {
		e.mark(in, i)
	}
}

// Endpoints returns the endpoints in ascending order of their numbers. The
// slice is the Engine's: read only, valid until the next AddEndpoint. A cluster
// may call it at any time.
func (e *Engine) Endpoints() []Endpoint { return e.endpoints }

// lowerBound returns the index of the first instance that is not before the
// given one.
func (e *Engine) lowerBound(ep matter.EndpointID, cl matter.ClusterID) int {
	lo, hi := 0, len(e.instances)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if e.instances[mid].compare(ep, cl) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// find returns the cluster on the endpoint, or nil and why there is none.
func (e *Engine) find(ep matter.EndpointID, cl matter.ClusterID) (*instance, matter.Status) {
	i := e.lowerBound(ep, cl)
	if i < len(e.instances) && e.instances[i].compare(ep, cl) == 0 {
		return e.instances[i], matter.StatusSuccess
	}
	_, ok := slices.BinarySearchFunc(e.endpoints, ep, func(x Endpoint, id matter.EndpointID) int { return cmp.Compare(x.ID, id) })
	if !ok {
		return nil, matter.StatusUnsupportedEndpoint
	}
	return nil, matter.StatusUnsupportedCluster
}

// allowed is the one place that asks for access.
func (e *Engine) allowed(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, p matter.Privilege) bool {
	return e.opt.ACL.Check(s, acl.Target{Endpoint: ep, Cluster: cl}, p)
}

// Changed says that attributes of a cluster are not what they were: its data
// version grows and subscribers hear of it. What the cluster does not have is
// passed over. A cluster may call it at any time; for its own attributes see
// [Request.Changed].
func (e *Engine) Changed(ep matter.EndpointID, cl matter.ClusterID, ids ...matter.AttributeID) {
	in, st := e.find(ep, cl)
	if st != matter.StatusSuccess {
		return
	}
	for _, id := range ids {
		e.changed(in, id)
	}
}

func (e *Engine) changed(in *instance, id matter.AttributeID) {
	i := in.meta.attribute(id)
	if i < 0 {
		return
	}
	in.version++
	// Subscribers do not hear of some changes (section 7.7, Changes Omitted).
	if !in.meta.attributes[i].Quality.Has(ChangesOmitted) {
		e.mark(in, i)
	}
}

// mark lets subscribers know that attribute number i of in has changed.
func (e *Engine) mark(in *instance, i int) {
	e.change++
	in.changed[i], in.last = e.change, e.change
	for _, s := range e.subscriptions {
		if s.coversAttribute(in, &in.meta.attributes[i]) {
			s.news.dirty = true
		}
	}
}

// Changed says that a command has changed attributes of the cluster that r is
// for. A successful Write says so by itself.
func (r *Request) Changed(ids ...matter.AttributeID) {
	r.engine.Changed(r.Endpoint, r.Cluster, ids...)
}

// prepare makes e.req the context of what follows for one subject.
func (e *Engine) prepare(now time.Time, s acl.Subject, session Session, filtered bool) {
	e.req.Now, e.req.Subject, e.req.Session, e.req.FabricFiltered = now, s, session, filtered
}

// at makes e.req the context of one call of a cluster.
func (e *Engine) at(in *instance) *Request {
	e.req.Endpoint, e.req.Cluster = in.endpoint, in.meta.spec.ID
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

// Settle derives what follows from the calls since the last one: it asks the
// watchers what has changed and sends the reports that are due. The owner calls
// it after every event.
func (e *Engine) Settle(now time.Time) {
	for _, in := range e.watchers {
		in.watcher.Changes(in.note)
		if t, ok := in.watcher.(Teller); ok {
			t.Events(func(id matter.EventID, data func(*tlv.Writer)) {
				e.Emit(now, in.endpoint, in.meta.spec.ID, id, matter.NoFabric, data)
			})
		}
	}
	e.lapse(now)
	e.report(now)
}

// Advance does what is due at now.
func (e *Engine) Advance(now time.Time) {
	for _, t := range e.timed {
		t.Advance(now)
	}
	e.closeLingering(now)
	e.report(now)
}
