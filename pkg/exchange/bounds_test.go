package exchange

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// sealed returns a message of the peer for n, to be injected more than once.
func (n *node) sealed(s *session.Session, p message.ProtocolHeader, payload string) sent {
	n.t.Helper()
	d, _, err := s.Seal(nil, &p, []byte(payload))
	if err != nil {
		n.t.Fatal(err)
	}
	return sent{from: n.peer, data: d}
}

func TestExchangesPerSession(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	for i := range DefaultMaxPerSession {
		w.a.inject(w.sb, request(uint16(i)), "x")
	}
	if len(r.got) != DefaultMaxPerSession || DefaultMaxPerSession < 300 {
		t.Fatalf("%d exchanges accepted", len(r.got))
	}
	w.run(time.Second)
	w.take()
	// Messages beyond the limit are not acknowledged, so that they are sent again.
	refused := w.a.sealed(w.sb, request(1000), "one more")
	for n := range uint64(3) {
		w.deliver(refused)
		wantFrames(t, "to one more", w.take())
		if len(r.got) != DefaultMaxPerSession || w.sa.Gone() || w.a.m.Stats().Refused != n+1 {
			t.Errorf("%d delivered, session gone %v", len(r.got), w.sa.Gone())
		}
	}
	// The session still works for its exchanges, for new ones of this node, and for
	// other sessions.
	w.a.inject(w.sb, request(5), "go on")
	if len(r.got) != DefaultMaxPerSession+1 {
		t.Error("an open exchange is not heard any more")
	}
	for range DefaultMaxInitiated {
		w.initiate(w.a, w.sa, &recorder{})
	}
	if _, err := w.a.m.Initiate(w.now, w.sa, r); !errors.Is(err, ErrTooMany) {
		t.Errorf("Initiate = %v", err)
	}
	_, sb := w.session(session.CASE)
	w.a.inject(sb, request(100), "x")
	if len(r.got) != DefaultMaxPerSession+2 {
		t.Error("another session is refused too")
	}
	// A free place can be used by a message that was refused before, once.
	w.a.m.table[key{w.sa.Serial, 5, false}].Close(w.now)
	w.take()
	w.deliver(refused)
	w.deliver(refused)
	if len(r.got) != DefaultMaxPerSession+3 || r.got[DefaultMaxPerSession+2] != "one more" {
		t.Error("no place after one was given back")
	}
	wantFrames(t, "to the one that comes twice", w.take(), "A ack")
}

// All sessions together have a limit too. Each session keeps some exchanges.
func TestExchangesOfAllSessions(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Max = 100 })
	r := &recorder{}
	w.a.serve(r)
	begin := func(s *session.Session, n int) int {
		before := len(r.got)
		for i := range n {
			w.a.inject(s, request(uint16(i)), "x")
		}
		return len(r.got) - before
	}
	if n := begin(w.sb, 200); n != 100 {
		t.Errorf("the first session has %d exchanges", n)
	}
	for i := range 3 {
		_, sb := w.session(session.CASE)
		if n := begin(sb, 200); n != Guaranteed {
			t.Errorf("session %d has %d exchanges", i, n)
		}
	}
}

// An unknown peer cannot begin many exchanges.
func TestExchangesOfAnUnsecuredSession(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	s := w.b.sessions.Unsecured(w.now, w.sb.Path)
	for i := range 100 {
		w.a.inject(s, message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1, Exchange: uint16(i)}, "x")
	}
	if len(r.got) != Guaranteed || w.a.m.Stats().Refused != 100-Guaranteed {
		t.Errorf("%d exchanges, %d refused", len(r.got), w.a.m.Stats().Refused)
	}
}

// If Accept returns Busy, the message is not acknowledged, and Accept is called
// again when it arrives again.
func TestAcceptIsBusy(t *testing.T) {
	for _, kind := range []string{"secured", "unsecured"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, nil)
			r := &recorder{}
			asked, answer := 0, Busy
			w.a.accept = func(*Exchange, Message) Handler {
				asked++
				return answer
			}
			m := w.a.sealed(w.sb, request(1), "x")
			if kind == "unsecured" {
				p := message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1, Exchange: 1}
				m = w.a.sealed(w.b.sessions.Unsecured(w.now, w.sb.Path), p, "x")
			}
			for range 3 {
				w.deliver(m)
				wantFrames(t, "while busy", w.take())
			}
			answer = r
			w.deliver(m)
			w.deliver(m)
			if asked != 4 || fmt.Sprint(r.got) != "[x]" {
				t.Errorf("asked %d times, delivered %q", asked, r.got)
			}
		})
	}
}

// A request that is too late to know whether it was received is not acknowledged,
// as it may never be answered. The last message of an exchange is.
func TestLateMessages(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	w.a.serve(r)
	late := w.a.sealed(w.sb, request(1), "late")
	lateToo := w.a.sealed(w.sb, request(2), "in an exchange")
	last := w.a.sealed(w.sb, request(3), "last")
	w.deliver(last)
	w.a.inject(w.sb, request(2), "x")
	for range 3000 {
		w.a.inject(w.sb, request(4), "y")
	}
	w.run(time.Second)
	w.take()
	got := len(r.got)
	w.deliver(late)
	wantFrames(t, "to a late request", w.take())
	w.deliver(lateToo)
	wantFrames(t, "to a late message of an exchange", w.take())
	w.deliver(last)
	wantFrames(t, "to the last one of an exchange", w.take(), "A ack")
	if len(r.got) != got {
		t.Errorf("delivered %q", r.got[got:])
	}
}
