package exchange

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
)

// A peer counts what comes more than 32 counters behind the newest message as received,
// and acknowledges it unseen. So whatever is lost of the answers to a burst of requests,
// a message that is sent again must not come that late.
func TestNothingIsSentBehindThePeersWindow(t *testing.T) {
	const requests = 200
	for _, tt := range []struct {
		name string
		loss float64
	}{{"nothing is lost", 0}, {"some is lost", 0.1}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.MaxInitiated = requests })
			answer := &recorder{on: func(now time.Time, x *Exchange, m Message) {
				send(t, now, x, "answer to "+string(m.Payload))
				x.Close(now)
			}}
			w.a.serve(answer)
			r := rand.New(rand.NewPCG(1, 2))
			newest, seen := uint32(0), make(map[uint32]bool)
			w.fate = func(_ int, s sent) bool {
				if r.Float64() < tt.loss {
					return true
				}
				if s.from == w.a {
					c := w.decode(s).counter
					if !seen[c] && c+peerWindow < newest {
						t.Errorf("%d comes after %d", c, newest)
					}
					newest, seen[c] = max(newest, c), true
				}
				return false
			}
			var asked []*recorder
			for i := range requests {
				c := &recorder{on: func(now time.Time, x *Exchange, _ Message) { x.Close(now) }}
				asked = append(asked, c)
				x := w.initiate(w.b, w.sb, c)
				send(t, w.now, x, fmt.Sprint(i))
				x.AwaitResponse(w.now.Add(time.Minute))
			}
			w.run(2 * time.Minute)
			lost := 0
			for i, c := range asked {
				if len(c.closed) != 1 {
					t.Fatalf("request %d: closed %v", i, c.closed)
				}
				if len(c.got) != 1 || c.got[0] != fmt.Sprint("answer to ", i) {
					lost++
				}
			}
			// A message that is lost five times is lost for good.
			if lost > int(requests*tt.loss/10) {
				t.Errorf("%d of %d requests have no answer", lost, requests)
			}
			w.wantQuiet()
		})
	}
}

// A peer that is busy with sending sends all of its requests again before it reads the
// first answer: acknowledgements do not push what is on its way behind its window.
func TestAcknowledgementsStayInThePeersWindow(t *testing.T) {
	const requests = 200
	w := newWorld(t, nil)
	w.a.serve(&recorder{on: func(now time.Time, x *Exchange, m Message) {
		send(t, now, x, string(m.Payload))
		x.Close(now)
	}})
	var asked []sent
	for i := range requests {
		asked = append(asked, w.a.sealed(w.sb, request(uint16(i)), "x"))
	}
	var unread []frame
	w.fate = lost
	for range 4 {
		for _, s := range asked {
			w.deliver(s)
		}
		w.run(400 * time.Millisecond)
		unread = append(unread, w.take()...)
	}
	answered := make(map[uint16]bool)
	for n := 0; len(unread) > 0; n++ {
		first, last := unread[0].counter, unread[0].counter
		for _, f := range unread {
			first, last = min(first, f.counter), max(last, f.counter)
		}
		if last-first >= peerWindow {
			t.Fatalf("round %d: counters %d to %d are on their way", n, first, last)
		}
		for _, f := range unread {
			if f.p.Reliable && !answered[f.p.Exchange] {
				answered[f.p.Exchange] = true
				w.a.inject(w.sb, message.ProtocolHeader{Initiator: true, HasAck: true, Ack: f.counter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: f.p.Exchange}, "")
			}
		}
		unread = w.take()
	}
	if len(answered) != requests {
		t.Errorf("%d of %d requests were answered", len(answered), requests)
	}
}

// A message that waits for room is not sent once its exchange has ended, and those of a
// session that is gone are forgotten.
func TestWhatWaitsForRoomEnds(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxInitiated = 100 })
	w.fate = lost
	var rs []*recorder
	for i := range 50 {
		r := &recorder{}
		rs = append(rs, r)
		x := w.initiate(w.a, w.sa, r)
		send(t, w.now, x, "x")
		x.AwaitResponse(w.now.Add(time.Duration(100-i) * time.Millisecond))
		if err := x.Send(w.now, im, opcodeInvoke, nil); len(rs) > DefaultInFlight && err != ErrOutstanding {
			t.Errorf("a second message behind one that waits: %v", err)
		}
	}
	if n := len(w.take()); n != DefaultInFlight {
		t.Errorf("%d messages were sent without an acknowledgement", n)
	}
	w.run(200 * time.Millisecond)
	for i, r := range rs {
		if !r.ended(ErrNoResponse) {
			t.Errorf("exchange %d: %v", i, r.closed)
		}
	}
	if n := len(w.take()); n != 0 {
		t.Errorf("%d messages were sent of exchanges that have ended", n)
	}
	w.wantQuiet()

	r := &recorder{}
	for range 40 {
		send(t, w.now, w.initiate(w.a, w.sa, r), "x")
	}
	w.a.m.SessionGone(w.now, w.sa)
	if len(r.closed) != 40 || len(w.a.m.flights) != 0 {
		t.Errorf("%d exchanges ended, %d flights left", len(r.closed), len(w.a.m.flights))
	}
}
