package exchange

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// request is the protocol header of a reliable message that begins exchange id.
func request(id uint16) message.ProtocolHeader {
	return message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: opcodeInvoke, Exchange: id, Protocol: im}
}

// serve makes n accept every exchange with r as its handler.
func (n *node) serve(r *recorder) {
	n.accept = func(*Exchange, Message) Handler { return r }
}

func TestPiggybackedAcknowledgement(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{on: func(now time.Time, x *Exchange, m Message) {
		send(t, now, x, "answer")
		x.Close(now)
	}}
	w.a.serve(r)
	counter := w.a.inject(w.sb, request(7), "question")
	fs := w.take()
	wantFrames(t, "answer", fs, "RA answer")
	if fs[0].p.Ack != counter || fs[0].p.Exchange != 7 {
		t.Errorf("answer %+v to %d", fs[0].p, counter)
	}
	w.now = w.now.Add(250 * time.Millisecond)
	w.a.m.Advance(w.now)
	wantFrames(t, "200 ms later", w.take())
}

func TestStandaloneAcknowledgementAfter200ms(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	counter := w.a.inject(w.sb, request(7), "question")
	if at, ok := w.a.m.Deadline(); !ok || at != start.Add(200*time.Millisecond) {
		t.Errorf("deadline %v, %v", at, ok)
	}
	w.a.m.Advance(start.Add(200*time.Millisecond - 1))
	wantFrames(t, "before", w.take())
	w.now = start.Add(200 * time.Millisecond)
	w.a.m.Advance(w.now)
	fs := w.take()
	wantFrames(t, "at 200 ms", fs, "A ack")
	if p := fs[0].p; p.Ack != counter || p.Exchange != 7 || p.Protocol != channel || p.Opcode != message.OpcodeMRPStandaloneAck || fs[0].payload != "" {
		t.Errorf("acknowledgement %+v", p)
	}
	if _, ok := w.a.m.Deadline(); ok {
		t.Error("something is still due")
	}
}

func TestUnreliableMessageIsNotAcknowledged(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	p := request(7)
	p.Reliable = false
	w.a.inject(w.sb, p, "x")
	w.run(time.Second)
	wantFrames(t, "to an unreliable message", w.take())
	if len(r.got) != 1 {
		t.Errorf("received %q", r.got)
	}
}

func TestSecondReliableMessageFlushesTheFirstAck(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	first := w.a.inject(w.sb, request(7), "1")
	second := w.a.inject(w.sb, request(7), "2")
	fs := w.take()
	wantFrames(t, "at once", fs, "A ack")
	if fs[0].p.Ack != first {
		t.Errorf("acknowledged %d, want %d", fs[0].p.Ack, first)
	}
	w.run(time.Second)
	fs = w.take()
	wantFrames(t, "later", fs, "A ack")
	if fs[0].p.Ack != second || fs[0].at != 200*time.Millisecond {
		t.Errorf("acknowledged %d after %v, want %d", fs[0].p.Ack, fs[0].at, second)
	}
	if len(r.got) != 2 {
		t.Errorf("received %q", r.got)
	}
}

// The last acknowledgement is on every later message: the standalone one may
// have been lost.
func TestAcknowledgementIsRepeated(t *testing.T) {
	w := newWorld(t, nil)
	var x *Exchange
	w.a.accept = func(y *Exchange, _ Message) Handler {
		x = y
		return &recorder{}
	}
	counter := w.a.inject(w.sb, request(7), "question")
	w.run(300 * time.Millisecond)
	wantFrames(t, "standalone", w.take(), "A ack")
	if err := x.SendUnreliable(w.now, im, 1, []byte("note")); err != nil {
		t.Fatal(err)
	}
	send(t, w.now, x, "answer")
	fs := w.take()
	wantFrames(t, "later messages", fs, "A note", "RA answer")
	for _, f := range fs {
		if f.p.Ack != counter {
			t.Errorf("%q acknowledges %d, want %d", f.payload, f.p.Ack, counter)
		}
	}
}

func TestDuplicateIsAcknowledgedAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	p := request(7)
	d, counter, err := w.sb.Seal(nil, &p, []byte("question"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.deliver(sent{from: w.b, data: d})
	}
	fs := w.take()
	wantFrames(t, "two duplicates", fs, "A ack", "A ack")
	if fs[0].p.Ack != counter || fs[1].p.Ack != counter {
		t.Errorf("acknowledged %d and %d, want %d", fs[0].p.Ack, fs[1].p.Ack, counter)
	}
	w.run(time.Second)
	wantFrames(t, "nothing is owed any more", w.take())
	if len(r.got) != 1 {
		t.Errorf("delivered %d times", len(r.got))
	}

	// The exchange has ended, and the peer still requests an acknowledgement.
	w.a.m.SessionGone(w.now, w.sa)
	w.deliver(sent{from: w.b, data: d})
	fs = w.take()
	wantFrames(t, "a duplicate of an exchange that is over", fs, "A ack")
	if fs[0].p.Ack != counter || fs[0].p.Exchange != 7 || len(r.got) != 1 {
		t.Errorf("%+v, received %q", fs[0].p, r.got)
	}
}

// A duplicate of an earlier message does not change the acknowledgement owed for a
// later one.
func TestDuplicateOfAnEarlierMessage(t *testing.T) {
	w := newWorld(t, nil)
	w.a.serve(&recorder{})
	p := request(7)
	d, first, err := w.sb.Seal(nil, &p, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.deliver(sent{from: w.b, data: d})
	second := w.a.inject(w.sb, p, "")
	w.take()
	w.deliver(sent{from: w.b, data: d})
	w.run(time.Second)
	fs := w.take()
	wantFrames(t, "acknowledgements", fs, "A ack", "A ack")
	if fs[0].p.Ack != first || fs[1].p.Ack != second {
		t.Errorf("acknowledged %d and %d, want %d and %d", fs[0].p.Ack, fs[1].p.Ack, first, second)
	}
}

// An acknowledgement on a duplicate is valid: the acknowledgements on the first
// copy may have arrived while this node's message was lost.
func TestAcknowledgementOnADuplicate(t *testing.T) {
	w := newWorld(t, nil)
	x := w.initiate(w.a, w.sa, &recorder{})
	p := message.ProtocolHeader{Opcode: 5, Protocol: im, Exchange: x.ID(), HasAck: true}
	send(t, w.now, x, "x")
	p.Ack = w.take()[0].counter
	d, _, err := w.sb.Seal(nil, &p, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := w.a.sessions.Receive(w.now, d, w.sa.Path)
	if err != nil {
		t.Fatal(err)
	}
	in.Duplicate = true
	w.a.m.Receive(w.now, in)
	if x.out.datagram != nil {
		t.Error("the message is still outstanding")
	}
}

func TestStandaloneAckAsksForNone(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	w.a.inject(w.sb, request(7), "x")
	w.run(time.Second)
	w.take()
	for _, id := range []uint16{7, 8} { // an existing exchange and another one
		p := message.ProtocolHeader{Initiator: true, Reliable: true, HasAck: true, Opcode: message.OpcodeMRPStandaloneAck, Exchange: id}
		w.a.inject(w.sb, p, "")
	}
	w.run(time.Second)
	wantFrames(t, "to a standalone acknowledgement", w.take())
	if len(r.got) != 1 {
		t.Errorf("delivered %q", r.got)
	}
}

func TestUnmatchedMessages(t *testing.T) {
	refuse := func(*Exchange, Message) Handler { return nil }
	for _, tt := range []struct {
		name   string
		p      message.ProtocolHeader
		accept func(*Exchange, Message) Handler
		want   []string
	}{
		{"not wanted", request(7), refuse, []string{"A ack"}},
		{"not wanted, unreliable", message.ProtocolHeader{Initiator: true, Exchange: 7, Protocol: im}, refuse, nil},
		{"of the responder", message.ProtocolHeader{Reliable: true, Exchange: 7, Protocol: im}, nil, []string{"IA ack"}},
		{"of the responder, unreliable", message.ProtocolHeader{Exchange: 7, Protocol: im}, nil, nil},
		{"of a vendor", message.ProtocolHeader{Initiator: true, Reliable: true, Exchange: 7, Vendor: 0xFFF1, Protocol: im}, nil, []string{"A ack"}},
		{"acknowledging something", message.ProtocolHeader{Initiator: true, Reliable: true, HasAck: true, Ack: 1, Exchange: 7, Protocol: im}, refuse, []string{"A ack"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.a.accept = tt.accept
			if tt.accept == nil {
				w.a.accept = func(*Exchange, Message) Handler {
					t.Error("Accept was asked")
					return nil
				}
			}
			counter := w.a.inject(w.sb, tt.p, "x")
			fs := w.take()
			wantFrames(t, "at once", fs, tt.want...)
			if len(fs) == 1 && (fs[0].p.Ack != counter || fs[0].p.Exchange != 7) {
				t.Errorf("%+v", fs[0].p)
			}
			if s := w.a.m.Stats(); s.Unmatched+s.Refused != 1 {
				t.Errorf("%+v", s)
			}
			w.wantQuiet()
		})
	}
}

func TestMessagesOfAVendorAreNotDelivered(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	w.a.inject(w.sb, request(7), "ours")
	p := request(7)
	p.Vendor = 0xFFF1
	w.a.inject(w.sb, p, "theirs")
	w.run(time.Second)
	wantFrames(t, "both", w.take(), "A ack", "A ack")
	if len(r.got) != 1 || r.got[0] != "ours" {
		t.Errorf("received %q", r.got)
	}
}

func TestPermitted(t *testing.T) {
	const both, secured, unsecured = "both", "secured", "unsecured"
	for _, tt := range []struct {
		p    message.ProtocolHeader
		want string
	}{
		{message.ProtocolHeader{Opcode: message.OpcodePBKDFParamRequest}, unsecured},
		{message.ProtocolHeader{Opcode: message.OpcodePake3}, unsecured},
		{message.ProtocolHeader{Opcode: message.OpcodeSigma1}, unsecured},
		{message.ProtocolHeader{Opcode: message.OpcodeSigma2Resume}, unsecured},
		{message.ProtocolHeader{Opcode: message.OpcodeStatusReport}, both},
		{message.ProtocolHeader{Opcode: message.OpcodeMRPStandaloneAck}, both},
		{message.ProtocolHeader{Opcode: message.OpcodeMsgCounterSyncReq}, secured},
		{message.ProtocolHeader{Opcode: message.OpcodeICDCheckIn}, secured},
		{message.ProtocolHeader{Opcode: 0x25}, secured},
		{message.ProtocolHeader{Protocol: im, Opcode: opcodeRead}, secured},
		{message.ProtocolHeader{Protocol: im, Opcode: message.OpcodeSigma1}, secured},
		{message.ProtocolHeader{Protocol: 2}, secured},
		{message.ProtocolHeader{Vendor: 0xFFF1, Opcode: message.OpcodeSigma1}, secured},
	} {
		for _, k := range []session.Kind{session.Unsecured, session.PASE, session.CASE} {
			want := tt.want == both || (tt.want == unsecured) == (k == session.Unsecured)
			if got := permitted(k, &tt.p); got != want {
				t.Errorf("%+v on a %v session: %v", tt.p, k, got)
			}
		}
	}
}

// A message that may not be on the session is not acknowledged, and its
// acknowledgement is ignored.
func TestNotPermittedIsDropped(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	w.a.inject(w.sb, message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1, Exchange: 7}, "x")

	uns := w.b.sessions.Unsecured(w.now, w.sb.Path)
	w.a.inject(uns, request(8), "x")
	w.run(time.Second)
	wantFrames(t, "to messages on the wrong session", w.take())
	if s := w.a.m.Stats(); s.NotPermitted != 2 || len(r.got) != 0 {
		t.Errorf("%+v, received %q", s, r.got)
	}

	x := w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "x")
	ack := w.take()[0].counter
	w.a.inject(w.sb, message.ProtocolHeader{HasAck: true, Ack: ack, Opcode: message.OpcodeSigma2, Exchange: x.ID()}, "")
	if x.out.datagram == nil || len(r.got) != 0 {
		t.Error("a handshake message on a secured session was taken")
	}
}
