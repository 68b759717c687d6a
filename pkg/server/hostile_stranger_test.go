package server_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// stranger is a host that builds its datagrams itself and may break any rule.
type stranger struct {
	r    *rig
	addr netip.AddrPort
	conn transport.PacketConn
	in   chan []byte

	// The handshake in progress.
	node     matter.NodeID
	exchange uint16
	counter  uint32
	last     uint32 // counter of the last message received
	heard    bool
}

// stranger returns the n-th hostile host.
func (r *rig) stranger(n int) *stranger {
	r.t.Helper()
	return r.strangerAt(netip.AddrPortFrom(strangerAddr(n), 50000))
}

func strangerAddr(n int) netip.Addr {
	a := [16]byte{0xFE, 0x80, 7: 0x66}
	binary.BigEndian.PutUint32(a[12:], uint32(n))
	return netip.AddrFrom16(a)
}

func (r *rig) strangerAt(addr netip.AddrPort) *stranger {
	s := &stranger{r: r, addr: addr, conn: r.net.Listen(addr), in: make(chan []byte, 4096), counter: 1000}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			b := make([]byte, message.MaxSize)
			n, _, err := s.conn.ReadFrom(b)
			if err != nil {
				return
			}
			select {
			case s.in <- b[:n]:
			default: // no test is reading
			}
		}
	}()
	r.t.Cleanup(func() {
		_ = s.conn.Close()
		<-done
	})
	return s
}

// send sends a datagram unchanged.
func (s *stranger) send(b []byte) {
	s.r.t.Helper()
	if err := s.conn.WriteTo(b, transport.Path{Peer: deviceAddr}); err != nil {
		s.r.t.Fatal(err)
	}
}

// receive returns the next datagram, or nil if there is none for a while.
func (s *stranger) receive() []byte {
	select {
	case b := <-s.in:
		return b
	case <-time.After(2 * time.Second):
		return nil
	}
}

// drain discards the received datagrams and returns their number.
func (s *stranger) drain() (n int) {
	for {
		select {
		case <-s.in:
			n++
		default:
			return n
		}
	}
}

// plain returns a message on the unsecured session.
func (s *stranger) plain(p message.ProtocolHeader, payload []byte) []byte {
	s.counter++
	h := message.Header{Counter: s.counter, HasSource: true, Source: s.node}
	return append(p.AppendTo(h.AppendTo(nil)), payload...)
}

// begin prepares a new handshake with a new ephemeral node id and exchange.
func (s *stranger) begin() {
	s.node = commissioner.RandomNodeID()
	s.exchange++
	s.heard = false
}

// header returns the header of the handshake's next message.
func (s *stranger) header(opcode uint8) message.ProtocolHeader {
	return message.ProtocolHeader{
		Initiator: true, Reliable: true, HasAck: s.heard, Ack: s.last,
		Opcode: opcode, Exchange: s.exchange, Protocol: matter.ProtocolSecureChannel,
	}
}

// post sends a message of the handshake.
func (s *stranger) post(opcode uint8, payload []byte) {
	s.r.t.Helper()
	s.send(s.plain(s.header(opcode), payload))
}

// ask sends a message of the handshake and returns the answer. ok is false if there
// are only acknowledgements.
func (s *stranger) ask(opcode uint8, payload []byte) (answer message.ProtocolHeader, body []byte, ok bool) {
	s.r.t.Helper()
	s.post(opcode, payload)
	for {
		p, body, ok := s.hear()
		if !ok || p.Opcode != message.OpcodeMRPStandaloneAck {
			return p, body, ok
		}
	}
}

// hear returns the next new message of the handshake.
func (s *stranger) hear() (p message.ProtocolHeader, body []byte, ok bool) {
	for {
		b := s.receive()
		if b == nil {
			return p, nil, false
		}
		h, n, err := message.ParseHeader(b)
		if err != nil || !h.Unsecured() || h.Dest != s.node || s.heard && h.Counter == s.last {
			continue
		}
		p, m, err := message.ParseProtocolHeader(b[n:])
		if err != nil || p.Exchange != s.exchange {
			continue
		}
		if p.Reliable {
			s.last, s.heard = h.Counter, true
		}
		return p, b[n+m:], true
	}
}

// ack acknowledges the last message of the handshake.
func (s *stranger) ack() {
	s.r.t.Helper()
	p := s.header(message.OpcodeMRPStandaloneAck)
	p.Reliable = false
	s.send(s.plain(p, nil))
}

// wantReport calls ask and checks that the answer is this StatusReport.
func (s *stranger) wantReport(what string, opcode uint8, payload []byte, general, code uint16) {
	s.r.t.Helper()
	p, body, ok := s.ask(opcode, payload)
	if !ok || p.Opcode != message.OpcodeStatusReport {
		s.r.t.Errorf("%s: answered with opcode %02x, %v", what, p.Opcode, ok)
		return
	}
	s.ack()
	r, err := message.ParseStatusReport(body)
	if err != nil || r.General != general || r.Code != code || r.Protocol != 0 {
		s.r.t.Errorf("%s: %v, %v, want general code %d, code %d", what, &r, err, general, code)
	}
}

// raw is a session with keys that the test knows.
type raw struct {
	s          *stranger
	id         uint16 // the node's
	i2r, r2i   [16]byte
	self, node matter.NodeID
	counter    uint32
	exchange   uint16
}

// caseSession opens a session with the credentials of an administrator of a.
func (s *stranger) caseSession(a *commissioner.Authority, node matter.NodeID) *raw {
	s.r.t.Helper()
	s.begin()
	in := casesession.NewInitiator(a.Initiator(0xBAD, node, nil))
	sigma1, err := in.Start()
	s.r.must(err)
	p, sigma2, ok := s.ask(message.OpcodeSigma1, sigma1)
	if !ok || p.Opcode != message.OpcodeSigma2 {
		s.r.t.Fatalf("Sigma1 answered with %02x, %v", p.Opcode, ok)
	}
	sigma3, res, err := in.Sigma2(sigma2)
	s.r.must(err)
	p, report, ok := s.ask(message.OpcodeSigma3, sigma3)
	if r, err := message.ParseStatusReport(report); !ok || p.Opcode != message.OpcodeStatusReport || err != nil || !r.Success() {
		s.r.t.Fatalf("Sigma3 answered with %02x %x, %v", p.Opcode, report, ok)
	}
	s.ack()
	return &raw{s: s, id: res.PeerSessionID, i2r: res.I2R, r2i: res.R2I, self: a.NodeID, node: node, counter: 1}
}

// seal returns a datagram of the session with this counter.
func (x *raw) seal(counter uint32, p message.ProtocolHeader, payload []byte) []byte {
	h := message.Header{SessionID: x.id, Counter: counter}
	b := h.AppendTo(nil)
	aead, err := mcrypto.NewAEAD(x.i2r[:])
	x.s.r.must(err)
	nonce := mcrypto.MessageNonce(h.SecurityFlags(), counter, x.self)
	return aead.Seal(b, nonce[:], append(p.AppendTo(nil), payload...), b)
}

// next returns the next datagram, which begins an exchange.
func (x *raw) next(protocol uint16, opcode uint8, payload []byte) []byte {
	x.counter++
	x.exchange++
	return x.seal(x.counter, message.ProtocolHeader{
		Initiator: true, Reliable: true, Opcode: opcode, Exchange: x.exchange, Protocol: protocol,
	}, payload)
}

// open decrypts a datagram of the node.
func (x *raw) open(b []byte) (h message.Header, p message.ProtocolHeader, payload []byte, err error) {
	h, n, err := message.ParseHeader(b)
	if err != nil {
		return h, p, nil, err
	}
	aead, err := mcrypto.NewAEAD(x.r2i[:])
	x.s.r.must(err)
	nonce := mcrypto.MessageNonce(b[3], h.Counter, x.node)
	plain, err := aead.Open(nil, nonce[:], b[n:], b[:n])
	if err != nil {
		return h, p, nil, err
	}
	p, n, err = message.ParseProtocolHeader(plain)
	return h, p, plain[min(n, len(plain)):], err
}

// ask begins an exchange with a request and returns the answer.
func (x *raw) ask(protocol uint16, opcode uint8, payload []byte) (message.ProtocolHeader, []byte, bool) {
	x.s.r.t.Helper()
	x.exchange++
	return x.goOn(protocol, opcode, payload)
}

// goOn is like ask, on the exchange of the last ask.
func (x *raw) goOn(protocol uint16, opcode uint8, payload []byte) (message.ProtocolHeader, []byte, bool) {
	x.s.r.t.Helper()
	x.counter++
	x.s.send(x.seal(x.counter, message.ProtocolHeader{
		Initiator: true, Reliable: true, Opcode: opcode, Exchange: x.exchange, Protocol: protocol,
	}, payload))
	return x.answer()
}

// answer returns the answer on the exchange and acknowledges it.
func (x *raw) answer() (message.ProtocolHeader, []byte, bool) {
	x.s.r.t.Helper()
	for {
		b := x.s.receive()
		if b == nil {
			return message.ProtocolHeader{}, nil, false
		}
		h, p, body, err := x.open(b)
		if err != nil || p.Exchange != x.exchange || p.Opcode == message.OpcodeMRPStandaloneAck && p.Protocol == 0 {
			continue
		}
		x.counter++
		x.s.send(x.seal(x.counter, message.ProtocolHeader{
			Initiator: true, HasAck: true, Ack: h.Counter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: x.exchange,
		}, nil))
		return p, body, true
	}
}

// inspect returns the internal state of the node.
func (r *rig) inspect() server.Inspection {
	r.t.Helper()
	i, err := r.srv.Inspect()
	r.must(err)
	return i
}

// wantBounded checks the node's limits.
func (r *rig) wantBounded() {
	r.t.Helper()
	i := r.inspect()
	for _, b := range []struct {
		what   string
		n, max int
	}{
		{"unsecured sessions", i.Unsecured, server.MaxUnsecured},
		{"PASE sessions", i.PASE, 1},
		{"CASE sessions", i.CASE, 3*server.DefaultMaxFabrics + 16},
		{"sources", i.Sources, server.MaxSources},
		{"fabrics", i.Fabrics, server.DefaultMaxFabrics},
		{"interactions that wait", i.Waiting, 64 * (server.DefaultMaxFabrics + 1)},
		{"subscriptions", i.Subscriptions, 3*server.DefaultMaxFabrics + 64},
	} {
		if b.n > b.max {
			r.t.Errorf("%d %s, at most %d may be", b.n, b.what, b.max)
		}
	}
}

// connectsWithin checks that a genuine controller opens a session and reads.
func (r *rig) connectsWithin(limit time.Duration, c *commissioner.Client, a *commissioner.Authority, node matter.NodeID) *commissioner.Session {
	r.t.Helper()
	begin := time.Now()
	s, _, err := c.CASE(r.ctx, deviceAddr, a, node, nil)
	if err != nil {
		r.t.Fatalf("a good controller cannot connect: %v", err)
	}
	if !r.alive(s) {
		r.t.Fatal("a good controller cannot read")
	}
	if d := time.Since(begin); d > limit {
		r.t.Errorf("a good controller needed %v", d)
	}
	return s
}

// eachPrefix calls f with every prefix of b.
func eachPrefix(t *testing.T, b []byte, f func(name string, part []byte)) {
	t.Helper()
	for n := range b {
		f(fmt.Sprintf("%d of %d octets", n, len(b)), b[:n])
	}
}
