package session

import (
	"cmp"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// candidate is a session that may give way to a new one, with what decides.
type candidate struct {
	session    *Session
	onFabric   int  // sessions of its fabric
	sameFabric bool // as the new session
	toPeer     int  // sessions with its peer
	samePeer   bool // as the new session, and the peer keeps an active one
}

// victim returns the session to evict for a new one with the given peer, nil if
// all are in use. Section 4.11.1 has the one used least recently go. That comes
// last here, and fairness to fabrics first: one that asks for session after
// session ends its own, not those of others.
func (t *Table) victim(fabric matter.FabricIndex, peer matter.NodeID) *Session {
	var best candidate
	for _, s := range t.list {
		if t.opt.Busy(s) {
			continue
		}
		c := t.candidate(s, fabric, peer)
		if best.session == nil || c.before(&best) {
			best = c
		}
	}
	return best.session
}

func (t *Table) candidate(s *Session, fabric matter.FabricIndex, peer matter.NodeID) candidate {
	c := candidate{session: s, sameFabric: s.Fabric == fabric}
	active := 0
	for _, o := range t.list {
		if o.Fabric != s.Fabric {
			continue
		}
		c.onFabric++
		if o.PeerNode == s.PeerNode {
			c.toPeer++
			if !o.Defunct {
				active++
			}
		}
	}
	c.samePeer = c.sameFabric && s.PeerNode == peer && (s.Defunct || active > 1)
	return c
}

// before reports whether c is to be evicted rather than o.
func (c *candidate) before(o *candidate) bool {
	order := cmp.Or(
		-cmp.Compare(c.onFabric, o.onFabric),
		-compareBool(c.sameFabric, o.sameFabric),
		-cmp.Compare(c.toPeer, o.toPeer),
		-compareBool(c.samePeer, o.samePeer),
		-compareBool(c.session.Defunct, o.session.Defunct),
		c.session.LastUsed.Compare(o.session.LastUsed),
		cmp.Compare(c.session.Serial, o.session.Serial),
	)
	return order < 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// evictUnsecured evicts the unsecured session used least recently of those that
// are not in use, and reports whether there was one.
func (t *Table) evictUnsecured() bool {
	var oldest *Session
	consider := func(s *Session) {
		if oldest != nil && cmp.Or(s.LastUsed.Compare(oldest.LastUsed), cmp.Compare(s.Serial, oldest.Serial)) >= 0 {
			return
		}
		if !t.opt.Busy(s) {
			oldest = s
		}
	}
	for _, s := range t.initiators {
		consider(s)
	}
	for _, s := range t.responders {
		consider(s)
	}
	if oldest == nil {
		return false
	}
	t.evict(oldest)
	return true
}
