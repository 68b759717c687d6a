package securechannel

import (
	"errors"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// listener is a handler that records the events of its exchange.
type listener struct {
	opcodes []uint8
	payload []byte
	closed  bool
	err     error
}

func (l *listener) Receive(_ time.Time, _ *exchange.Exchange, m exchange.Message) {
	l.opcodes = append(l.opcodes, m.Opcode)
	l.payload = append([]byte(nil), m.Payload...)
}

func (l *listener) Closed(_ time.Time, _ *exchange.Exchange, err error) { l.closed, l.err = true, err }

// established returns both ends of a CASE session.
func established(w *world) (c *client, device *session.Session, controller *session.Session) {
	w.t.Helper()
	c = w.peer(1).controller(nil, nil)
	w.pass(10 * time.Second)
	if len(w.opened) != 1 {
		w.t.Fatal("no session")
	}
	w.want(Success)
	return c, w.opened[0], c.session()
}

func TestCloseSessionReceived(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		w := newWorld(t, nil)
		c, device, controller := established(w)
		open := &listener{}
		if _, err := w.device.exchanges.Initiate(w.now, device, open); err != nil {
			t.Fatal(err)
		}
		x, err := c.n.exchanges.Initiate(w.now, controller, &listener{})
		if err != nil {
			t.Fatal(err)
		}
		send := x.SendUnreliable
		if reliable {
			send = x.Send
		}
		before := len(w.log)
		if err := send(w.now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, reportCloseSession); err != nil {
			t.Fatal(err)
		}
		w.flow()
		if !device.Gone() || w.device.sessions.Len(session.CASE) != 0 {
			t.Error("the session lives")
		}
		if !open.closed || !errors.Is(open.err, exchange.ErrSessionGone) {
			t.Errorf("an exchange of the session: closed %v, %v", open.closed, open.err)
		}
		if n := len(w.log) - before; n != 1 {
			t.Errorf("reliable %v: %d datagrams, want the report alone", reliable, n)
		}
		w.wantClean()
	}
}

// Other reports on a session, and reports that only resemble CloseSession, have no
// effect.
func TestOtherReportsReceived(t *testing.T) {
	for _, report := range [][]byte{
		reportSuccess, reportInvalidParameter, reportBusy, {}, reportCloseSession[:7],
		{1, 0, 0, 0, 0, 0, 3, 0}, {0, 0, 1, 0, 0, 0, 3, 0}, {0, 0, 0, 0, 0xF1, 0xFF, 3, 0},
	} {
		w := newWorld(t, nil)
		c, device, controller := established(w)
		x, err := c.n.exchanges.Initiate(w.now, controller, &listener{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.SendUnreliable(w.now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report); err != nil {
			t.Fatal(err)
		}
		before := len(w.log)
		w.flow()
		if device.Gone() || len(w.log) != before {
			t.Errorf("%x: gone %v, %d answers", report, device.Gone(), len(w.log)-before)
		}
		w.wantClean()
	}
}

// CloseSession has no effect without a session, and reports are not answered.
func TestReportsOnTheUnsecuredSession(t *testing.T) {
	for _, report := range [][]byte{reportCloseSession, reportSuccess, reportInvalidParameter, {}} {
		w := newWorld(t, nil)
		_, device, _ := established(w)
		c := w.peer(9).client()
		c.begin(message.OpcodeStatusReport, report)
		w.flow()
		c.wantSilence()
		if device.Gone() {
			t.Errorf("%x closed a session", report)
		}
		w.want()
		w.wantClean()
	}
}

func TestCloseSession(t *testing.T) {
	w := newWorld(t, nil)
	c, device, controller := established(w)
	got := &listener{}
	c.n.accept = func(time.Time, *exchange.Exchange, exchange.Message) exchange.Handler { return got }
	open := &listener{}
	if _, err := w.device.exchanges.Initiate(w.now, device, open); err != nil {
		t.Fatal(err)
	}
	before := len(w.log)
	w.channel.CloseSession(w.now, device)
	if !device.Gone() || !errors.Is(open.err, exchange.ErrSessionGone) {
		t.Errorf("gone %v, its exchange ended with %v", device.Gone(), open.err)
	}
	w.pass(30 * time.Second)
	if n := len(w.log) - before; n != 1 {
		t.Errorf("%d datagrams, want one", n)
	}
	if len(got.opcodes) != 1 || got.opcodes[0] != message.OpcodeStatusReport || string(got.payload) != string(reportCloseSession) || controller.Gone() {
		t.Errorf("the peer got %#x %x", got.opcodes, got.payload)
	}
	w.channel.CloseSession(w.now, device) // nothing is left to close
	if len(w.log)-before != 1 {
		t.Error("a session that was gone was closed again")
	}
	w.wantClean()
}

func TestForget(t *testing.T) {
	w := newWorld(t, nil)
	_, device, _ := established(w)
	open := &listener{}
	if _, err := w.device.exchanges.Initiate(w.now, device, open); err != nil {
		t.Fatal(err)
	}
	before := len(w.log)
	for range 2 { // the second time nothing is left
		w.channel.Forget(w.now, device)
		w.pass(30 * time.Second)
	}
	if !device.Gone() || !errors.Is(open.err, exchange.ErrSessionGone) || len(w.log) != before {
		t.Errorf("gone %v, its exchange ended with %v, %d datagrams", device.Gone(), open.err, len(w.log)-before)
	}
	w.wantClean()
}

// An evicted session is no longer in the table, but its peer gets CloseSession.
func TestCloseSessionEvicted(t *testing.T) {
	w := newWorld(t, nil)
	c, device, _ := established(w)
	got := &listener{}
	c.n.accept = func(time.Time, *exchange.Exchange, exchange.Message) exchange.Handler { return got }
	for len(w.opened) < 21 {
		w.peer(byte(1+len(w.opened))).controller(nil, nil)
		w.pass(10 * time.Second)
	}
	evicted := w.device.sessions.TakeEvicted()
	if len(evicted) != 1 || evicted[0] != device {
		t.Fatalf("%d sessions evicted", len(evicted))
	}
	w.channel.CloseSession(w.now, device)
	w.flow()
	if !device.Gone() || string(got.payload) != string(reportCloseSession) {
		t.Errorf("gone %v, the peer got %x", device.Gone(), got.payload)
	}
}

func TestCloseSessionUnsecured(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	c := w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodePake1 {
			return nil
		}
		return b
	})
	w.flow()
	in, err := w.device.sessions.Receive(w.now, unsecuredFrom(t, c), transport.Path{Peer: c.n.addr})
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.log)
	w.channel.CloseSession(w.now, in.Session)
	if !in.Session.Gone() || len(w.log) != before {
		t.Errorf("gone %v, %d datagrams", in.Session.Gone(), len(w.log)-before)
	}
	w.want(Aborted)
	w.wantClean()
}

// unsecuredFrom returns a datagram that the client's unsecured session sends.
func unsecuredFrom(t *testing.T, c *client) []byte {
	t.Helper()
	b, _, err := c.x.Session().Seal(nil, &message.ProtocolHeader{Initiator: true, Opcode: message.OpcodeMRPStandaloneAck, HasAck: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Handshakes belong to the unsecured session. Neither this package nor the exchange
// layer accepts them on another one.
func TestNoHandshakeOnSessions(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	_, device, _ := established(w)
	x, err := w.device.exchanges.Initiate(w.now, device, &listener{})
	if err != nil {
		t.Fatal(err)
	}
	for opcode := range 256 {
		m := exchange.Message{Protocol: matter.ProtocolSecureChannel, Opcode: uint8(opcode), Payload: reportSuccess}
		if w.channel.Accept(w.now, x, m) != nil {
			t.Errorf("opcode %#x begins something on a CASE session", opcode)
		}
	}
	w.want()
}

// On the unsecured session only the two first messages begin a handshake.
func TestAcceptedOpcodes(t *testing.T) {
	w := newWorld(t, nil)
	s := w.device.sessions.Unsecured(w.now, transport.Path{Peer: deviceAddr})
	x, err := w.device.exchanges.Initiate(w.now, s, &listener{})
	if err != nil {
		t.Fatal(err)
	}
	for opcode := range 256 {
		w.window.Close()
		w.openWindow()
		m := exchange.Message{Protocol: matter.ProtocolSecureChannel, Opcode: uint8(opcode), Payload: reportCloseSession}
		want := uint8(opcode) == message.OpcodePBKDFParamRequest || uint8(opcode) == message.OpcodeSigma1
		if got := w.channel.Accept(w.now, x, m) != nil; got != want {
			t.Errorf("opcode %#x: accepted %v, want %v", opcode, got, want)
		}
	}
}

// If every session is in use, a handshake ends with a report.
func TestNoRoom(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	for w.device.sessions.Len(session.CASE) < 20 {
		c := w.peer(byte(len(w.opened))).controller(nil, nil)
		w.pass(10 * time.Second)
		c.wantReport(reportSuccess)
		if _, err := w.device.exchanges.Initiate(w.now, w.opened[len(w.opened)-1], &listener{}); err != nil {
			t.Fatal(err)
		}
	}
	w.outcomes = nil
	records, sessions := len(w.memory), len(w.opened)
	c := w.peer(100).controller(nil, nil)
	w.flow()
	c.wantReport(reportGeneralFailure)
	w.want(NoRoom)
	c = w.peer(101).commissioner(testPasscode, nil)
	w.flow()
	c.wantReport(reportGeneralFailure)
	w.want(NoRoom)
	if len(w.opened) != sessions || len(w.memory) != records {
		t.Errorf("%d sessions, %d records more", len(w.opened)-sessions, len(w.memory)-records)
	}
	if _, ok := w.window.Offer(); !ok {
		t.Error("the window offers nothing any more")
	}
}

// Strangers that send invalid messages and never acknowledge cannot keep the node
// busy: all get one report, and only a few get retransmissions.
func TestLingeringIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 20 {
		c := w.peer(byte(i)).client()
		c.begin(message.OpcodeSigma1, []byte("nonsense"))
		delete(w.nodes, c.n.addr)
		w.flow()
	}
	if n := w.device.exchanges.Stats().Open; n != maxLingering {
		t.Errorf("%d exchanges linger, want %d", n, maxLingering)
	}
	reached := map[string]bool{}
	for _, d := range w.log {
		if d.from == deviceAddr {
			reached[d.to.String()] = true
		}
	}
	if len(reached) != 20 {
		t.Errorf("%d strangers got an answer", len(reached))
	}
	c := w.peer(200).controller(nil, nil)
	w.flow()
	c.wantReport(reportSuccess)
	w.pass(20 * time.Second)
	w.wantClean()
}

// An endless series of failed handshakes leaves nothing behind.
func TestNothingAccumulates(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 300 {
		c := w.peer(byte(i)).client()
		c.begin(message.OpcodeSigma1, make([]byte, i))
		w.pass(100 * time.Millisecond)
	}
	w.pass(20 * time.Second)
	w.wantClean()
	ids := map[uint16]bool{}
	for range 1<<16 - 1 {
		id, err := w.device.sessions.ReserveID()
		if err != nil || ids[id] {
			t.Fatalf("after %d ids: %v", len(ids), err)
		}
		ids[id] = true
	}
}

func TestNoSessionIDLeft(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	for {
		if _, err := w.device.sessions.ReserveID(); err != nil {
			break
		}
	}
	pase := w.peer(1).commissioner(testPasscode, nil)
	w.flow()
	pase.wantSilence()
	sigma := w.peer(2).controller(nil, nil)
	w.flow()
	sigma.wantSilence()
	w.want()
	if _, ok := w.window.Offer(); !ok || w.window.Failures() != 0 {
		t.Error("the window counts what nobody tried")
	}
	w.wantClean()
}

func TestOptions(t *testing.T) {
	w := newWorld(t, nil)
	if w.channel.opt.MaxHandshakes != DefaultMaxHandshakes {
		t.Errorf("%d handshakes", w.channel.opt.MaxHandshakes)
	}
	full := w.channel.opt
	for name, drop := range map[string]func(*Options){
		"Sessions":    func(o *Options) { o.Sessions = nil },
		"Exchanges":   func(o *Options) { o.Exchanges = nil },
		"Window":      func(o *Options) { o.Window = nil },
		"Fabrics":     func(o *Options) { o.Fabrics = nil },
		"Resumptions": func(o *Options) { o.Resumptions = nil },
		"Rand":        func(o *Options) { o.Rand = nil },
		"Validity":    func(o *Options) { o.Validity = nil },
		"OnSession":   func(o *Options) { o.OnSession = nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a channel without %s", name)
				}
			}()
			o := full
			drop(&o)
			New(o)
		}()
	}
}

func TestResults(t *testing.T) {
	for kind, want := range map[session.Kind]int{session.PASE: int(results), session.CASE: int(results) - 1} {
		seen := map[string]bool{}
		for _, r := range Results(kind) {
			if s := r.String(); s == "" || seen[s] || s == "wrong_passcode" && kind == session.CASE {
				t.Errorf("%v: result %d is called %q", kind, r, s)
			} else {
				seen[s] = true
			}
		}
		if len(seen) != want {
			t.Errorf("%v: %d results, want %d", kind, len(seen), want)
		}
	}
}

// FuzzChannel sends messages to a device with an open window. No session may
// result, and nothing may be left behind. The input is a series of opcode, length
// and payload; opcode 0xFF begins a new exchange.
func FuzzChannel(f *testing.F) {
	f.Add([]byte{message.OpcodePBKDFParamRequest, 2, 0x15, 0x18, message.OpcodePake1, 0})
	f.Add([]byte{message.OpcodeSigma1, 2, 0x15, 0x18, 0xFF, 0, message.OpcodeStatusReport, 8, 0, 0, 0, 0, 0, 0, 3, 0})
	f.Add(append([]byte{message.OpcodeStatusReport, 8}, reportSuccess...))
	request := []byte{
		0x15, 0x30, 1, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
		0x25, 2, 1, 1, 0x24, 3, 0, 0x28, 4, 0x18,
	}
	l := passcodes()[testPasscode].Verifier.L
	pake1 := append([]byte{message.OpcodePake1, 70, 0x15, 0x30, 1, 65}, append(l[:], 0x18)...)
	f.Add(append(append([]byte{message.OpcodePBKDFParamRequest, byte(len(request))}, request...), pake1...))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t, nil)
		w.openWindow()
		p := w.peer(1)
		x := (*exchange.Exchange)(nil)
		for len(b) >= 2 {
			opcode, n := b[0], min(int(b[1]), len(b)-2)
			payload := b[2 : 2+n]
			b = b[2+n:]
			if x == nil || opcode == 0xFF {
				s := p.sessions.Unsecured(w.now, transport.Path{Peer: deviceAddr})
				var err error
				if x, err = p.exchanges.Initiate(w.now, s, &listener{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.SendUnreliable(w.now, matter.ProtocolSecureChannel, opcode, payload); err != nil {
				break
			}
			w.flow()
		}
		w.pass(HandshakeTime)
		w.wantClean()
		if len(w.opened) != 0 || w.window.Failures() > window.MaxAttempts {
			t.Errorf("%d sessions, %d failures", len(w.opened), w.window.Failures())
		}
	})
}

func BenchmarkCASE(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, nil)
		c := w.peer(1).controller(nil, nil)
		b.StartTimer()
		w.flow()
		if len(c.reports) != 1 {
			b.Fatal("no success")
		}
	}
}
