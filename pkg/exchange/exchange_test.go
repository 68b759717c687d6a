package exchange

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// handshake sends three reliable messages: a begins, b answers, a ends it, as in
// PASE and CASE.
type handshake struct{ a, b recorder }

func (h *handshake) begin(t *testing.T, w *world) {
	h.a.on = func(now time.Time, x *Exchange, m Message) {
		send(t, now, x, "three")
		x.Close(now)
	}
	h.b.on = func(now time.Time, x *Exchange, m Message) {
		switch string(m.Payload) {
		case "one":
			send(t, now, x, "two")
			x.AwaitResponse(now.Add(30 * time.Second))
		case "three":
			x.Close(now)
		}
	}
	w.b.serve(&h.b)
	x := w.initiate(w.a, w.sa, &h.a)
	send(t, w.now, x, "one")
	x.AwaitResponse(w.now.Add(30 * time.Second))
}

func (h *handshake) check(t *testing.T, w *world) {
	t.Helper()
	if !slices.Equal(h.b.got, []string{"one", "three"}) || !slices.Equal(h.a.got, []string{"two"}) {
		t.Errorf("received %q and %q", h.a.got, h.b.got)
	}
	if !h.a.ended(nil) || !h.b.ended(nil) {
		t.Errorf("closed with %v and %v", h.a.closed, h.b.closed)
	}
	w.wantQuiet()
}

func TestThreeMessages(t *testing.T) {
	w := newWorld(t, nil)
	var h handshake
	h.begin(t, w)
	w.run(time.Minute)
	h.check(t, w)
	fs := w.take()
	wantFrames(t, "without loss", fs, "IR one", "RA two", "IRA three", "A ack")
	if last := fs[len(fs)-1]; last.at != 0 || last.p.Ack != fs[2].counter {
		t.Errorf("last acknowledgement at %v of %d, want it at once of %d", last.at, last.p.Ack, fs[2].counter)
	}
}

// If any one or two datagrams are lost, everything still arrives, once.
func TestThreeMessagesWithLoss(t *testing.T) {
	for i := range 7 {
		for j := i; j < 8; j++ {
			for _, twice := range []bool{false, true} {
				t.Run(fmt.Sprint(i, j, twice), func(t *testing.T) {
					w := newWorld(t, nil)
					w.twice = twice
					w.fate = func(n int, _ sent) bool { return n == i || n == j }
					var h handshake
					h.begin(t, w)
					w.run(time.Minute)
					h.check(t, w)
				})
			}
		}
	}
}

// Each message arrives if one of its five transmissions does.
func TestThreeMessagesWithTheWorstLoss(t *testing.T) {
	for _, victim := range []string{"one", "two", "three"} {
		t.Run(victim, func(t *testing.T) {
			w := newWorld(t, nil)
			transmissions := 0
			w.fate = func(_ int, s sent) bool {
				if w.decode(s).payload != victim {
					return false
				}
				transmissions++
				return transmissions < maxTransmissions
			}
			var h handshake
			h.begin(t, w)
			w.run(time.Minute)
			h.check(t, w)
			if transmissions != maxTransmissions {
				t.Errorf("%d transmissions", transmissions)
			}
		})
	}
}

func TestCloseLingers(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	x := w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "last words")
	x.AwaitResponse(w.now.Add(time.Millisecond))
	x.Close(w.now)
	x.Close(w.now)
	last := w.take()[0].counter
	if err := x.Send(w.now, im, 1, nil); err != ErrClosed {
		t.Errorf("Send = %v", err)
	}
	if err := x.SendUnreliable(w.now, im, 1, nil); err != ErrClosed {
		t.Errorf("SendUnreliable = %v", err)
	}
	x.AwaitResponse(w.now.Add(time.Millisecond))
	w.fate = lost
	w.run(time.Second)
	w.fate = nil
	wantFrames(t, "while lingering", w.take(), "IR last words", "IR last words")
	if len(r.closed) != 0 || !w.a.m.Outstanding(w.sa) {
		t.Fatalf("closed %v while a message is outstanding", r.closed)
	}
	// Messages that arrive now are acknowledged at once and not delivered.
	w.a.inject(w.sb, message.ProtocolHeader{Reliable: true, Protocol: im, Exchange: x.ID()}, "too late")
	wantFrames(t, "to a message", w.take(), "IA ack")
	w.a.inject(w.sb, message.ProtocolHeader{Reliable: true, Protocol: im, Exchange: x.ID(), HasAck: true, Ack: last}, "too late")
	wantFrames(t, "to a message with the acknowledgement", w.take(), "IA ack")
	if !r.ended(nil) || len(r.got) != 0 {
		t.Errorf("closed %v, received %q", r.closed, r.got)
	}
	w.wantQuiet()
}

func TestCloseFlushesTheAcknowledgement(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{on: func(now time.Time, x *Exchange, _ Message) { x.Close(now) }}
	w.a.serve(r)
	w.a.inject(w.sb, request(7), "x")
	wantFrames(t, "at once", w.take(), "A ack")
	if !r.ended(nil) {
		t.Errorf("closed %v", r.closed)
	}
	w.wantQuiet()
}

// AwaitRequest waits even if the message before is not acknowledged, because the
// request may acknowledge it. A later answer ends that exception.
func TestAwaitRequest(t *testing.T) {
	w := newWorld(t, nil)
	w.fate = func(int, sent) bool { return true }
	r := &recorder{}
	x := w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "go on")
	x.AwaitRequest(w.now.Add(20 * time.Second))
	w.run(19 * time.Second)
	if len(r.closed) != 0 {
		t.Fatalf("closed %v", r.closed)
	}
	w.a.inject(w.sb, message.ProtocolHeader{Protocol: im, Exchange: x.ID()}, "request")
	if len(r.got) != 1 {
		t.Fatalf("received %q", r.got)
	}
	var at time.Time
	r.onClosed = func(now time.Time, _ error) { at = now }
	send(t, w.now, x, "answer")
	x.AwaitResponse(w.now.Add(time.Minute))
	begun := w.now
	if w.run(time.Minute); !r.ended(ErrNoAck) || at.Sub(begun) > 30*time.Second {
		t.Errorf("closed %v after %v", r.closed, at.Sub(begun))
	}
	x = w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "go on")
	x.AwaitRequest(w.now.Add(20 * time.Second))
	begun, r.closed = w.now, nil
	if w.run(time.Minute); !r.ended(ErrNoResponse) || at.Sub(begun) != 20*time.Second {
		t.Errorf("closed %v after %v", r.closed, at.Sub(begun))
	}
	w.wantQuiet()
}

func TestAwaitResponse(t *testing.T) {
	w := newWorld(t, nil)
	var at time.Time
	r := &recorder{onClosed: func(now time.Time, _ error) { at = now }}
	w.b.serve(&recorder{})
	x := w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "x")
	x.AwaitResponse(w.now.Add(5 * time.Second))
	w.run(time.Minute) // acknowledged, but not answered
	if !r.ended(ErrNoResponse) || at != start.Add(5*time.Second) {
		t.Errorf("closed %v at %v", r.closed, at.Sub(start))
	}

	r = &recorder{}
	x = w.initiate(w.a, w.sa, r)
	x.AwaitResponse(w.now.Add(5 * time.Second))
	w.a.inject(w.sb, message.ProtocolHeader{Protocol: im, Exchange: x.ID()}, "answer")
	w.run(time.Minute)
	if len(r.closed) != 0 || len(r.got) != 1 {
		t.Errorf("after an answer: closed %v, received %q", r.closed, r.got)
	}
	x.AwaitResponse(w.now.Add(5 * time.Second))
	x.AwaitResponse(time.Time{})
	w.run(time.Minute)
	if len(r.closed) != 0 {
		t.Errorf("after taking the deadline away: closed %v", r.closed)
	}
	x.Close(w.now)
	w.b.m.SessionGone(w.now, w.sb)
	w.wantQuiet()
}

// A peer that sends again without acknowledging gets its answer after its
// acknowledgement.
func TestMessageIsHeldWhileAnotherIsOutstanding(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	x := w.initiate(w.a, w.sa, r)
	payload := []byte("2")
	send(t, w.now, x, "1")
	if err := x.Send(w.now, im, opcodeWrite, payload); err != nil {
		t.Fatal(err)
	}
	payload[0] = 'X' // it must not be kept
	if err := x.Send(w.now, im, 1, []byte("3")); err != ErrOutstanding {
		t.Errorf("a third message: %v", err)
	}
	x.Close(w.now)
	fs := w.take()
	wantFrames(t, "at first", fs, "IR 1")
	w.a.inject(w.sb, message.ProtocolHeader{Reliable: true, Protocol: im, Exchange: x.ID(), HasAck: true, Ack: fs[0].counter}, "")
	fs = w.take()
	wantFrames(t, "after the acknowledgement", fs, "IRA 2")
	if fs[0].p.Opcode != opcodeWrite || len(r.closed) != 0 {
		t.Errorf("%+v, closed %v", fs[0].p, r.closed)
	}
	w.a.inject(w.sb, message.ProtocolHeader{Opcode: message.OpcodeMRPStandaloneAck, Exchange: x.ID(), HasAck: true, Ack: fs[0].counter}, "")
	if !r.ended(nil) {
		t.Errorf("closed %v", r.closed)
	}
	w.wantQuiet()
}

func TestSendErrors(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	x := w.initiate(w.a, w.sa, r)
	large := make([]byte, message.MaxSize)
	if err := x.Send(w.now, im, 1, large); err != session.ErrTooLarge {
		t.Errorf("Send = %v", err)
	}
	if err := x.SendUnreliable(w.now, im, 1, large); err != session.ErrTooLarge {
		t.Errorf("SendUnreliable = %v", err)
	}
	if err := x.Send(w.now, im, 1, make([]byte, message.MaxPayload)); err != nil {
		t.Errorf("the largest payload: %v", err)
	}
	if err := x.Send(w.now, im, 1, make([]byte, message.MaxSize+1)); err != session.ErrTooLarge {
		t.Errorf("a large one to hold: %v", err)
	}
	// The size of a held message is checked when it is sent.
	if err := x.Send(w.now, im, 1, large); err != nil {
		t.Fatal(err)
	}
	ack := w.take()[0].counter
	w.a.inject(w.sb, message.ProtocolHeader{Opcode: message.OpcodeMRPStandaloneAck, Exchange: x.ID(), HasAck: true, Ack: ack}, "")
	if !r.ended(session.ErrTooLarge) {
		t.Errorf("closed %v", r.closed)
	}
	x = w.initiate(w.a, w.sa, &recorder{})
	w.a.sessions.Remove(w.sa)
	if err := x.Send(w.now, im, 1, nil); err != session.ErrGone {
		t.Errorf("on a removed session: %v", err)
	}
	if _, err := w.a.m.Initiate(w.now, w.sa, r); err != ErrSessionGone {
		t.Errorf("Initiate = %v", err)
	}
	w.a.m.SessionGone(w.now, w.sa)
	w.wantQuiet()
}

func TestSessionGone(t *testing.T) {
	w := newWorld(t, nil)
	other, _ := w.session(session.CASE)
	kept := &recorder{}
	send(t, w.now, w.initiate(w.a, other, kept), "kept")
	var order []int
	r := make([]*recorder, 10)
	for i := range r {
		r[i] = &recorder{onClosed: func(time.Time, error) { order = append(order, i) }}
		x := w.initiate(w.a, w.sa, r[i])
		switch i % 4 {
		case 0:
			send(t, w.now, x, "outstanding")
		case 1:
			w.a.inject(w.sb, message.ProtocolHeader{Reliable: true, Protocol: im, Exchange: x.ID()}, "ack owed")
		case 2:
			send(t, w.now, x, "outstanding")
			send(t, w.now, x, "held")
			x.Close(w.now)
		case 3: // nothing
		}
	}
	w.take()
	w.a.sessions.Remove(w.sa)
	w.a.m.SessionGone(w.now, w.sa)
	w.a.m.SessionGone(w.now, w.sa)
	for i := range r {
		if !r[i].ended(ErrSessionGone) {
			t.Errorf("exchange %d: closed %v", i, r[i].closed)
		}
	}
	if !slices.IsSorted(order) {
		t.Errorf("closed in the order %v", order)
	}
	wantFrames(t, "on the way", w.take())
	if len(kept.closed) != 0 || w.a.m.Stats().Open != 1 || !w.a.m.Outstanding(other) || w.a.m.Outstanding(w.sa) {
		t.Errorf("the other session: closed %v", kept.closed)
	}
}

// Handlers may call the manager: closing one exchange closes another and begins
// one.
func TestHandlersCallBack(t *testing.T) {
	w := newWorld(t, nil)
	second, third := &recorder{}, &recorder{}
	var y *Exchange
	first := &recorder{onClosed: func(now time.Time, _ error) {
		y.Close(now)
		w.initiate(w.a, w.sa, third)
	}}
	x := w.initiate(w.a, w.sa, first)
	y = w.initiate(w.a, w.sa, second)
	x.AwaitResponse(w.now.Add(time.Second))
	y.AwaitResponse(w.now.Add(time.Second))
	w.run(time.Minute)
	if !first.ended(ErrNoResponse) || !second.ended(nil) || len(third.closed) != 0 || w.a.m.Stats().Open != 1 {
		t.Errorf("closed %v, %v, %v", first.closed, second.closed, third.closed)
	}
	// The handler of the message removes the session.
	gone := &recorder{on: func(now time.Time, x *Exchange, _ Message) {
		w.a.sessions.Remove(x.Session())
		w.a.m.SessionGone(now, x.Session())
	}}
	w.a.serve(gone)
	w.a.inject(w.sb, request(7), "x")
	if !gone.ended(ErrSessionGone) || !third.ended(ErrSessionGone) {
		t.Errorf("closed %v, %v", gone.closed, third.closed)
	}
	w.wantQuiet()
}

// Accept removes the session, as for CloseSession, and returns no handler.
func TestAcceptRemovesTheSession(t *testing.T) {
	w := newWorld(t, nil)
	w.a.accept = func(x *Exchange, m Message) Handler {
		w.a.sessions.Remove(x.Session())
		w.a.m.SessionGone(w.now, x.Session())
		return &recorder{}
	}
	w.a.inject(w.sb, request(7), "x")
	wantFrames(t, "on a removed session", w.take())
	w.wantQuiet()
}

func TestSetHandler(t *testing.T) {
	w := newWorld(t, nil)
	first, second := &recorder{}, &recorder{}
	first.on = func(_ time.Time, x *Exchange, _ Message) { x.SetHandler(second) }
	w.a.serve(first)
	w.a.inject(w.sb, request(7), "1")
	w.a.inject(w.sb, request(7), "2")
	w.a.m.SessionGone(w.now, w.sa)
	if len(first.got) != 1 || len(first.closed) != 0 || len(second.got) != 1 || !second.ended(ErrSessionGone) {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

func TestExchangeIDs(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxPerSession = 1000 })
	w.a.m.nextID = 0xFFFE
	var ids []uint16
	for range 4 {
		x := w.initiate(w.a, w.sa, &recorder{})
		if !x.Initiator() || x.Session() != w.sa {
			t.Errorf("%+v", x)
		}
		ids = append(ids, x.ID())
	}
	if !slices.Equal(ids, []uint16{0xFFFE, 0xFFFF, 0, 1}) {
		t.Errorf("ids %v", ids)
	}
	w.a.m.nextID = 0xFFFE
	if x := w.initiate(w.a, w.sa, &recorder{}); x.ID() != 2 {
		t.Errorf("id %d is in use", x.ID())
	}
	// The peer's ids are its own.
	r := &recorder{}
	w.a.serve(r)
	w.a.inject(w.sb, request(0xFFFE), "x")
	if len(r.got) != 1 {
		t.Error("the peer's exchange was taken for ours")
	}
}

func TestUnsecuredExchange(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{on: func(now time.Time, x *Exchange, m Message) {
		if err := x.Send(now, channel, message.OpcodeSigma2, []byte("two")); err != nil {
			t.Error(err)
		}
	}}
	w.b.serve(r)
	s := w.a.sessions.Unsecured(w.now, w.sa.Path)
	mine := &recorder{on: func(now time.Time, x *Exchange, _ Message) { x.Close(now) }}
	x := w.initiate(w.a, s, mine)
	if err := x.Send(w.now, channel, message.OpcodeSigma1, []byte("one")); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	if !slices.Equal(r.got, []string{"one"}) || !slices.Equal(mine.got, []string{"two"}) || !mine.ended(nil) {
		t.Errorf("received %q and %q, closed %v", r.got, mine.got, mine.closed)
	}
	wantFrames(t, "handshake", w.take(), "IR one", "RA two", "IA ack")
}

func TestNewNeedsItsOptions(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(*Options){
		"send":   func(o *Options) { o.Send = nil },
		"accept": func(o *Options) { o.Accept = nil },
		"rand":   func(o *Options) { o.Rand = nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a Manager without %s", name)
				}
			}()
			opt := w.a.m.opt
			change(&opt)
			New(opt)
		}()
	}
}

// A closed exchange does not wait for a request: it ends when its message is never
// acknowledged.
func TestAwaitRequestAfterClose(t *testing.T) {
	w := newWorld(t, nil)
	w.fate = func(int, sent) bool { return true }
	for _, closing := range []func(x *Exchange){
		func(x *Exchange) { x.AwaitRequest(w.now.Add(time.Hour)); x.Close(w.now) },
		func(x *Exchange) { x.Close(w.now); x.AwaitRequest(w.now.Add(time.Hour)) },
	} {
		r := &recorder{}
		x := w.initiate(w.a, w.sa, r)
		send(t, w.now, x, "go on")
		closing(x)
		if w.run(time.Minute); !r.ended(ErrNoAck) {
			t.Errorf("closed %v", r.closed)
		}
	}
	w.wantQuiet()
}
