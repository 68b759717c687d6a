package node

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/basicinformation"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Limits of sessions.
const (
	MaxUnsecured    = 64
	sessionsReserve = 16 // in addition to the guaranteed ones
)

// maxSessions returns the limit of sessions, and of resumption records.
func (n *Node) maxSessions() int { return CASESessionsPerFabric*n.opt.MaxFabrics + sessionsReserve }

// idsOfRun returns the session ids for a run. They are disjoint from those of the
// last run; see securechannel.Records.
func idsOfRun(n uint64) session.IDs {
	if n%2 == 0 {
		return session.EvenIDs
	}
	return session.OddIDs
}

// openTalk creates sessions, exchanges and the secure channel.
func (n *Node) openTalk() {
	t := &n.talk
	t.closing = map[*session.Session]bool{}
	t.sessions = session.NewTable(session.Options{
		Rand:         n.opt.Rand,
		Max:          n.maxSessions(),
		IDs:          idsOfRun(n.opt.Start.Run),
		Guaranteed:   CASESessionsPerFabric,
		MaxUnsecured: MaxUnsecured,
		Busy:         func(x *session.Session) bool { return t.exchanges.Outstanding(x) },
		Carries:      func(x *session.Session) bool { return n.model.engine.Carries(x.Serial) },
		Removed: func(x *session.Session) {
			n.model.engine.SessionGone(x.Serial)
			delete(n.refusals, x.Serial)
		},
	})
	t.exchanges = exchange.New(exchange.Options{Send: n.send, Accept: n.accept, Rand: n.opt.Rand})
	t.channel = securechannel.New(securechannel.Options{
		Sessions:    t.sessions,
		Exchanges:   t.exchanges,
		Window:      n.trust.window,
		Fabrics:     n.trust.fabrics,
		Resumptions: n.trust.records,
		Rand:        n.opt.Rand,
		Parameters:  message.LocalParameters(),
		Validity:    n.sessionValidity,
		OnSession:   n.sessionOpened,
		OnClosed:    func(now time.Time, x *session.Session) { n.resubscriber.closed(now, x) },
		OnHandshake: n.handshakeOver,
	})
}

// sessionOpened is called after a successful handshake. PASE arms the fail-safe (section
// 5.5).
func (n *Node) sessionOpened(now time.Time, x *session.Session) {
	n.loop.inbox.Proven(x.Path)
	if x.Kind == session.PASE {
		if !n.trust.failsafe.Arm(now, matter.NoFabric, failsafe.ExpiryLength, x.Serial) {
			n.log.Warn("a commissioner came while an administrator holds the fail-safe; its session is closed", "address", x.Path.Peer)
			n.closeSession(now, x)
			n.trust.window.SessionEnded(now)
			return
		}
		n.log.Info("a commissioner has opened a PASE session", "address", x.Path.Peer)
		return
	}
	n.log.Debug("CASE session opened", "fabric", x.Fabric, "peer", x.PeerNode, "address", x.Path.Peer)
	n.resubscriber.heard(now, x)
}

// handshakeOver counts a handshake, and logs a failure.
func (n *Node) handshakeOver(now time.Time, o securechannel.Outcome) {
	result := o.Result.String()
	if o.Kind == session.PASE {
		n.count.pase[result]++
		if o.Result != securechannel.Success {
			n.count.paseFailures++
		}
	} else {
		n.count.cases[CASEKey{Result: result, Resumed: o.Resumed}]++
		if o.Result == securechannel.Success {
			n.count.caseDuration.Observe(o.Duration + time.Since(now)) // includes the handling of the last message
		}
	}
	if o.Result != securechannel.Success {
		n.logHandshake(now, o)
	}
}

// farewell stops serving: subscribers get the event ShutDown, and all sessions are
// closed.
func (n *Node) farewell(now time.Time) error {
	n.model.composition.stop(now)
	e := n.model.engine
	e.Emit(now, endpointRoot, basicinformation.ID, basicinformation.EventShutDown, matter.NoFabric, func(*tlv.Writer) {})
	e.Hurry()
	e.Settle(now)
	for x := range n.talk.sessions.All() {
		n.talk.channel.CloseSession(now, x)
	}
	return n.keepHours(now, true)
}
