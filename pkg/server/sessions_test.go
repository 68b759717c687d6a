package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// handshakes performs n full handshakes from one controller that never closes a
// session, and checks that memory does not grow.
func handshakes(r *rig, c *commissioner.Client, a *commissioner.Authority, node matter.NodeID, n int) {
	r.t.Helper()
	for i := range n {
		_, res, err := c.CASE(r.ctx, deviceAddr, a, node, nil)
		if err != nil || res.Resumed {
			r.t.Fatalf("handshake %d: resumed %v, %v", i, res != nil && res.Resumed, err)
		}
	}
	time.Sleep(time.Second) // the last acknowledgement
	i := r.inspect()
	if i.Unsecured != 0 || i.Exchanges != 0 || i.CASE > 3*server.DefaultMaxFabrics+16 || i.CASEResults["busy"] != 0 || i.CASEResults["no_room"] != 0 {
		r.t.Errorf("%+v", i)
	}
}

func TestHandshakesInARow(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		handshakes(r, c, a, done.Node, 100) // reach all limits
		before := heap()
		handshakes(r, c, a, done.Node, 300)
		if after := heap(); after > before+1<<20 {
			t.Errorf("%d octets in use before 300 handshakes, %d after", before, after)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFullHandshake performs full handshakes over real sockets, one after the
// other from one controller, and fails if the node is ever busy. The heap must not
// grow with their number: try -benchtime 10000x.
func BenchmarkFullHandshake(b *testing.B) {
	srv, err := server.New(server.Options{StateDir: b.TempDir(), AnyPort: true, Passcode: passcode, Announcer: &billboard{}})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Stop()
	srv.Start()
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := commissioner.New(conns[0])
	defer c.Close()
	for _, conn := range conns[1:] {
		defer conn.Close()
	}
	a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, at := context.Background(), netip.AddrPortFrom(netip.IPv6Loopback(), srv.Port())
	done, err := c.Commission(ctx, at, passcode, a)
	if err != nil {
		b.Fatal(err)
	}
	before := heap()
	for b.Loop() {
		if _, _, err := c.CASE(ctx, at, a, done.Node, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(int64(heap())-int64(before)), "heap-growth-B")
	i, err := srv.Inspect()
	if err != nil || i.CASEResults["busy"] != 0 || i.Unsecured > 1 || i.CASE > 3*server.DefaultMaxFabrics+16 {
		b.Errorf("%+v, %v", i, err)
	}
}

// Five fabrics keep their three sessions each, however many one of them opens.
func TestSessionsPerFabric(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.stop()
		r.opt.MaxFabrics = 5
		r.start()
		type home struct {
			c        *commissioner.Client
			a        *commissioner.Authority
			node     matter.NodeID
			sessions []*commissioner.Session
		}
		var homes []*home
		for i := range 5 {
			h := &home{c: r.client(), a: r.authority(commissioner.AuthorityOptions{})}
			if i > 0 {
				r.must(homes[0].sessions[0].OpenBasicWindow(r.ctx, 180))
			}
			done := r.commission(h.c, h.a)
			h.node, h.sessions = done.Node, []*commissioner.Session{done.CASE}
			for range 2 {
				o, err := h.a.Admin(commissioner.RandomNodeID())
				r.must(err)
				h.sessions = append(h.sessions, r.session(r.client(), o, h.node))
			}
			homes = append(homes, h)
		}
		greedy := homes[4]
		for range 100 {
			o, err := greedy.a.Admin(commissioner.RandomNodeID())
			r.must(err)
			r.session(greedy.c, o, greedy.node)
		}
		for i, h := range homes[:4] {
			for k, s := range h.sessions {
				if _, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}); err != nil {
					t.Errorf("session %d of fabric %d: %v", k, i+1, err)
				}
			}
		}
		if i := r.inspect(); i.CASE != 3*5+16 {
			t.Errorf("%d sessions", i.CASE)
		}
	})
}

// A session can carry 32 exchanges at once, each with an answer of several
// messages.
func TestExchangesOnOneSession(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		errs := make([]error, exchange.DefaultMaxPerSession)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}})
				if errs[i] = err; err == nil && rep.Chunks < 2 {
					errs[i] = fmt.Errorf("%d messages", rep.Chunks)
				}
			})
		}
		wg.Wait()
		r.must(errors.Join(errs...))
	})
}

// A message beyond the limit of exchanges is not handled, and the session stays
// usable.
func TestTooManyExchanges(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		ctx, cancel := context.WithCancel(r.ctx)
		var wg sync.WaitGroup
		for range exchange.DefaultMaxPerSession {
			wg.Go(func() { _ = s.Announce(ctx, time.Second) })
		}
		time.Sleep(100 * time.Millisecond)
		if i := r.inspect(); i.Exchanges != exchange.DefaultMaxPerSession {
			t.Fatalf("%d exchanges", i.Exchanges)
		}
		// One more is not acknowledged: its sender retransmits and gives up.
		if _, err := s.Read(r.ctx, labels); !errors.Is(err, exchange.ErrNoAck) {
			t.Errorf("one exchange more: %v", err)
		}
		// Other sessions are not affected.
		if !r.alive(r.session(c, a, done.Node)) {
			t.Error("another session")
		}
		cancel()
		wg.Wait()
		time.Sleep(31 * time.Second) // the node's timeout for the announced request
		if i := r.inspect(); i.Exchanges != 0 || i.Waiting != 0 {
			t.Errorf("%d exchanges, %d waiting", i.Exchanges, i.Waiting)
		}
		if !r.alive(s) {
			t.Error("the session did not survive")
		}
	})
}

// A controller that was switched off leaves only its sessions behind, which are
// evicted if necessary.
func TestControllerVanishes(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		for range 3 {
			s := r.session(c, a, done.Node)
			for range 3 {
				_, err := s.Subscribe(r.ctx, labels, 0, 60)
				r.must(err)
			}
			go func() { _, _ = s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}) }()
			go func() { _ = s.Announce(r.ctx, time.Second) }()
		}
		synctest.Wait()
		c.Close()
		time.Sleep(time.Hour)
		if i := r.inspect(); i.Exchanges != 0 || i.Waiting != 0 || i.Subscriptions != 0 || i.Unsecured != 0 || len(r.remembered()) != 0 {
			t.Errorf("%+v, %d stored", i, len(r.remembered()))
		}
		// It returns as a new controller.
		back := r.client()
		handshakes(r, back, a, done.Node, 200)
	})
}

// CloseSession on its own exchange takes effect at once.
func TestCloseSessionEndsWhatIsUnderWay(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		go func() { _ = s.Announce(r.ctx, time.Minute) }()
		time.Sleep(10 * time.Millisecond)
		s.Close()
		time.Sleep(10 * time.Millisecond)
		if i := r.inspect(); i.CASE != 0 || i.Exchanges != 0 || i.Waiting != 0 {
			t.Errorf("%+v", i)
		}
	})
}

// Failed handshakes are freed as soon as the failure is known, even on a bad
// network.
func TestHandshakeContextsAreFreed(t *testing.T) {
	bubble(t, 3, simnet.Conditions{Delay: 2 * time.Millisecond, Loss: 0.2, Duplicate: 0.3, Reorder: 0.3}, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		other := r.authority(commissioner.AuthorityOptions{})
		for range 50 {
			_, _, _ = c.CASE(r.ctx, deviceAddr, other, done.Node, nil) // no shared root
			_, _, _ = c.CASE(r.ctx, deviceAddr, a, done.Node, nil)
		}
		time.Sleep(61 * time.Second) // a Sigma3 may have been lost with all its retransmissions
		i := r.inspect()
		if i.Unsecured != 0 || i.Exchanges != 0 || i.CASEResults["success"] < 45 || i.CASEResults["busy"] != 0 {
			t.Errorf("%+v", i)
		}
		unfinished := slices.Max([]uint64{i.CASEResults["timeout"], i.CASEResults["no_ack"]})
		t.Logf("%v, %d unfinished", i.CASEResults, unfinished)
	})
}
