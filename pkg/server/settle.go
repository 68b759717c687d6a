package server

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/basicinformation"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// seen is what settle compared with last time.
type seen struct {
	generation uint64
	fabrics    map[matter.FabricIndex]*fabric.Fabric
	ads        advertised
	names      []operationalName // that are announced
	owned      bool              // there has been a fabric that was no mere attempt
	reset      bool              // what was before is to be forgotten
}

// look takes the state of the fabric table in.
func (s *seen) look(t *fabric.Table) {
	s.generation = t.Generation()
	s.fabrics = make(map[matter.FabricIndex]*fabric.Fabric, t.Len())
	for _, f := range t.All() {
		s.fabrics[f.Index] = f
		s.owned = s.owned || !f.Provisional
	}
}

// settle derives the effects of what the event changed. The order matters: a
// PASE session takes the new fabric before anything asks for its fabric; the end
// of a fail-safe shows in the fabric table, which sessions, model and
// announcements follow.
func (s *Server) settle(now time.Time) {
	s.adoptFabric()
	s.endFailSafe(now)
	s.followFabrics(now)
	s.forgetPast()
	s.followGroups()
	s.dropEvicted(now)
	s.talk.sessions.FreeUnsecured()
	s.model.engine.Settle(now)
	s.again.follow(now)
	s.keep.settle()
	s.trust.resume.Settle(now)
	s.closeSessions(now)
	s.announce()
	s.talk.current = nil
}

// adoptFabric gives the PASE session that sent AddNOC the new fabric (section
// 11.18.6.8).
func (s *Server) adoptFabric() {
	f := s.trust.failsafe
	if f.NOC() != failsafe.Added {
		return
	}
	for x := range s.talk.sessions.All() {
		if x.Kind == session.PASE && x.Serial == f.NOCSession() && x.Fabric == matter.NoFabric {
			x.Fabric = f.Fabric()
		}
	}
}

// endFailSafe closes what a fail-safe that ended leaves behind.
func (s *Server) endFailSafe(now time.Time) {
	s.expireOrphan()
	ended, ok := s.trust.failsafe.TakeEnded()
	if !ok {
		return
	}
	log := s.log.With("fabric", ended.Fabric)
	if ended.Completed {
		log.Info("commissioning complete", "fabrics", s.trust.fabrics.Len())
		s.forgetPasscode("the node is commissioned")
		s.trust.window.Close()
	} else {
		s.count.expirations++
		log.Warn("fail-safe ended, everything it held was taken back", "reason", ended.Reason.String())
	}
	for x := range s.talk.sessions.All() {
		switch {
		case x.Kind == session.PASE:
			s.forgetSession(now, x)
		case x.Kind == session.CASE && !ended.Completed && ended.NOC != failsafe.None && x.Fabric == ended.Fabric:
			s.closeSession(now, x)
		}
	}
	if !ended.Completed && ended.NOC == failsafe.Updated {
		s.trust.resume.Forget(ended.Fabric)
	}
	if s.talk.sessions.Len(session.PASE) == 0 || s.onlyClosing(session.PASE) {
		s.trust.window.SessionEnded(now)
	}
}

func (s *Server) onlyClosing(k session.Kind) bool {
	for x := range s.talk.sessions.All() {
		if x.Kind == k && !s.talk.closing[x] {
			return false
		}
	}
	return true
}

// expireOrphan ends a fail-safe whose PASE session is gone before it had added
// a fabric: nobody could go on with it, and the next commissioner need not wait.
func (s *Server) expireOrphan() {
	f := s.trust.failsafe
	if !f.Armed() || f.Fabric() != matter.NoFabric || f.NOC() != failsafe.None {
		return
	}
	for x := range s.talk.sessions.All() {
		if x.Kind == session.PASE && !s.talk.closing[x] {
			return
		}
	}
	f.Expire(failsafe.SessionLost)
}

// followFabrics makes sessions and model follow the fabric table.
func (s *Server) followFabrics(now time.Time) {
	t := s.trust.fabrics
	if t.Generation() == s.seen.generation {
		return
	}
	before := s.seen.fabrics
	s.seen.look(t)
	removed := false // from the store
	for i, old := range before {
		f := s.seen.fabrics[i]
		switch {
		case f == nil:
			s.fabricRemoved(now, old)
			removed = removed || !old.Provisional
		case !bytes.Equal(f.NOC, old.NOC):
			s.trust.resume.Forget(i)
			s.closeFabricSessions(now, i, nil)
		}
	}
	if t.Len() == 0 && s.seen.owned {
		s.vacate(now)
	}
	if removed {
		s.overwrite()
	}
}

func (s *Server) overwrite() { provision.Overwrite(s.trust.store, s.log) }

// vacate makes the node ready for its next owner: the last fabric is gone, and with
// it goes what its administrators have set (section 11.18.6.12). Were this not to
// reach the disk, the next start would do it.
func (s *Server) vacate(now time.Time) {
	s.log.Info("the last fabric is gone, the node can be commissioned again")
	s.seen.owned, s.seen.reset = false, true
	err := s.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			provision.ForgetSettings(n)
			return nil
		})
	})
	if err == nil {
		err = s.model.basic.Reset()
	}
	if err != nil {
		s.log.Warn("what the last administrator has set is not forgotten yet", "error", err)
	}
	s.model.general.Reset()
	s.openInitialWindow(now)
}

// fabricRemoved takes away what belonged to a fabric that is no more, the
// session that asked for it last (section 11.18.6.12).
func (s *Server) fabricRemoved(now time.Time, f *fabric.Fabric) {
	log := s.log.With("fabric", f.Index, "label", f.Label)
	// Without a session it was the operator, of whom the admin socket tells, or the
	// end of a fail-safe.
	if x := s.talk.current; x != nil && x.Kind == session.CASE {
		log = log.With("by", fmt.Sprintf("fabric %d", x.Fabric), "peer", x.PeerNode.String())
	}
	log.Info("fabric removed")
	e := s.model.engine
	since := e.Stats().Events
	e.Emit(now, 0, basicinformation.ID, basicinformation.EventLeave, f.Index, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(f.Index))
	})
	told := e.FabricRemoved(now, f.Index, since, s.trust.acl.Former(f))
	s.trust.window.FabricRemoved(f.Index)
	s.trust.failsafe.FabricRemoved(f.Index)
	s.trust.resume.Forget(f.Index)
	s.closeFabricSessions(now, f.Index, told)
}

// closeFabricSessions removes the sessions of a fabric; those in told, by their
// serial numbers, when the last that they carry has arrived.
func (s *Server) closeFabricSessions(now time.Time, i matter.FabricIndex, told []uint64) {
	for x := range s.talk.sessions.All() {
		switch {
		case x.Kind != session.CASE || x.Fabric != i:
		case slices.Contains(told, x.Serial):
			s.talk.closing[x] = true
		default:
			s.closeSession(now, x)
		}
	}
}

// forgetPast ends a factory reset, or the time of the last owner: when all have
// heard of it, nobody else is to hear of what was before.
func (s *Server) forgetPast() {
	if s.seen.reset {
		s.seen.reset = false
		s.model.engine.ForgetEvents()
	}
}

// closeSession removes a session; the one whose message is being handled first
// gets its answer through, and is removed when nothing is outstanding on it.
func (s *Server) closeSession(now time.Time, x *session.Session) {
	if x == s.talk.current {
		s.talk.closing[x] = true
		return
	}
	s.talk.channel.CloseSession(now, x)
}

// forgetSession does the same, and does not say so: a commissioner that goes on
// with the PASE session of a fail-safe that ended is to hear nothing (section
// 11.10.7.2.2 clears the context; the certification tests wait for a timeout).
func (s *Server) forgetSession(now time.Time, x *session.Session) {
	if x == s.talk.current {
		s.talk.closing[x] = true
		return
	}
	s.talk.channel.Forget(now, x)
}

// closeSessions removes sessions that were only kept for an answer.
func (s *Server) closeSessions(now time.Time) {
	for x := range s.talk.closing {
		if x.Gone() {
			delete(s.talk.closing, x)
		} else if !s.talk.exchanges.Outstanding(x) {
			delete(s.talk.closing, x)
			if x.Kind == session.PASE {
				s.talk.channel.Forget(now, x)
			} else {
				s.talk.channel.CloseSession(now, x)
			}
		}
	}
}

// dropEvicted tells the peers of sessions that had to make room.
func (s *Server) dropEvicted(now time.Time) {
	for _, x := range s.talk.sessions.TakeEvicted() {
		s.talk.channel.CloseSession(now, x)
	}
}

func (s *Server) openInitialWindow(now time.Time) {
	if err := s.trust.window.OpenInitial(now, s.opt.CommissioningTimeout); err != nil {
		panic("BUG: server: " + err.Error())
	}
	s.log.Info("open for commissioning", "for", s.opt.CommissioningTimeout)
}
