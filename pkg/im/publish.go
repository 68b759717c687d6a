package im

import (
	"errors"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	// keepAliveMargin is how long before the end of the maximum interval a
	// keep-alive is sent, so that retransmissions end before the subscriber gives
	// up. It is at most a third of the interval.
	keepAliveMargin = 10 * time.Second

	// keepAliveLinger is how long the exchange of a keep-alive stays open, so that
	// the subscriber can reject it.
	keepAliveLinger = 5 * time.Second

	// lingeringPerSession limits the number of those exchanges.
	lingeringPerSession = 8

	// reportsPerSession is the number of reports that may be in progress at a time. A
	// node should keep to five exchanges on a session (section 4.10.2); one is left for a
	// keep-alive.
	reportsPerSession = 4

	// floorMargin is added to the minimum interval. Without it a report could
	// arrive too early by the subscriber's clock, or after the network delayed the
	// report before it.
	floorMargin = 50 * time.Millisecond

	// busyPause is how long a report waits if the session has no free exchange.
	busyPause = 250 * time.Millisecond
)

// due returns the time at which the subscription's next report is due. It returns
// false if that does not depend on the time.
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

// floor returns the shortest time between two reports.
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

// keepAlive returns the time at which a report is due even if nothing has changed.
func (s *subscription) keepAlive() time.Time {
	return s.last.Add(s.max - min(s.max/3, keepAliveMargin))
}

// saturated reports whether the session has reached its limit of reports in
// progress.
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

// sendReports sends the reports that are due. The subscription that has waited longest
// is first, so that on a session with many changes and many subscriptions each has its
// turn.
func (e *Engine) sendReports(now time.Time) {
	waiting := e.dueReports[:0]
	for _, s := range e.subscriptions {
		if e.isDue(now, s) {
			waiting = append(waiting, s)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *subscription) int { return a.last.Compare(b.last) })
	for _, s := range waiting {
		if e.isDue(now, s) { // still: the session may have its limit of reports now
			e.startReport(now, s)
		}
	}
	clear(waiting)
	e.dueReports = waiting
}

func (e *Engine) isDue(now time.Time, s *subscription) bool {
	t, ok := e.due(s)
	return ok && !t.After(now)
}

// startReport sends what has changed for s since its last report, or everything
// after an interruption. If the subscriber may see none of it, startReport sends a
// keep-alive if one is due.
func (e *Engine) startReport(now time.Time, s *subscription) {
	rd := e.takeReading()
	// Copy the slices: the engine reuses those of rd.
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

// open starts the exchange of a report. If the session has too many, it schedules
// the report for a little later.
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

// sendKeepAlive sends an empty report that needs no response. Its exchange stays
// open for a while, so that a subscriber that does not know the subscription can
// reject it.
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

// closeOldestKeepAlive closes the oldest exchange of a keep-alive on a session that
// has too many of them.
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

// closeLingering closes the exchanges of keep-alives that were not rejected. Closed
// is called later if one was not acknowledged.
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

// Deadline returns the time at which Advance must be called next, and whether there
// is one.
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
