package server

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Inspection is what tests see of a node from within.
type Inspection struct {
	Unsecured, PASE, CASE int
	Exchanges             int
	Subscriptions         int
	Interrupted           int // of the subscriptions beside them
	Waiting               int // interactions that wait for their peer
	Fabrics               int
	Failures              int // PASE attempts of the window that is open
	WindowOpen            bool
	Sources               int // that the limits remember
	Retransmissions       uint64
	Acks                  uint64
	Sent                  uint64
	Dropped               map[string]uint64
	CASEResults           map[string]uint64
	PASEResults           map[string]uint64
	Requests              map[string]uint64 // by action and status: "read SUCCESS"
}

// Inspect asks the loop.
func (s *Server) Inspect() (i Inspection, err error) {
	err = s.onLoop(func(time.Time) error {
		x, e := s.talk.exchanges.Stats(), s.model.engine.Stats()
		i = Inspection{
			Unsecured:       s.talk.sessions.Len(session.Unsecured),
			PASE:            s.talk.sessions.Len(session.PASE),
			CASE:            s.talk.sessions.Len(session.CASE),
			Exchanges:       x.Open,
			Waiting:         e.Waiting,
			Fabrics:         s.trust.fabrics.Len(),
			Failures:        s.trust.window.Failures(),
			WindowOpen:      s.trust.window.Open(),
			Sources:         s.loop.inbox.Stats().Sources,
			Retransmissions: x.Retransmissions,
			Acks:            x.Acks,
			Sent:            s.count.sent,
			Dropped:         s.dropped(),
			CASEResults:     map[string]uint64{},
			PASEResults:     s.count.pase.Clone(),
			Requests:        map[string]uint64{},
		}
		for _, q := range e.Requests {
			i.Requests[q.Action.String()+" "+q.Status.String()] = q.Count
		}
		i.Subscriptions, i.Interrupted = s.subscriptions()
		for k, n := range s.count.cases {
			i.CASEResults[k.Result] += n
		}
		return nil
	})
	return i, err
}

// Bounds that tests hold the node to.
const (
	MaxUnsecured  = maxUnsecured
	MaxSources    = transport.LimitedSources * 2 // sessions, handshakes
	QueueLen      = transport.QueueLen
	HandshakeRate = transport.HandshakesPerSecond
	MaxScrapers   = maxScrapers
)
