package server

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/basicinformation"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Bounds of what peers can make the node keep.
const (
	maxUnsecured    = 64
	sessionsReserve = 16 // beyond those that every fabric can count on
)

// maxSessions is how many sessions there can be, and how many peers are
// remembered that may resume theirs.
func (s *Server) maxSessions() int { return caseSessionsPerFabric*s.opt.MaxFabrics + sessionsReserve }

// idsOfRun returns the session ids of a run, none of which were those of the run
// before; see securechannel.Records.
func idsOfRun(n uint64) session.IDs {
	if n%2 == 0 {
		return session.EvenIDs
	}
	return session.OddIDs
}

// openTalk makes sessions, exchanges and the secure channel.
func (s *Server) openTalk() {
	t := &s.talk
	t.closing = map[*session.Session]bool{}
	t.sessions = session.NewTable(session.Options{
		Rand:         s.opt.Rand,
		Max:          s.maxSessions(),
		IDs:          idsOfRun(s.trust.run),
		Guaranteed:   caseSessionsPerFabric,
		MaxUnsecured: maxUnsecured,
		Busy:         func(x *session.Session) bool { return t.exchanges.Outstanding(x) },
		Carries:      func(x *session.Session) bool { return s.model.engine.Carries(x.Serial) },
		Removed:      func(x *session.Session) { s.model.engine.SessionGone(x.Serial) },
	})
	t.exchanges = exchange.New(exchange.Options{Send: s.send, Accept: s.accept, Rand: s.opt.Rand})
	t.channel = securechannel.New(securechannel.Options{
		Sessions:    t.sessions,
		Exchanges:   t.exchanges,
		Window:      s.trust.window,
		Fabrics:     s.trust.fabrics,
		Resumptions: s.trust.resume,
		Rand:        s.opt.Rand,
		Parameters:  message.LocalParameters(),
		Validity:    s.sessionValidity,
		OnSession:   s.sessionOpened,
		OnClosed:    func(now time.Time, x *session.Session) { s.again.closed(now, x) },
		OnHandshake: s.handshakeOver,
	})
}

// sessionOpened follows a handshake. PASE arms the fail-safe (section 5.5).
func (s *Server) sessionOpened(now time.Time, x *session.Session) {
	s.loop.inbox.Proven(x.Path)
	if x.Kind == session.PASE {
		if !s.trust.failsafe.Arm(now, matter.NoFabric, failsafe.ExpiryLength, x.Serial) {
			s.log.Warn("a commissioner came while an administrator holds the fail-safe; its session is closed")
			s.closeSession(now, x)
			s.trust.window.SessionEnded(now)
			return
		}
		s.log.Info("a commissioner has opened a PASE session")
		return
	}
	s.log.Debug("CASE session opened", "fabric", x.Fabric, "peer", x.PeerNode)
	s.again.heard(now, x)
}

// handshakeOver counts a handshake, and logs one that failed.
func (s *Server) handshakeOver(now time.Time, o securechannel.Outcome) {
	result := o.Result.String()
	if o.Kind == session.PASE {
		s.count.pase[result]++
		if o.Result != securechannel.Success {
			s.count.paseFailures++
		}
	} else {
		s.count.cases[metrics.CASEKey{Result: result, Resumed: o.Resumed}]++
		if o.Result == securechannel.Success {
			s.count.caseDuration.Observe(o.Duration)
		}
	}
	if o.Result == securechannel.Success {
		return
	}
	log := s.log.With("type", o.Kind, "result", result, "cause", o.Err)
	if o.Kind != session.PASE { // anybody can make CASE handshakes fail
		log.Debug("handshake failed")
	} else if missed, ok := s.quiet.Allow(now); ok {
		log.Warn("handshake failed", "not_logged_before", missed)
	}
}

// farewell is the end of serving: subscribers hear that the node shuts down, and
// every peer that its session ends.
func (s *Server) farewell(now time.Time) error {
	e := s.model.engine
	e.Emit(now, endpointRoot, basicinformation.ID, basicinformation.EventShutDown, matter.NoFabric, func(*tlv.Writer) {})
	e.Hurry()
	e.Settle(now)
	for x := range s.talk.sessions.All() {
		s.talk.channel.CloseSession(now, x)
	}
	return s.keepHours(now, true)
}
