package session

import (
	"cmp"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// candidate is a session that may be evicted for a new one, with the criteria.
type candidate struct {
	session    *Session
	onFabric   int  // sessions of its fabric
	sameFabric bool // same fabric as the new session
	toPeer     int  // sessions with its peer
	samePeer   bool // same peer as the new session, and that peer has an active one
	carries    bool // Options.Carries reports true
}

// crowd counts the sessions of one peer.
type crowd struct{ all, active int }

type peerKey struct {
	fabric matter.FabricIndex
	node   matter.NodeID
}

// victim returns the session to evict for a new one with the given peer, or nil if
// there is none. Section 4.11.1 evicts the least recently used session. Here that
// is the last criterion, after fairness among fabrics: a fabric that opens session
// after session loses its own, not those of others. A session in use is evicted
// only for a fabric that has fewer than it is guaranteed, and only if its own
// fabric has more.
func (t *Table) victim(fabric matter.FabricIndex, peer matter.NodeID) *Session {
	fabrics, peers := make(map[matter.FabricIndex]int), make(map[peerKey]crowd)
	for _, s := range t.list {
		fabrics[s.Fabric]++
		k := peerKey{s.Fabric, s.PeerNode}
		c := peers[k]
		c.all++
		if !s.Defunct {
			c.active++
		}
		peers[k] = c
	}
	var idle, busy candidate
	for _, s := range t.list {
		with := peers[peerKey{s.Fabric, s.PeerNode}]
		c := candidate{
			session: s, onFabric: fabrics[s.Fabric], sameFabric: s.Fabric == fabric,
			toPeer: with.all, carries: t.opt.Carries(s),
		}
		c.samePeer = c.sameFabric && s.PeerNode == peer && (s.Defunct || with.active > 1)
		best := &idle
		if t.opt.Busy(s) {
			best = &busy
		}
		if (c.sameFabric && best == &idle || c.onFabric > t.opt.Guaranteed) && (best.session == nil || c.before(best)) {
			*best = c
		}
	}
	if idle.session == nil && fabrics[fabric] < t.opt.Guaranteed {
		return busy.session
	}
	return idle.session
}

// before reports whether c should be evicted before o.
func (c *candidate) before(o *candidate) bool {
	order := cmp.Or(
		-cmp.Compare(c.onFabric, o.onFabric),
		-compareBool(c.sameFabric, o.sameFabric),
		-cmp.Compare(c.toPeer, o.toPeer),
		-compareBool(c.samePeer, o.samePeer),
		compareBool(c.carries, o.carries),
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

// evictUnsecured evicts the least recently used unsecured session that is not in
// use. It reports whether there was one.
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

// past holds the windows of unsecured sessions that were freed recently, so that a
// message that the network delivers twice does not begin a second handshake. Its
// size is fixed.
type past struct {
	windows [32]struct {
		key unsecuredKey
		in  window
	}
	next int
}

func (p *past) put(key unsecuredKey, in window) {
	p.windows[p.next].key, p.windows[p.next].in = key, in
	p.next = (p.next + 1) % len(p.windows)
}

// take returns the window of a freed session, or an empty one if it is not known.
func (p *past) take(key unsecuredKey) (in window) {
	for i := range p.windows {
		if w := &p.windows[i]; w.key == key && w.in.any {
			in = w.in
			w.in = window{}
		}
	}
	return in
}
