package im

import (
	"errors"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	// keepAliveMargin is how early a keep-alive leaves, so that retransmissions
	// are over before the subscriber gives the node up; a third of the interval
	// where that is less.
	keepAliveMargin = 10 * time.Second

	// keepAliveLinger is how long the exchange of a keep-alive stays open for a
	// subscriber that objects to it.
	keepAliveLinger = 5 * time.Second

	// lingeringPerSession bounds the exchanges that do so.
	lingeringPerSession = 8

	// reportsPerSession may be under way at a time.
	reportsPerSession = 2

	// floorMargin is how much later than the minimum interval allows a report
	// leaves, so that also by the subscriber's clock, and after a network that was
	// slower with the report before, it does not come too early.
	floorMargin = 50 * time.Millisecond

	// busyPause is how long a report waits for a session that has no exchange
	// left.
	busyPause = 250 * time.Millisecond
)

// due returns when the subscription's next report is to leave, if it is for the
// passage of time alone to decide.
func (e *Engine) due(s *subscription) (t time.Time, ok bool) {
	if s.phase != active || s.report != nil || e.saturated(s.session.Serial) {
		return t, false
	}
	earliest := s.last.Add(s.floor())
	switch {
	case s.unreported.all:
		t = s.last
	case s.unreported.dirty || s.unreported.urgent || s.unreported.pending >= eventPressure:
		t = earliest
	default:
		t = latest(s.keepAlive(), earliest)
	}
	return latest(t, s.notBefore), true
}

// floor is how long after one report the next may leave.
func (s *subscription) floor() time.Duration {
	if s.min == 0 {
		return 0
	}
	return min(s.min+floorMargin, s.max)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
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
		if s.phase == active && s.report != nil && s.session.Serial == serial {
			n++
		}
	}
	return n >= reportsPerSession
}

// sendReports sends the reports that are due.
func (e *Engine) sendReports(now time.Time) {
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

// startReport sends what has changed for s since its last report, or everything
// after an interruption; if there is nothing that it may see, a keep-alive where
// one is due.
func (e *Engine) startReport(now time.Time, s *subscription) {
	rd := e.takeReading()
	// Copies: rd goes back to the engine, which reuses its slices.
	rd.attributes = append(rd.attributes, s.interest.attributes...)
	rd.events = append(rd.events, s.interest.events...)
	rd.subject, rd.session, rd.fabricFiltered = s.subject, s.session, s.interest.fabricFiltered
	rd.subscription, rd.since = s.id, s.since
	if !s.unreported.all {
		e.collectChanged(rd)
	}
	rd.log.next, rd.log.end = s.nextEvent, e.events.next

	payload, more := e.buildReport(now, rd)
	if !rd.found && rd.update {
		s.since, s.nextEvent, s.unreported = e.change, max(s.nextEvent, rd.log.end), unreported{}
		e.release(rd)
		if !now.Before(s.keepAlive()) && !now.Before(s.last.Add(s.floor())) {
			e.sendKeepAlive(now, s)
		}
		return
	}
	i := &Interaction{e: e, state: stateReporting, sub: s, reading: rd, complete: !more}
	e.reports++
	if !i.open(now) {
		return
	}
	s.since, s.unreported = e.change, unreported{}
	s.report, s.last = i, now
	i.conn.AwaitResponse(now.Add(responseTimeout))
	i.send(now, OpcodeReportData, payload)
}

// open starts the exchange of a report. If the session has too many, the report
// is made anew a little later.
func (i *Interaction) open(now time.Time) bool {
	s := i.sub
	i.serial = s.session.Serial
	conn, err := i.e.opt.Sessions.Open(now, i.serial, i)
	switch {
	case err == nil:
		i.conn = conn
		return true
	case errors.Is(err, ErrBusy):
		s.notBefore = now.Add(busyPause)
		i.sub = nil
	default:
		i.e.interrupt(s, err.Error())
	}
	i.leave(now, matter.StatusFailure)
	return false
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
		e.closeOldestKeepAlive(now, i.serial)
	}
}

// closeOldestKeepAlive closes the oldest exchange of a keep-alive on a session that has too
// many of them.
func (e *Engine) closeOldestKeepAlive(now time.Time, serial uint64) {
	n, oldest := 0, -1
	for k, i := range e.lingering {
		if i.serial == serial && i.state != stateDone {
			if n++; oldest < 0 {
				oldest = k
			}
		}
	}
	if n > lingeringPerSession {
		i := e.lingering[oldest]
		e.lingering = slices.Delete(e.lingering, oldest, oldest+1)
		i.conn.Close(now)
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
		if s.phase == interrupted {
			sooner(s.expires)
		}
	}
	for _, i := range e.lingering {
		sooner(i.deadline)
	}
	if len(e.timed) > 0 {
		sooner(e.timed[0].due)
	}
	return first, ok
}
