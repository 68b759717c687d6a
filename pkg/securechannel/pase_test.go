package securechannel

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/pase"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// commissioner begins a PASE handshake. change may alter what it sends. A message
// with a nil payload is not sent.
func (n *node) commissioner(passcode uint32, change func(opcode uint8, b []byte) []byte) *client {
	n.w.t.Helper()
	c := n.client()
	params := message.LocalParameters()
	params.ActiveInterval = 400 * time.Millisecond
	in := pase.NewInitiator(pase.InitiatorConfig{Rand: rand.Reader, Passcode: passcode, SessionID: c.id, Params: params})
	send := func(opcode uint8, b []byte) (uint8, []byte) {
		if change != nil {
			b = change(opcode, b)
		}
		if b == nil {
			return 0, nil
		}
		return opcode, b
	}
	c.script = func(_ time.Time, m exchange.Message) (uint8, []byte) {
		switch m.Opcode {
		case message.OpcodePBKDFParamResponse:
			b, err := in.PBKDFParamResponse(m.Payload)
			if err != nil {
				return message.OpcodeStatusReport, reportInvalidParameter
			}
			return send(message.OpcodePake1, b)
		case message.OpcodePake2:
			b, res, err := in.Pake2(m.Payload)
			if err != nil {
				return message.OpcodeStatusReport, reportInvalidParameter
			}
			c.result = &session.Config{
				Kind: session.PASE, Initiator: true, LocalID: c.id, PeerID: res.PeerSessionID, Params: res.PeerParams,
				Keys: session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
				Path: c.x.Session().Path,
			}
			return send(message.OpcodePake3, b)
		}
		n.w.t.Errorf("opcode %#x in a PASE handshake", m.Opcode)
		return 0, nil
	}
	request, err := in.Start()
	if err != nil {
		n.w.t.Fatal(err)
	}
	opcode, request := send(message.OpcodePBKDFParamRequest, request)
	c.begin(opcode, request)
	return c
}

func TestPASE(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	c := w.peer(1).commissioner(testPasscode, nil)
	w.flow()
	c.wantReport(reportSuccess)
	if want := []uint8{message.OpcodePBKDFParamResponse, message.OpcodePake2, message.OpcodeStatusReport}; !slices.Equal(c.opcodes, want) {
		t.Errorf("answers %#x, want %#x", c.opcodes, want)
	}
	if len(w.opened) != 1 || w.device.sessions.Len(session.PASE) != 1 {
		t.Fatalf("%d sessions opened", len(w.opened))
	}
	s := w.opened[0]
	if s.Kind != session.PASE || s.Initiator || s.Fabric != 0 || s.PeerNode != 0 || s.LocalNode != 0 || s.Path.Peer != c.n.addr {
		t.Errorf("session %+v", s)
	}
	if s.Params.ActiveInterval != 400*time.Millisecond {
		t.Errorf("the peer's parameters are %+v", s.Params)
	}
	if o := w.outcomes[0]; o.Kind != session.PASE || o.Resumed {
		t.Errorf("outcome %+v", o)
	}
	w.want(Success)
	w.wantTalk(c, s)
	if _, ok := w.window.Advertise(); ok || !w.window.Open() || w.window.Failures() != 0 {
		t.Errorf("the window: advertised %v, open %v, %d failures", ok, w.window.Open(), w.window.Failures())
	}
	w.pass(10 * time.Second)
	w.wantClean()
}

// OnSession is called after the report to the peer was sent.
func TestSessionAfterReport(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	w.peer(1).commissioner(testPasscode, nil)
	w.flow()
	if len(w.atOpen) != 1 || w.atOpen[0] == 0 {
		t.Fatal("no session")
	}
	last := w.log[w.atOpen[0]-1]
	if last.from != deviceAddr || !bytes.HasSuffix(last.data, reportSuccess) {
		t.Errorf("the last datagram before OnSession is %x", last.data)
	}
}

func TestPASEWrongPasscode(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	w.peer(1).commissioner(otherPasscode, nil)
	w.flow()
	// The initiator finds out first. Its report is not answered.
	w.wantNoReport()
	if len(w.opened) != 0 {
		t.Errorf("%d sessions", len(w.opened))
	}
	if len(w.outcomes) != 1 || w.outcomes[0].Peer.Port() != 40000 {
		t.Errorf("outcomes %+v, want one with the peer's address", w.outcomes)
	}
	w.want(WrongPasscode)
	if w.window.Failures() != 1 {
		t.Errorf("%d failures", w.window.Failures())
	}
	w.pass(10 * time.Second)
	w.wantClean()
	// The window accepts the next commissioner.
	c := w.peer(2).commissioner(testPasscode, nil)
	w.flow()
	c.wantReport(reportSuccess)
	w.want(Success)
}

func TestPASEInvalidParameter(t *testing.T) {
	zeros := func(n int) []byte { return append([]byte{0x15, 0x30, 1, byte(n)}, append(make([]byte, n), 0x18)...) }
	for _, c := range []struct {
		name   string
		opcode uint8
		change func(b []byte) []byte
	}{
		{"an empty request", message.OpcodePBKDFParamRequest, func([]byte) []byte { return []byte{} }},
		{"half a request", message.OpcodePBKDFParamRequest, func(b []byte) []byte { return b[:len(b)/2] }},
		{"passcode id 1", message.OpcodePBKDFParamRequest, func(b []byte) []byte {
			return bytes.Replace(b, []byte{0x24, 3, 0}, []byte{0x24, 3, 1}, 1)
		}},
		{"half a Pake1", message.OpcodePake1, func(b []byte) []byte { return b[:20] }},
		{"a share that is no point", message.OpcodePake1, func([]byte) []byte { return zeros(65) }},
		{"half a Pake3", message.OpcodePake3, func(b []byte) []byte { return b[:20] }},
		{"a guessed confirmation", message.OpcodePake3, func([]byte) []byte { return zeros(32) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := InvalidParameter
			if c.name == "a guessed confirmation" {
				want = WrongPasscode
			}
			w := newWorld(t, nil)
			w.openWindow()
			k := w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
				if opcode == c.opcode {
					return c.change(b)
				}
				return b
			})
			w.flow()
			k.wantReport(reportInvalidParameter)
			w.want(want)
			if len(w.opened) != 0 || w.window.Failures() != 1 {
				t.Errorf("%d sessions, %d failures", len(w.opened), w.window.Failures())
			}
			w.pass(10 * time.Second)
			w.wantClean()
		})
	}
}

// A commissioner may give up at any time. Only InvalidParameter after Pake2 means
// that the passcodes differ.
func TestPASEGivenUp(t *testing.T) {
	busy := message.Busy(500)
	for _, tt := range []struct {
		name   string
		at     uint8
		report []byte
		want   Result
	}{
		{"before Pake1", message.OpcodePBKDFParamResponse, reportInvalidParameter, PeerFailed},
		{"after Pake2", message.OpcodePake2, reportInvalidParameter, WrongPasscode},
		{"after Pake2, for another reason", message.OpcodePake2, busy.AppendTo(nil), PeerFailed},
		{"after Pake2, malformed", message.OpcodePake2, []byte{1}, PeerFailed},
	} {
		w := newWorld(t, nil)
		w.openWindow()
		c := w.peer(1).commissioner(testPasscode, nil)
		script := c.script
		c.script = func(now time.Time, m exchange.Message) (uint8, []byte) {
			if m.Opcode == tt.at {
				return message.OpcodeStatusReport, tt.report
			}
			return script(now, m)
		}
		w.flow()
		if len(w.outcomes) != 1 || w.outcomes[0].Result != tt.want {
			t.Errorf("%s: %+v, want %v", tt.name, w.outcomes, tt.want)
		}
	}
}

// Messages out of order, of the other handshake, or of the other role.
func TestPASEUnexpected(t *testing.T) {
	for _, opcode := range []uint8{
		message.OpcodePBKDFParamRequest, message.OpcodePBKDFParamResponse, message.OpcodePake2, message.OpcodePake3,
		message.OpcodeSigma1, message.OpcodeSigma3,
	} {
		w := newWorld(t, nil)
		w.openWindow()
		c := w.peer(1).commissioner(testPasscode, nil)
		answer := c.script
		c.script = func(now time.Time, m exchange.Message) (uint8, []byte) {
			_, b := answer(now, m)
			return opcode, b // instead of Pake1
		}
		w.flow()
		c.wantReport(reportInvalidParameter)
		w.want(InvalidParameter)
		w.pass(10 * time.Second)
		w.wantClean()
	}
}

// Without a window there is no answer, and no exchange is left.
func TestPASEWithoutWindow(t *testing.T) {
	w := newWorld(t, nil)
	c := w.peer(1).commissioner(testPasscode, nil)
	w.flow()
	c.wantSilence()
	w.pass(time.Minute) // until it has given up
	w.want()
	w.wantClean()
	w.openWindow()
	w.pass(window.MaxTimeout)
	w.window.Advance(w.now)
	c = w.peer(2).commissioner(testPasscode, nil)
	w.flow()
	c.wantSilence()
	w.want()
	w.wantClean()
}

// A request while no window is open is not acknowledged, as a window may be open
// when it arrives again.
func TestPASEWhenTheWindowOpens(t *testing.T) {
	w := newWorld(t, nil)
	c := w.peer(1).commissioner(testPasscode, nil)
	w.flow()
	c.wantSilence()
	w.openWindow()
	w.pass(5 * time.Second)
	c.wantReport(reportSuccess)
	w.want(Success)
}

// Only one PASE handshake or session exists at a time. Other requests are ignored.
func TestOnePASE(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	hold := true
	first := w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodePake1 && hold {
			return nil
		}
		return b
	})
	w.flow()
	second := w.peer(2).commissioner(testPasscode, nil)
	w.flow()
	second.wantSilence()
	w.pass(60 * time.Second) // section 4.14.1
	w.want(Timeout)
	hold = false
	third := w.peer(3).commissioner(testPasscode, nil)
	w.flow()
	third.wantReport(reportSuccess)
	w.want(Success)
	fourth := w.peer(4).commissioner(testPasscode, nil)
	w.flow()
	fourth.wantSilence()
	w.want()
	if len(first.reports) != 0 {
		t.Errorf("the one that was too slow got %x", first.reports)
	}
	// When the session ends, the window accepts commissioners again.
	w.channel.CloseSession(w.now, w.opened[0])
	w.window.SessionEnded(w.now)
	fifth := w.peer(5).commissioner(testPasscode, nil)
	w.flow()
	fifth.wantReport(reportSuccess)
}

func TestPASETimeLimit(t *testing.T) {
	for _, last := range []uint8{message.OpcodePake1, message.OpcodePake3} {
		w := newWorld(t, nil)
		w.openWindow()
		w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
			if opcode == last {
				return nil
			}
			return b
		})
		w.pass(HandshakeTime - time.Millisecond)
		w.want()
		w.pass(time.Millisecond)
		w.want(Timeout)
		w.wantClean()
		if w.window.Failures() != 1 {
			t.Errorf("%d failures", w.window.Failures())
		}
	}
}

// The limit is for the whole handshake, not for each message.
func TestPASETimeLimitIsForAll(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	var c *client
	c = w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodePBKDFParamRequest {
			return b
		}
		c.hold(opcode, b)
		return nil
	})
	w.pass(50 * time.Second)
	c.sendHeld() // Pake1
	w.pass(HandshakeTime - 50*time.Second - time.Millisecond)
	if len(c.held) != 1 {
		t.Fatal("no Pake2")
	}
	w.want()
	w.pass(time.Millisecond)
	w.want(Timeout)
}

// A handshake ends when its peer acknowledges nothing.
func TestPASENoAck(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	c := w.peer(1).commissioner(testPasscode, nil)
	delete(w.nodes, c.n.addr)
	w.pass(15 * time.Second)
	w.want(NoAck)
	w.wantClean()
	if _, ok := w.window.Offer(); !ok || w.window.Failures() != 1 {
		t.Errorf("offered %v, %d failures", ok, w.window.Failures())
	}
}

func TestTwentyFailuresCloseTheWindow(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	p := w.peer(1)
	for i := range window.MaxAttempts {
		if !w.window.Open() {
			t.Fatalf("closed after %d failures", i)
		}
		p.commissioner(otherPasscode, nil)
		w.pass(time.Second)
	}
	if w.window.Open() {
		t.Error("the window is open")
	}
	c := p.commissioner(testPasscode, nil)
	w.flow()
	c.wantSilence()
}

// A handshake continues when its window's time ends, but not when its window is
// revoked.
func TestPASEAndWindowEnd(t *testing.T) {
	for _, revoke := range []bool{false, true} {
		w := newWorld(t, nil)
		w.openWindow()
		c := w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
			if opcode == message.OpcodePake3 {
				if revoke {
					w.window.Close()
				} else {
					w.window.Advance(w.now.Add(window.MaxTimeout))
				}
			}
			return b
		})
		w.flow()
		if revoke {
			c.wantReport(reportInvalidParameter)
			w.want(Aborted)
		} else {
			c.wantReport(reportSuccess)
			w.want(Success)
		}
		if n := w.device.sessions.Len(session.PASE); n != len(w.opened) || (n == 0) != revoke {
			t.Errorf("revoked %v: %d sessions, %d announced", revoke, n, len(w.opened))
		}
	}
}

// A handshake of a revoked window cannot succeed in the next window, and does not
// affect a handshake there.
func TestPASEOfARevokedWindow(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w := newWorld(t, nil)
		w.openWindow()
		var old *client
		old = w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
			if opcode != message.OpcodePake3 {
				return b
			}
			old.hold(opcode, b)
			return nil
		})
		w.flow()
		w.window.Close()
		if err := w.window.OpenEnhanced(w.now, window.MaxTimeout, passcodes()[otherPasscode], 1, 0xFFF1); err != nil {
			t.Fatal(err)
		}
		var fresh *client
		fresh = w.peer(2).commissioner(otherPasscode, func(opcode uint8, b []byte) []byte {
			if opcode != message.OpcodePake3 {
				return b
			}
			fresh.hold(opcode, b)
			return nil
		})
		w.flow()
		if fails {
			old.held[0].payload[4] ^= 1
		}
		old.sendHeld()
		w.flow()
		old.wantReport(reportInvalidParameter)
		if len(w.opened) != 0 || w.window.Failures() != 0 {
			t.Errorf("fails %v: %d sessions, %d failures in the new window", fails, len(w.opened), w.window.Failures())
		}
		w.outcomes = nil
		fresh.sendHeld()
		w.flow()
		fresh.wantReport(reportSuccess)
		w.want(Success)
		w.wantTalk(fresh, w.opened[0])
	}
}

// An initiator cannot make its exchanges last for hours with absurd intervals.
func TestPASEAbsurdIntervals(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	c := w.peer(1).client()
	p := message.LocalParameters()
	p.IdleInterval, p.ActiveInterval, p.ActiveThreshold = time.Hour, time.Hour, 0
	in := pase.NewInitiator(pase.InitiatorConfig{Rand: rand.Reader, Passcode: testPasscode, SessionID: c.id, Params: p})
	request, err := in.Start()
	if err != nil {
		t.Fatal(err)
	}
	c.begin(message.OpcodePBKDFParamRequest, request)
	delete(w.nodes, c.n.addr)
	w.pass(HandshakeTime)
	w.want(NoAck)
	w.wantClean()
}

// Retransmissions follow the initiator's intervals.
func TestPASEIntervals(t *testing.T) {
	for interval, want := range map[time.Duration]int{300 * time.Millisecond: 2, time.Second: 1} {
		w := newWorld(t, nil)
		w.openWindow()
		c := w.peer(1).client()
		p := message.LocalParameters()
		p.IdleInterval, p.ActiveInterval = interval, interval
		in := pase.NewInitiator(pase.InitiatorConfig{Rand: rand.Reader, Passcode: testPasscode, SessionID: c.id, Params: p})
		request, err := in.Start()
		if err != nil {
			t.Fatal(err)
		}
		c.begin(message.OpcodePBKDFParamRequest, request)
		delete(w.nodes, c.n.addr)
		w.pass(600 * time.Millisecond)
		n := 0
		for _, d := range w.log {
			if d.from == deviceAddr {
				n++
			}
		}
		if n != want {
			t.Errorf("%v: %d transmissions in 600 ms, want %d", interval, n, want)
		}
	}
}

// The handshake succeeds if any datagram is lost once, and retransmissions are
// identical.
func TestPASELoss(t *testing.T) {
	for n := range 12 {
		w := newWorld(t, nil)
		w.openWindow()
		w.fate = func(i int) bool { return i == n }
		c := w.peer(1).commissioner(testPasscode, nil)
		w.pass(20 * time.Second)
		c.wantReport(reportSuccess)
		w.want(Success)
		w.wantClean()
		w.wantTalk(c, w.opened[0])
		w.wantIdenticalRetransmissions()
	}
}

func TestPASEDuplicates(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	w.twice = true
	c := w.peer(1).commissioner(testPasscode, nil)
	w.pass(20 * time.Second)
	c.wantReport(reportSuccess)
	w.want(Success)
	w.wantClean()
	if len(w.opened) != 1 {
		t.Errorf("%d sessions", len(w.opened))
	}
}

// The operator's error contains the reason and no secrets.
func TestPASEErrorText(t *testing.T) {
	w := newWorld(t, nil)
	w.openWindow()
	w.peer(1).commissioner(testPasscode, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodePake3 {
			return b[:10]
		}
		return b
	})
	w.flow()
	if text := w.outcomes[0].Err.Error(); !strings.HasPrefix(text, "Pake3:") {
		t.Errorf("%q", text)
	}
}
