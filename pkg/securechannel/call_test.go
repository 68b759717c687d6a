package securechannel

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// callee is a controller that can be called: a node with its own channel.
type callee struct {
	*node
	channel *Channel
	fabrics fabrics
	memory  memory
	opened  []*session.Session
	resumed []bool
}

var calleeAddr = netip.MustParseAddrPort("[fe80::c%1]:5541")

// callee returns the controller of the home fabric.
func (w *world) callee(change func(*Options)) *callee {
	w.t.Helper()
	h := home()
	c := &callee{node: w.node(calleeAddr, 20)}
	c.fabrics = fabrics{&fabric.Fabric{
		Fabric:        store.Fabric{Index: 1, FabricID: homeFabric, NodeID: h.controller, NOC: h.noc.Raw()},
		RootPublicKey: h.root.PublicKey, RootCert: h.root, NOCCert: h.noc,
		OperationalKey: h.key, IPKs: h.device.IPKs,
	}}
	opt := Options{
		Sessions: c.sessions, Exchanges: c.exchanges, Window: window.New(passcodes()[testPasscode], rand.Reader),
		Fabrics: &c.fabrics, Resumptions: &c.memory, Rand: rand.Reader, Parameters: message.LocalParameters(),
		Validity:    func(time.Time) cert.VerifyOptions { return cert.VerifyOptions{Now: 1500, Exact: true} },
		OnSession:   func(_ time.Time, s *session.Session) { c.opened = append(c.opened, s) },
		OnHandshake: func(_ time.Time, o Outcome) { c.resumed = append(c.resumed, o.Resumed) },
	}
	if change != nil {
		change(&opt)
	}
	c.channel = New(opt)
	c.accept = c.channel.Accept
	return c
}

// called is the result of a call.
type called struct {
	t       *testing.T
	done    int
	session *session.Session
	err     error
}

// call has the device call the controller.
func (w *world) call(t *testing.T, change func(*Call)) *called {
	t.Helper()
	c := &called{t: t}
	call := Call{Fabric: w.fabrics[0], Peer: home().controller, Path: transport.Path{Peer: calleeAddr}, Done: func(_ time.Time, s *session.Session, err error) {
		c.done++
		c.session, c.err = s, err
	}}
	if change != nil {
		change(&call)
	}
	if err := w.channel.Call(w.now, call); err != nil {
		t.Fatal(err)
	}
	return c
}

// want checks how the call ended: with a session, or with a matching error.
func (c *called) want(err error) {
	c.t.Helper()
	if c.done != 1 || (c.session == nil) == (c.err == nil) || !errors.Is(c.err, err) {
		c.t.Errorf("done %d times, session %v, error %v, want %v", c.done, c.session != nil, c.err, err)
	}
}

// wantTalkTo checks that both ends of a session can decrypt each other's messages.
func (w *world) wantTalkTo(c *callee, device, controller *session.Session) {
	w.t.Helper()
	if device.PeerID != controller.LocalID || controller.PeerID != device.LocalID || device.AttestationChallenge != controller.AttestationChallenge {
		w.t.Errorf("sessions %+v and %+v", device, controller)
	}
	for _, end := range []struct {
		from, to *node
		s        *session.Session
	}{{w.device, c.node, device}, {c.node, w.device, controller}} {
		p := message.ProtocolHeader{Initiator: true, Opcode: 9, Protocol: 1}
		b, _, err := end.s.Seal(nil, &p, []byte("hello"))
		if err != nil {
			w.t.Fatal(err)
		}
		if in, err := end.to.sessions.Receive(w.now, b, transport.Path{Peer: end.from.addr}); err != nil || string(in.Payload) != "hello" {
			w.t.Errorf("a message of the session: %q, %v", in.Payload, err)
		}
	}
}

// wantNothingLeft checks that nothing is left of calls except sessions.
func (w *world) wantNothingLeft(sessions int) {
	w.t.Helper()
	if n := w.device.sessions.Len(session.Unsecured); n != 0 {
		w.t.Errorf("%d unsecured sessions", n)
	}
	if n := w.device.sessions.Len(session.CASE); n != sessions {
		w.t.Errorf("%d CASE sessions, want %d", n, sessions)
	}
	w.wantClean()
}

func TestCall(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	first := w.call(t, nil)
	w.flow()
	first.want(nil)
	if len(peer.opened) != 1 || peer.opened[0].PeerNode != deviceNode {
		t.Fatalf("sessions of the controller %+v", peer.opened)
	}
	s := first.session
	if s.Kind != session.CASE || !s.Initiator || s.Fabric != homeIndex || s.LocalNode != deviceNode || s.PeerNode != home().controller || s.CATs != [3]matter.CAT{adminTag} {
		t.Errorf("session %+v", s)
	}
	w.wantTalkTo(peer, s, peer.opened[0])
	if len(w.memory) != 1 || w.memory[0].ID != peer.memory[0].ID || w.memory[0].Fabric != homeIndex {
		t.Error("not the same is remembered")
	}

	// The next handshake resumes the session.
	before := w.memory[0]
	second := w.call(t, nil)
	w.flow()
	second.want(nil)
	if !slices.Equal(peer.resumed, []bool{false, true}) {
		t.Errorf("resumed %v", peer.resumed)
	}
	w.wantTalkTo(peer, second.session, peer.opened[1])
	if len(w.memory) != 1 || w.memory[0].ID != peer.memory[0].ID || w.memory[0].ID == before.ID {
		t.Error("the record was not replaced")
	}

	third := w.call(t, func(c *Call) { c.Full = true })
	w.flow()
	third.want(nil)
	if !slices.Equal(peer.resumed, []bool{false, true, false}) {
		t.Errorf("resumed %v", peer.resumed)
	}
	w.pass(10 * time.Second)
	w.wantNothingLeft(3)
	if len(w.outcomes) != 0 {
		t.Errorf("counted among the handshakes of others: %v", w.outcomes)
	}
}

// If the controller has no record, the handshake is a full one.
func TestCallForgottenByThePeer(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	w.call(t, nil)
	w.flow()
	peer.memory = nil
	c := w.call(t, nil)
	w.flow()
	c.want(nil)
	w.wantTalkTo(peer, c.session, peer.opened[1])
}

func TestCallFails(t *testing.T) {
	damage := func(opcode uint8) func(w *world, peer *callee) {
		return func(w *world, peer *callee) {
			accept := peer.accept
			peer.accept = func(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
				return &spoiler{accept(now, x, m), opcode}
			}
		}
	}
	for name, tt := range map[string]struct {
		before  func(w *world, peer *callee)
		resumes bool
		want    error
	}{
		"nobody there":           {before: func(w *world, _ *callee) { delete(w.nodes, calleeAddr) }, want: exchange.ErrNoAck},
		"another fabric":         {before: func(_ *world, peer *callee) { peer.fabrics = nil }, want: errPeerReport},
		"acknowledges only":      {before: func(_ *world, peer *callee) { peer.accept = silence }, want: exchange.ErrNoResponse},
		"acknowledges Sigma3":    {before: damage(message.OpcodeStatusReport), want: exchange.ErrNoResponse},
		"Sigma2 is not genuine":  {before: damage(message.OpcodeSigma2)},
		"Sigma2R is not genuine": {before: damage(message.OpcodeSigma2Resume), resumes: true},
		"fabric removed": {before: func(w *world, peer *callee) {
			accept := peer.accept
			peer.accept = func(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
				w.fabrics = nil
				return accept(now, x, m)
			}
		}, want: errFabric},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			peer := w.callee(nil)
			sessions := 0
			if tt.resumes {
				w.call(t, nil)
				w.flow()
				sessions = 1
			}
			f := w.fabrics[0]
			tt.before(w, peer)
			c := w.call(t, func(c *Call) { c.Fabric = f })
			w.pass(2 * time.Minute)
			if tt.want == nil {
				tt.want = c.err
			}
			c.want(tt.want)
			if c.err == nil {
				t.Error("it succeeded")
			}
			w.wantNothingLeft(sessions)
		})
	}
}

// A node that acknowledges has 30 seconds to answer.
func TestCallAnswerTime(t *testing.T) {
	w := newWorld(t, nil)
	w.callee(nil).accept = silence
	c := w.call(t, nil)
	w.pass(29 * time.Second)
	if c.done != 0 {
		t.Fatalf("given up: %v", c.err)
	}
	w.pass(2 * time.Second)
	c.want(exchange.ErrNoResponse)
}

// silence accepts a handshake and sends nothing.
func silence(time.Time, *exchange.Exchange, exchange.Message) exchange.Handler { return silent{} }

// spoiler passes messages on. It flips a bit of the first outgoing message with an
// opcode, or removes it if it is a StatusReport.
type spoiler struct {
	exchange.Handler
	opcode uint8
}

func (s *spoiler) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	h, ok := s.Handler.(*handshake)
	if !ok || h.responder == nil {
		return
	}
	if s.opcode == message.OpcodeStatusReport && m.Opcode == message.OpcodeSigma3 {
		return
	}
	h.responder = &spoiledResponder{h.responder, s.opcode}
	h.Receive(now, x, m)
}

type spoiledResponder struct {
	responder
	opcode uint8
}

func (r *spoiledResponder) take(m exchange.Message) (next, error) {
	n, err := r.responder.take(m)
	if n.opcode == r.opcode {
		n.payload[len(n.payload)/2] ^= 1
	}
	return n, err
}

func TestCallBusy(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	peer.accept = func(time.Time, *exchange.Exchange, exchange.Message) exchange.Handler { return busyPeer{} }
	c := w.call(t, nil)
	w.pass(time.Second)
	var busy *PeerBusy
	if !errors.As(c.err, &busy) || busy.Wait != 7*time.Second || c.done != 1 {
		t.Errorf("done %d times, %v", c.done, c.err)
	}
	w.wantNothingLeft(0)
}

type busyPeer struct{ silent }

func (busyPeer) Receive(now time.Time, x *exchange.Exchange, _ exchange.Message) {
	report := message.Busy(7000)
	_ = x.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
	x.Close(now)
}

// A report of success has no effect at the wrong time.
func TestCallSuccessOutOfTurn(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	peer.accept = func(time.Time, *exchange.Exchange, exchange.Message) exchange.Handler { return flatterer{} }
	c := w.call(t, nil)
	w.pass(time.Second)
	c.want(errPeerReport)
	w.wantNothingLeft(0)
}

type flatterer struct{ silent }

func (flatterer) Receive(now time.Time, x *exchange.Exchange, _ exchange.Message) {
	report := successReport()
	_ = x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
	x.Close(now)
}

// If the last message of a resumption never arrives, the responder has no session,
// and this node must not keep one.
func TestCallResumedUnheard(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	w.call(t, nil)
	w.flow()
	sent := len(w.log)
	w.fate = func(n int) bool { return n > sent && w.log[n].from == deviceAddr } // all but Sigma1
	c := w.call(t, nil)
	w.pass(2 * time.Minute)
	c.want(exchange.ErrNoAck)
	if len(peer.opened) != 1 {
		t.Errorf("%d sessions of the controller", len(peer.opened))
	}
	w.wantNothingLeft(1)
	w.fate = nil
	c = w.call(t, nil)
	w.flow()
	c.want(nil)
	w.wantTalkTo(peer, c.session, peer.opened[1])
}

func TestCallLoss(t *testing.T) {
	for lost := range 8 {
		for _, resumes := range []bool{false, true} {
			w := newWorld(t, nil)
			peer := w.callee(nil)
			if resumes {
				w.call(t, nil)
				w.flow()
			}
			first := len(w.log)
			w.fate = func(n int) bool { return n == first+lost }
			c := w.call(t, nil)
			w.pass(30 * time.Second)
			c.want(nil)
			if c.session != nil {
				w.wantTalkTo(peer, c.session, peer.opened[len(peer.opened)-1])
			}
			w.wantIdenticalRetransmissions()
		}
	}
}

func TestCallDuplicates(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	w.twice = true
	for range 2 {
		c := w.call(t, nil)
		w.pass(10 * time.Second)
		c.want(nil)
	}
	if len(peer.opened) != 2 {
		t.Errorf("%d sessions of the controller", len(peer.opened))
	}
	w.wantNothingLeft(2)
}

// Two nodes may call each other at the same time.
func TestCallsCross(t *testing.T) {
	w := newWorld(t, nil)
	peer := w.callee(nil)
	c := w.call(t, nil)
	done := 0
	err := peer.channel.Call(w.now, Call{Fabric: peer.fabrics[0], Peer: deviceNode, Path: transport.Path{Peer: deviceAddr}, Done: func(_ time.Time, _ *session.Session, err error) {
		done++
		if err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(10 * time.Second)
	c.want(nil)
	if done != 1 || len(w.opened) != 1 || len(peer.opened) != 1 {
		t.Errorf("%d, %d and %d sessions", done, len(w.opened), len(peer.opened))
	}
	w.want(Success)
}

func TestCallCannotBegin(t *testing.T) {
	w := newWorld(t, nil)
	w.callee(nil)
	for {
		if _, err := w.device.sessions.ReserveID(); err != nil {
			break
		}
	}
	err := w.channel.Call(w.now, Call{Fabric: w.fabrics[0], Peer: home().controller, Done: func(time.Time, *session.Session, error) { t.Error("done") }})
	if !errors.Is(err, session.ErrFull) {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("nobody waits, and no panic")
		}
	}()
	_ = w.channel.Call(w.now, Call{})
}

// OnClosed is called before a session that the peer closes is removed.
func TestOnClosed(t *testing.T) {
	var closed []*session.Session
	w := newWorld(t, func(o *Options) {
		o.OnClosed = func(_ time.Time, s *session.Session) {
			if s.Gone() {
				t.Error("it is gone")
			}
			closed = append(closed, s)
		}
	})
	peer := w.callee(nil)
	c := w.call(t, nil)
	w.flow()
	peer.channel.CloseSession(w.now, peer.opened[0])
	w.flow()
	if len(closed) != 1 || closed[0] != c.session || !c.session.Gone() {
		t.Errorf("closed %v", closed)
	}
	second := w.call(t, nil)
	w.flow()
	w.channel.CloseSession(w.now, second.session)
	if len(closed) != 1 {
		t.Error("this node closed it, not the peer")
	}
}
