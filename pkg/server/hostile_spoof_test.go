package server_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// An attacker sends datagrams with a controller's address. On the unsecured
// session, 50,000 a second do not affect the controller's session. Datagrams with
// the session's id must be decrypted, and beyond the limit for a source the
// controller's own would be dropped as well; that is not the case at 10,000 a
// second.
func TestFloodInTheNameOfAController(t *testing.T) {
	for _, tt := range []struct {
		name    string
		session bool
		perTick int // datagrams per millisecond
	}{
		{"outside of sessions", false, 50},
		{"in its session", true, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				done := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
				var seen simnet.Datagram
				r.net.SetTap(func(d simnet.Datagram) bool {
					if d.To == deviceAddr {
						d.Payload = bytes.Clone(d.Payload)
						seen = d
					}
					return true
				})
				if !r.alive(done.CASE) {
					t.Fatal("no answer")
				}
				r.net.SetTap(nil)
				id := seen.Payload[1:3]
				if !tt.session {
					id = []byte{0, 0}
				}
				stop, stopped := make(chan struct{}), make(chan struct{})
				defer func() {
					close(stop)
					<-stopped
				}()
				go func() {
					defer close(stopped)
					random := rand.New(rand.NewPCG(1, 2))
					b := make([]byte, 60)
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
						for range tt.perTick {
							for i := range b {
								b[i] = byte(random.Uint32())
							}
							b[0], b[3] = 0, 0
							copy(b[1:], id)
							r.net.Inject(seen.From, deviceAddr, b)
						}
					}
				}()
				time.Sleep(5 * time.Second) // the burst of a source is used up
				before := r.inspect().Dropped["source_limit"]
				for range 20 {
					begin := time.Now()
					if !r.alive(done.CASE) {
						t.Fatal("no answer")
					}
					if d := time.Since(begin); d > 50*time.Millisecond {
						t.Errorf("an answer took %v", d)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if n := r.inspect().Dropped["source_limit"] - before; n > 0 == tt.session {
					t.Errorf("%d were dropped", n)
				}
				r.wantBounded()
			})
		})
	}
}

// A recorded Sigma1 with an offer to resume is sent again. The record was used, so
// the Sigma1 is like any other, and a StatusReport that would complete a resumption
// opens no session.
func TestReplayedResumption(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		first, res, err := c.CASE(r.ctx, deviceAddr, a, done.Node, nil)
		r.must(err)
		rec := res.Record()
		var recorded []byte
		r.net.SetTap(func(d simnet.Datagram) bool {
			if h, n, err := message.ParseHeader(d.Payload); err == nil && h.Unsecured() && d.To == deviceAddr {
				if p, m, err := message.ParseProtocolHeader(d.Payload[n:]); err == nil && p.Opcode == message.OpcodeSigma1 {
					recorded = bytes.Clone(d.Payload[n+m:])
				}
			}
			return true
		})
		second, res, err := c.CASE(r.ctx, deviceAddr, a, done.Node, &rec)
		r.must(err)
		r.net.SetTap(nil)
		if !res.Resumed || recorded == nil {
			t.Fatal("not resumed")
		}
		time.Sleep(time.Second) // its StatusReport is in transit
		before := r.inspect().CASE
		for n := range 40 {
			s := r.stranger(n)
			s.begin()
			if p, _, ok := s.ask(message.OpcodeSigma1, recorded); ok && p.Opcode != message.OpcodeSigma2 && p.Opcode != message.OpcodeStatusReport {
				t.Errorf("answered with opcode %02x", p.Opcode)
			}
			s.post(message.OpcodeStatusReport, (&message.StatusReport{Code: message.CodeSessionEstablished}).AppendTo(nil))
		}
		if n := r.inspect().CASE; n != before {
			t.Errorf("%d sessions, %d before", n, before)
		}
		for _, s := range []*commissioner.Session{done.CASE, first, second} {
			if !r.alive(s) {
				t.Error("a session does not answer")
			}
		}
		next := res.Record()
		if _, res, err = c.CASE(r.ctx, deviceAddr, a, done.Node, &next); err != nil || !res.Resumed {
			t.Errorf("the controller cannot resume: %v", err)
		}
	})
}
