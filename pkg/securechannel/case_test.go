package securechannel

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// controller begins a CASE handshake with the device. change may alter what it
// sends. A message with a nil payload is not sent.
func (n *node) controller(resume *casesession.Record, change func(opcode uint8, b []byte) []byte) *client {
	n.w.t.Helper()
	return n.controllerOf(deviceNode, resume, change)
}

func (n *node) controllerOf(peer matter.NodeID, resume *casesession.Record, change func(opcode uint8, b []byte) []byte) *client {
	n.w.t.Helper()
	h := home()
	c := n.client()
	in := casesession.NewInitiator(casesession.InitiatorConfig{
		Rand: rand.Reader, Fabric: 1, Root: h.root, NOC: h.noc, Key: h.key, IPK: h.device.IPKs[0], PeerNode: peer,
		Resume: resume, SessionID: c.id, Params: message.LocalParameters(), Validity: cert.VerifyOptions{Now: 1500, Exact: true},
	})
	send := func(opcode uint8, b []byte) (uint8, []byte) {
		if change != nil {
			b = change(opcode, b)
		}
		if b == nil {
			return 0, nil
		}
		return opcode, b
	}
	done := func(res *casesession.Result) {
		c.record = res.Record()
		c.result = &session.Config{
			Kind: session.CASE, Initiator: true, LocalID: c.id, PeerID: res.PeerSessionID, Params: res.PeerParams,
			Fabric: res.Fabric, LocalNode: res.LocalNode, PeerNode: res.PeerNode,
			Keys: session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
			Path: c.x.Session().Path,
		}
	}
	c.script = func(_ time.Time, m exchange.Message) (uint8, []byte) {
		switch m.Opcode {
		case message.OpcodeSigma2:
			b, res, err := in.Sigma2(m.Payload)
			if err != nil {
				n.w.t.Errorf("Sigma2: %v", err)
				return message.OpcodeStatusReport, reportInvalidParameter
			}
			done(&res)
			return send(message.OpcodeSigma3, b)
		case message.OpcodeSigma2Resume:
			res, err := in.Sigma2Resume(m.Payload)
			if err != nil {
				n.w.t.Errorf("Sigma2_Resume: %v", err)
				return message.OpcodeStatusReport, reportInvalidParameter
			}
			done(&res)
			return send(message.OpcodeStatusReport, reportSuccess)
		}
		n.w.t.Errorf("opcode %#x in a CASE handshake", m.Opcode)
		return 0, nil
	}
	sigma1, err := in.Start()
	if err != nil {
		n.w.t.Fatal(err)
	}
	opcode, sigma1 := send(message.OpcodeSigma1, sigma1)
	c.begin(opcode, sigma1)
	return c
}

// wantCASE checks a session of the device with the controller.
func (w *world) wantCASE(s *session.Session) {
	w.t.Helper()
	h := home()
	if s.Kind != session.CASE || s.Initiator || s.Fabric != homeIndex || s.LocalNode != deviceNode || s.PeerNode != h.controller || s.CATs != [3]matter.CAT{adminTag} {
		w.t.Errorf("session %+v", s)
	}
}

func TestCASE(t *testing.T) {
	w := newWorld(t, nil)
	c := w.peer(1).controller(nil, nil)
	w.flow()
	c.wantReport(reportSuccess)
	if want := []uint8{message.OpcodeSigma2, message.OpcodeStatusReport}; !slices.Equal(c.opcodes, want) {
		t.Errorf("answers %#x, want %#x", c.opcodes, want)
	}
	if len(w.opened) != 1 {
		t.Fatalf("%d sessions", len(w.opened))
	}
	if o := w.outcomes[0]; o.Kind != session.CASE || o.Resumed {
		t.Errorf("outcome %+v", o)
	}
	w.want(Success)
	w.wantCASE(w.opened[0])
	w.wantTalk(c, w.opened[0])
	if len(w.memory) != 1 || w.memory[0].ID != c.record.ID || w.memory[0].SharedSecret != c.record.SharedSecret || w.memory[0].Peer != home().controller || w.memory[0].Fabric != homeIndex {
		t.Errorf("remembered: %d records", len(w.memory))
	}
	w.pass(10 * time.Second)
	w.wantClean()
}

func TestCASEDuration(t *testing.T) {
	w := newWorld(t, nil)
	var c *client
	c = w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			c.hold(opcode, b)
			return nil
		}
		return b
	})
	w.pass(3 * time.Second)
	c.sendHeld()
	w.flow()
	if d := w.outcomes[0].Duration; d != 3*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestCASENoSharedRoot(t *testing.T) {
	w := newWorld(t, nil)
	c := w.peer(1).controllerOf(deviceNode+1, nil, nil)
	w.flow()
	c.wantReport(reportNoSharedRoots)
	w.want(NoSharedRoot)
	w.fabrics = nil
	c = w.peer(2).controller(nil, nil)
	w.flow()
	c.wantReport(reportNoSharedRoots)
	w.want(NoSharedRoot)
	w.pass(10 * time.Second)
	w.wantClean()
}

func TestCASEInvalidParameter(t *testing.T) {
	for _, c := range []struct {
		name   string
		opcode uint8
		change func(b []byte) []byte
	}{
		{"an empty Sigma1", message.OpcodeSigma1, func([]byte) []byte { return []byte{} }},
		{"half a Sigma1", message.OpcodeSigma1, func(b []byte) []byte { return b[:len(b)/2] }},
		{"an empty Sigma3", message.OpcodeSigma3, func([]byte) []byte { return []byte{} }},
		{"a changed Sigma3", message.OpcodeSigma3, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			k := w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
				if opcode == c.opcode {
					return c.change(b)
				}
				return b
			})
			w.flow()
			k.wantReport(reportInvalidParameter)
			w.want(InvalidParameter)
			if len(w.opened) != 0 || len(w.memory) != 0 {
				t.Errorf("%d sessions, %d records", len(w.opened), len(w.memory))
			}
			w.pass(10 * time.Second)
			w.wantClean()
		})
	}
}

func TestCASEUnexpected(t *testing.T) {
	for _, opcode := range []uint8{
		message.OpcodeSigma1, message.OpcodeSigma2, message.OpcodeSigma2Resume, message.OpcodePBKDFParamRequest, message.OpcodePake3,
	} {
		w := newWorld(t, nil)
		w.openWindow()
		c := w.peer(1).controller(nil, nil)
		answer := c.script
		c.script = func(now time.Time, m exchange.Message) (uint8, []byte) {
			_, b := answer(now, m)
			return opcode, b // instead of Sigma3
		}
		w.flow()
		c.wantReport(reportInvalidParameter)
		w.want(InvalidParameter)
		w.pass(10 * time.Second)
		w.wantClean()
	}
}

// A StatusReport ends the handshake and is not answered. Success is valid only
// after Sigma2_Resume.
func TestCASEPeerReports(t *testing.T) {
	for _, report := range [][]byte{reportInvalidParameter, reportBusy, reportSuccess, {}, {1, 2, 3}} {
		w := newWorld(t, nil)
		c := w.peer(1).controller(nil, nil)
		c.script = func(time.Time, exchange.Message) (uint8, []byte) { return message.OpcodeStatusReport, report }
		w.flow()
		if len(w.opened) != 0 {
			t.Errorf("%x: %d sessions", report, len(w.opened))
		}
		w.want(PeerFailed)
		w.wantNoReport()
		w.pass(10 * time.Second)
		w.wantClean()
	}
}

// A PASE handshake does not use a place of CASE.
func TestPASEBesideCASE(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = 1 })
	w.openWindow()
	w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			return nil
		}
		return b
	})
	w.flow()
	c := w.peer(2).commissioner(testPasscode, nil)
	w.flow()
	c.wantReport(reportSuccess)
}

// A handshake that fails does not affect others.
func TestCASEBesideFailures(t *testing.T) {
	w := newWorld(t, nil)
	var good *client
	good = w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			good.hold(opcode, b)
			return nil
		}
		return b
	})
	w.flow()
	for i := range byte(5) {
		bad := w.peer(10+i).controller(nil, func(opcode uint8, b []byte) []byte {
			if opcode == message.OpcodeSigma3 {
				b[len(b)/2] ^= 1
			}
			return b
		})
		w.flow()
		bad.wantReport(reportInvalidParameter)
	}
	w.outcomes = nil
	good.sendHeld()
	w.flow()
	good.wantReport(reportSuccess)
	w.want(Success)
	w.wantTalk(good, w.opened[0])
}

func TestCASETimeLimit(t *testing.T) {
	w := newWorld(t, nil)
	w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			return nil
		}
		return b
	})
	w.pass(HandshakeTime - time.Millisecond)
	w.want()
	w.pass(time.Millisecond)
	w.want(Timeout)
	w.wantClean()
}

func TestCASELoss(t *testing.T) {
	for n := range 8 {
		w := newWorld(t, nil)
		w.fate = func(i int) bool { return i == n }
		c := w.peer(1).controller(nil, nil)
		w.pass(20 * time.Second)
		c.wantReport(reportSuccess)
		w.want(Success)
		w.wantClean()
		w.wantTalk(c, w.opened[0])
		w.wantIdenticalRetransmissions()
	}
}

func TestCASEDuplicates(t *testing.T) {
	w := newWorld(t, nil)
	w.twice = true
	c := w.peer(1).controller(nil, nil)
	w.pass(20 * time.Second)
	c.wantReport(reportSuccess)
	w.want(Success)
	w.wantClean()
	if len(w.opened) != 1 {
		t.Errorf("%d sessions", len(w.opened))
	}
}

// If a fabric is removed or gets another certificate, its handshakes end.
func TestCASEFabricChanges(t *testing.T) {
	changed := *home().device
	changed.NOC = []byte("another")
	for name, after := range map[string]fabrics{"removed": nil, "changed": {&changed}} {
		w := newWorld(t, nil)
		c := w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
			if opcode == message.OpcodeSigma3 {
				w.fabrics = after
			}
			return b
		})
		w.flow()
		c.wantReport(reportInvalidParameter)
		w.want(Aborted)
		if len(w.opened) != 0 || len(w.memory) != 0 {
			t.Errorf("%s: %d sessions", name, len(w.opened))
		}
	}
	// Other changes of the fabric do not matter.
	other := *home().device
	other.Label = "kitchen"
	w := newWorld(t, nil)
	c := w.peer(1).controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			w.fabrics = fabrics{&fabric.Fabric{}, &other}
		}
		return b
	})
	w.flow()
	c.wantReport(reportSuccess)
}
