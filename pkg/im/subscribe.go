package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// publisherLimit is the longest interval, in seconds, that the node chooses on its
// own (section 8.5).
const publisherLimit = 3600

// eventPressure is the number of events after which a report is sent at once.
// Otherwise the log could drop events before they are reported.
const eventPressure = eventsPerPriority / 2

// phase is the phase of a subscription's life.
type phase uint8

const (
	// priming: the first report is in progress. The SubscribeResponse ends it.
	priming phase = iota
	// answered: the SubscribeResponse was sent but is not acknowledged. No report
	// may overtake it.
	answered
	// active: reports are sent when they are due.
	active
	// interrupted: the session is gone, the subscriber did not confirm a report, or
	// the process was restarted. Resume ends this phase. The subscription ends if
	// its subscriber must have given up.
	interrupted
	ended
)

// subscription is a peer's subscription (section 8.5). The subscriber confirms each
// report.
type subscription struct {
	id       uint32
	phase    phase
	subject  acl.Subject
	session  Session // zero while interrupted
	interest interest
	min, max time.Duration

	unreported unreported
	since      uint64             // the last change that was reported
	nextEvent  matter.EventNumber // the first event that was not reported and confirmed
	last       time.Time          // when the last report was sent
	notBefore  time.Time          // the session was busy: no report before this time; may be zero
	expires    time.Time          // when an interrupted subscription ends; zero: every report was confirmed

	report *Interaction // the first report, or one that waits for confirmation

	counted bool // counted by established
}

// unreported is what the next report must contain.
type unreported struct {
	dirty   bool // an attribute has changed
	pending int  // events
	urgent  bool // one of the events must be reported at once
	all     bool // everything must be reported
}

// interest is the part of a subscription that selects what is reported.
type interest struct {
	attributes     attributePaths
	events         []eventPath
	fabricFiltered bool
}

// noteEvent records an event.
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
		// The earlier subscriptions end even if the new request is rejected: the
		// peer has announced that it no longer relies on them.
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

// subscribe creates the subscription that rd requests. rd becomes its first report.
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

// maxInterval chooses the longest time between reports, in seconds. The
// specification allows any value from the floor to the ceiling or one hour,
// whichever is longer.
func maxInterval(floor, ceiling uint16) uint16 { return max(min(ceiling, publisherLimit), floor, 1) }

func (e *Engine) newSubscriptionID() uint32 {
	for {
		id := e.random32()
		if id != 0 && !slices.ContainsFunc(e.subscriptions, func(s *subscription) bool { return s.id == id }) {
			return id
		}
	}
}

// selectsAnything reports whether rd's paths include an attribute or an event that
// the subject may see.
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

// selectsEvent reports whether p includes an event that the subject may see.
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

// makeRoom reports whether a fabric may have one more subscription, either one of
// those guaranteed to it or one of the shared ones. If there is none left, it ends
// one: the oldest that is interrupted or else, like the SDK, the oldest of the same
// fabric. Controllers that were restarted often leave some behind.
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
		e.endSubscription(now, e.subscriptions[victim], "replaced by another subscription")
	}
}

// sendConfirmed sends the next message of a subscription's report. The subscriber
// confirms each message.
func (i *Interaction) sendConfirmed(now time.Time, s state) {
	payload, more := i.e.buildReport(now, i.reading)
	i.complete = !more
	i.state = s
	i.conn.AwaitResponse(now.Add(responseTimeout))
	i.send(now, OpcodeReportData, payload)
}

// primed continues the first report after the confirmation of a message.
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

// begun makes the subscription active. It is called when the SubscribeResponse was
// acknowledged.
func (i *Interaction) begun(now time.Time) {
	if s := i.sub; s.phase == answered {
		s.phase, s.report = active, nil
		i.e.log.Info("subscription begun", "fabric", s.subject.Fabric, "peer", s.subject.Node.String(), "id", s.id, "min", s.min, "max", s.max)
	}
	i.leave(now, matter.StatusSuccess)
}

// reported continues a later report after the confirmation of a message.
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

// endSubscription ends s and its report in progress. It does nothing if s has ended
// already.
func (e *Engine) endSubscription(now time.Time, s *subscription, reason string) {
	if !e.forget(s, reason) {
		return
	}
	if i := s.report; i != nil {
		i.finish(now, matter.StatusFailure)
	}
}

// forget removes s from the list, and reports whether it was there.
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
