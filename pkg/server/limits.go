package server

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// What one source may send that does not prove who sends it. docs/robustness.md
// has the reasons, and all other bounds.
const (
	// Handshake messages cost up to a millisecond each. What a handshake needs is
	// half a dozen of them, and one that succeeds is paid back.
	handshakesPerSecond = 100
	handshakesAtOnce    = 400
	// Messages that name a session and fail cost some microseconds. Somebody may
	// send them in a good controller's name, whose own are dropped with what is
	// beyond the bound; so that is high.
	failuresPerSecond = 20000
	failuresAtOnce    = 20000
	// limitedSources are remembered by either limit.
	limitedSources = 1024
)

// Bounds of what waits for the loop.
const (
	queueLen  = 512 // datagrams
	laneCount = 64  // of each class
)

// Reasons to drop datagrams, besides those of package session.
const (
	dropSourceLimit  = "source_limit"
	dropQueueFull    = "queue_full"
	dropRefused      = "refused"       // it would begin an exchange beyond the bound of its session, or that nobody wants
	dropUnmatched    = "unmatched"     // of an exchange that does not exist
	dropNotPermitted = "not_permitted" // on the wrong kind of session
)

// class is what a datagram may cost. It can be told without looking anything up.
type class uint8

const (
	classSession   class = iota // of a session, or of nothing we know
	classHandshake              // outside any session
	classes
)

// classOf reads it off the session id and type of the header, if there is one.
func classOf(b []byte) class {
	if len(b) < 4 || b[1] != 0 || b[2] != 0 || b[3]&3 != 0 {
		return classSession
	}
	return classHandshake
}

// limits is what stands between the sockets and the loop.
type limits struct {
	by        [classes]*transport.Limiter
	over      atomic.Uint64 // datagrams dropped because of by
	displaced atomic.Uint64 // those that the queue had no room for
}

func (l *limits) init() {
	l.by[classSession] = transport.NewLimiter(failuresPerSecond, failuresAtOnce, limitedSources)
	l.by[classHandshake] = transport.NewLimiter(handshakesPerSecond, handshakesAtOnce, limitedSources)
}

// admit reports whether p may go to the loop, and counts it if not.
func (l *limits) admit(now time.Time, p *packet) bool {
	if !l.by[p.class].Exhausted(now, p.source) {
		return true
	}
	l.over.Add(1)
	return false
}

// judge charges the source of a datagram that proved nothing. What several
// interfaces bring of one message to a group is not the source's doing.
func (l *limits) judge(now time.Time, p *packet, in *session.Incoming, err error) {
	if errors.Is(err, session.DropCopy) || err == nil && (in.Session == nil || in.Session.Kind != session.Unsecured) && !in.Duplicate {
		return
	}
	l.by[p.class].Charge(now, p.source)
}

// proven pays back what a handshake that succeeded has cost its source.
func (l *limits) proven(p transport.Path) {
	l.by[classHandshake].Forgive(p.Source())
}

// packet is a datagram on its way to the loop.
type packet struct {
	buf    [message.MaxSize]byte
	n      int
	path   transport.Path
	source netip.Addr
	class  class
	next   *packet // in its lane
}

// sort notes what the limits and the queue go by.
func (p *packet) sort() {
	p.source, p.class = p.path.Source(), classOf(p.buf[:p.n])
}

// queue is what waits for the loop. Handshakes and sessions take turns, and
// within either the sources do, as far as they fall into different lanes. So
// nobody waits long for those who send much; when the queue is full, it is the
// longest lane that loses its oldest datagram. Nothing overtakes a handshake of
// the same source: the first message of a session comes after the end of it.
type queue struct {
	mu    sync.Mutex
	seed  maphash.Seed
	ready chan struct{} // holds a token while something waits

	lanes [classes][laneCount]lane
	used  [classes]uint64 // the lanes that are not empty, as bits
	last  [classes]int    // the lane served last
	turn  class
	n     int
}

// lane is a list of packets, the oldest first.
type lane struct {
	first, last *packet
	n           int
}

func (l *lane) has(source netip.Addr) bool {
	for p := l.first; p != nil; p = p.next {
		if p.source == source {
			return true
		}
	}
	return false
}

func (q *queue) init() {
	q.seed = maphash.MakeSeed()
	q.ready = make(chan struct{}, 1)
}

// push lets p wait. It returns the packet that has to go for it, nil if none.
func (q *queue) push(p *packet) (dropped *packet) {
	i := int(maphash.Comparable(q.seed, p.source) % laneCount)
	q.mu.Lock()
	defer q.mu.Unlock()
	c := p.class
	if q.lanes[classHandshake][i].has(p.source) {
		c = classHandshake
	}
	l := &q.lanes[c][i]
	p.next = nil
	if l.n == 0 {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.n++
	q.n++
	q.used[c] |= 1 << i
	if q.n > queueLen {
		dropped = q.take(q.longest())
	}
	q.signal()
	return dropped
}

// pop takes the next packet, nil if there is none.
func (q *queue) pop() *packet {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.turn
	if q.used[c] == 0 {
		c = classes - 1 - c
	}
	if q.used[c] == 0 {
		return nil
	}
	q.turn = classes - 1 - c
	// The next lane after the last one, in a circle.
	after := q.last[c] + 1
	i := (after + bits.TrailingZeros64(bits.RotateLeft64(q.used[c], -after))) % laneCount
	q.last[c] = i
	p := q.take(c, i)
	if q.n > 0 {
		q.signal()
	}
	return p
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) longest() (c class, lane int) {
	most := 0
	for k := range q.lanes {
		for i := range q.lanes[k] {
			if n := q.lanes[k][i].n; n > most {
				most, c, lane = n, class(k), i
			}
		}
	}
	return c, lane
}

// take removes the oldest packet of a lane.
func (q *queue) take(c class, i int) *packet {
	l := &q.lanes[c][i]
	p := l.first
	l.first = p.next
	l.n--
	q.n--
	if l.n == 0 {
		l.last = nil
		q.used[c] &^= 1 << i
	}
	p.next = nil
	return p
}

// dropped counts the datagrams dropped, by reason. Every reason is there from
// the start: the first step of a counter that comes into being at 1 is never
// seen.
func (s *Server) dropped() metrics.Counters[string] {
	c := s.count.dropped.Clone()
	c[dropSourceLimit] = s.loop.limits.over.Load()
	c[dropQueueFull] = s.loop.limits.displaced.Load()
	x := s.talk.exchanges.Stats()
	c[dropRefused], c[dropUnmatched], c[dropNotPermitted] = x.Refused, x.Unmatched, x.NotPermitted
	return c
}
