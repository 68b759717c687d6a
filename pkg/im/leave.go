package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// FabricRemoved ends the subscriptions of a fabric and forgets the events that
// only its members may see. Those who had subscribed to them are told, a last time,
// of the events whose number is since or higher (section 11.1.6.3): access is what
// was granted to them. It returns the serial numbers of the sessions that this is
// on its way by; the others of the fabric have nothing to wait for.
func (e *Engine) FabricRemoved(now time.Time, f matter.FabricIndex, since matter.EventNumber, access *acl.List) (told []uint64) {
	granted := e.opt.ACL
	e.opt.ACL = access
	for _, s := range e.subscriptions {
		if s.subject.Fabric == f && s.phase == active && e.sendFarewell(now, s, since) && !slices.Contains(told, s.session.Serial) {
			told = append(told, s.session.Serial)
		}
	}
	e.opt.ACL = granted
	for _, s := range slices.Clone(e.subscriptions) {
		if s.subject.Fabric == f {
			e.forget(s, "fabric removed")
		}
	}
	e.dropEvents(f)
	return told
}

// sendFarewell sends s a report of the latest events, if it may hear of any, and
// reports whether it did. Nobody waits for its confirmation; the message is sent
// again until it is acknowledged, as all are.
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

// ForgetEvents empties the event log, as a factory reset does. Numbers go on where
// they are.
func (e *Engine) ForgetEvents() {
	for p := range e.events.kept {
		clear(e.events.kept[p])
		e.events.kept[p] = e.events.kept[p][:0]
	}
}
