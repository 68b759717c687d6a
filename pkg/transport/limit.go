package transport

import (
	"net/netip"
	"sync"
	"time"
)

// Source returns the address under which the limits count datagrams that came by p. It is
// the peer's address. For a peer on another network it is the peer's /64, as a host there
// can take any address of it. Hosts on this link share a /64 and are counted separately.
func (p Path) Source() netip.Addr {
	a := p.Peer.Addr()
	if a.Is4() || a.IsLinkLocalUnicast() || !p.Local.Is6() {
		return a
	}
	if net := subnet(a); net != subnet(p.Local) {
		return net
	}
	return a
}

func subnet(a netip.Addr) netip.Addr {
	return netip.PrefixFrom(a, 64).Masked().Addr()
}

// Limiter is a limit for each source, with a token bucket for every source that was
// charged recently.
//
// The number of buckets is bounded. When there are too many, the bucket of the source
// that was charged least recently is removed. So a Limiter does not limit many sources
// together.
//
// A Limiter may be used by several goroutines at once.
type Limiter struct {
	rate, burst float64
	max         int

	mu     sync.Mutex
	table  map[netip.Addr]*bucket
	recent bucket // head of a ring of all buckets, the one charged last first
	free   *bucket
}

// bucket is a source's allowance at a time.
type bucket struct {
	source     netip.Addr
	left       float64
	at         time.Time
	prev, next *bucket
}

// NewLimiter returns a Limiter with which each source may be charged burst times at once
// and perSecond times a second on average. It remembers up to sources of them.
// NewLimiter panics on values below 1.
func NewLimiter(perSecond, burst, sources int) *Limiter {
	if perSecond < 1 || burst < 1 || sources < 1 {
		panic("BUG: transport: a limiter that allows nothing")
	}
	l := &Limiter{
		rate: float64(perSecond), burst: float64(burst), max: sources,
		table: make(map[netip.Addr]*bucket),
	}
	l.recent.prev, l.recent.next = &l.recent, &l.recent
	return l
}

// Exhausted reports whether a source has used up its allowance.
func (l *Limiter) Exhausted(now time.Time, source netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.table[source]
	return b != nil && !l.refill(b, now) && b.left < 1
}

// Charge takes one from a source's allowance, which may become negative, down to minus
// the burst: datagrams that were queued before the source was exhausted count, too.
func (l *Limiter) Charge(now time.Time, source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.table[source]
	if b == nil || l.refill(b, now) {
		b = l.add(now, source)
	} else {
		b.unlink()
	}
	b.left = max(-l.burst, b.left-1)
	b.link(&l.recent)
}

// Forgive restores the whole allowance of a source.
func (l *Limiter) Forgive(source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.table[source]; b != nil {
		l.drop(b)
	}
}

// Len returns how many sources are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.table)
}

// refill adds the allowance since the last call. If the bucket is full, refill removes it
// and reports true.
func (l *Limiter) refill(b *bucket, now time.Time) (full bool) {
	if d := now.Sub(b.at); d > 0 {
		b.left += l.rate * d.Seconds()
		b.at = now
	}
	if b.left < l.burst {
		return false
	}
	l.drop(b)
	return true
}

// add returns a full bucket that is in the table, but not yet in the ring.
func (l *Limiter) add(now time.Time, source netip.Addr) *bucket {
	if len(l.table) == l.max {
		l.drop(l.recent.prev)
	}
	b := l.free
	if b != nil {
		l.free = b.next
	} else {
		b = new(bucket)
	}
	*b = bucket{source: source, left: l.burst, at: now}
	l.table[source] = b
	return b
}

func (l *Limiter) drop(b *bucket) {
	delete(l.table, b.source)
	b.unlink()
	*b = bucket{next: l.free}
	l.free = b
}

func (b *bucket) unlink() {
	b.prev.next, b.next.prev = b.next, b.prev
}

func (b *bucket) link(ring *bucket) {
	b.prev, b.next = ring, ring.next
	b.prev.next, b.next.prev = b, b
}
