package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// FabricRemoved ends the subscriptions of a fabric and removes the events that only
// its members may see. Before that, it sends subscribers a last report of events
// whose number is at least since (section 11.1.6.3). access is the access control
// list before the removal. FabricRemoved returns the serial numbers of the sessions
// on which such a report was sent. The fabric's other sessions can be closed at
// once.
func (e *Engine) FabricRemoved(now time.Time, f matter.FabricIndex, since matter.EventNumber, access *acl.List) (sessions []uint64) {
	granted := e.opt.ACL
	e.opt.ACL = access
	for _, s := range e.subscriptions {
		if s.subject.Fabric == f && s.phase == active && e.sendFarewell(now, s, since) && !slices.Contains(sessions, s.session.Serial) {
			sessions = append(sessions, s.session.Serial)
		}
	}
	e.opt.ACL = granted
	for _, s := range slices.Clone(e.subscriptions) {
		if s.subject.Fabric == f {
			e.forget(s, "fabric removed")
		}
	}
	e.dropEvents(f)
	return sessions
}

// sendFarewell sends s a report of the latest events, and reports whether there
// were any that it may see. The subscriber's confirmation is not awaited. The
// message is retransmitted until it is acknowledged, as any other.
func (e *Engine) sendFarewell(now time.Time, s *subscription, since matter.EventNumber) bool {
	rd := e.takeReading()
	defer e.release(rd)
	rd.events = append(rd.events, s.interest.events...)
	rd.subject, rd.session = s.subject, s.session
	rd.subscription, rd.update = s.id, true
	rd.log.next, rd.log.end = since, e.events.next
	payload, _ := e.buildReport(now, rd)
	if !rd.found {
		return false
	}
	i := &Interaction{e: e, state: stateDone}
	conn, err := e.opt.Sessions.Open(now, s.session.Serial, i)
	if err != nil {
		return false
	}
	if err = conn.Send(now, OpcodeReportData, payload); err == nil {
		e.load.sent++
	}
	conn.Close(now)
	return err == nil
}

// ForgetEvents removes all events, as a factory reset does. The event numbers
// continue.
func (e *Engine) ForgetEvents() {
	for p := range e.events.kept {
		clear(e.events.kept[p])
		e.events.kept[p] = e.events.kept[p][:0]
	}
}
