package node

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/stats"
)

// CASEKey is the outcome of a CASE handshake.
type CASEKey struct {
	Result  string
	Resumed bool
}

// RequestKey is an interaction and its outcome.
type RequestKey struct {
	Action string // "read", "write", "invoke", "subscribe", "timed"
	Status string
}

// CommandKey is a command of the Operational Credentials cluster and its outcome.
type CommandKey struct{ Command, Status string }

// counters are counts that no other part of the node has.
type counters struct {
	received, sent, sendErrors uint64
	dropped                    stats.Counters[string]
	expirations                uint64
	pase                       stats.Counters[string]
	paseFailures               uint64
	cases                      stats.Counters[CASEKey]
	caseDuration               stats.Histogram
	commands                   stats.Counters[CommandKey]
	requests                   stats.Counters[RequestKey]
	durations                  map[string]stats.Histogram
	hours                      uint32    // of operation, as stored
	since                      time.Time // start of this run
}

func (c *counters) init() {
	c.dropped = stats.Counters[string]{}
	for _, reason := range session.DropReasons() {
		c.dropped[reason.String()] = 0
	}
	c.pase = stats.Counters[string]{}
	c.cases = stats.Counters[CASEKey]{}
	for _, r := range securechannel.Results(session.PASE) {
		c.pase[r.String()] = 0
	}
	for _, r := range securechannel.Results(session.CASE) {
		c.cases[CASEKey{Result: r.String()}] = 0
		c.cases[CASEKey{Result: r.String(), Resumed: true}] = 0
	}
	c.commands = stats.Counters[CommandKey]{}
	c.requests = stats.Counters[RequestKey]{}
	c.durations = map[string]stats.Histogram{}
	c.caseDuration = stats.NewHistogram(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
}

// observe counts an interaction that ends now. It reads the clock: the time passed
// with the event does not include the event's handling.
func (n *Node) observe(a im.Action, status matter.Status, came time.Time) {
	n.count.requests[RequestKey{Action: a.String(), Status: status.String()}]++
	n.logRequest(a, status)
	h, ok := n.count.durations[a.String()]
	if !ok {
		h = stats.NewHistogram(.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5)
		n.count.durations[a.String()] = h
	}
	h.Observe(time.Since(came))
	n.count.durations[a.String()] = h
}
