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
	// eventsPerPriority is the number of events that are kept for each priority.
	// Beyond it the oldest event of the same priority is dropped, so that events of
	// low priority never displace important ones.
	eventsPerPriority = 64

	// eventOverhead is the maximum size of an event in a report without its data.
	eventOverhead = 64

	// clockSet is 2025-01-01. A clock that shows an earlier time has not been set.
	clockSet = 1735689600
)

// EventNumbers reserves the next block of event numbers, count numbers beginning
// with first. A node never uses a number twice in its life (section 7.14), so
// reservations must survive restarts.
type EventNumbers func() (first, count uint64, err error)

// record is one event that has occurred.
type record struct {
	number matter.EventNumber
	in     *instance
	event  *Event
	fabric matter.FabricIndex
	epoch  bool   // ms counts from 1970, otherwise from the start of the process
	ms     uint64 // when it occurred
	data   tlv.Element
}

// eventLog holds the latest events. The numbers from next up to but not including
// end are reserved.
type eventLog struct {
	next, end matter.EventNumber
	kept      [Critical + 1][]record // ascending numbers
}

// add appends r.
func (l *eventLog) add(r record) {
	k := l.kept[r.event.Priority]
	if len(k) == eventsPerPriority {
		k = append(k[:0], k[1:]...)
	}
	l.kept[r.event.Priority] = append(k, r)
}

// from returns the first event whose number is at least n, or nil.
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

// eventNumber returns the next event number.
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

// Emit records an event of the cluster that r addresses; see [Engine.Emit].
func (r *Request) Emit(id matter.EventID, fabric matter.FabricIndex, data func(w *tlv.Writer)) {
	r.engine.Emit(r.Now, r.Endpoint, r.Cluster, id, fabric, data)
}

// Emit records an event (section 7.14). data writes the members of the event's
// structure. It may be nil if there are none. fabric is the subject of a
// fabric-sensitive event and is ignored for other events. Clusters may call Emit at
// any time.
//
// An event is dropped, with a line in the log, if the cluster's Spec does not list
// it, its data is malformed or too large for a message, or no number can be
// reserved.
func (e *Engine) Emit(now time.Time, ep matter.EndpointID, cl matter.ClusterID, id matter.EventID, fabric matter.FabricIndex, data func(w *tlv.Writer)) {
	in, _ := e.find(ep, cl)
	if in == nil || in.meta.event(id) == nil {
		e.log.Error("event is not in the cluster's Spec", "endpoint", ep, "cluster", cl, "event", id)
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
		e.statusOf(errEvent, in, r.event.Name) // only to log it
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
		e.log.Error("event dropped: no event number", "cluster", in.meta.spec.Name, "event", r.event.Name, "error", err)
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

// Hurry makes all past events urgent for their subscribers. It is called when there
// may be no later report.
func (e *Engine) Hurry() {
	for _, s := range e.subscriptions {
		s.unreported.urgent = s.unreported.urgent || s.unreported.pending > 0
	}
}

// concerns reports whether a peer of the fabric may see r.
func (r *record) concerns(f matter.FabricIndex) bool {
	return !r.event.Quality.Has(FabricSensitive) || f != matter.NoFabric && f == r.fabric
}

// fillEvents writes the event part of a report (section 8.4.3.3): first the
// statuses of paths that failed, then events in ascending order of their numbers.
// It reports whether some did not fit.
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

// selects reports whether rd includes r.
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

// checkEvent checks whether the events of a concrete path may be read, in the same
// order as [Engine.checkRead].
func (e *Engine) checkEvent(s acl.Subject, p *eventPath) matter.Status {
	if p.otherNode {
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

// dropEvents removes the fabric-sensitive events of a fabric, as another fabric may
// later get the same index.
func (e *Engine) dropEvents(f matter.FabricIndex) {
	for p := range e.events.kept {
		e.events.kept[p] = slices.DeleteFunc(e.events.kept[p], func(r record) bool {
			return r.fabric == f && r.event.Quality.Has(FabricSensitive)
		})
	}
}
