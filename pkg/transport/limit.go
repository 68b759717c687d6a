package transport

import (
	"net/netip"
	"sync"
	"time"
)

// Source returns what datagrams that came by p are counted under where sources
// are limited: the peer's address or, for one that is on another network than
// the address it called, the /64 that it is in, of which a host there can take
// any address. Hosts on our own link share their /64 with each other; each of
// them counts by itself.
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

// Limiter bounds what each source may cost: a token bucket for every source that
// was charged lately. A source that is not charged, or not more often than the
// rate, never meets it.
//
// The table of sources is bounded. When it is full, the source that was charged
// least recently is forgotten, and with it what it has used up: many sources
// together are not bounded by a Limiter.
//
// A Limiter may be used by several goroutines at once.
type Limiter struct {
	rate, burst float64
	max         int

	mu     sync.Mutex
	table  map[netip.Addr]*bucket
	recent bucket // of a ring through all buckets: next is the one charged last
	free   *bucket
}

// bucket is what is left of a source's allowance at a time.
type bucket struct {
	source     netip.Addr
	left       float64
	at         time.Time
	prev, next *bucket
}

// NewLimiter returns a Limiter that lets each source be charged burst times at
// once and perSecond times a second on average, and remembers up to sources of
// them. Values below 1 panic.
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

// Charge takes one from a source's allowance. What was under way when nothing was
// left is charged as well: the source is in debt then, by its burst at most, and
// exhausted until it has paid.
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

// Forgive gives a source its whole allowance back.
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

// refill brings a bucket up to date. One that is full again says nothing: it is
// dropped, and refill reports true.
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

// add returns a full bucket, which is in the table but not in the ring.
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
