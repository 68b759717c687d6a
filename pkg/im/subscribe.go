package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	// publisherLimit is the longest interval, in seconds, that the node chooses
	// where the subscriber leaves it the choice (section 8.5).
	publisherLimit = 3600

	// keepAliveMargin is how early a keep-alive leaves, so that retransmissions
	// are over before the subscriber gives the node up; a third of the interval
	// where that is less.
	keepAliveMargin = 10 * time.Second

	// keepAliveLinger is how long the exchange of a keep-alive stays open for a
	// subscriber that objects to it.
	keepAliveLinger = 5 * time.Second

	// reportsPerSession may be under way at a time.
	reportsPerSession = 2

	// eventPressure is the number of events after which they no longer wait for
	// a report that is sent anyway, lest the log drops them first.
	eventPressure = eventsPerPriority / 2
)

// subscription is a peer's standing request for reports (section 8.5). It lives
// as long as the session it came by, and every report is confirmed.
type subscription struct {
	id       uint32
	subject  acl.Subject
	session  Session
	interest interest
	min, max time.Duration

	active    bool // the SubscribeResponse has left
	dirty     bool // an attribute has changed
	pending   int  // events that have happened
	urgent    bool // the subscriber wants to hear of one of them at once
	since     uint64
	nextEvent matter.EventNumber // the first not reported
	last      time.Time          // when the last report left

	report *Interaction // the first report or one that waits for confirmation
}

// interest is what a subscriber wants to hear of.
type interest struct {
	attributes     []attributePath
	events         []eventPath
	fabricFiltered bool
}

func (s *subscription) coversAttribute(in *instance, a *Attribute) bool {
	for i := range s.interest.attributes {
		if s.interest.attributes[i].covers(in, a) {
			return true
		}
	}
	return false
}

// happened takes note of an event.
func (s *subscription) happened(r *record) {
	if !r.concerns(s.subject.Fabric) {
		return
	}
	covered := 0
	for i := range s.interest.events {
		if p := &s.interest.events[i]; p.covers(r.in, r.event) {
			covered = 1
			s.urgent = s.urgent || p.urgent
		}
	}
	s.pending += covered
}

// subscribeRequest serves a SubscribeRequest.
func (i *Interaction) subscribeRequest(now time.Time, payload []byte) {
	e := i.e
	rd := e.takeReading()
	i.reading = rd
	if err := rd.decodeSubscribe(payload); err != nil {
		i.refuse(now, requestStatus(err))
		return
	}
	rd.subject, rd.session = i.conn.Subject(), i.conn.Session()
	if rd.subject.Fabric == matter.NoFabric {
		i.refuse(now, matter.StatusUnsupportedAccess)
		return
	}
	if !rd.keep {
		// Even if the new request is refused: the peer has said that it counts on
		// none of the old ones.
		e.endWhere(now, "replaced by the subscriber", func(s *subscription) bool {
			return s.subject.Fabric == rd.subject.Fabric && s.subject.Node == rd.subject.Node
		})
	}
	switch {
	case rd.min > rd.max, !e.yields(rd):
		i.refuse(now, matter.StatusInvalidAction)
	case !e.mayAdd(rd.subject.Fabric), !i.reserve():
		i.refuse(now, matter.StatusResourceExhausted)
	default:
		i.sub = e.subscribe(rd, i)
		i.sendConfirmed(now, statePriming)
	}
}

// subscribe makes the subscription that rd asks for and lets rd be its first
// report.
func (e *Engine) subscribe(rd *reading, i *Interaction) *subscription {
	rd.nextEvent, rd.endEvent = rd.eventMin, e.events.next
	s := &subscription{
		id: e.newSubscriptionID(), subject: rd.subject, session: rd.session,
		interest: interest{slices.Clone(rd.attributes), slices.Clone(rd.events), rd.fabricFiltered},
		min:      time.Duration(rd.min) * time.Second, max: time.Duration(maxInterval(rd.min, rd.max)) * time.Second,
		since: e.change, nextEvent: max(rd.endEvent, rd.eventMin),
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

// yields reports whether rd's paths name an attribute that the subject may read
// or an event that it may hear of.
func (e *Engine) yields(rd *reading) bool {
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
	for i := range rd.events {
		for _, in := range e.instances {
			for n := range in.meta.spec.Events {
				ev := &in.meta.spec.Events[n]
				if rd.events[i].covers(in, ev) && e.allowed(rd.subject, in.endpoint, in.meta.spec.ID, ev.Read) {
					return true
				}
			}
		}
	}
	return false
}

// mayAdd reports whether a fabric may have one more subscription: of those it
// is guaranteed, or of those that all share.
func (e *Engine) mayAdd(f matter.FabricIndex) bool {
	var count [256]int
	extra := 0
	for _, s := range e.subscriptions {
		if count[s.subject.Fabric]++; count[s.subject.Fabric] > SubscriptionsPerFabric {
			extra++
		}
	}
	return count[f] < SubscriptionsPerFabric || extra < e.opt.ExtraSubscriptions
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
	s := i.sub
	w := i.e.newMessage()
	w.Uint(tag0, uint64(s.id))
	w.Uint(tag2, uint64(s.max/time.Second))
	if i.send(now, OpcodeSubscribeResponse, i.e.endMessage()) {
		s.active, s.last, s.report = true, now, nil
		i.finish(now, matter.StatusSuccess)
	}
}

// reported goes on after the confirmation of a part of a later report.
func (i *Interaction) reported(now time.Time) {
	if !i.complete {
		i.sendConfirmed(now, stateReporting)
		return
	}
	i.sub.report = nil
	i.finish(now, matter.StatusSuccess)
}

// due returns when the subscription's next report is to leave, if it is for the
// passage of time alone to decide.
func (e *Engine) due(s *subscription) (t time.Time, ok bool) {
	if !s.active || s.report != nil || e.saturated(s.session.Serial) {
		return t, false
	}
	earliest := s.last.Add(s.min)
	if s.dirty || s.urgent || s.pending >= eventPressure {
		return earliest, true
	}
	if t = s.keepAlive(); t.Before(earliest) {
		t = earliest
	}
	return t, true
}

// keepAlive returns when a report must leave though nothing has changed.
func (s *subscription) keepAlive() time.Time {
	return s.last.Add(s.max - min(s.max/3, keepAliveMargin))
}

// saturated reports whether the session has as many reports under way as it
// may.
func (e *Engine) saturated(serial uint64) bool {
	if e.reports < reportsPerSession {
		return false
	}
	n := 0
	for _, s := range e.subscriptions {
		if s.active && s.report != nil && s.session.Serial == serial {
			n++
		}
	}
	return n >= reportsPerSession
}

// report sends the reports that are due.
func (e *Engine) report(now time.Time) {
	for n := 0; n < len(e.subscriptions); {
		s := e.subscriptions[n]
		if t, ok := e.due(s); ok && !t.After(now) {
			e.startReport(now, s)
		}
		// A subscription that has ended is gone from the list.
		if n < len(e.subscriptions) && e.subscriptions[n] == s {
			n++
		}
	}
}

// startReport sends what has changed for s since its last report; if nothing
// has that it may see, a keep-alive where one is due.
func (e *Engine) startReport(now time.Time, s *subscription) {
	rd := e.takeReading()
	// Copies: rd goes back to the engine, which reuses its slices.
	rd.attributes = append(rd.attributes, s.interest.attributes...)
	rd.events = append(rd.events, s.interest.events...)
	rd.subject, rd.session, rd.fabricFiltered = s.subject, s.session, s.interest.fabricFiltered
	rd.subscription, rd.update, rd.since = s.id, true, s.since
	rd.nextEvent, rd.endEvent = s.nextEvent, e.events.next
	s.since, s.nextEvent = e.change, max(s.nextEvent, rd.endEvent)
	s.dirty, s.pending, s.urgent = false, 0, false

	payload, more := e.buildReport(now, rd)
	if !rd.found {
		e.release(rd)
		if earliest := s.last.Add(s.min); !now.Before(s.keepAlive()) && !now.Before(earliest) {
			e.sendKeepAlive(now, s)
		}
		return
	}
	i := &Interaction{e: e, state: stateReporting, sub: s, reading: rd, complete: !more}
	e.reports++
	if !i.open(now) {
		return
	}
	s.report, s.last = i, now
	i.conn.AwaitResponse(now.Add(responseTimeout))
	i.send(now, OpcodeReportData, payload)
}

// open starts the exchange of a report.
func (i *Interaction) open(now time.Time) (ok bool) {
	if i.conn, ok = i.e.opt.Sessions.Open(now, i.sub.session.Serial, i); !ok {
		i.leave(now, matter.StatusFailure)
	}
	return ok
}

// sendKeepAlive sends a report of nothing, which wants no answer. Its exchange
// stays open for a while: a subscriber that knows nothing of the subscription
// says so.
func (e *Engine) sendKeepAlive(now time.Time, s *subscription) {
	i := &Interaction{e: e, state: stateKeepAlive, sub: s, deadline: now.Add(keepAliveLinger)}
	if !i.open(now) {
		return
	}
	s.last = now
	w := e.newMessage()
	w.Uint(tag0, uint64(s.id))
	w.Bool(tag4, true)
	if i.send(now, OpcodeReportData, e.endMessage()) {
		e.lingering = append(e.lingering, i)
	}
}

// closeLingering closes the exchanges of keep-alives to which nobody has
// objected. Whether they were received is still to be heard: by Closed.
func (e *Engine) closeLingering(now time.Time) {
	e.lingering = slices.DeleteFunc(e.lingering, func(i *Interaction) bool {
		if i.state == stateDone {
			return true
		}
		if now.Before(i.deadline) {
			return false
		}
		i.conn.Close(now)
		return true
	})
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

// FabricRemoved ends the subscriptions of a fabric and forgets the events that
// only its members may see. Its exchanges end with its sessions.
func (e *Engine) FabricRemoved(f matter.FabricIndex) {
	for _, s := range slices.Clone(e.subscriptions) {
		if s.subject.Fabric == f {
			e.forget(s, "fabric removed")
		}
	}
	e.dropEvents(f)
}

// SessionGone ends the subscriptions that came by the session with this serial
// number. Its exchanges end with it.
func (e *Engine) SessionGone(serial uint64) {
	for _, s := range slices.Clone(e.subscriptions) {
		if s.session.Serial == serial {
			e.forget(s, "session ended")
		}
	}
}

// Deadline returns when Advance is next to be called, and whether it is.
func (e *Engine) Deadline() (first time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(first) {
			first, ok = t, true
		}
	}
	for _, s := range e.subscriptions {
		if t, ok := e.due(s); ok {
			sooner(t)
		}
	}
	for _, i := range e.lingering {
		sooner(i.deadline)
	}
	return first, ok
}
