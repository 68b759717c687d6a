package node

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

func TestProbeQuestion(t *testing.T) {
	p := Prober{source: matter.MinOperationalNodeID + 7, counter: 0x0001_2345}
	h, n, err := message.ParseHeader(p.question())
	if err != nil || !h.Unsecured() || h.Source != p.source || h.HasDest || h.Counter != p.counter {
		t.Fatalf("%+v, %v", h, err)
	}
	e, _, err := message.ParseProtocolHeader(p.question()[n:])
	if err != nil || !e.Initiator || !e.Reliable || message.Handshake(e.Opcode) {
		t.Fatalf("%+v, %v", e, err)
	}
}

func TestProbeAnswer(t *testing.T) {
	p := Prober{source: matter.MinOperationalNodeID + 7, counter: 9, exchange: 1}
	const first = 0xFFFF // rolls over
	good := func() (message.Header, message.ProtocolHeader) {
		return message.Header{Counter: 1, HasDest: true, Dest: p.source},
			message.ProtocolHeader{HasAck: true, Ack: 9, Exchange: 0, Opcode: message.OpcodeMRPStandaloneAck}
	}
	for name, tc := range map[string]struct {
		change func(h *message.Header, e *message.ProtocolHeader)
		want   bool
	}{
		"right":              {func(*message.Header, *message.ProtocolHeader) {}, true},
		"the first question": {func(_ *message.Header, e *message.ProtocolHeader) { e.Exchange = 0xFFFF }, true},
		"the last question":  {func(_ *message.Header, e *message.ProtocolHeader) { e.Exchange = 1 }, true},
		"one before":         {func(_ *message.Header, e *message.ProtocolHeader) { e.Exchange = 0xFFFE }, false},
		"one after":          {func(_ *message.Header, e *message.ProtocolHeader) { e.Exchange = 2 }, false},
		"another message":    {func(_ *message.Header, e *message.ProtocolHeader) { e.Ack++ }, false},
		"no acknowledgement": {func(_ *message.Header, e *message.ProtocolHeader) { e.HasAck = false }, false},
		"for another":        {func(h *message.Header, _ *message.ProtocolHeader) { h.Dest++ }, false},
		"for nobody":         {func(h *message.Header, _ *message.ProtocolHeader) { h.HasDest = false }, false},
		"in a session":       {func(h *message.Header, _ *message.ProtocolHeader) { h.SessionID = 1 }, false},
	} {
		h, e := good()
		tc.change(&h, &e)
		b := e.AppendTo(h.AppendTo(nil))
		if got := p.answers(b, first); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		for n := range b {
			if p.answers(b[:n], first) {
				t.Errorf("%s: %d octets of it are an answer", name, n)
			}
		}
	}
}
