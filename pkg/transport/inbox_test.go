package transport

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
)

// arrive returns the n-th datagram of a host.
func arrive(host, n int, c class) *Packet {
	var a [16]byte
	a[0], a[1] = 0xFE, 0x80
	binary.BigEndian.PutUint32(a[12:], uint32(host))
	p := &Packet{Path: Path{Peer: netip.AddrPortFrom(netip.AddrFrom16(a), 5540)}}
	h := message.Header{Counter: uint32(n)}
	if c == classSession {
		h.SessionID = uint16(1 + n%1000)
	} else {
		h.HasSource, h.Source = true, 1
	}
	p.n = len(h.AppendTo(p.buf[:0]))
	p.sort()
	return p
}

func number(p *Packet) int { return int(binary.LittleEndian.Uint32(p.buf[4:])) }

func newQueue() *queue {
	q := &queue{}
	q.init()
	return q
}

func TestClassOf(t *testing.T) {
	for _, tt := range []struct {
		b    []byte
		want class
	}{
		{nil, classSession},
		{[]byte{0, 0, 0}, classSession},
		{[]byte{0, 0, 0, 0}, classHandshake},
		{[]byte{0, 1, 0, 0}, classSession},
		{[]byte{0, 0, 1, 0}, classSession},
		{[]byte{0, 0, 0, 1}, classSession}, // a group
		{[]byte{0, 0, 0, 0x80}, classHandshake},
		{(&message.Header{SessionID: 7}).AppendTo(nil), classSession},
		{(&message.Header{HasSource: true, Source: 1}).AppendTo(nil), classHandshake},
	} {
		if got := classOf(tt.b); got != tt.want {
			t.Errorf("%x: %d", tt.b, got)
		}
	}
}

// No datagram overtakes a handshake message of the same source, as the first
// message of a session must come after the end of its handshake.
func TestQueueOrder(t *testing.T) {
	q := newQueue()
	r := rand.New(rand.NewPCG(1, 2))
	type sent struct {
		n     int
		class class
	}
	waiting := map[netip.Addr][]sent{}
	for n := range 20000 {
		if r.IntN(2) == 0 && q.n < QueueLen {
			p := arrive(r.IntN(10), n, class(r.IntN(int(classes))))
			if q.push(p) != nil {
				t.Fatal("dropped with room")
			}
			waiting[p.source] = append(waiting[p.source], sent{n, p.class})
		} else if p := q.pop(); p != nil {
			w := waiting[p.source]
			i := slices.IndexFunc(w, func(s sent) bool { return s.n == number(p) })
			for _, before := range w[:i] {
				if before.class == classHandshake {
					t.Fatalf("datagram %d of %v before its handshake's %d", number(p), p.source, before.n)
				}
			}
			waiting[p.source] = slices.Delete(w, i, i+1)
		}
	}
}

// The queue has a limit, and is empty when everything was taken.
func TestQueueBounded(t *testing.T) {
	q := newQueue()
	r := rand.New(rand.NewPCG(1, 2))
	in, dropped, out := 0, 0, 0
	for range 10 * QueueLen {
		in++
		if q.push(arrive(r.IntN(1000), 1, class(r.IntN(int(classes))))) != nil {
			dropped++
		}
	}
	if q.n != QueueLen || in-dropped != QueueLen {
		t.Errorf("%d wait, %d of %d dropped", q.n, dropped, in)
	}
	for q.pop() != nil {
		out++
	}
	if out != QueueLen || q.n != 0 || q.used != [classes]uint64{} || q.pop() != nil {
		t.Errorf("%d came out, %d are left, lanes %x", out, q.n, q.used)
	}
	if len(q.ready) != 1 {
		t.Fatal("no token for what had waited")
	}
}

// There is a token whenever a datagram waits.
func TestQueueSignals(t *testing.T) {
	q := newQueue()
	r := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		if r.IntN(3) > 0 {
			q.push(arrive(r.IntN(100), 1, class(r.IntN(int(classes)))))
		}
		select {
		case <-q.ready:
			if q.pop() == nil && q.n > 0 {
				t.Fatal("nothing, though something waits")
			}
		default:
		}
		if q.n > 0 && len(q.ready) == 0 {
			t.Fatalf("%d wait and the channel has no token", q.n)
		}
	}
}

// One source fills the queue as fast as it is emptied. Datagrams of others are not
// dropped and wait no longer than their turn.
func TestQueueFairness(t *testing.T) {
	for _, flood := range []struct {
		name  string
		hosts int
		class class
		by    class // of the good source
		wait  int   // maximum turns that the good source waits
	}{
		{"one host, handshakes against handshakes", 1, classHandshake, classHandshake, 2},
		{"one host, sessions against sessions", 1, classSession, classSession, 2},
		{"a thousand hosts, handshakes against a session", 1000, classHandshake, classSession, 2},
		{"a thousand hosts, sessions against a handshake", 1000, classSession, classHandshake, 2},
	} {
		t.Run(flood.name, func(t *testing.T) {
			const good = 1 << 20
			q := newQueue()
			// A host in the same lane as the good one would not test the turns.
			var hosts []int
			for h := 0; len(hosts) < flood.hosts; h++ {
				a, b := arrive(h, 1, flood.class), arrive(good, 1, flood.by)
				if flood.class != flood.by || lane0(q, a) != lane0(q, b) {
					hosts = append(hosts, h)
				}
			}
			n := 0
			push := func(p *Packet) {
				if d := q.push(p); d != nil && d.source == arrive(good, 0, 0).source {
					t.Fatal("the good one's datagram was dropped")
				}
			}
			for i := range 5000 {
				for range 4 { // four times the capacity
					push(arrive(hosts[n%len(hosts)], n, flood.class))
					n++
				}
				if i%20 == 0 {
					push(arrive(good, i, flood.by))
					waited := 0
					for q.pop().source != arrive(good, 0, 0).source {
						waited++
					}
					if waited > flood.wait {
						t.Fatalf("the good one waited %d turns", waited)
					}
					continue
				}
				q.pop()
			}
		})
	}
}

// lane0 returns the lane of p in an empty queue with the hash of q.
func lane0(q *queue, p *Packet) int {
	x := newQueue()
	x.seed = q.seed
	x.push(p)
	return slices.IndexFunc(x.lanes[p.class][:], func(l lane) bool { return l.n > 0 })
}

func TestLimitsOfOneSource(t *testing.T) {
	b := NewInbox(slog.New(slog.DiscardHandler))
	now := time.Now()
	through := func(p *Packet, proves bool, n int) (passed int) {
		for range n {
			if b.admit(now, p) {
				passed++
				if !proves {
					b.Charge(now, p)
				}
			}
		}
		return passed
	}
	if n := through(arrive(1, 1, classSession), true, 1e6); n != 1e6 {
		t.Errorf("an authentic source was stopped after %d", n)
	}
	if n := through(arrive(1, 1, classHandshake), false, 1e4); n != handshakesAtOnce {
		t.Errorf("%d messages outside a session", n)
	}
	if n := through(arrive(1, 1, classSession), true, 1e4); n != 1e4 {
		t.Errorf("its handshakes stopped the sessions of a source after %d", n)
	}
	if n := through(arrive(1, 1, classSession), false, 1e5); n != failuresAtOnce {
		t.Errorf("%d that fail", n)
	}
	if n := through(arrive(2, 1, classHandshake), false, 10); n != 10 {
		t.Errorf("another source was stopped after %d", n)
	}
	if b.Proven(arrive(1, 1, classHandshake).Path); through(arrive(1, 1, classHandshake), false, 10) != 10 {
		t.Error("a handshake that succeeded was not paid back")
	}
	if got := b.Stats().Limited; got != 1e4-handshakesAtOnce+1e5-failuresAtOnce {
		t.Errorf("%d were counted", got)
	}
	if n := b.by[classSession].Len(); n != 1 {
		t.Errorf("%d sources are remembered, of which one failed", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue()
	var p [32]*Packet
	for i := range p {
		p[i] = arrive(i, i, class(i%2))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.push(p[i%32])
		<-q.ready
		q.pop()
	}
}
