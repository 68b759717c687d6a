package transport

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"math/bits"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
)

// What one source may send that does not prove who sends it. docs/robustness.md
// has the reasons, and all other bounds.
const (
	// Handshake messages cost up to a millisecond each. What a handshake needs is
	// half a dozen of them, and one that succeeds is paid back.
	HandshakesPerSecond = 100
	handshakesAtOnce    = 400
	// Messages that name a session and fail cost some microseconds. Somebody may
	// send them in a good controller's name, whose own are dropped with what is
	// beyond the bound; so that is high.
	failuresPerSecond = 20000
	failuresAtOnce    = 20000
	// LimitedSources are remembered by either limit.
	LimitedSources = 1024
)

// Bounds of what waits for the loop. A controller that switches a house sends
// hundreds of requests at once, and as many acknowledgements.
const (
	QueueLen  = 2048 // datagrams
	laneCount = 64   // of each class
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

// Inbox is what stands between the sockets and the goroutine that handles their
// datagrams: a bounded queue, and a limit of what one source may send that proves
// nothing. Its methods may be called from several goroutines at once, except where
// they say otherwise.
type Inbox struct {
	log       *slog.Logger
	by        [classes]*Limiter
	limited   atomic.Uint64 // datagrams dropped because of by
	displaced atomic.Uint64 // those that the queue had no room for
	queue     queue
	free      sync.Pool
}

// NewInbox returns an empty Inbox.
func NewInbox(log *slog.Logger) *Inbox {
	b := &Inbox{log: log}
	b.by[classSession] = NewLimiter(failuresPerSecond, failuresAtOnce, LimitedSources)
	b.by[classHandshake] = NewLimiter(HandshakesPerSecond, handshakesAtOnce, LimitedSources)
	b.queue.init()
	b.free.New = func() any { return new(Packet) }
	return b
}

// Read queues the datagrams of one conn until the conn is closed, or done is and the
// conn is broken. It never waits for who takes them: what there is no room for is
// dropped here, where it can be seen whose it is, and not by the kernel.
func (b *Inbox) Read(c PacketConn, done <-chan struct{}) {
	for {
		p := b.free.Get().(*Packet)
		n, path, err := c.ReadFrom(p.buf[:])
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			b.log.Warn("receiving failed", "error", err)
			select {
			case <-time.After(time.Second): // do not spin on a broken socket
			case <-done:
				return
			}
			continue
		}
		p.n, p.Path = n, path
		p.sort()
		if !b.admit(time.Now(), p) {
			b.free.Put(p)
		} else if dropped := b.queue.push(p); dropped != nil {
			b.displaced.Add(1)
			b.free.Put(dropped)
		}
	}
}

// Ready returns a channel that has a token while datagrams wait.
func (b *Inbox) Ready() <-chan struct{} { return b.queue.ready }

// Take returns the next datagram, nil if there is none.
func (b *Inbox) Take() *Packet { return b.queue.pop() }

// Release takes a datagram back when it has been handled.
func (b *Inbox) Release(p *Packet) { b.free.Put(p) }

// Charge counts a datagram that proved nothing against its source.
func (b *Inbox) Charge(now time.Time, p *Packet) { b.by[p.class].Charge(now, p.source) }

// Proven pays back what a handshake that succeeded has cost its source.
func (b *Inbox) Proven(p Path) { b.by[classHandshake].Forgive(p.Source()) }

// InboxStats counts since the start.
type InboxStats struct {
	Limited   uint64 // datagrams dropped because their source was over its limit
	Displaced uint64 // datagrams dropped because the queue was full
	Sources   int    // sources that the limits remember now
}

// Stats returns what was counted.
func (b *Inbox) Stats() InboxStats {
	return InboxStats{b.limited.Load(), b.displaced.Load(), b.by[classSession].Len() + b.by[classHandshake].Len()}
}

// admit reports whether p may be queued, and counts it if not.
func (b *Inbox) admit(now time.Time, p *Packet) bool {
	if !b.by[p.class].Exhausted(now, p.source) {
		return true
	}
	b.limited.Add(1)
	return false
}

// Packet is a datagram that waits, or is being handled. It is valid until
// [Inbox.Release].
type Packet struct {
	Path   Path
	buf    [message.MaxSize]byte
	n      int
	source netip.Addr
	class  class
	next   *Packet // in its lane
}

// Bytes returns the datagram, which may be changed.
func (p *Packet) Bytes() []byte { return p.buf[:p.n] }

// sort notes what the limits and the queue go by.
func (p *Packet) sort() {
	p.source, p.class = p.Path.Source(), classOf(p.buf[:p.n])
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

// lane is a list of datagrams, the oldest first.
type lane struct {
	first, last *Packet
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
func (q *queue) push(p *Packet) (dropped *Packet) {
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
	if q.n > QueueLen {
		dropped = q.take(q.longest())
	}
	q.signal()
	return dropped
}

// pop takes the next packet, nil if there is none.
func (q *queue) pop() *Packet {
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
func (q *queue) take(c class, i int) *Packet {
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
