package exchange

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// TestQueueAgainstModel moves exchanges in the queue at random and compares its
// head with a linear search.
func TestQueueAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		var q queue
		all := make([]*Exchange, 40)
		due := make(map[*Exchange]time.Time)
		for i := range all {
			all[i] = &Exchange{serial: uint64(i + 1)}
		}
		for range 500 {
			x := all[r.IntN(len(all))]
			if r.IntN(4) == 0 {
				q.set(x, time.Time{})
				delete(due, x)
			} else {
				due[x] = start.Add(time.Duration(r.IntN(50)))
				q.set(x, due[x])
			}
			var first *Exchange
			for x, at := range due {
				if first == nil || at.Before(due[first]) || at.Equal(due[first]) && x.serial < first.serial {
					first = x
				}
			}
			if len(q) != len(due) || first != nil && q[0] != first {
				t.Fatalf("seed %d: %d in the queue, %d in the model", seed, len(q), len(due))
			}
			for i, x := range q {
				if x.place != i+1 || !x.wake.Equal(due[x]) {
					t.Fatalf("seed %d: exchange %d is at %d, it says %d", seed, x.serial, i+1, x.place)
				}
			}
		}
	}
}

// talk is an exchange of numbered messages that alternate between the sides.
type talk struct {
	t      *testing.T
	name   string
	length int
	next   [2]int // next message each side expects: initiator, responder
	closed [2][]error
}

// side is one end of a talk: 0 is the initiator.
type side struct {
	*talk
	n int
}

func (s side) Receive(now time.Time, x *Exchange, m Message) {
	want := fmt.Sprintf("%s %d", s.name, s.next[s.n])
	if string(m.Payload) != want {
		s.t.Errorf("side %d received %q, want %q", s.n, m.Payload, want)
	}
	s.next[s.n] += 2
	s.say(now, x, s.next[s.n]-1)
}

func (s side) say(now time.Time, x *Exchange, i int) {
	if i < s.length {
		if err := x.Send(now, im, 1, fmt.Appendf(nil, "%s %d", s.name, i)); err != nil {
			s.t.Errorf("%s %d: %v", s.name, i, err)
		}
	}
	if i+1 < s.length {
		x.AwaitResponse(now.Add(time.Minute))
	} else {
		x.Close(now)
	}
}

func (s side) Closed(_ time.Time, _ *Exchange, err error) {
	s.closed[s.n] = append(s.closed[s.n], err)
}

// TestLossyConversations runs many exchanges over a network that loses, duplicates
// and reorders. Everything arrives in order and once, or both sides get an error.
func TestLossyConversations(t *testing.T) {
	var failed, total int
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t, func(o *Options) { o.Rand = rand.NewChaCha8([32]byte{byte(seed)}) })
		w.mix = r
		w.twice = seed%2 == 0
		loss := float64(seed%5) / 10
		w.fate = func(int, sent) bool { return r.Float64() < loss }
		talks := make(map[string]*talk)
		for _, n := range []*node{w.a, w.b} {
			n.accept = func(_ *Exchange, m Message) Handler {
				var name string
				var i int
				if _, err := fmt.Sscanf(string(m.Payload), "%s %d", &name, &i); err != nil || i != 0 {
					t.Errorf("conversation begins with %q", m.Payload)
				}
				return side{talks[name], 1}
			}
		}
		for i := range 12 {
			talk := &talk{t: t, name: fmt.Sprint("t", i), length: 1 + r.IntN(6), next: [2]int{1, 0}}
			talks[talk.name] = talk
			n, s := w.a, w.sa
			if i%2 == 1 {
				n, s = w.b, w.sb
			}
			h := side{talk, 0}
			h.say(w.now, w.initiate(n, s, h), 0)
			if r.IntN(2) == 0 {
				w.run(time.Duration(r.IntN(500)) * time.Millisecond)
			}
		}
		w.run(10 * time.Minute)
		for name, talk := range talks {
			total++
			// If the first message never arrived, the responder does not know the
			// exchange.
			begun := talk.next[1] > 0
			if len(talk.closed[0]) != 1 || begun && len(talk.closed[1]) != 1 {
				t.Fatalf("seed %d: %s closed %v", seed, name, talk.closed)
			}
			if talk.closed[0][0] != nil || begun && talk.closed[1][0] != nil {
				failed++
				if loss == 0 {
					t.Errorf("seed %d: %s closed %v without loss", seed, name, talk.closed)
				}
				continue
			}
			if talk.next[0] < talk.length-1 || talk.next[1] < talk.length-1 {
				t.Errorf("seed %d: %s ended well at %v of %d", seed, name, talk.next, talk.length)
			}
		}
		w.wantQuiet()
		if got := len(w.a.m.free); got > maxFree {
			t.Errorf("%d free buffers", got)
		}
	}
	if failed > total/5 {
		t.Errorf("%d of %d conversations failed", failed, total)
	}
}

// FuzzManager passes messages with any header to a Manager, in any order and
// between its own actions.
func FuzzManager(f *testing.F) {
	f.Add([]byte{0, 5, 8, 1, 1, 0, 0, 0, 2, 10, 3, 0})
	f.Add([]byte{4, 0, 5, 0, 0, 7, 2, 16, 4, 0, 5, 1, 2, 255, 3, 0})
	f.Add([]byte{4, 0, 5, 0, 5, 0, 6, 0, 0, 2, 1, 2, 7, 0, 2, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, func(o *Options) { o.MaxPerSession, o.MaxInitiated = 3, 3 })
		closed := make(map[*Exchange]int)
		h := &fuzzHandler{closed: closed}
		w.a.accept = func(x *Exchange, m Message) Handler {
			switch m.Opcode {
			case 9:
				return nil
			case 3:
				return Busy
			}
			return h
		}
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			switch x := h.any(int(arg)); op % 9 {
			case 0, 1:
				p := message.ProtocolHeader{
					Initiator: arg&1 != 0, Reliable: arg&2 != 0, HasAck: arg&4 != 0, Exchange: uint16(arg >> 4),
					Opcode: arg >> 3 & 7 << op, Protocol: uint16(op % 2),
				}
				if x != nil && arg&8 != 0 {
					p.Exchange, p.Ack = x.id, x.out.counter
				}
				w.a.inject(w.sb, p, "x")
			case 2:
				w.now = w.now.Add(time.Duration(arg) * 20 * time.Millisecond)
				w.a.m.Advance(w.now)
			case 3:
				if x != nil {
					x.Close(w.now)
				}
			case 4:
				if x, err := w.a.m.Initiate(w.now, w.sa, h); err == nil {
					h.open = append(h.open, x)
				}
			case 5:
				if x != nil {
					x.Send(w.now, im, arg, []byte{arg})
				}
			case 6:
				if x != nil {
					x.SendUnreliable(w.now, im, arg, []byte{arg})
				}
			case 7:
				if x != nil {
					x.AwaitResponse(w.now.Add(time.Duration(arg) * time.Millisecond))
				}
			case 8:
				if len(w.log) > 0 {
					// A message arrives late or again at the other side.
					w.deliver(w.log[int(arg)%len(w.log)])
				}
			}
			s := w.a.m.Stats()
			if s.Open > 6 || len(w.a.m.queue) > s.Open {
				t.Fatalf("%+v, %d in the queue", s, len(w.a.m.queue))
			}
		}
		w.now = w.now.Add(time.Hour)
		w.a.m.Advance(w.now)
		w.a.m.SessionGone(w.now, w.sa)
		if s := w.a.m.Stats(); s.Open != 0 || len(w.a.m.counts) != 0 || len(w.a.m.queue) != 0 {
			t.Fatalf("left over: %+v", s)
		}
		for _, n := range closed {
			if n != 1 {
				t.Fatalf("closed %d times", n)
			}
		}
	})
}

type fuzzHandler struct {
	open   []*Exchange
	closed map[*Exchange]int
}

func (h *fuzzHandler) any(i int) *Exchange {
	if len(h.open) == 0 {
		return nil
	}
	return h.open[i%len(h.open)]
}

func (h *fuzzHandler) Receive(_ time.Time, x *Exchange, _ Message) {
	if !slices.Contains(h.open, x) {
		h.open = append(h.open, x)
	}
}

func (h *fuzzHandler) Closed(_ time.Time, x *Exchange, _ error) { h.closed[x]++ }

// answerer replies to a request and closes.
type answerer struct{ payload []byte }

func (a *answerer) Receive(now time.Time, x *Exchange, m Message) {
	if err := x.Send(now, im, opcodeInvokeResponse, a.payload); err != nil {
		panic(err)
	}
	x.Close(now)
}

func (a *answerer) Closed(time.Time, *Exchange, error) {}

// exchangeBench answers requests without cryptography of its own: session.Receive
// and Seal have separate benchmarks.
type exchangeBench struct {
	m       *Manager
	s       *session.Session
	counter uint32
	sent    int
}

func newExchangeBench(b testing.TB, max int) *exchangeBench {
	e := &exchangeBench{}
	table := session.NewTable(session.Options{Rand: zeros{}, Max: 10, MaxUnsecured: 10})
	h := &answerer{payload: make([]byte, 100)}
	e.m = New(Options{
		Rand:          zeros{},
		Send:          func(transport.Path, []byte) { e.sent++ },
		Accept:        func(time.Time, *Exchange, Message) Handler { return h },
		MaxPerSession: max,
	})
	id, err := table.ReserveID()
	if err != nil {
		b.Fatal(err)
	}
	if e.s, err = table.Add(start, session.Config{Kind: session.CASE, LocalID: id, Params: message.DefaultParameters()}); err != nil {
		b.Fatal(err)
	}
	return e
}

// request begins exchange id and returns the counter of the answer.
func (e *exchangeBench) request(id uint16) uint32 {
	e.counter++
	in := session.Incoming{Session: e.s, Protocol: request(id)}
	in.Header.Counter = e.counter
	e.m.Receive(start, in)
	return e.m.table[key{e.s.Serial, id, false}].out.counter
}

func (e *exchangeBench) ack(id uint16, counter uint32) {
	e.counter++
	in := session.Incoming{Session: e.s}
	in.Header.Counter = e.counter
	in.Protocol = message.ProtocolHeader{Initiator: true, HasAck: true, Ack: counter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: id}
	e.m.Receive(start, in)
}

// BenchmarkRequestAnswerAck measures a request that arrives, is answered, and gets
// the answer acknowledged.
func BenchmarkRequestAnswerAck(b *testing.B) {
	e := newExchangeBench(b, 0)
	b.ReportAllocs()
	id := uint16(0)
	for b.Loop() {
		id++
		e.ack(id, e.request(id))
	}
	if n := e.m.Stats().Open; n != 0 {
		b.Fatalf("%d exchanges are left", n)
	}
}

// BenchmarkSealAlone measures the session's share of BenchmarkRequestAnswerAck.
func BenchmarkSealAlone(b *testing.B) {
	e := newExchangeBench(b, 0)
	p, payload, buf := request(1), make([]byte, 100), make([]byte, 0, message.MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := e.s.Seal(buf, &p, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdvance retransmits one message among many that wait.
func BenchmarkAdvance(b *testing.B) {
	for _, open := range []int{10, 1000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			e := newExchangeBench(b, open)
			for i := range open {
				e.request(uint16(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				x := e.m.queue[0]
				x.out.sent = 1
				e.m.Advance(x.wake)
			}
		})
	}
}

// One allocation is for the exchange, the others are the cipher's.
func TestHotPathAllocations(t *testing.T) {
	e := newExchangeBench(t, 0)
	p, payload, buf := request(1), make([]byte, 100), make([]byte, 0, message.MaxSize)
	cipher := testing.AllocsPerRun(100, func() {
		if _, _, err := e.s.Seal(buf, &p, payload); err != nil {
			t.Fatal(err)
		}
	})
	id := uint16(0)
	got := testing.AllocsPerRun(100, func() {
		id++
		e.ack(id, e.request(id))
	})
	if got > cipher+1 {
		t.Errorf("%v allocations, %v of them in the cipher", got, cipher)
	}
}
