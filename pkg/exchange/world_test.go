package exchange

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	im      = matter.ProtocolInteractionModel
	channel = matter.ProtocolSecureChannel

	// Opcodes of the Interaction Model. This package does not interpret them.
	opcodeRead           uint8 = 2
	opcodeWrite          uint8 = 6
	opcodeInvoke         uint8 = 8
	opcodeInvokeResponse uint8 = 9
)

// zeros is a random source without jitter, for exact times.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// node is one side: its sessions and exchanges.
type node struct {
	t        testing.TB
	w        *world
	peer     *node
	addr     netip.AddrPort
	sessions *session.Table
	m        *Manager
	accept   func(x *Exchange, m Message) Handler
}

// sent is a datagram on the wire.
type sent struct {
	from *node
	at   time.Time
	data []byte
}

// world is two nodes and a wire between them. The test advances its time.
type world struct {
	t     testing.TB
	now   time.Time
	a, b  *node
	wire  []sent
	log   []sent                          // every datagram, as sent
	fate  func(n int, s sent) (lost bool) // reports whether the n-th datagram, from 0, is lost; nil: none is
	twice bool                            // every datagram arrives twice
	mix   *rand.Rand                      // the wire's order is random
	// sa and sb are the ends of a CASE session.
	sa, sb *session.Session
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: start}
	w.a, w.b = w.node("[fe80::a%1]:5540", 1, change), w.node("[fe80::b%1]:5540", 2, change)
	w.a.peer, w.b.peer = w.b, w.a
	w.sa, w.sb = w.session(session.CASE)
	return w
}

func (w *world) node(addr string, seed byte, change func(*Options)) *node {
	n := &node{t: w.t, w: w, addr: netip.MustParseAddrPort(addr)}
	n.sessions = session.NewTable(session.Options{
		Rand: rand.NewChaCha8([32]byte{seed}), Max: 100, MaxUnsecured: 10,
		Busy: func(s *session.Session) bool { return n.m.Outstanding(s) },
	})
	opt := Options{
		Rand: zeros{},
		Send: func(p transport.Path, b []byte) {
			s := sent{from: n, at: w.now, data: slices.Clone(b)}
			w.wire, w.log = append(w.wire, s), append(w.log, s)
		},
		Accept: func(_ time.Time, x *Exchange, m Message) Handler {
			if n.accept == nil {
				return nil
			}
			return n.accept(x, m)
		},
	}
	if change != nil {
		change(&opt)
	}
	n.m = New(opt)
	return n
}

// session creates a session between the nodes. a is its initiator.
func (w *world) session(kind session.Kind) (a, b *session.Session) {
	w.t.Helper()
	var ends [2]*session.Session
	ids := [2]uint16{}
	for i, n := range []*node{w.a, w.b} {
		id, err := n.sessions.ReserveID()
		if err != nil {
			w.t.Fatal(err)
		}
		ids[i] = id
	}
	for i, n := range []*node{w.a, w.b} {
		s, err := n.sessions.Add(w.now, session.Config{
			Kind: kind, Initiator: i == 0, LocalID: ids[i], PeerID: ids[1-i],
			Params: message.DefaultParameters(), Path: transport.Path{Peer: n.peer.addr},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		ends[i] = s
	}
	return ends[0], ends[1]
}

// lost is a fate: every datagram is lost.
func lost(int, sent) bool { return true }

// flow delivers datagrams until none is left.
func (w *world) flow() {
	w.t.Helper()
	for n := 0; len(w.wire) > 0; n++ {
		if n > 10000 {
			w.t.Fatal("the nodes do not stop talking")
		}
		i := 0
		if w.mix != nil {
			i = w.mix.IntN(len(w.wire))
		}
		s := w.wire[i]
		w.wire = slices.Delete(w.wire, i, i+1)
		if w.fate != nil && w.fate(len(w.log)-len(w.wire)-1, s) {
			continue
		}
		w.deliver(s)
		if w.twice {
			w.deliver(s)
		}
	}
}

func (w *world) deliver(s sent) {
	w.t.Helper()
	to := s.from.peer
	in, err := to.sessions.Receive(w.now, slices.Clone(s.data), transport.Path{Peer: s.from.addr})
	if err != nil {
		w.t.Fatalf("datagram %x: %v", s.data, err)
	}
	to.m.Receive(w.now, in)
}

// run advances the time by d, stopping at every deadline of the nodes.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for w.flow(); ; w.flow() {
		next := end
		for _, n := range []*node{w.a, w.b} {
			if at, ok := n.m.Deadline(); ok && at.Before(next) {
				next = at
			}
		}
		w.now = next
		w.a.m.Advance(next)
		w.b.m.Advance(next)
		if len(w.wire) == 0 && !next.Before(end) {
			return
		}
	}
}

// take returns the datagrams sent since the last call, decoded.
func (w *world) take() []frame {
	w.t.Helper()
	w.wire = nil
	var fs []frame
	for _, s := range w.log {
		fs = append(fs, w.decode(s))
	}
	w.log = nil
	return fs
}

// frame is a decoded datagram.
type frame struct {
	from    *node
	at      time.Duration // after start
	counter uint32
	p       message.ProtocolHeader
	payload string
	data    []byte
}

// decode opens a datagram without changing its receiver. The keys and node ids of
// all sessions are zero.
func (w *world) decode(s sent) frame {
	w.t.Helper()
	h, size, err := message.ParseHeader(s.data)
	if err != nil {
		w.t.Fatal(err)
	}
	body := s.data[size:]
	if !h.Unsecured() {
		aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
		if err != nil {
			w.t.Fatal(err)
		}
		nonce := mcrypto.MessageNonce(h.SecurityFlags(), h.Counter, 0)
		if body, err = aead.Open(nil, nonce[:], body, s.data[:size]); err != nil {
			w.t.Fatal(err)
		}
	}
	p, n, err := message.ParseProtocolHeader(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return frame{s.from, s.at.Sub(start), h.Counter, p, string(body[n:]), s.data}
}

// inject passes node n a message of its peer, sealed on the peer's session s, and
// returns its counter.
func (n *node) inject(s *session.Session, p message.ProtocolHeader, payload string) uint32 {
	n.t.Helper()
	d, counter, err := s.Seal(nil, &p, []byte(payload))
	if err != nil {
		n.t.Fatal(err)
	}
	n.w.deliver(sent{from: n.peer, data: d})
	return counter
}

// recorder is a handler that records its calls.
type recorder struct {
	got      []string
	closed   []error
	on       func(now time.Time, x *Exchange, m Message)
	onClosed func(now time.Time, err error)
}

func (r *recorder) Receive(now time.Time, x *Exchange, m Message) {
	r.got = append(r.got, string(m.Payload))
	if r.on != nil {
		r.on(now, x, m)
	}
}

func (r *recorder) Closed(now time.Time, x *Exchange, err error) {
	r.closed = append(r.closed, err)
	if r.onClosed != nil {
		r.onClosed(now, err)
	}
}

// ended reports whether the handler was closed once, with err.
func (r *recorder) ended(err error) bool { return len(r.closed) == 1 && r.closed[0] == err }

func (w *world) initiate(n *node, s *session.Session, h Handler) *Exchange {
	w.t.Helper()
	x, err := n.m.Initiate(w.now, s, h)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

func send(t testing.TB, now time.Time, x *Exchange, payload string) {
	t.Helper()
	if err := x.Send(now, im, opcodeInvoke, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// wantQuiet checks that no exchange is left.
func (w *world) wantQuiet() {
	w.t.Helper()
	for _, n := range []*node{w.a, w.b} {
		if _, ok := n.m.Deadline(); ok || n.m.Stats().Open != 0 || len(n.m.counts) != 0 || len(n.m.queue) != 0 {
			w.t.Errorf("exchanges are left: %+v", n.m.Stats())
		}
	}
}

// wantFrames compares datagrams with short descriptions.
func wantFrames(t *testing.T, what string, got []frame, want ...string) {
	t.Helper()
	var have []string
	for _, f := range got {
		have = append(have, f.describe())
	}
	if !slices.Equal(have, want) {
		t.Errorf("%s: sent %q, want %q", what, have, want)
	}
}

// describe returns the flags and the kind of a message: "I R A x" is a reliable
// message x of the initiator with an acknowledgement.
func (f frame) describe() string {
	var b bytes.Buffer
	for _, flag := range []struct {
		on   bool
		name string
	}{{f.p.Initiator, "I"}, {f.p.Reliable, "R"}, {f.p.HasAck, "A"}} {
		if flag.on {
			b.WriteString(flag.name)
		}
	}
	if standaloneAck(&f.p) {
		b.WriteString(" ack")
	} else {
		b.WriteString(" " + f.payload)
	}
	return b.String()
}
