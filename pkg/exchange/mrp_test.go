package exchange

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// ms is a duration of a number of milliseconds with a fraction.
func ms(f float64) time.Duration { return time.Duration(math.Round(f * float64(time.Millisecond))) }

// waits is the table of section 4.12.2.1 without jitter.
var waits = []struct {
	interval time.Duration
	after    [maxTransmissions]float64 // milliseconds after each transmission
}{
	{300 * time.Millisecond, [...]float64{330, 330, 528, 844.8, 1351.68}},
	{500 * time.Millisecond, [...]float64{550, 550, 880, 1408, 2252.8}},
	{5 * time.Second, [...]float64{5500, 5500, 8800, 14080, 22528}},
}

func TestBackoff(t *testing.T) {
	for _, row := range waits {
		for n, want := range row.after {
			for _, random := range []float64{0, 0.5, 1 - 1.0/(1<<32)} {
				want := ms(want * (1 + random/4))
				if got := backoff(row.interval, n, random); (got - want).Abs() > time.Microsecond {
					t.Errorf("interval %v, retransmission %d, random %v: %v, want %v", row.interval, n, random, got, want)
				}
			}
		}
	}
}

func TestWorstCase(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		300 * time.Millisecond: ms(4230.6),
		500 * time.Millisecond: ms(7051),
	} {
		if got := WorstCase(interval); (got - want).Abs() > time.Microsecond {
			t.Errorf("WorstCase(%v) = %v, want %v", interval, got, want)
		}
	}
}

func TestRetransmissions(t *testing.T) {
	for _, kind := range []session.Kind{session.PASE, session.CASE} {
		for _, row := range waits {
			t.Run(kind.String()+row.interval.String(), func(t *testing.T) {
				w := newWorld(t, nil)
				sa, _ := w.session(kind)
				sa.Params.IdleInterval, sa.Params.ActiveInterval = row.interval, row.interval
				r := &recorder{}
				x := w.initiate(w.a, sa, r)
				send(t, w.now, x, "hello")
				w.fate = lost
				w.run(2 * time.Minute)

				got := w.take()
				if len(got) != maxTransmissions {
					t.Fatalf("%d transmissions", len(got))
				}
				var at float64
				for n, f := range got {
					if f.at.Round(time.Microsecond) != ms(at) || !bytes.Equal(f.data, got[0].data) {
						t.Errorf("transmission %d at %v, want %v; same bytes: %v", n, f.at, ms(at), bytes.Equal(f.data, got[0].data))
					}
					at += row.after[n]
				}
				if !r.ended(ErrNoAck) {
					t.Errorf("closed: %v", r.closed)
				}
				if sa.Defunct != (kind == session.CASE) {
					t.Errorf("session is defunct: %v", sa.Defunct)
				}
				if err := x.Send(w.now, im, 1, nil); err != ErrClosed {
					t.Errorf("Send afterwards: %v", err)
				}
				if s := w.a.m.Stats(); s.Retransmissions != 4 || s.Timeouts != 1 {
					t.Errorf("%+v", s)
				}
				w.wantQuiet()
			})
		}
	}
}

// The manager gives up after the wait that follows the last transmission.
func TestGivesUpAfterTheLastWait(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{on: nil}
	var at time.Time
	r.onClosed = func(now time.Time, _ error) { at = now }
	send(t, w.now, w.initiate(w.a, w.sa, r), "x")
	w.fate = lost
	w.run(time.Minute)
	// The threshold of 4 s is not reached, so all intervals are the active one.
	if want := ms(330 + 330 + 528 + 844.8 + 1351.68); at.Sub(start).Round(time.Microsecond) != want {
		t.Errorf("gave up after %v, want %v", at.Sub(start), want)
	}
}

// Each transmission checks again whether the peer is active.
func TestActiveAndIdleIntervals(t *testing.T) {
	w := newWorld(t, nil)
	w.sa.Params.IdleInterval, w.sa.Params.ActiveInterval, w.sa.Params.ActiveThreshold = 2*time.Second, 300*time.Millisecond, 500*time.Millisecond
	send(t, w.now, w.initiate(w.a, w.sa, &recorder{}), "x")
	w.fate = lost
	w.run(time.Minute)
	var gaps []time.Duration
	got := w.take()
	for i := range len(got) - 1 {
		gaps = append(gaps, (got[i+1].at - got[i].at).Round(time.Microsecond))
	}
	// At 0 and 330 ms the last message of the peer was less than 500 ms old; later
	// it was not.
	want := []time.Duration{ms(330), ms(330), ms(2000 * 1.1 * 1.6), ms(2000 * 1.1 * 1.6 * 1.6)}
	for i := range want {
		if gaps[i] != want[i] {
			t.Fatalf("waits %v, want %v", gaps, want)
		}
	}
}

// Retransmissions of many nodes must not stay in step.
func TestJitterIsDrawnForEachTransmission(t *testing.T) {
	var draws []byte
	w := newWorld(t, func(o *Options) {
		o.Rand = readerFunc(func(b []byte) {
			v := byte(len(draws) * 51)
			draws = append(draws, v)
			clear(b)
			b[3] = v // the most significant octet
		})
	})
	draws = draws[:0]
	send(t, w.now, w.initiate(w.a, w.sa, &recorder{}), "x")
	w.fate = lost
	w.run(time.Minute)
	got := w.take()
	for i := range len(got) - 1 {
		gap := got[i+1].at - got[i].at
		want := ms(waits[0].after[i] * (1 + float64(i*51)/256/4))
		if (gap - want).Abs() > time.Microsecond {
			t.Errorf("wait %d is %v, want %v", i, gap, want)
		}
	}
	if len(draws) != maxTransmissions {
		t.Errorf("%d random values drawn for %d waits", len(draws), maxTransmissions)
	}
}

type readerFunc func([]byte)

func (f readerFunc) Read(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func TestAcknowledgementStopsRetransmission(t *testing.T) {
	w := newWorld(t, nil)
	r := &recorder{}
	x := w.initiate(w.a, w.sa, r)
	send(t, w.now, x, "x")
	sentCounter := w.take()[0].counter
	ack := func(s *session.Session, exchange uint16, counter uint32) {
		w.a.inject(s, message.ProtocolHeader{HasAck: true, Ack: counter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: exchange}, "")
	}
	_, other := w.session(session.CASE)
	for what, f := range map[string]func(){
		"of an unknown counter": func() { ack(w.sb, x.ID(), sentCounter+1) },
		"of an older counter":   func() { ack(w.sb, x.ID(), sentCounter-1) },
		"in another exchange":   func() { ack(w.sb, x.ID()+1, sentCounter) },
		"in another session":    func() { ack(other, x.ID(), sentCounter) },
		"in the role of our own": func() {
			w.a.inject(w.sb, message.ProtocolHeader{Initiator: true, HasAck: true, Ack: sentCounter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: x.ID()}, "")
		},
	} {
		f()
		if x.out.datagram == nil {
			t.Fatalf("an acknowledgement %s was taken", what)
		}
	}
	ack(w.sb, x.ID(), sentCounter)
	w.run(time.Minute)
	wantFrames(t, "after the acknowledgement", w.take())
	if len(r.got) != 0 || len(r.closed) != 0 {
		t.Errorf("the handler heard of it: %v, %v", r.got, r.closed)
	}
	// A repeated acknowledgement has no effect.
	ack(w.sb, x.ID(), sentCounter)
	x.Close(w.now)
	w.wantQuiet()
}
