package securechannel

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// An attacker who has recorded a Sigma1 can send it again any number of times, and
// acknowledge the Sigma2 that it gets. Such handshakes look like those of a slow
// initiator. Therefore a source may hold only half of the places, and when there is
// none left, the source that holds the most loses its oldest handshake.
const (
	// keepPlace is how long a handshake is protected from sources that hold no more
	// places than its own source. A genuine initiator on the local network needs a
	// fraction of it for the whole handshake.
	keepPlace = time.Second
	// minBusyWait is the shortest wait that an initiator is asked for.
	minBusyWait = 500 * time.Millisecond
)

var (
	errBusy      = errors.New("too many handshakes under way")
	errDisplaced = errors.New("another initiator needed the place")
)

// place gives a CASE handshake a place. It may end another handshake for that.
// place is called when Sigma1 has been found to be for this node, before any
// expensive computation. If it returns false, it has set h.wait.
func (c *Channel) place(now time.Time, h *handshake) bool {
	victim, wait := c.victim(now, h)
	if wait > 0 {
		h.wait = max(wait, minBusyWait)
		return false
	}
	if victim != nil {
		victim.displace(now)
	}
	c.cases = append(c.cases, h)
	return true
}

// victim returns the handshake to end for h, or nil if there is room. If none may
// be ended yet, it returns how long to wait.
func (c *Channel) victim(now time.Time, h *handshake) (victim *handshake, wait time.Duration) {
	own, most := c.held(h), 0
	full := len(c.cases) >= c.opt.MaxHandshakes
	crowded := own >= max(1, c.opt.MaxHandshakes/2)
	if !full && !crowded {
		return nil, 0
	}
	for _, o := range c.cases { // oldest first
		if n := c.held(o); n > most && (!crowded || o.source == h.source) && o.exchange.Session() != h.exchange.Session() {
			victim, most = o, n
		}
	}
	switch {
	case victim == nil:
		// All are from the source of h itself.
		return nil, keepPlace
	case most > own+1:
		return victim, 0
	}
	return victim, keepPlace - now.Sub(victim.began)
}

// held returns the number of handshakes from the source of h.
func (c *Channel) held(h *handshake) (n int) {
	for _, o := range c.cases {
		if o.source == h.source {
			n++
		}
	}
	return n
}

// displace ends a handshake for another one, and reports once to its initiator that
// it may try again.
func (h *handshake) displace(now time.Time) {
	s := h.exchange.Session()
	h.wait = minBusyWait
	report := h.report(Displaced)
	_ = h.exchange.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
	h.end(now, Outcome{Result: Displaced, Err: errDisplaced})
	h.c.remove(now, s) // nothing is retransmitted
}
