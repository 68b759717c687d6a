package node

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

// settled is the state after the last settle.
type settled struct {
	generation uint64
	fabrics    map[matter.FabricIndex]*fabric.Fabric
	joined     map[matter.FabricIndex]time.Time // when, of fabrics added in this run
	advertised advertised
	names      []operationalName // that are announced
	owned      bool              // a fabric was completely commissioned
	reset      bool              // earlier events must be removed
}

// take copies the state of the fabric table.
func (s *settled) take(t *fabric.Table) {
	s.generation = t.Generation()
	s.fabrics = make(map[matter.FabricIndex]*fabric.Fabric, t.Len())
	for _, f := range t.All() {
		s.fabrics[f.Index] = f
		s.owned = s.owned || !f.Provisional
	}
}

// settle derives the effects of an event. The order matters: a PASE session gets the new
// fabric before anything reads its fabric, and the end of a fail-safe changes the fabric
// table before sessions, model and announcements are compared with it.
func (n *Node) settle(now time.Time) {
	n.adoptFabric()
	for ok := true; ok; ok = n.trust.failsafe.Ending() { // a fabric that goes ends its fail-safe
		n.endFailSafe(now)
		n.followFabrics(now)
	}
	n.forgetPast()
	n.followGroups()
	n.dropEvicted(now)
	n.talk.sessions.FreeUnsecured()
	for _, c := range n.opt.Components {
		c.Settle(now)
	}
	n.model.composition.settle(now)
	n.model.engine.Settle(now)
	n.resubscriber.follow(now)
	n.keeper.settle()
	n.trust.records.Settle(now)
	n.closeSessions(now)
	n.announce()
	n.talk.current = nil
}

// adoptFabric gives the PASE session that sent AddNOC the new fabric (section
// 11.18.6.8).
func (n *Node) adoptFabric() {
	f := n.trust.failsafe
	if f.NOC() != failsafe.Added {
		return
	}
	for x := range n.talk.sessions.All() {
		if x.Kind == session.PASE && x.Serial == f.NOCSession() && x.Fabric == matter.NoFabric {
			x.Fabric = f.Fabric()
		}
	}
}

// logCommissioned logs that a commissioner is done with a fabric, and who it is.
func (n *Node) logCommissioned(i matter.FabricIndex) {
	log := n.log.With("fabric", i, "fabrics", n.trust.fabrics.Len())
	if f := n.trust.fabrics.Get(i); f != nil {
		log = log.With("vendor", fmt.Sprintf("0x%04X", uint16(f.VendorID)))
		if f.Label != "" {
			log = log.With("label", f.Label)
		}
	}
	var by *session.Session // CommissioningComplete has come by the newest
	for x := range n.talk.sessions.All() {
		if x.Kind == session.CASE && x.Fabric == i && (by == nil || x.LastReceived.After(by.LastReceived)) {
			by = x
		}
	}
	if by != nil {
		log = log.With("peer", by.PeerNode, "address", by.Path.Peer)
	}
	log.Info("commissioning complete")
}

// endFailSafe closes the sessions of a fail-safe that has ended.
func (n *Node) endFailSafe(now time.Time) {
	n.expireOrphan()
	ended, ok := n.trust.failsafe.TakeEnded()
	if !ok {
		return
	}
	log := n.log.With("fabric", ended.Fabric)
	if ended.Completed {
		n.logCommissioned(ended.Fabric)
		n.forgetPasscode("the node is commissioned")
		n.trust.window.Close()
	} else {
		n.count.expirations++
		log.Warn("fail-safe ended, everything it held was taken back", "reason", ended.Reason.String())
	}
	for x := range n.talk.sessions.All() {
		switch {
		case x.Kind == session.PASE:
			n.forgetSession(now, x)
		case x.Kind == session.CASE && !ended.Completed && ended.NOC != failsafe.None && x.Fabric == ended.Fabric:
			n.closeSession(now, x)
		}
	}
	if !ended.Completed && ended.NOC == failsafe.Updated {
		n.trust.records.Forget(ended.Fabric)
	}
	if n.talk.sessions.Len(session.PASE) == 0 || n.onlyClosing(session.PASE) {
		n.trust.window.SessionEnded(now)
	}
}

func (n *Node) onlyClosing(k session.Kind) bool {
	for x := range n.talk.sessions.All() {
		if x.Kind == k && !n.talk.closing[x] {
			return false
		}
	}
	return true
}

// expireOrphan ends a fail-safe whose PASE session has ended without adding a
// fabric. It is of no use any more, and would delay the next commissioner.
func (n *Node) expireOrphan() {
	f := n.trust.failsafe
	if !f.Armed() || f.Fabric() != matter.NoFabric || f.NOC() != failsafe.None {
		return
	}
	for x := range n.talk.sessions.All() {
		if x.Kind == session.PASE && !n.talk.closing[x] {
			return
		}
	}
	f.Expire(failsafe.SessionLost)
}

// followFabrics updates sessions and model if the fabric table has changed.
func (n *Node) followFabrics(now time.Time) {
	t := n.trust.fabrics
	if t.Generation() == n.settled.generation {
		return
	}
	before := n.settled.fabrics
	for _, f := range t.All() {
		if before[f.Index] == nil {
			n.settled.joined[f.Index] = now
		}
	}
	n.dateFabrics(now)
	n.settled.take(t)
	removed := false // from the store
	for i, old := range before {
		f := n.settled.fabrics[i]
		switch {
		case f == nil:
			delete(n.settled.joined, i)
			n.fabricRemoved(now, old)
			removed = removed || !old.Provisional
		case !bytes.Equal(f.NOC, old.NOC):
			n.trust.records.Forget(i)
			n.closeFabricSessions(now, i, nil)
		}
	}
	if t.Len() == 0 && n.settled.owned {
		n.vacate(now)
	}
	if removed {
		n.overwrite()
	}
}

func (n *Node) overwrite() { provision.Overwrite(n.trust.store, n.log) }

// vacate prepares the node for its next owner after the last fabric was removed:
// the settings of its administrators are reset (section 11.18.6.12). If the store
// fails, the next start does it.
func (n *Node) vacate(now time.Time) {
	n.log.Info("the last fabric is gone, the node can be commissioned again")
	n.settled.owned, n.settled.reset = false, true
	err := n.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			provision.ForgetSettings(n)
			return nil
		})
	})
	if err == nil {
		err = n.model.basic.Reset()
	}
	if err != nil {
		n.log.Warn("what the last administrator has set is not forgotten yet", "error", err)
	}
	n.model.general.Reset()
	if n.trust.window.Open() { // opened for the next owner (section 11.19.7.2)
		n.log.Info("the commissioning window stays open")
	}
	if err := n.trust.window.FollowWithInitial(now, n.opt.CommissioningTimeout); err != nil {
		panic("BUG: node: " + err.Error())
	}
}

// fabricRemoved removes what belongs to a removed fabric. The session that
// requested the removal is closed last (section 11.18.6.12).
func (n *Node) fabricRemoved(now time.Time, f *fabric.Fabric) {
	log := n.log.With("fabric", f.Index, "label", f.Label)
	// Without a session the removal was requested by the operator, whose request is
	// logged, or caused by the end of a fail-safe.
	if x := n.talk.current; x != nil && x.Kind == session.CASE {
		log = log.With("by", fmt.Sprintf("fabric %d", x.Fabric), "peer", x.PeerNode.String())
	}
	log.Info("fabric removed")
	e := n.model.engine
	since := e.Stats().Events
	e.Emit(now, 0, basicinformation.ID, basicinformation.EventLeave, f.Index, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(f.Index))
	})
	reported := e.FabricRemoved(now, f.Index, since, n.trust.acl.Former(f))
	n.trust.window.FabricRemoved(f.Index)
	n.trust.failsafe.FabricRemoved(f.Index)
	n.trust.records.Forget(f.Index)
	n.closeFabricSessions(now, f.Index, reported)
}

// closeFabricSessions closes the sessions of a fabric. The sessions in reported
// carry a last report and are closed when it is acknowledged.
func (n *Node) closeFabricSessions(now time.Time, i matter.FabricIndex, reported []uint64) {
	for x := range n.talk.sessions.All() {
		switch {
		case x.Kind != session.CASE || x.Fabric != i:
		case slices.Contains(reported, x.Serial):
			n.talk.closing[x] = true
		default:
			n.closeSession(now, x)
		}
	}
}

// forgetPast removes events from before a factory reset, or of the last owner,
// after the last reports were sent.
func (n *Node) forgetPast() {
	if n.settled.reset {
		n.settled.reset = false
		n.model.engine.ForgetEvents()
	}
}

// closeSession closes a session. The session whose message is being handled is
// closed when the answer is acknowledged.
func (n *Node) closeSession(now time.Time, x *session.Session) {
	if x == n.talk.current {
		n.talk.closing[x] = true
		return
	}
	n.talk.channel.CloseSession(now, x)
}

// forgetSession removes a session without notifying the peer. A commissioner on the
// PASE session of a fail-safe that has ended gets no answer: section 11.10.7.2.2
// clears the context, and the certification tests expect a timeout.
func (n *Node) forgetSession(now time.Time, x *session.Session) {
	if x == n.talk.current {
		n.talk.closing[x] = true
		return
	}
	n.talk.channel.Forget(now, x)
}

// closeSessions removes sessions that only waited for an acknowledgement.
func (n *Node) closeSessions(now time.Time) {
	for x := range n.talk.closing {
		if x.Gone() {
			delete(n.talk.closing, x)
		} else if !n.talk.exchanges.Outstanding(x) {
			delete(n.talk.closing, x)
			if x.Kind == session.PASE {
				n.talk.channel.Forget(now, x)
			} else {
				n.talk.channel.CloseSession(now, x)
			}
		}
	}
}

// dropEvicted notifies the peers of sessions that were evicted.
func (n *Node) dropEvicted(now time.Time) {
	for _, x := range n.talk.sessions.TakeEvicted() {
		n.talk.channel.CloseSession(now, x)
	}
}

func (n *Node) openInitialWindow(now time.Time) {
	if err := n.trust.window.OpenInitial(now, n.opt.CommissioningTimeout); err != nil {
		panic("BUG: node: " + err.Error())
	}
}
