package im

import (
	"container/heap"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Model is the state behind several clusters of one endpoint. Those clusters do not
// report changes themselves. The Model compares their attributes with the values at
// the last call.
type Model interface {
	// Settle reports to r what has changed since the last Settle. The Engine calls
	// it once for each event that touched the endpoint: a Write or Invoke of one of
	// its clusters, Advance, or [Engine.Touch]. If the Engine has already found an
	// attribute changed by a Write in the same event, it is not counted again.
	Settle(now time.Time, r *Changes)

	// Deadline returns the time at which Advance must be called next, and whether
	// there is one. The Engine calls it after Settle and after Advance.
	Deadline() (time.Time, bool)

	// Advance does the work that is due at now.
	Advance(now time.Time)
}

// Changes receives what a Model reports about its endpoint. It belongs to the
// Engine and is valid during the call of [Model.Settle].
type Changes struct {
	engine *Engine
	ep     *endpoint
	now    time.Time
}

// Attribute reports that an attribute has changed. It is ignored if the endpoint
// does not serve the attribute.
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

// pending is the work of Settle, Advance and the subscription reports. It is kept
// so that they do not visit every endpoint.
type pending struct {
	change    uint64      // number of the last change of an attribute
	newest    *instance   // the cluster that changed last; instance.older leads to the others
	touched   []*endpoint // to be settled
	polled    []*endpoint // to be settled after every event
	timed     timed
	advancing []*endpoint // scratch of Advance

	report Changes                  // passed to a Model
	asked  *instance                // the cluster that is reporting its changes
	note   func(matter.AttributeID) // records them
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

// remove removes an endpoint.
func (p *pending) remove(ep *endpoint) {
	is := func(x *endpoint) bool { return x == ep }
	p.touched = slices.DeleteFunc(p.touched, is)
	p.polled = slices.DeleteFunc(p.polled, is)
	if ep.place >= 0 {
		heap.Remove(&p.timed, ep.place)
	}
}

// Touch records that the state behind an endpoint may have changed. The next Settle
// asks its Model and its Watchers for changes and updates its deadline. A Write, an
// Invoke and Advance have the same effect. Touch does nothing if the endpoint does
// not exist.
func (e *Engine) Touch(id matter.EndpointID) {
	if ep := e.byID[id]; ep != nil {
		e.touch(ep)
	}
}

// TouchAll touches all endpoints.
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

// Settle carries out what follows from the calls since the last Settle. It asks the
// touched endpoints for changes and sends the reports that are due. The owner calls
// it after every event.
func (e *Engine) Settle(now time.Time) {
	e.settleTouched(now)
	for _, ep := range e.polled {
		e.settle(now, ep)
	}
	e.settleTouched(now)
	e.endExpired(now)
	e.sendReports(now)
}

// settleTouched settles the touched endpoints, including those touched while it
// runs.
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

// Advance does the work that is due at now. The owner calls Settle afterwards, which
// sends the reports: a report must not show the attribute that was written without
// what its endpoint's Model derives from it.
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
}

// schedule updates the deadline of ep.
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

// timed is a heap of the endpoints that have a deadline. The earliest is at index
// 0.
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

// Changed reports that attributes of a cluster have changed. It increments the data
// version, and subscribers get a report. Attributes that the cluster does not have
// are ignored. Clusters may call it at any time; for its own attributes see
// [Request.Changed].
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

// Changed reports that a command has changed attributes of its cluster. It is not
// needed after a successful Write.
func (r *Request) Changed(ids ...matter.AttributeID) {
	r.engine.Changed(r.Endpoint, r.Cluster, ids...)
}

// changed records that attribute number i of in has changed.
func (e *Engine) changed(in *instance, i int) {
	in.version++
	e.change++
	in.altered = e.change
	// Subscribers get no report of some changes (section 7.7, Changes Omitted).
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

// markAll records a new cluster.
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

// mark numbers the change of attribute number i, and moves in to the front of the
// list of changed clusters.
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

// unmark removes in from the list of changed clusters.
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
