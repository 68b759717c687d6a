package exchange

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/session"
)

// peerWindow is the number of message counters before the newest one that a peer
// remembers (MSG_COUNTER_WINDOW_SIZE, section 4.6.7). A message with an older counter
// counts as received: the peer acknowledges it and ignores it. So a node must not send
// that many messages after one that it may have to retransmit.
const peerWindow = 32

// flight holds the unacknowledged messages of a secured session.
type flight struct {
	sent    []inFlight  // in the order of their counters; acknowledged ones are removed from the front only
	waiting []*Exchange // exchanges with a held message, the oldest first
}

type inFlight struct {
	x       *Exchange
	counter uint32
}

// over reports whether the message will not be retransmitted.
func (f inFlight) over() bool { return f.x.out.datagram == nil || f.x.out.counter != f.counter }

// span returns the distance from the counter of the oldest unacknowledged message to the
// next one. It is 0 if there is no unacknowledged message.
func (m *Manager) span(s *session.Session) uint32 {
	f := m.flights[s.Serial]
	if f == nil {
		return 0
	}
	done := 0
	for done < len(f.sent) && f.sent[done].over() {
		done++
	}
	f.sent = slices.Delete(f.sent, 0, done)
	if len(f.sent) == 0 {
		return 0
	}
	return s.LastCounter() + 1 - f.sent[0].counter
}

// room reports whether a reliable message may be sent now.
func (m *Manager) room(s *session.Session) bool { return m.span(s) < uint32(m.opt.InFlight) }

// flight returns the flight of a session, and makes it if there is none.
func (m *Manager) flight(s *session.Session) *flight {
	f := m.flights[s.Serial]
	if f == nil {
		f = &flight{}
		m.flights[s.Serial] = f
	}
	return f
}

// sent records the message that x has just sent. Unsecured sessions are too short to
// need it.
func (m *Manager) sent(x *Exchange) {
	if x.session.Kind != session.Unsecured {
		f := m.flight(x.session)
		f.sent = append(f.sent, inFlight{x, x.out.counter})
	}
}

// wait puts x at the end of those that wait for room.
func (m *Manager) wait(x *Exchange) {
	f := m.flight(x.session)
	f.waiting = append(f.waiting, x)
}

// resume sends the waiting messages of a session while there is room.
func (m *Manager) resume(now time.Time, s *session.Session) {
	f := m.flights[s.Serial]
	if f == nil {
		return
	}
	for len(f.waiting) > 0 && m.room(s) {
		x := f.waiting[0]
		f.waiting = slices.Delete(f.waiting, 0, 1)
		if !x.ended {
			x.transmitHeld(now)
		}
	}
}
