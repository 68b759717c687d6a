package securechannel

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// Who recorded a Sigma1 can send it again for ever, and acknowledge the Sigma2
// that it gets. Such handshakes look like those of a slow initiator. So places are
// shared: a source may hold half of them, and where one is missing, the source
// that holds the most loses its oldest handshake.
const (
	// keepPlace is how long a handshake is safe from others whose source holds no
	// less than its own. A good initiator on the local network needs a fraction of
	// it for the whole handshake.
	keepPlace = time.Second
	// minBusyWait keeps initiators that are told to wait from coming back at once.
	minBusyWait = 500 * time.Millisecond
)

var (
	errBusy      = errors.New("too many handshakes under way")
	errDisplaced = errors.New("another initiator needed the place")
)

// place gives a CASE handshake a place among those under way, if need be that of
// another one. It is asked for when Sigma1 has turned out to be for this node, and
// before anything expensive. If there is none, h knows how long to wait.
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

// victim returns the handshake that must go for h, nil if none has to, or how long
// it takes until one may.
func (c *Channel) victim(now time.Time, h *handshake) (victim *handshake, wait time.Duration) {
	own, most := c.held(h), 0
	full := len(c.cases) >= c.opt.MaxHandshakes
	crowded := own >= max(1, c.opt.MaxHandshakes/2)
	if !full && !crowded {
		return nil, 0
	}
	for _, o := range c.cases { // the oldest first
		if n := c.held(o); n > most && (!crowded || o.source == h.source) && o.exchange.Session() != h.exchange.Session() {
			victim, most = o, n
		}
	}
	switch {
	case victim == nil:
		// All are on the session of h itself, which cannot go.
		return nil, keepPlace
	case most > own+1:
		return victim, 0
	}
	return victim, keepPlace - now.Sub(victim.began)
}

// held returns how many handshakes the source of h has under way.
func (c *Channel) held(h *handshake) (n int) {
	for _, o := range c.cases {
		if o.source == h.source {
			n++
		}
	}
	return n
}

// displace ends a handshake for the good of another one, and tells its initiator
// once that it may try again.
func (h *handshake) displace(now time.Time) {
	s := h.exchange.Session()
	h.wait = minBusyWait
	report := h.report(Displaced)
	_ = h.exchange.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
	h.end(now, Outcome{Result: Displaced, Err: errDisplaced})
	h.c.remove(now, s) // nothing that was sent is sent again
}
