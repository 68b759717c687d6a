package node

import (
	"crypto/x509"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/stats"
)

// Snapshot is the state of the node at one moment. It does not change with the
// node.
type Snapshot struct {
	Product       Product
	UniqueID      string
	NodeLabel     string
	ClockTrusted  bool // the clock can be right
	Fabrics       []FabricState
	MaxFabrics    int
	Window        WindowState
	FailSafe      FailSafeState
	Services      []Service // that are announced
	PASESessions  int
	CASESessions  int
	Unsecured     int // handshakes
	Subscriptions int // with a session
	Interrupted   int // without a session
	Subscribers   int // nodes with a subscription that has a session
	Unreachable   int // nodes none of whose subscriptions has a session
	Exchanges     int
	Waiting       int // interactions that wait for their peer
	Sources       int // sources of unauthenticated datagrams that are remembered
	Certificates  []Certificate

	FailSafeExpirations uint64
	PASE                stats.Counters[string] // by result
	PASEFailures        uint64
	CASE                stats.Counters[CASEKey]
	CASEDuration        stats.Histogram
	Received            uint64
	Sent                uint64
	Dropped             stats.Counters[string] // by reason
	Retransmissions     uint64
	Acknowledgements    uint64 // standalone ones that were sent
	Timeouts            uint64 // messages that were never acknowledged
	Duplicates          uint64 // messages received more than once
	Requests            stats.Counters[RequestKey]
	RequestDuration     map[string]stats.Histogram // by action
	Commands            stats.Counters[CommandKey]
	Commit              stats.Histogram
}

// FabricState is a fabric with its open sessions and subscriptions.
type FabricState struct {
	*fabric.Fabric
	Sessions      int // CASE
	Subscriptions int
	Interrupted   int
	LastHeard     time.Time // when something came on one of the sessions; zero: there is none
	Added         time.Time // zero: not known
}

// WindowState is the commissioning window.
type WindowState struct {
	Open     bool
	Kind     string    // "closed", "initial", "basic" or "enhanced"
	Closes   time.Time // zero: it is closed
	Failures int
}

// FailSafeState is the fail-safe context.
type FailSafeState struct {
	Armed  bool
	Fabric matter.FabricIndex
	Ends   time.Time // zero: it is not armed
}

// Certificate is a certificate of the node. The expiry is the zero time if it has
// none.
type Certificate struct {
	Kind     string // "dac", "pai", "noc", "icac", "rcac"
	Fabric   matter.FabricIndex
	NotAfter time.Time
}

// Snapshot returns the node as it is.
func (n *Node) Snapshot(now time.Time) Snapshot {
	t, c := &n.trust, &n.count
	x, e, inbox := n.talk.exchanges.Stats(), n.model.engine.Stats(), n.loop.inbox.Stats()
	s := Snapshot{
		Product:      n.opt.Product,
		UniqueID:     t.identity.UniqueID,
		NodeLabel:    n.model.basic.NodeLabel(),
		ClockTrusted: n.clockTrusted(now),
		Fabrics:      n.fabricStates(now, e.Subscriptions),
		MaxFabrics:   n.opt.MaxFabrics,
		Window:       WindowState{Open: t.window.Open(), Kind: t.window.Kind().String(), Failures: t.window.Failures()},
		FailSafe:     FailSafeState{Armed: t.failsafe.Armed(), Fabric: t.failsafe.Fabric()},
		Services:     n.services(),
		PASESessions: n.talk.sessions.Len(session.PASE),
		CASESessions: n.talk.sessions.Len(session.CASE),
		Unsecured:    n.talk.sessions.Len(session.Unsecured),
		Subscribers:  e.Subscribers,
		Unreachable:  e.Unreachable,
		Exchanges:    x.Open,
		Waiting:      e.Waiting,
		Sources:      inbox.Sources,
		Certificates: n.certificates(),

		FailSafeExpirations: c.expirations,
		PASE:                c.pase.Clone(),
		PASEFailures:        c.paseFailures,
		CASE:                c.cases.Clone(),
		CASEDuration:        c.caseDuration.Clone(),
		Received:            c.received + inbox.Limited + inbox.Displaced,
		Sent:                c.sent,
		Dropped:             n.dropped(),
		Retransmissions:     x.Retransmissions,
		Acknowledgements:    x.Acks,
		Timeouts:            x.Timeouts,
		Duplicates:          x.Duplicates,
		Requests:            c.requests.Clone(),
		RequestDuration:     map[string]stats.Histogram{},
		Commands:            c.commands.Clone(),
		Commit:              n.opt.Commits.Clone(),
	}
	s.Window.Closes, _ = t.window.Deadline()
	s.FailSafe.Ends, _ = t.failsafe.Deadline()
	for _, u := range e.Subscriptions {
		s.Subscriptions += u.Count
		s.Interrupted += u.Interrupted
	}
	for action, h := range c.durations {
		s.RequestDuration[action] = h.Clone()
	}
	return s
}

// Received returns the number of datagrams that the loop has handled.
func (n *Node) Received() uint64 { return n.count.received }

func (n *Node) fabricStates(now time.Time, subscriptions []im.SubscriptionStats) []FabricState {
	sessions := map[matter.FabricIndex]int{}
	heard := map[matter.FabricIndex]time.Time{}
	for x := range n.talk.sessions.All() {
		if x.Kind == session.CASE {
			sessions[x.Fabric]++
			// The wall clock may have been set since.
			heard[x.Fabric] = later(heard[x.Fabric], now.Add(-now.Sub(x.LastReceived)))
		}
	}
	var list []FabricState
	for _, f := range n.trust.fabrics.All() {
		s := FabricState{Fabric: f, Sessions: sessions[f.Index], LastHeard: heard[f.Index]}
		if at, ok := n.settled.joined[f.Index]; ok {
			s.Added = now.Add(-now.Sub(at))
		} else if f.Added != 0 {
			s.Added = time.Unix(int64(f.Added)+matter.EpochOffset, 0)
		}
		for _, u := range subscriptions {
			if u.Fabric == f.Index {
				s.Subscriptions, s.Interrupted = u.Count, u.Interrupted
			}
		}
		list = append(list, s)
	}
	return list
}

// Reasons for dropping datagrams, in addition to those of package session.
const (
	dropSourceLimit  = "source_limit"
	dropQueueFull    = "queue_full"
	dropRefused      = "refused"       // beyond a limit of exchanges, or without a handler
	dropUnmatched    = "unmatched"     // for an exchange that does not exist
	dropNotPermitted = "not_permitted" // on the wrong kind of session
)

// dropped returns the number of dropped datagrams by reason. It always contains
// every reason, because Prometheus misses the first increase of a counter that
// appears with 1.
func (n *Node) dropped() stats.Counters[string] {
	c := n.count.dropped.Clone()
	waiting := n.loop.inbox.Stats()
	c[dropSourceLimit], c[dropQueueFull] = waiting.Limited, waiting.Displaced
	x := n.talk.exchanges.Stats()
	c[dropRefused], c[dropUnmatched], c[dropNotPermitted] = x.Refused, x.Unmatched, x.NotPermitted
	return c
}

func (n *Node) certificates() []Certificate {
	var list []Certificate
	// The PAI may expire after it has issued the DAC, so it is not included.
	if c, err := x509.ParseCertificate(n.trust.material.DAC); err == nil && c.NotAfter.Year() < 9999 {
		list = append(list, Certificate{Kind: "dac", NotAfter: c.NotAfter})
	}
	for _, f := range n.trust.fabrics.All() {
		for kind, c := range map[string]*cert.Certificate{"noc": f.NOCCert, "icac": f.ICACCert, "rcac": f.RootCert} {
			if c != nil {
				list = append(list, Certificate{Kind: kind, Fabric: f.Index, NotAfter: notAfter(c.NotAfter)})
			}
		}
	}
	return list
}

// notAfter returns the end of validity of an operational certificate; 0 means that there is none.
func notAfter(epoch uint32) time.Time {
	if epoch == 0 {
		return time.Time{}
	}
	return time.Unix(int64(epoch)+matter.EpochOffset, 0).UTC()
}
