package server_test

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// setLabel returns a request that sets the fabric's label, which shows whether it
// was executed.
func setLabel(label string) []byte { return invokeRequest(clOpCreds, cmdLabel, args(0, label)) }

// wantLabel checks the label of the first fabric.
func (r *rig) wantLabel(what string, s *commissioner.Session, want string) {
	r.t.Helper()
	time.Sleep(100 * time.Millisecond)
	if got := r.fabrics(s, true)[0].label; got != want {
		r.t.Errorf("%s: the label is %q, want %q", what, got, want)
	}
}

func request(exchange uint16) message.ProtocolHeader {
	return message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: im.OpcodeInvokeRequest, Exchange: exchange, Protocol: matter.ProtocolInteractionModel}
}

// rawWorld runs f with a commissioned node and a session whose keys are known.
func rawWorld(t *testing.T, f func(r *rig, x *raw, good *commissioner.Session, a *commissioner.Authority, node matter.NodeID)) {
	t.Helper()
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		f(r, r.stranger(1).caseSession(a, done.Node), done.CASE, a, done.Node)
		r.wantBounded()
	})
}

// A peer's counter ends at 2^32-1. Messages up to there are accepted once each, and
// a counter that rolls over is not.
func TestMessageCounterNearItsEnd(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		for i, step := range []struct {
			counter uint32
			label   string
			want    string
		}{
			{math.MaxUint32 - 1, "last but one", "last but one"},
			{math.MaxUint32, "last", "last"},
			{math.MaxUint32, "last again", "last"},
			{0, "zero", "last"},
			{1, "one", "last"},
			{100, "hundred", "last"},
			{1 << 31, "half", "last"},
			{math.MaxUint32 - 2048, "before the window", "last"},
			{math.MaxUint32 - 2047, "late", "late"}, // within the window, and new
			{math.MaxUint32 - 2047, "late again", "late"},
		} {
			x.s.send(x.seal(step.counter, request(uint16(100+i)), setLabel(step.label)))
			r.wantLabel(step.label, good, step.want)
		}
	})
}

// A recorded message has no second effect, whether it is the newest, within the
// window of 2048 or far below it. It does not change the session's path.
func TestReplay(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		thief := r.stranger(66)
		seal := func(label string) []byte {
			x.counter++
			x.exchange++
			b := x.seal(x.counter, request(x.exchange), setLabel(label))
			x.s.send(bytes.Clone(b))
			x.answer() // the exchange has ended, so only the counter matters
			return b
		}
		replay := func(what string, b []byte, want string, acknowledged bool) {
			t.Helper()
			x.s.drain()
			x.s.send(bytes.Clone(b))
			thief.send(bytes.Clone(b))
			r.wantLabel(what, good, want)
			if n := thief.drain(); n > 0 {
				t.Errorf("%s: the thief was sent %d datagrams", what, n)
			}
			if got := x.s.drain() > 0; got != acknowledged {
				t.Errorf("%s: acknowledged %v", what, got)
			}
		}
		first := seal("first")
		r.wantLabel("first", good, "first")
		replay("at once", first, "first", true)
		second := seal("second")
		replay("within the window", first, "second", true)
		for range 200 {
			seal("other")
			time.Sleep(200 * time.Millisecond)
		}
		replay("long after", first, "other", true)
		h, _, err := message.ParseHeader(second)
		r.must(err)
		x.counter = h.Counter + 2047 - 2 // includes its acknowledgement
		seal("last")
		replay("at the end of the window", second, "last", true)
		replay("outside the window", first, "last", false)
		x.counter += 10000
		seal("far away")
		replay("far outside the window", second, "far away", false)
		// The path is unchanged.
		if _, _, ok := x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("home")); !ok {
			t.Error("the session's own peer gets no answer")
		}
		if n := thief.drain(); n > 0 {
			t.Errorf("the thief was sent %d datagrams", n)
		}
	})
}

// A delayed message that is sent from another address is new and is executed, but
// no answer goes to that address.
func TestHeldBack(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		thief := r.stranger(66)
		held := x.next(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("held"))
		x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("next"))
		thief.send(held)
		r.wantLabel("late", good, "held")
		x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("last"))
		time.Sleep(time.Minute)
		if n := thief.drain(); n > 0 {
			t.Errorf("the thief was sent %d datagrams", n)
		}
	})
}

// A node's message that is sent back to it, with its peer's address, is neither
// executed nor answered.
func TestReflection(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		var said []simnet.Datagram
		r.net.SetTap(func(d simnet.Datagram) bool {
			if d.From == deviceAddr {
				d.Payload = bytes.Clone(d.Payload)
				said = append(said, d)
			}
			return true
		})
		done := r.commission(c, a)
		r.must(done.CASE.UpdateFabricLabel(r.ctx, "kitchen"))
		x := r.stranger(1).caseSession(a, done.Node)
		x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("bath"))
		r.net.SetTap(nil)
		time.Sleep(time.Minute)
		before := r.inspect()
		for _, d := range said {
			r.net.Inject(d.To, deviceAddr, d.Payload)
			// With the id of each session that the node may have with that peer.
			for _, id := range []uint16{x.id, x.id - 1} {
				b := bytes.Clone(d.Payload)
				b[1], b[2] = byte(id), byte(id>>8)
				r.net.Inject(d.To, deviceAddr, b)
			}
		}
		time.Sleep(time.Minute)
		after := r.inspect()
		if after.Sent != before.Sent || after.CASE != before.CASE || after.Exchanges != 0 {
			t.Errorf("%d datagrams were reflected; %d were sent, %d sessions are left of %d", len(said), after.Sent-before.Sent, after.CASE, before.CASE)
		}
		r.wantLabel("afterwards", done.CASE, "bath")
	})
}

// A message with the id of another peer's session is not decrypted, does not count
// as a sign of life, and does not change the session's path.
func TestSessionIDOfAnotherPeer(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		x := p.stranger(1).caseSession(p.a, p.one.Node)
		y := p.stranger(2).caseSession(p.b, p.two.Node)
		before := p.inspect()
		const n = 20
		for i := range uint32(n) {
			own, other := x.id, y.id
			x.id, y.id = other, own
			x.s.send(x.seal(1000+i, request(uint16(500+i)), setLabel("stolen")))
			y.s.send(y.seal(1000+i, request(uint16(500+i)), setLabel("stolen")))
			x.id, y.id = own, other
		}
		time.Sleep(time.Second)
		after := p.inspect()
		if got := after.Dropped["authentication"] - before.Dropped["authentication"]; got != 2*n {
			t.Errorf("%d of %d were dropped for their authentication", got, 2*n)
		}
		if got := x.s.drain() + y.s.drain(); got > 0 {
			t.Errorf("%d datagrams were sent", got)
		}
		for i, label := range []string{"a", "b"} {
			s := []*raw{x, y}[i]
			if _, _, ok := s.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel(label)); !ok {
				t.Error("a session's own peer gets no answer")
			}
		}
		for _, d := range p.fabrics(p.one.CASE, false) {
			if want := map[matter.FabricIndex]string{1: "a", 2: "b"}[d.index]; d.label != want {
				t.Errorf("label of fabric %d: %q, want %q", d.index, d.label, want)
			}
		}
	})
}

// Acknowledgements are never acknowledged, whatever their flags. A message that
// arrives a thousand times is acknowledged at most as often. The node's
// acknowledgements, sent back to it, do not cause others.
func TestAckStorm(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		storm := func(n int, f func(i int)) (sent uint64) {
			time.Sleep(time.Minute)
			before := r.inspect().Sent
			for i := range n {
				f(i)
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			time.Sleep(time.Minute)
			return r.inspect().Sent - before
		}
		ack := message.ProtocolHeader{Initiator: true, Reliable: true, HasAck: true, Opcode: message.OpcodeMRPStandaloneAck}
		if n := storm(1000, func(i int) {
			x.counter++
			p := ack
			p.Ack, p.Exchange, p.Initiator = uint32(i), uint16(i%7), i%2 == 0
			x.s.send(x.seal(x.counter, p, nil))
			x.s.begin()
			x.s.send(x.s.plain(p, nil))
		}); n != 0 {
			t.Errorf("%d answers to acknowledgements", n)
		}
		again := x.next(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("once"))
		if n := storm(1000, func(int) { x.s.send(bytes.Clone(again)) }); n == 0 || n > 1000+10 {
			t.Errorf("%d datagrams for a message that came 1000 times", n)
		}
		// Everything that the node sends to the peer is sent back at once.
		reflected := 0
		r.net.SetTap(func(d simnet.Datagram) bool {
			if d.From == deviceAddr && d.To == x.s.addr && reflected < 10000 {
				reflected++
				b := bytes.Clone(d.Payload)
				go r.net.Inject(x.s.addr, deviceAddr, b)
			}
			return true
		})
		x.s.send(x.next(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("mirror")))
		x.s.begin()
		x.s.post(message.OpcodeSigma1, []byte("nonsense"))
		time.Sleep(time.Minute)
		r.net.SetTap(nil)
		if reflected > 30 {
			t.Errorf("the node and its mirror exchanged %d datagrams", reflected)
		}
		r.wantLabel("afterwards", good, "mirror")
	})
}

// A StatusReport from outside of the handshake or session cannot end it.
func TestStatusReportFromStrangers(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, a *commissioner.Authority, node matter.NodeID) {
		reports := [][]byte{
			{0, 0, 0, 0, 0, 0, 3, 0},             // CloseSession
			{1, 0, 0, 0, 0, 0, 2, 0},             // InvalidParameter
			{0, 0, 0, 0, 0, 0, 0, 0},             // success
			{8, 0, 0, 0, 0, 0, 4, 0, 0xFF, 0xFF}, // Busy for a minute
			{},
		}
		s, thief := r.stranger(2), r.stranger(3)
		s.begin()
		b, err := startCASE(a, node)
		r.must(err)
		p, sigma2, ok := s.ask(message.OpcodeSigma1, b.sigma1)
		if !ok || p.Opcode != message.OpcodeSigma2 {
			t.Fatalf("%02x, %v", p.Opcode, ok)
		}
		before := r.inspect()
		for _, report := range reports {
			// To the handshake, from another address.
			thief.node, thief.exchange = s.node, s.exchange
			thief.post(message.OpcodeStatusReport, report)
			// On the unsecured session, with the ids of the session.
			h := message.Header{SessionID: x.id, Counter: 5}
			q := message.ProtocolHeader{Initiator: true, Opcode: message.OpcodeStatusReport}
			r.net.Inject(x.s.addr, deviceAddr, append(q.AppendTo(h.AppendTo(nil)), report...))
			r.net.Inject(x.s.addr, deviceAddr, append(append(q.AppendTo(h.AppendTo(nil)), report...), make([]byte, 16)...))
			// From the peer of another session.
			q = message.ProtocolHeader{Initiator: false, Opcode: message.OpcodeStatusReport, Exchange: 7}
			x.counter++
			x.s.send(x.seal(x.counter, q, report))
		}
		for i, report := range reports[1:] { // the peer may report anything, except CloseSession
			x.counter++
			x.s.send(x.seal(x.counter, message.ProtocolHeader{Initiator: true, Opcode: message.OpcodeStatusReport, Exchange: uint16(900 + i)}, report))
		}
		time.Sleep(time.Second)
		if after := r.inspect(); after.CASE != before.CASE {
			t.Errorf("%d sessions of %d", after.CASE, before.CASE)
		}
		sigma3, _, err := b.in.Sigma2(sigma2)
		r.must(err)
		s.wantReport("the handshake", message.OpcodeSigma3, sigma3, message.GeneralSuccess, message.CodeSessionEstablished)
		if _, _, ok := x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("mine")); !ok {
			t.Error("the session does not answer")
		}
		if !r.alive(good) {
			t.Error("the controller's session does not answer")
		}
	})
}

// A retransmitted message of a handshake is identical: a second signature would
// lead to two transcripts of one handshake.
func TestRetransmittedSigma2IsTheSame(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := r.stranger(1)
		s.begin()
		sigma1 := r.sigma1(a, done.Node)
		var sent [][]byte
		r.net.SetTap(func(d simnet.Datagram) bool {
			if d.From != deviceAddr || d.To != s.addr {
				return true
			}
			if _, n, err := message.ParseHeader(d.Payload); err == nil {
				if p, _, err := message.ParseProtocolHeader(d.Payload[n:]); err == nil && p.Opcode == message.OpcodeSigma2 {
					sent = append(sent, bytes.Clone(d.Payload))
				}
			}
			return true
		})
		first := s.plain(s.header(message.OpcodeSigma1), sigma1)
		s.send(bytes.Clone(first))
		// The initiator did not receive it, and retransmits its own message as
		// well.
		for range 4 {
			time.Sleep(400 * time.Millisecond)
			s.send(bytes.Clone(first))
		}
		time.Sleep(20 * time.Second)
		r.net.SetTap(nil)
		if len(sent) != 5 {
			t.Errorf("Sigma2 was sent %d times, want 5", len(sent))
		}
		for _, b := range sent {
			if !bytes.Equal(b, sent[0]) {
				t.Errorf("Sigma2 was %x, then %x", sent[0], b)
			}
		}
	})
}

// A handshake continues on the path on which it began. A host that knows everything
// sent unencrypted cannot take it over or end it.
func TestHandshakeStaysWhereItBegan(t *testing.T) {
	rawWorld(t, func(r *rig, _ *raw, _ *commissioner.Session, a *commissioner.Authority, node matter.NodeID) {
		s, thief := r.stranger(2), r.stranger(3)
		s.begin()
		b, err := startCASE(a, node)
		r.must(err)
		_, sigma2, ok := s.ask(message.OpcodeSigma1, b.sigma1)
		if !ok {
			t.Fatal("no answer")
		}
		for _, opcode := range []uint8{message.OpcodeSigma1, message.OpcodeSigma3, message.OpcodePake1, message.OpcodeStatusReport, 0xFF} {
			thief.node, thief.exchange, thief.counter = s.node, s.exchange, s.counter
			thief.post(opcode, []byte("nonsense"))
		}
		time.Sleep(100 * time.Millisecond)
		s.drain()
		sigma3, _, err := b.in.Sigma2(sigma2)
		r.must(err)
		s.wantReport("the handshake", message.OpcodeSigma3, sigma3, message.GeneralSuccess, message.CodeSessionEstablished)
	})
}

// Datagrams with a session id that fail are limited per source, and so are those on
// the unsecured session. Neither limit affects other sources, or valid messages of
// the same source.
func TestSourceLimits(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, a *commissioner.Authority, node matter.NodeID) {
		for i := range 3000 {
			x.s.begin()
			x.s.post(message.OpcodeSigma1, []byte("nonsense"))
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
				x.s.drain()
			}
		}
		time.Sleep(10 * time.Millisecond)
		dropped := r.inspect().Dropped["source_limit"]
		if dropped < 2000 {
			t.Errorf("%d of 3000 were dropped", dropped)
		}
		x.s.drain()
		if _, _, ok := x.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, setLabel("mine")); !ok {
			t.Error("the source's session does not answer")
		}
		for i := range 40000 {
			x.s.send([]byte("\x00\x01\x00\x00 nonsense"))
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(10 * time.Millisecond)
		if got := r.inspect().Dropped["source_limit"] - dropped; got < 10000 {
			t.Errorf("%d of 40000 were dropped", got)
		}
		if !r.alive(good) {
			t.Error("another host's session does not answer")
		}
		time.Sleep(10 * time.Second) // the allowance is restored
		before := r.inspect().Dropped["source_limit"]
		if r.stranger(9).caseSession(a, node); r.inspect().Dropped["source_limit"] != before {
			t.Error("dropped later, too")
		}
	})
}

// A host on this link that sends from a thousand addresses counts as a thousand
// sources. The table of sources is limited.
func TestSourcesAreBounded(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		h := message.Header{HasSource: true}
		p := message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1}
		for i := range 5000 {
			h.Source, h.Counter = matter.NodeID(i+1), uint32(i)
			r.net.Inject(netip.AddrPortFrom(strangerAddr(i+10), 1), deviceAddr, append(p.AppendTo(h.AppendTo(nil)), "nonsense"...))
			if i%200 == 0 {
				time.Sleep(time.Millisecond)
				r.wantBounded()
			}
		}
		if !r.alive(good) || !slices.Contains([]int{1, 2}, r.inspect().CASE) {
			t.Error("the sessions are not what they were")
		}
	})
}

// All dropped datagrams are counted.
func TestDropsAreCounted(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, _ *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		before := r.inspect().Dropped
		s := r.stranger(3)
		s.begin()
		unsecured := func(p message.ProtocolHeader) { s.send(s.plain(p, nil)) }
		for _, send := range []func(){
			func() { s.send([]byte("?")) },
			func() { s.send(make([]byte, message.MaxSize+1)) },
			func() { s.send((&message.Header{SessionID: x.id + 1}).AppendTo(nil)) },
			func() { s.send(append((&message.Header{SessionID: x.id}).AppendTo(nil), make([]byte, 30)...)) },
			func() { unsecured(message.ProtocolHeader{Initiator: true, Opcode: message.OpcodePBKDFParamRequest}) }, // no window
			func() { unsecured(message.ProtocolHeader{Opcode: message.OpcodeSigma2}) },                             // an answer
			func() { unsecured(message.ProtocolHeader{Initiator: true, Protocol: 1, Opcode: 2}) },                  // a read
		} {
			send()
		}
		time.Sleep(time.Second)
		after := r.inspect().Dropped
		for reason, want := range map[string]uint64{
			"malformed": 2, "unknown_session": 1, "authentication": 1, "refused": 1, "unmatched": 1, "not_permitted": 1,
		} {
			if n := after[reason] - before[reason]; n != want {
				t.Errorf("%s was counted %d times", reason, n)
			}
		}
		// More concurrent requests than the limit of exchanges per session.
		const sent = exchange.DefaultMaxPerSession + 88
		for i := range uint16(sent) {
			x.counter++
			x.s.send(x.seal(x.counter, message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: im.OpcodeTimedRequest, Exchange: 1000 + i, Protocol: 1}, []byte{0x15, 0x25, 0, 0xFF, 0xFF, 0x18}))
			if i%100 == 99 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		if n := r.inspect().Dropped["refused"] - after["refused"]; n != 88 {
			t.Errorf("%d of %d exchanges were refused", n, sent)
		}
	})
}
