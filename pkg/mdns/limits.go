package mdns

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Limits per second. A busy home network has some dozens of mDNS packets a second,
// and few of them have a name of this host.
const (
	maxPackets    = 3000    // that are parsed
	maxConcerning = 400     // that have names of this host
	maxPerSource  = 60      // of these, from one address
	maxSources    = 256     // addresses that are counted separately; all others count as one
	maxUnicast    = 1 << 19 // octets of unicast answers, as the asker's address may be forged
)

// limits counts within a second.
type limits struct {
	second     time.Time
	packets    int
	concerning int
	unicast    int
	sources    map[netip.Addr]int
}

func newLimits() limits { return limits{sources: make(map[netip.Addr]int)} }

func (l *limits) tick(now time.Time) {
	if age := now.Sub(l.second); age >= 0 && age < time.Second {
		return
	}
	l.second = now
	l.packets, l.concerning, l.unicast = 0, 0, 0
	clear(l.sources)
}

// packet counts a packet and reports whether it may be parsed.
func (l *limits) packet(now time.Time) bool {
	l.tick(now)
	l.packets++
	return l.packets <= maxPackets
}

// concern counts a packet that has names of this host and reports whether it may be
// handled.
func (l *limits) concern(from netip.Addr) bool {
	if _, ok := l.sources[from]; !ok && len(l.sources) >= maxSources {
		from = netip.Addr{}
	}
	if l.sources[from] >= maxPerSource || l.concerning >= maxConcerning {
		return false
	}
	l.sources[from]++
	l.concerning++
	return true
}

// spend counts octets of a unicast answer and reports whether it may be sent.
func (l *limits) spend(n int) bool {
	if l.unicast+n > maxUnicast {
		return false
	}
	l.unicast += n
	return true
}

// echo remembers the last packets that were sent, as they come in again: the kernel
// loops them back for other programs of this host, two interfaces on one network
// receive each other's packets, and reflectors repeat them.
type echo struct {
	seed maphash.Seed
	last [1024]sentPacket // enough for the announcement of 254 services on several links
	next int
}

type sentPacket struct {
	hash  uint64
	index int // of the link
}

func (e *echo) sent(index int, b []byte) {
	e.last[e.next%len(e.last)] = sentPacket{maphash.Bytes(e.seed, b), index}
	e.next++
}

// find returns the index of the link on which b was sent. If there are several links,
// it prefers index.
func (e *echo) find(index int, b []byte) (on int, ok bool) {
	h := maphash.Bytes(e.seed, b)
	for _, p := range e.last {
		if p.hash != h || p.index == 0 {
			continue
		}
		if p.index == index {
			return index, true
		}
		on, ok = p.index, true
	}
	return on, ok
}
