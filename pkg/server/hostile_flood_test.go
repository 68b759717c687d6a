package server_test

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// stormTime is the duration of the storms in fake time.
var stormTime = flag.Duration("storm", 2*time.Minute, "length of the storms of Sigma1, in fake time; more than a minute")

// sigma1 returns the payload of a valid Sigma1 to a node.
func (r *rig) sigma1(a *commissioner.Authority, node matter.NodeID) []byte {
	r.t.Helper()
	b, err := casesession.NewInitiator(a.Initiator(7, node, nil)).Start()
	r.must(err)
	return b
}

// record connects a controller and returns its Sigma1.
func (r *rig) record(c *commissioner.Client, a *commissioner.Authority, node matter.NodeID) (payload []byte) {
	r.t.Helper()
	r.net.SetTap(func(d simnet.Datagram) bool {
		if h, n, err := message.ParseHeader(d.Payload); err == nil && h.Unsecured() && d.To == deviceAddr {
			if p, m, err := message.ParseProtocolHeader(d.Payload[n:]); err == nil && p.Opcode == message.OpcodeSigma1 {
				payload = append([]byte(nil), d.Payload[n+m:]...)
			}
		}
		return true
	})
	r.session(c, a, node).Close()
	r.net.SetTap(nil)
	if payload == nil {
		r.t.Fatal("no Sigma1 was seen")
	}
	return payload
}

// storm sends a Sigma1 15 times a second, from several hosts in turn, and
// acknowledges the answers, for stormTime. It calls meanwhile every minute. With no
// hosts it sends from the controllers' host.
func (r *rig) storm(hosts int, sigma1 func() []byte, meanwhile func()) {
	r.t.Helper()
	const perSecond = 15
	all := make([]*stranger, max(1, hosts))
	for i := range all {
		if hosts == 0 {
			all[i] = r.strangerAt(netip.AddrPortFrom(clientHost, 50000))
		} else {
			all[i] = r.stranger(i)
		}
	}
	hosts = len(all)
	next := time.Now()
	for i := range int(stormTime.Seconds() * perSecond) {
		s := all[i%hosts]
		for range s.drain() {
			s.ack() // of its latest handshake
		}
		s.begin()
		s.post(message.OpcodeSigma1, sigma1())
		next = next.Add(time.Second / perSecond)
		time.Sleep(time.Until(next))
		if i%(60*perSecond) == 30*perSecond {
			meanwhile()
			next = time.Now()
		}
	}
}

// liveHeap returns the size of the heap after a collection, in octets.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 15 Sigma1 a second, for minutes: forged, or recorded from a genuine handshake;
// from one host or from many. Every minute a genuine controller connects at once,
// and nothing accumulates.
func TestSigma1Storm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hosts  int
		replay bool
	}{
		{"forged, one host", 1, false},
		{"replayed, one host", 1, true},
		{"replayed, 40 hosts", 40, true},
		{"replayed, the controller's host", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
				done := r.commission(c, a)
				recorded := r.record(c, a, done.Node)
				sigma1 := func() []byte { return recorded }
				if !tt.replay {
					sigma1 = func() []byte {
						b := append([]byte(nil), recorded...)
						for i := range 20 {
							b[45+i] ^= byte(rand.Int()) // inside the destination id
						}
						return b
					}
				}
				before := uint64(0)
				r.storm(tt.hosts, sigma1, func() {
					s := r.connectsWithin(time.Second, c, a, done.Node)
					if !r.alive(done.CASE) {
						t.Error("the earlier session does not answer")
					}
					s.Close()
					r.wantBounded()
					if before == 0 {
						before = liveHeap()
					}
				})
				if after := liveHeap(); after > before+1<<20 {
					t.Errorf("memory grew from %d to %d KiB", before>>10, after>>10)
				}
				i := r.inspect()
				if i.CASE > 2 {
					t.Errorf("%d sessions: a stranger has one", i.CASE)
				}
				t.Logf("handshakes: %v, dropped: %v", i.CASEResults, i.Dropped)
				time.Sleep(2 * time.Minute)
				if i := r.inspect(); i.Exchanges > 0 {
					t.Errorf("%d exchanges are left", i.Exchanges)
				}
			})
		})
	}
}

// An attacker takes every place that a recorded Sigma1 can get, and keeps it by
// acknowledging the answers (CVE-2024-3297: the node had to be switched off and
// on).
func TestCVE_2024_3297_ReplayedSigma1(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		recorded := r.record(c, a, done.Node)
		for n := range 50 {
			s := r.stranger(n)
			for range 20 {
				s.begin()
				if p, _, ok := s.ask(message.OpcodeSigma1, recorded); ok && p.Opcode == message.OpcodeSigma2 {
					s.ack()
				}
			}
		}
		if i := r.inspect(); i.CASE != 1 {
			t.Errorf("%d sessions: the stranger has one", i.CASE)
		}
		r.connectsWithin(time.Second, c, a, done.Node)
		r.wantBounded()
	})
}

// With 10,000 random datagrams a second, from one host and from thousands, sessions
// continue, new ones can be opened, and nothing accumulates.
func TestRandomDatagrams(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		random := rand.New(rand.NewPCG(1, 2))
		one := r.stranger(1)
		b := make([]byte, message.MaxSize)
		burst := func() {
			for range 100 {
				part := b[:random.IntN(100)]
				for i := range part {
					part[i] = byte(random.Uint32())
				}
				if len(part) > 3 && random.IntN(2) == 0 {
					part[0], part[3] = part[0]&4, part[3]&0x40 // a header with valid flags
					if random.IntN(2) == 0 {
						part[1], part[2] = 0, 0
					}
				}
				if random.IntN(2) == 0 {
					one.send(part)
				} else {
					r.net.Inject(netip.AddrPortFrom(strangerAddr(random.IntN(2000)), 5540), deviceAddr, part)
				}
			}
			time.Sleep(10 * time.Millisecond)
			one.drain()
		}
		before := uint64(0)
		for second := range 4 {
			for range 100 {
				burst()
			}
			begin := time.Now()
			r.connectsWithin(time.Second, c, a, done.Node).Close()
			if !r.alive(done.CASE) || time.Since(begin) > time.Second {
				t.Errorf("second %d: the earlier session does not answer", second)
			}
			r.wantBounded()
			if second == 0 { // every host has sent something by now
				before = liveHeap()
			}
		}
		if after := liveHeap(); after > before+1<<20 {
			t.Errorf("memory grew from %d to %d KiB", before>>10, after>>10)
		}
		i := r.inspect()
		t.Logf("dropped: %v", i.Dropped)
		if i.CASE > 2 || i.Fabrics != 1 {
			t.Errorf("%d sessions, %d fabrics", i.CASE, i.Fabrics)
		}
	})
}
