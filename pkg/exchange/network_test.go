package exchange_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

const opcodeRead uint8 = 2 // of the Interaction Model

// station is a node as in a server: a reader, and a loop that owns sessions and
// exchanges.
type station struct {
	conn     transport.PacketConn
	sessions *session.Table
	m        *exchange.Manager
	inbox    chan func()
	done     chan struct{}
}

func newStation(t *testing.T, n *simnet.Network, addr string, accept func(x *exchange.Exchange, m exchange.Message) exchange.Handler) *station {
	a := netip.MustParseAddrPort(addr)
	s := &station{conn: n.Listen(a), inbox: make(chan func()), done: make(chan struct{})}
	seed := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", addr))))
	s.sessions = session.NewTable(session.Options{Rand: seed, Max: 4, MaxUnsecured: 4})
	s.m = exchange.New(exchange.Options{
		Rand: seed,
		Send: func(p transport.Path, b []byte) {
			if err := s.conn.WriteTo(b, p); err != nil {
				t.Error(err)
			}
		},
		Accept: func(_ time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler { return accept(x, m) },
	})
	return s
}

func (s *station) read() {
	for {
		b := make([]byte, message.MaxSize)
		n, p, err := s.conn.ReadFrom(b)
		if err != nil {
			close(s.done)
			return
		}
		s.inbox <- func() {
			if in, err := s.sessions.Receive(time.Now(), b[:n], p); err == nil {
				s.m.Receive(time.Now(), in)
			}
		}
	}
}

func (s *station) loop() {
	for {
		var timer <-chan time.Time
		if at, ok := s.m.Deadline(); ok {
			timer = time.After(time.Until(at))
		}
		select {
		case f := <-s.inbox:
			f()
		case <-timer:
		case <-s.done:
			return
		}
		s.m.Advance(time.Now())
	}
}

// echo answers everything.
type echo struct{ t *testing.T }

func (e echo) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	if err := x.Send(now, matter.ProtocolInteractionModel, m.Opcode+1, m.Payload); err != nil {
		e.t.Error(err)
	}
	x.Close(now)
}

func (e echo) Closed(time.Time, *exchange.Exchange, error) {}

// caller reports its answer or its error.
type caller struct{ result chan<- error }

func (c caller) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	x.Close(now)
	c.result <- nil
}

func (c caller) Closed(_ time.Time, _ *exchange.Exchange, err error) {
	if err != nil {
		c.result <- err
	}
}

func TestOverALossyNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1, simnet.Conditions{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond})
		refuse := func(*exchange.Exchange, exchange.Message) exchange.Handler { return nil }
		a := newStation(t, n, "[fd00::a]:5540", refuse)
		b := newStation(t, n, "[fd00::b]:5540", func(*exchange.Exchange, exchange.Message) exchange.Handler { return echo{t} })
		sa := join(t, a, b)
		for _, s := range []*station{a, b} {
			go s.read()
			go s.loop()
		}
		begin := time.Now()
		const requests = 50
		results := make(chan error, requests)
		for i := range requests {
			a.inbox <- func() {
				x, err := a.m.Initiate(time.Now(), sa, caller{results})
				if err == nil {
					err = x.Send(time.Now(), matter.ProtocolInteractionModel, opcodeRead, fmt.Append(nil, i))
					x.AwaitResponse(time.Now().Add(10 * time.Second))
				}
				if err != nil {
					t.Error(err)
				}
			}
			// If the messages were sent much faster, a retransmission would fall
			// out of the replay window.
			time.Sleep(150 * time.Millisecond)
		}
		for range requests {
			if err := <-results; err != nil {
				t.Errorf("a request failed: %v", err)
			}
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		a.inbox <- func() {
			if s := a.m.Stats(); s.Retransmissions == 0 || s.Duplicates == 0 {
				t.Errorf("a network without a fault: %+v", s)
			}
		}

		// From now on nothing arrives.
		n.SetConditions(simnet.Conditions{Loss: 1})
		a.inbox <- func() {
			x, err := a.m.Initiate(time.Now(), sa, caller{results})
			if err == nil {
				err = x.Send(time.Now(), matter.ProtocolInteractionModel, opcodeRead, nil)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if err := <-results; !errors.Is(err, exchange.ErrNoAck) {
			t.Errorf("without a network: %v", err)
		}
		time.Sleep(time.Minute)
		a.conn.Close()
		b.conn.Close()
	})
}

// join gives the stations the two ends of a session and returns a's.
func join(t *testing.T, a, b *station) *session.Session {
	t.Helper()
	ida, err := a.sessions.ReserveID()
	if err != nil {
		t.Fatal(err)
	}
	idb, err := b.sessions.ReserveID()
	if err != nil {
		t.Fatal(err)
	}
	c := session.Config{Kind: session.CASE, Initiator: true, LocalID: ida, PeerID: idb, Params: message.DefaultParameters()}
	c.Path.Peer = netip.MustParseAddrPort("[fd00::b]:5540")
	sa, err := a.sessions.Add(time.Now(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Initiator, c.LocalID, c.PeerID = false, idb, ida
	c.Path.Peer = netip.MustParseAddrPort("[fd00::a]:5540")
	if _, err := b.sessions.Add(time.Now(), c); err != nil {
		t.Fatal(err)
	}
	return sa
}
