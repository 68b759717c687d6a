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

// Limits on datagrams of one source that do not prove who sent them. The reasons, and
// all other bounds, are in docs/robustness.md.
const (
	// Handshake messages cost up to a millisecond each. A handshake needs half a dozen,
	// and one that succeeds is not counted.
	HandshakesPerSecond = 100
	handshakesAtOnce    = 400
	// Messages of a session that fail cost some microseconds. An attacker may send them
	// with a controller's address, whose own messages beyond the limit are dropped as
	// well; so the limit is high.
	failuresPerSecond = 20000
	failuresAtOnce    = 20000
	// LimitedSources is the number of sources that each limit remembers.
	LimitedSources = 1024
)

// Bounds of the queue. A controller that switches a house sends hundreds of requests at
// once, and as many acknowledgements.
const (
	QueueLen  = 2048 // datagrams
	laneCount = 64   // of each class
)

// class is the kind of a datagram, by what handling it may cost.
type class uint8

const (
	classSession   class = iota // of a session, known or not
	classHandshake              // outside any session
	classes
)

// classOf returns the class by the session id and type in the header.
func classOf(b []byte) class {
	if len(b) < 4 || b[1] != 0 || b[2] != 0 || b[3]&3 != 0 {
		return classSession
	}
	return classHandshake
}

// Inbox is the bounded queue between the sockets and the goroutine that handles their
// datagrams, with a limit on the unauthenticated datagrams of each source. Its methods
// may be called from several goroutines at once, except where they say otherwise.
type Inbox struct {
	log       *slog.Logger
	by        [classes]*Limiter
	limited   atomic.Uint64 // datagrams dropped because of by
	displaced atomic.Uint64 // datagrams dropped because the queue was full
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

// Read queues the datagrams of one conn until the conn is closed, or until done is closed
// and the conn is broken. It never waits for room in the queue: datagrams without room
// are dropped here, where their source counts, and not by the kernel.
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
			case <-time.After(time.Second): // a broken socket must not use all of the processor
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

// Take returns the next datagram, or nil if there is none.
func (b *Inbox) Take() *Packet { return b.queue.pop() }

// Release returns a datagram to the Inbox after it was handled.
func (b *Inbox) Release(p *Packet) { b.free.Put(p) }

// Charge counts an unauthenticated datagram against the limit of its source.
func (b *Inbox) Charge(now time.Time, p *Packet) { b.by[p.class].Charge(now, p.source) }

// Proven resets the limit of a source after a handshake that succeeded.
func (b *Inbox) Proven(p Path) { b.by[classHandshake].Forgive(p.Source()) }

// InboxStats counts since the start.
type InboxStats struct {
	Limited   uint64 // datagrams dropped because their source was over its limit
	Displaced uint64 // datagrams dropped because the queue was full
	Sources   int    // sources that the limits remember
}

// Stats returns the counters.
func (b *Inbox) Stats() InboxStats {
	return InboxStats{b.limited.Load(), b.displaced.Load(), b.by[classSession].Len() + b.by[classHandshake].Len()}
}

// admit reports whether p may be queued. It counts p if not.
func (b *Inbox) admit(now time.Time, p *Packet) bool {
	if !b.by[p.class].Exhausted(now, p.source) {
		return true
	}
	b.limited.Add(1)
	return false
}

// Packet is a datagram in the queue, or one that is being handled. It is valid until
// [Inbox.Release].
type Packet struct {
	Path   Path
	buf    [message.MaxReceived + 1]byte // one octet more shows that there was more
	n      int
	source netip.Addr
	class  class
	next   *Packet // in its lane
}

// Bytes returns the datagram, which may be changed.
func (p *Packet) Bytes() []byte { return p.buf[:p.n] }

// sort sets the class and source, which the limits and the queue use.
func (p *Packet) sort() {
	p.source, p.class = p.Path.Source(), classOf(p.buf[:p.n])
}

// queue has the datagrams that wait for the loop. Handshakes and sessions take turns, and
// so do the lanes within each, over which the sources are spread. So a source does not
// wait long for those that send much. When the queue is full, the longest lane loses its
// oldest datagram. No datagram overtakes a handshake of the same source, as the first
// message of a session must come after the end of its handshake.
type queue struct {
	mu    sync.Mutex
	seed  maphash.Seed
	ready chan struct{} // has a token while datagrams wait

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

// push adds p. It returns the packet that is dropped for it, or nil.
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

// pop removes the next packet. It returns nil if there is none.
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
	// The next lane after the last one, cyclically.
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
