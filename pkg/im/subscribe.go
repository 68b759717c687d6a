package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// publisherLimit is the longest interval, in seconds, that the node chooses
// where the subscriber leaves it the choice (section 8.5).
const publisherLimit = 3600

// eventPressure is the number of events after which they no longer wait for a
// report that is sent anyway, lest the log drops them first.
const eventPressure = eventsPerPriority / 2

// phase is where in its life a subscription is.
type phase uint8

const (
	// priming: the first report is under way. The SubscribeResponse ends it.
	priming phase = iota
	// answered: the SubscribeResponse was sent, and is not acknowledged. A report
	// must not overtake it.
	answered
	// active: reports leave as they become due.
	active
	// interrupted: the session is gone, the subscriber did not confirm a report,
	// or the process was started anew. Resume ends it, or the time after which
	// the subscriber has given up as well.
	interrupted
	ended
)

// subscription is a peer's standing request for reports (section 8.5). Every
// report is confirmed.
type subscription struct {
	id       uint32
	phase    phase
	subject  acl.Subject
	session  Session // zero while it is interrupted
	interest interest
	min, max time.Duration

	unreported unreported
	since      uint64             // the change up to which everything was reported
	nextEvent  matter.EventNumber // the first that was not reported and confirmed
	last       time.Time          // when the last report left
	notBefore  time.Time          // not before this, as the session was busy; zero: at any time
	expires    time.Time          // when an interruption becomes the end; zero: all was confirmed since

	report *Interaction // the first report or one that waits for confirmation

	counted bool // as established since the start
}

// unreported is what there is to report.
type unreported struct {
	dirty   bool // an attribute has changed
	pending int  // events that have happened
	urgent  bool // the subscriber wants to hear of one of them at once
	all     bool // the subscriber is to be told everything
}

// interest is what a subscriber wants to hear of.
type interest struct {
	attributes     attributePaths
	events         []eventPath
	fabricFiltered bool
}

// noteEvent takes note of an event.
func (s *subscription) noteEvent(r *record) {
	if !r.concerns(s.subject.Fabric) {
		return
	}
	covered := 0
	for i := range s.interest.events {
		if p := &s.interest.events[i]; p.covers(r.in, r.event) {
			covered = 1
			s.unreported.urgent = s.unreported.urgent || p.urgent
		}
	}
	s.unreported.pending += covered
}

// subscribeRequest serves a SubscribeRequest.
func (i *Interaction) subscribeRequest(now time.Time, payload []byte) {
	e := i.e
	rd := e.takeReading()
	i.reading = rd
	if err := rd.decodeSubscribe(payload, i.ownNodeID()); err != nil {
		i.refuse(now, requestStatus(err))
		return
	}
	rd.subject, rd.session = i.conn.Subject(), i.conn.Session()
	if rd.subject.Fabric == matter.NoFabric {
		i.refuse(now, matter.StatusUnsupportedAccess)
		return
	}
	if !rd.keepSubscriptions {
		// Even if the new request is refused: the peer has said that it counts on
		// none of the old ones.
		e.endWhere(now, "replaced by the subscriber", func(s *subscription) bool {
			return s.subject.Fabric == rd.subject.Fabric && s.subject.Node == rd.subject.Node
		})
	}
	switch {
	case rd.min > rd.max, !e.selectsAnything(rd):
		i.refuse(now, matter.StatusInvalidAction)
	case !e.makeRoom(now, rd.subject.Fabric), !i.reserve():
		i.refuse(now, matter.StatusResourceExhausted)
	default:
		i.sub = e.subscribe(rd, i)
		i.sendConfirmed(now, statePriming)
	}
}

// subscribe makes the subscription that rd asks for and lets rd be its first
// report.
func (e *Engine) subscribe(rd *reading, i *Interaction) *subscription {
	rd.log.next, rd.log.end = rd.eventMin, e.events.next
	s := &subscription{
		id: e.newSubscriptionID(), subject: rd.subject, session: rd.session,
		interest: interest{slices.Clone(rd.attributes), slices.Clone(rd.events), rd.fabricFiltered},
		min:      time.Duration(rd.min) * time.Second, max: time.Duration(maxInterval(rd.min, rd.max)) * time.Second,
		since: e.change, nextEvent: max(rd.log.end, rd.eventMin),
		report: i,
	}
	rd.subscription = s.id
	e.subscriptions = append(e.subscriptions, s)
	return s
}

// maxInterval chooses the longest time between reports, in seconds. It may be
// anything from the floor to the ceiling or to an hour, whichever is more.
func maxInterval(floor, ceiling uint16) uint16 { return max(min(ceiling, publisherLimit), floor, 1) }

func (e *Engine) newSubscriptionID() uint32 {
	for {
		id := e.random32()
		if id != 0 && !slices.ContainsFunc(e.subscriptions, func(s *subscription) bool { return s.id == id }) {
			return id
		}
	}
}

// selectsAnything reports whether rd's paths name an attribute that the subject may read
// or an event that it may hear of.
func (e *Engine) selectsAnything(rd *reading) bool {
	for i := range rd.attributes {
		p := &rd.attributes[i]
		if p.concrete() {
			if _, _, st := e.checkRead(rd.subject, p); st == matter.StatusSuccess {
				return true
			}
			continue
		}
		probe := reading{subject: rd.subject}
		if _, ok := e.nextWildcard(&probe, p); ok {
			return true
		}
	}
	return slices.ContainsFunc(rd.events, func(p eventPath) bool { return e.selectsEvent(rd.subject, &p) })
}

// selectsEvent reports whether p names an event that the subject may hear of.
func (e *Engine) selectsEvent(s acl.Subject, p *eventPath) bool {
	if p.concrete() {
		return e.checkEvent(s, p) == matter.StatusSuccess
	}
	for _, ep := range e.ordered {
		for _, in := range ep.instances {
			for n := range in.meta.spec.Events {
				ev := &in.meta.spec.Events[n]
				if p.covers(in, ev) && e.allowed(s, ep.id, in.id, ev.Read) {
					return true
				}
			}
		}
	}
	return false
}

// makeRoom reports whether a fabric may have one more subscription: of those it
// is guaranteed, or of those that all share. If it may not, one is ended: the oldest
// that is interrupted or else, as the SDK does, the oldest of the same fabric. A
// controller that was switched off and on again has left some behind.
func (e *Engine) makeRoom(now time.Time, f matter.FabricIndex) bool {
	for {
		var count [256]int
		extra := 0
		for _, s := range e.subscriptions {
			if count[s.subject.Fabric]++; count[s.subject.Fabric] > SubscriptionsPerFabric {
				extra++
			}
		}
		if count[f] < SubscriptionsPerFabric || extra < e.opt.ExtraSubscriptions {
			return true
		}
		victim := slices.IndexFunc(e.subscriptions, func(s *subscription) bool {
			return s.phase == interrupted && (s.subject.Fabric == f || count[s.subject.Fabric] > SubscriptionsPerFabric)
		})
		if victim < 0 {
			victim = slices.IndexFunc(e.subscriptions, func(s *subscription) bool { return s.subject.Fabric == f && s.phase != priming })
		}
		if victim < 0 {
			return false
		}
		e.endSubscription(now, e.subscriptions[victim], "makes room for another")
	}
}

// sendConfirmed sends the next message of a subscription's report, each of
// which the subscriber confirms.
func (i *Interaction) sendConfirmed(now time.Time, s state) {
	payload, more := i.e.buildReport(now, i.reading)
	i.complete = !more
	i.state = s
	i.conn.AwaitResponse(now.Add(responseTimeout))
	i.send(now, OpcodeReportData, payload)
}

// primed goes on after the confirmation of a part of the first report.
func (i *Interaction) primed(now time.Time) {
	if !i.complete {
		i.sendConfirmed(now, statePriming)
		return
	}
	e, s := i.e, i.sub
	s.phase, s.last = answered, now
	e.revision++
	e.opt.PersistSubscriptions()
	w := e.newMessage()
	w.Uint(tag0, uint64(s.id))
	w.Uint(tag2, uint64(s.max/time.Second))
	if !i.send(now, OpcodeSubscribeResponse, e.endMessage()) {
		return
	}
	e.established(s)
	e.record(i.action, i.reading.status, i.opened)
	e.release(i.reading)
	i.reading, i.state = nil, stateAnswered
	i.unreserve()
	i.conn.Close(now)
}

// begun makes the subscription active: its SubscribeResponse was acknowledged.
func (i *Interaction) begun(now time.Time) {
	if s := i.sub; s.phase == answered {
		s.phase, s.report = active, nil
		i.e.log.Info("subscription begun", "fabric", s.subject.Fabric, "peer", s.subject.Node.String(), "id", s.id, "min", s.min, "max", s.max)
	}
	i.leave(now, matter.StatusSuccess)
}

// reported goes on after the confirmation of a part of a later report.
func (i *Interaction) reported(now time.Time) {
	if !i.complete {
		i.sendConfirmed(now, stateReporting)
		return
	}
	s := i.sub
	s.report, s.nextEvent = nil, max(s.nextEvent, i.reading.log.end)
	if !s.expires.IsZero() {
		s.expires = time.Time{}
		i.e.revision++
		i.e.log.Info("subscription resumed", "fabric", s.subject.Fabric, "peer", s.subject.Node.String(), "id", s.id)
	}
	i.finish(now, matter.StatusSuccess)
}

// endSubscription ends s if it has not ended yet, and with it the report that
// is under way.
func (e *Engine) endSubscription(now time.Time, s *subscription, reason string) {
	if !e.forget(s, reason) {
		return
	}
	if i := s.report; i != nil {
		i.finish(now, matter.StatusFailure)
	}
}

// forget takes s off the list, if it is there.
func (e *Engine) forget(s *subscription, reason string) bool {
	n := slices.Index(e.subscriptions, s)
	if n < 0 {
		return false
	}
	e.subscriptions = slices.Delete(e.subscriptions, n, n+1)
	s.phase = ended
	e.revision++
	e.log.Info("subscription ended", "fabric", s.subject.Fabric, "peer", s.subject.Node.String(), "id", s.id, "reason", reason)
	return true
}

func (e *Engine) endWhere(now time.Time, reason string, match func(*subscription) bool) {
	for _, s := range slices.Clone(e.subscriptions) {
		if match(s) {
			e.endSubscription(now, s, reason)
		}
	}
}
