package im

import (
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	// eventsPerPriority are kept; then the oldest of the same priority goes, so
	// that no number of lesser events displaces a graver one.
	eventsPerPriority = 64

	// eventOverhead bounds what an event takes in a report beside its data.
	eventOverhead = 64

	// clockSet is a time (2025-01-01) before which a clock is not believed.
	clockSet = 1735689600
)

// EventNumbers reserves the next block of event numbers, count of them from
// first. Numbers never come twice in a node's life (section 7.14), so the
// reservation must last over restarts.
type EventNumbers func() (first, count uint64, err error)

// record is one event that has happened.
type record struct {
	number matter.EventNumber
	in     *instance
	event  *Event
	fabric matter.FabricIndex
	epoch  bool   // ms counts from 1970, else from the start of the process
	ms     uint64 // when
	data   tlv.Element
}

// eventLog holds the latest events. Numbers from next to end, without end, are
// in hand.
type eventLog struct {
	next, end matter.EventNumber
	kept      [Critical + 1][]record // ascending numbers
}

// add keeps r.
func (l *eventLog) add(r record) {
	k := l.kept[r.event.Priority]
	if len(k) == eventsPerPriority {
		k = append(k[:0], k[1:]...)
	}
	l.kept[r.event.Priority] = append(k, r)
}

// from returns the first event whose number is n or higher, or nil.
func (l *eventLog) from(n matter.EventNumber) (first *record) {
	for p := range l.kept {
		k := l.kept[p]
		i, _ := slices.BinarySearchFunc(k, n, func(r record, n matter.EventNumber) int {
			if r.number < n {
				return -1
			}
			return 1
		})
		if i < len(k) && (first == nil || k[i].number < first.number) {
			first = &k[i]
		}
	}
	return first
}

// number takes the next event number.
func (e *Engine) eventNumber() (matter.EventNumber, error) {
	l := &e.events
	if l.next == l.end {
		first, count, err := e.opt.Events()
		if err != nil {
			return 0, err
		}
		if count == 0 || first+count < first || matter.EventNumber(first) < l.next {
			return 0, fmt.Errorf("%d event numbers from %d do not follow %d", count, first, l.next)
		}
		l.next, l.end = matter.EventNumber(first), matter.EventNumber(first+count)
	}
	n := l.next
	l.next++
	return n, nil
}

// Emit records an event of the cluster that r is for; see [Engine.Emit].
func (r *Request) Emit(id matter.EventID, fabric matter.FabricIndex, data func(w *tlv.Writer)) {
	r.engine.Emit(r.Now, r.Endpoint, r.Cluster, id, fabric, data)
}

// Emit records an event (section 7.14). data writes the members of the event's
// structure; nil writes none. fabric is the one that a fabric-sensitive event
// is about, and matters for no other. A cluster may call Emit at any time.
//
// An event that the cluster's Spec does not list, whose data is malformed, that
// cannot be numbered or is too large for a message is lost, with a line in the log.
func (e *Engine) Emit(now time.Time, ep matter.EndpointID, cl matter.ClusterID, id matter.EventID, fabric matter.FabricIndex, data func(w *tlv.Writer)) {
	in, _ := e.find(ep, cl)
	if in == nil || in.meta.event(id) == nil {
		e.log.Error("there is no such event", "endpoint", ep, "cluster", cl, "event", id)
		return
	}
	r := record{in: in, event: in.meta.event(id), fabric: fabric}
	var w tlv.Writer
	w.StartStruct(tlv.Anonymous)
	m := w.Guard()
	if data != nil {
		data(&w)
	}
	if !w.Unguard(m) || !tlv.Members(w.Written(m)) {
		e.statusOf(errEvent, in, r.event.Name) // it is told to the operator only
		return
	}
	w.End()
	if w.Len() > e.opt.MaxPayload-messageEnd-eventOverhead {
		e.log.Error("event is too large for a message", "cluster", in.meta.spec.Name, "event", r.event.Name)
		return
	}
	element := tlv.NewReader(w.Bytes())
	r.data = element.Element()
	var err error
	if r.number, err = e.eventNumber(); err != nil {
		e.log.Error("event is lost for want of a number", "cluster", in.meta.spec.Name, "event", r.event.Name, "error", err)
		return
	}
	if r.epoch = now.Unix() >= clockSet; r.epoch {
		r.ms = uint64(now.UnixMilli())
	} else {
		r.ms = uint64(max(now.Sub(e.opt.Boot), 0).Milliseconds())
	}
	e.events.add(r)
	for _, s := range e.subscriptions {
		s.noteEvent(&r)
	}
}

// Hurry makes the events that have happened urgent for all who have subscribed to
// them: there may be no later report.
func (e *Engine) Hurry() {
	for _, s := range e.subscriptions {
		s.unreported.urgent = s.unreported.urgent || s.unreported.pending > 0
	}
}

// concerns reports whether a peer of the fabric may hear of r at all.
func (r *record) concerns(f matter.FabricIndex) bool {
	return !r.event.Quality.Has(FabricSensitive) || f != matter.NoFabric && f == r.fabric
}

// fillEvents writes the event part of a report (section 8.4.3.3): first why
// paths have none, then events, in ascending order of their numbers. It reports
// whether there is more than fits.
func (e *Engine) fillEvents(rd *reading) (more bool) {
	w := &e.w
	for ; rd.log.path < len(rd.events) && !rd.update; rd.log.path++ {
		p := &rd.events[rd.log.path]
		if !p.concrete() {
			continue
		}
		if st := e.checkEvent(rd.subject, p); st != matter.StatusSuccess {
			m := w.Mark()
			writeEventStatus(w, p, st)
			if e.room() < 0 {
				w.Rewind(m)
				return true
			}
			if rd.status == matter.StatusSuccess {
				rd.status = st
			}
		}
	}
	for len(rd.events) > 0 {
		r := e.events.from(rd.log.next)
		if r == nil || r.number >= rd.log.end {
			break
		}
		if e.selects(rd, r) {
			m := w.Mark()
			r.write(w)
			if e.room() < 0 {
				w.Rewind(m)
				return true
			}
		}
		rd.log.next = r.number + 1
	}
	return false
}

// selects reports whether r belongs into rd.
func (e *Engine) selects(rd *reading, r *record) bool {
	if !r.concerns(rd.subject.Fabric) {
		return false
	}
	for i := range rd.events {
		if rd.events[i].covers(r.in, r.event) {
			return e.allowed(rd.subject, r.in.ep.id, r.in.id, r.event.Read)
		}
	}
	return false
}

// checkEvent finds out whether events of a concrete path may be read, in the
// order of [Engine.checkRead].
func (e *Engine) checkEvent(s acl.Subject, p *eventPath) matter.Status {
	if p.elsewhere {
		return matter.StatusUnsupportedNode
	}
	if !e.allowed(s, p.endpoint, p.cluster, matter.PrivilegeView) {
		return matter.StatusUnsupportedAccess
	}
	in, st := e.find(p.endpoint, p.cluster)
	if st != matter.StatusSuccess {
		return st
	}
	ev := in.meta.event(p.event)
	switch {
	case ev == nil:
		return matter.StatusUnsupportedEvent
	case !e.allowed(s, p.endpoint, p.cluster, ev.Read):
		return matter.StatusUnsupportedAccess
	}
	return matter.StatusSuccess
}

func writeEventStatus(w *tlv.Writer, p *eventPath, st matter.Status) {
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag0)
	writeEventPath(w, p.endpoint, p.cluster, p.event)
	writeStatus(w, matter.ClusterStatus{Status: st})
	w.End()
	w.End()
}

// write writes an EventReportIB.
func (r *record) write(w *tlv.Writer) {
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag1)
	writeEventPath(w, r.in.ep.id, r.in.id, r.event.ID)
	w.Uint(tag1, uint64(r.number))
	w.Uint(tag2, uint64(r.event.Priority))
	if r.epoch {
		w.Uint(tag3, r.ms)
	} else {
		w.Uint(tag4, r.ms)
	}
	w.Element(tag7, r.data)
	w.End()
	w.End()
}

// dropEvents forgets the fabric-sensitive events of a fabric, as its index may
// come to be another's.
func (e *Engine) dropEvents(f matter.FabricIndex) {
	for p := range e.events.kept {
		e.events.kept[p] = slices.DeleteFunc(e.events.kept[p], func(r record) bool {
			return r.fabric == f && r.event.Quality.Has(FabricSensitive)
		})
	}
}
