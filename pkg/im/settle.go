package im

import (
	"container/heap"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Model is what stands behind several clusters of one endpoint. Its clusters report
// nothing themselves: the Model compares what they serve with what it was.
type Model interface {
	// Settle reports to r what has changed since the last Settle. The Engine calls it
	// once for each event that touched the endpoint: a Write or Invoke of one of its
	// clusters, Advance, or [Engine.Touch]. An attribute that the Engine has found
	// changed by a Write in the same event is not reported twice.
	Settle(now time.Time, r *Changes)

	// Deadline returns when Advance is next to be called, and whether it is. It is
	// asked after Settle and after Advance.
	Deadline() (time.Time, bool)

	// Advance does what is due at now, if anything.
	Advance(now time.Time)
}

// Changes takes what a Model reports about its endpoint. It is the Engine's and
// valid during the call of [Model.Settle].
type Changes struct {
	engine *Engine
	ep     *endpoint
	now    time.Time
}

// Attribute reports that an attribute has changed. What the endpoint does not
// serve is ignored.
func (c *Changes) Attribute(cl matter.ClusterID, id matter.AttributeID) {
	n, ok := c.ep.position(cl)
	if !ok {
		return
	}
	in := c.ep.instances[n]
	if i := in.meta.attribute(id); i >= 0 && in.changed[i] <= c.ep.reported {
		c.engine.changed(in, i)
	}
}

// Event reports an event that is not fabric-sensitive; see [Engine.Emit].
func (c *Changes) Event(cl matter.ClusterID, id matter.EventID, data func(w *tlv.Writer)) {
	c.FabricEvent(cl, id, matter.NoFabric, data)
}

// FabricEvent reports a fabric-sensitive event about a fabric; see [Engine.Emit].
func (c *Changes) FabricEvent(cl matter.ClusterID, id matter.EventID, fabric matter.FabricIndex, data func(w *tlv.Writer)) {
	c.engine.Emit(c.now, c.ep.id, cl, id, fabric, data)
}

// pending is what Settle, Advance and the reports to subscribers have to look at,
// so that they need not look at every endpoint.
type pending struct {
	change    uint64      // number of the last change of an attribute
	newest    *instance   // the cluster that changed last; others follow by instance.older
	touched   []*endpoint // to be settled
	polled    []*endpoint // to be settled after every event
	timed     timed
	advancing []*endpoint // scratch of Advance

	report Changes                  // what a Model reports to
	asked  *instance                // the cluster that is being asked what has changed
	note   func(matter.AttributeID) // takes the answer
	emit   func(matter.EventID, func(*tlv.Writer))
}

func (p *pending) init(e *Engine) {
	p.report.engine = e
	p.note = func(id matter.AttributeID) {
		if i := p.asked.meta.attribute(id); i >= 0 {
			e.changed(p.asked, i)
		}
	}
	p.emit = func(id matter.EventID, data func(*tlv.Writer)) {
		e.Emit(p.report.now, p.asked.ep.id, p.asked.id, id, matter.NoFabric, data)
	}
}

// remove forgets an endpoint.
func (p *pending) remove(ep *endpoint) {
	is := func(x *endpoint) bool { return x == ep }
	p.touched = slices.DeleteFunc(p.touched, is)
	p.polled = slices.DeleteFunc(p.polled, is)
	if ep.place >= 0 {
		heap.Remove(&p.timed, ep.place)
	}
}

// Touch says that the state behind an endpoint may have changed: the next Settle
// asks its Model and its Watchers, and takes its deadline again. A Write, an Invoke
// and Advance do the same. Nothing happens if there is no such endpoint.
func (e *Engine) Touch(id matter.EndpointID) {
	if ep := e.byID[id]; ep != nil {
		e.touch(ep)
	}
}

// TouchAll is Touch for all endpoints.
func (e *Engine) TouchAll() {
	for _, ep := range e.ordered {
		e.touch(ep)
	}
}

func (p *pending) touch(ep *endpoint) {
	if !ep.touched {
		ep.touched = true
		p.touched = append(p.touched, ep)
	}
}

// Settle derives what follows from the calls since the last one: it asks what
// has changed on the endpoints that were touched, and sends the reports that are
// due. The owner calls it after every event.
func (e *Engine) Settle(now time.Time) {
	e.settleTouched(now)
	for _, ep := range e.polled {
		e.settle(now, ep)
	}
	e.settleTouched(now)
	e.endExpired(now)
	e.sendReports(now)
}

// settleTouched settles the endpoints that were touched, those that one of them
// touches meanwhile included.
func (e *Engine) settleTouched(now time.Time) {
	for n := 0; n < len(e.touched); n++ {
		e.settle(now, e.touched[n])
		e.touched[n].touched = false
	}
	clear(e.touched)
	e.touched = e.touched[:0]
}

func (e *Engine) settle(now time.Time, ep *endpoint) {
	p := &e.pending
	p.report.ep, p.report.now = ep, now
	if ep.model != nil {
		ep.model.Settle(now, &p.report)
	}
	for _, in := range ep.watchers {
		p.asked = in
		in.watcher.Changes(p.note)
		if t, ok := in.watcher.(EventReporter); ok {
			t.Events(p.emit)
		}
	}
	ep.reported = p.change
	p.schedule(ep)
}

// Advance does what is due at now.
func (e *Engine) Advance(now time.Time) {
	e.advancing = e.advancing[:0]
	for len(e.timed) > 0 && !now.Before(e.timed[0].due) {
		e.advancing = append(e.advancing, heap.Pop(&e.timed).(*endpoint))
	}
	for _, ep := range e.advancing {
		if ep.model != nil {
			ep.model.Advance(now)
		}
		for _, t := range ep.timers {
			t.Advance(now)
		}
		e.touch(ep)
		e.schedule(ep)
	}
	e.closeLingering(now)
	e.sendReports(now)
}

// schedule asks ep when it is next to be advanced.
func (p *pending) schedule(ep *endpoint) {
	var first time.Time
	some := false
	sooner := func(t time.Time, ok bool) {
		if ok && (!some || t.Before(first)) {
			first, some = t, true
		}
	}
	if ep.model != nil {
		sooner(ep.model.Deadline())
	}
	for _, t := range ep.timers {
		sooner(t.Deadline())
	}
	ep.due = first
	switch {
	case some && ep.place >= 0:
		heap.Fix(&p.timed, ep.place)
	case some:
		heap.Push(&p.timed, ep)
	case ep.place >= 0:
		heap.Remove(&p.timed, ep.place)
	}
}

// timed is a heap of the endpoints with a deadline, the first of them at index 0.
type timed []*endpoint

func (h timed) Len() int           { return len(h) }
func (h timed) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timed) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *timed) Push(x any) {
	ep := x.(*endpoint)
	ep.place = len(*h)
	*h = append(*h, ep)
}

func (h *timed) Pop() any {
	last := len(*h) - 1
	ep := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	ep.place = -1
	return ep
}

// Changed says that attributes of a cluster have changed: its data version grows
// and they are reported to subscribers. What the cluster does not have is ignored.
// A cluster may call it at any time; for its own attributes see [Request.Changed].
func (e *Engine) Changed(ep matter.EndpointID, cl matter.ClusterID, ids ...matter.AttributeID) {
	in, st := e.find(ep, cl)
	if st != matter.StatusSuccess {
		return
	}
	for _, id := range ids {
		if i := in.meta.attribute(id); i >= 0 {
			e.changed(in, i)
		}
	}
}

// Changed says that a command has changed attributes of the cluster that r is
// for. A successful Write says so by itself.
func (r *Request) Changed(ids ...matter.AttributeID) {
	r.engine.Changed(r.Endpoint, r.Cluster, ids...)
}

// changed takes note that attribute number i of in has changed.
func (e *Engine) changed(in *instance, i int) {
	in.version++
	e.change++
	in.altered = e.change
	// Some changes are not reported to subscribers (section 7.7, Changes Omitted).
	a := &in.meta.attributes[i]
	if a.Quality.Has(ChangesOmitted) {
		return
	}
	e.mark(in, i)
	for _, s := range e.subscriptions {
		if !s.unreported.dirty && s.interest.attributes.cover(in, a) != nil {
			s.unreported.dirty = true
		}
	}
}

// markAll takes note of a new cluster.
func (e *Engine) markAll(in *instance) {
	for i := range in.meta.attributes {
		e.mark(in, i)
	}
	for _, s := range e.subscriptions {
		for i := 0; i < len(in.meta.attributes) && !s.unreported.dirty && s.interest.attributes.coverCluster(in); i++ {
			s.unreported.dirty = s.interest.attributes.cover(in, &in.meta.attributes[i]) != nil
		}
	}
}

// mark numbers the change of attribute number i and makes in the cluster that
// changed last.
func (p *pending) mark(in *instance, i int) {
	p.change++
	in.changed[i], in.last = p.change, p.change
	if p.newest == in {
		return
	}
	p.unmark(in)
	if in.older = p.newest; p.newest != nil {
		p.newest.newer = in
	}
	p.newest = in
}

// unmark takes in out of the list of clusters by their last change.
func (p *pending) unmark(in *instance) {
	if p.newest == in {
		p.newest = in.older
	}
	if in.newer != nil {
		in.newer.older = in.older
	}
	if in.older != nil {
		in.older.newer = in.newer
	}
	in.newer, in.older = nil, nil
}
