package server

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Inspection is the internal state of a node, for tests.
type Inspection struct {
	Unsecured, PASE, CASE int
	Exchanges             int
	Subscriptions         int
	Interrupted           int // interrupted ones, not in Subscriptions
	Waiting               int // interactions that wait for their peer
	Fabrics               int
	Failures              int // failed PASE attempts of the open window
	WindowOpen            bool
	Sources               int // remembered by the limits
	Retransmissions       uint64
	Acks                  uint64
	Sent                  uint64
	Dropped               map[string]uint64
	CASEResults           map[string]uint64
	PASEResults           map[string]uint64
	Requests              map[string]uint64  // by action and status: "read SUCCESS"
	Took                  map[string]float64 // total duration of requests in seconds, by action
	ClockTrusted          bool
}

// Inspect reads the state on the loop.
func (s *Server) Inspect() (i Inspection, err error) {
	err = s.node.Do(func(now time.Time) error {
		m := s.node.Snapshot(now)
		i = Inspection{
			Unsecured:       m.Unsecured,
			PASE:            m.PASESessions,
			CASE:            m.CASESessions,
			Exchanges:       m.Exchanges,
			Subscriptions:   m.Subscriptions,
			Interrupted:     m.Interrupted,
			Waiting:         m.Waiting,
			Fabrics:         len(m.Fabrics),
			Failures:        m.Window.Failures,
			WindowOpen:      m.Window.Open,
			Sources:         m.Sources,
			Retransmissions: m.Retransmissions,
			Acks:            m.Acknowledgements,
			Sent:            m.Sent,
			Dropped:         m.Dropped,
			CASEResults:     map[string]uint64{},
			PASEResults:     m.PASE,
			Requests:        map[string]uint64{},
			Took:            map[string]float64{},
			ClockTrusted:    m.ClockTrusted,
		}
		for k, n := range m.Requests {
			i.Requests[k.Action+" "+k.Status] += n
		}
		for action, h := range m.RequestDuration {
			_, i.Took[action], _ = h.Totals()
		}
		for k, n := range m.CASE {
			i.CASEResults[k.Result] += n
		}
		return nil
	})
	return i, err
}

// Limits that tests check.
const (
	MaxUnsecured  = node.MaxUnsecured
	MaxSources    = transport.LimitedSources * 2 // sessions, handshakes
	QueueLen      = transport.QueueLen
	HandshakeRate = transport.HandshakesPerSecond
	MaxScrapers   = maxScrapers
)
