package commissioner

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// responseTimeout bounds the wait for one answer. Retransmissions give up long
// before, so it only ends the wait for a peer that acknowledges but does not
// answer.
const responseTimeout = 30 * time.Second

// ErrClosed is returned by calls on a Client that was closed.
var ErrClosed = errors.New("commissioner: closed")

// Client is a controller: one conn, and any number of sessions. Its methods and
// those of its sessions may be called by several goroutines.
type Client struct {
	conn      transport.PacketConn
	rand      io.Reader
	params    message.SessionParameters
	sessions  *session.Table
	exchanges *exchange.Manager
	// Only the loop uses subscriptions.
	subscriptions map[uint32]*Subscription
	// Only the loop uses served, callBacks and records; see Serve.
	served    *Authority
	callBacks []CallBack
	records   map[[casesession.ResumptionIDSize]byte]casesession.Record

	calls chan func(now time.Time)
	in    chan datagram
	done  chan struct{}
	close sync.Once
	wg    sync.WaitGroup
}

type datagram struct {
	data []byte
	path transport.Path
}

// New returns a Client on conn. Close closes conn.
func New(conn transport.PacketConn) *Client {
	c := &Client{
		conn:   conn,
		rand:   rand.Reader,
		params: message.DefaultParameters(),
		calls:  make(chan func(time.Time)),
		in:     make(chan datagram, 64),
		done:   make(chan struct{}),

		subscriptions: make(map[uint32]*Subscription),
		records:       make(map[[casesession.ResumptionIDSize]byte]casesession.Record),
	}
	c.sessions = session.NewTable(session.Options{
		Rand: c.rand, Max: 1024, MaxUnsecured: 64,
		Busy: func(s *session.Session) bool { return c.exchanges.Outstanding(s) },
	})
	c.exchanges = exchange.New(exchange.Options{
		Rand: c.rand,
		Send: func(p transport.Path, b []byte) {
			// Ignore errors: MRP sends the message again.
			_ = c.conn.WriteTo(b, p)
		},
		Accept: c.incoming,
		// More than a node allows, and as much at once as other controllers send:
		// rejecting is up to the node.
		MaxInitiated: 1024, InFlight: 1 << 16,
	})
	c.wg.Go(c.read)
	c.wg.Go(c.loop)
	return c
}

// Close closes the Client without notifying its peers.
func (c *Client) Close() {
	c.close.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
	c.wg.Wait()
}

func (c *Client) read() {
	for {
		b := make([]byte, message.MaxSize)
		n, p, err := c.conn.ReadFrom(b)
		if err != nil {
			return
		}
		select {
		case c.in <- datagram{b[:n], p}:
		case <-c.done:
			return
		}
	}
}

func (c *Client) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if t, ok := c.exchanges.Deadline(); ok {
			timer.Reset(time.Until(t))
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case f := <-c.calls:
			f(time.Now())
		case d := <-c.in:
			now := time.Now()
			if in, err := c.sessions.Receive(now, d.data, d.path); err == nil {
				c.exchanges.Receive(now, in)
			}
		case <-timer.C:
		case <-c.done:
			return
		}
		c.tidy(time.Now())
	}
}

// tidy does what is due, and removes what is no longer needed.
func (c *Client) tidy(now time.Time) {
	c.exchanges.Advance(now)
	c.sessions.FreeUnsecured()
	for _, s := range c.sessions.TakeEvicted() {
		(&Session{c, s}).forget(now)
	}
}

// do runs f on the Client's goroutine and waits for it.
func (c *Client) do(f func(now time.Time)) error {
	ran := make(chan struct{})
	select {
	case c.calls <- func(now time.Time) { f(now); close(ran) }:
		<-ran
		return nil
	case <-c.done:
		return ErrClosed
	}
}

// step handles one message of an exchange and returns whether it was the last.
type step func(now time.Time, x *exchange.Exchange, m exchange.Message) (done bool, err error)

// transaction is the exchange.Handler for an exchange that the Client began.
type transaction struct {
	step   step
	result chan error // holds one
	over   bool
}

func (t *transaction) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	if t.over {
		return
	}
	done, err := t.step(now, x, m)
	if !done && err == nil {
		x.AwaitResponse(now.Add(responseTimeout))
		return
	}
	t.finish(err)
	x.Close(now)
}

func (t *transaction) Closed(_ time.Time, _ *exchange.Exchange, err error) {
	if err == nil {
		err = errors.New("commissioner: exchange closed early")
	}
	t.finish(err)
}

func (t *transaction) finish(err error) {
	if !t.over {
		t.over = true
		t.result <- err
	}
}

// begin opens an exchange, sends its first message and passes the answers to st.
func (c *Client) begin(ctx context.Context, s func(now time.Time) *session.Session, protocol uint16, opcode uint8, payload []byte, st step) error {
	t := &transaction{step: st, result: make(chan error, 1)}
	var x *exchange.Exchange
	var failed error
	err := c.do(func(now time.Time) {
		x, failed = c.exchanges.Initiate(now, s(now), t)
		if failed != nil {
			return
		}
		if failed = x.Send(now, protocol, opcode, payload); failed == nil {
			x.AwaitResponse(now.Add(responseTimeout))
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	select {
	case err := <-t.result:
		return err
	case <-ctx.Done():
		_ = c.do(func(now time.Time) {
			t.over = true
			x.Close(now)
		})
		return ctx.Err()
	case <-c.done:
		return ErrClosed
	}
}

// Session is a secure session with the node.
type Session struct {
	c *Client
	s *session.Session
}

func (s *Session) transact(ctx context.Context, opcode uint8, payload []byte, st step) error {
	return s.c.begin(ctx, func(time.Time) *session.Session { return s.s }, matter.ProtocolInteractionModel, opcode, payload, st)
}

// AttestationChallenge returns the session's attestation challenge.
func (s *Session) AttestationChallenge() [16]byte { return s.s.AttestationChallenge }

// Close ends the session and notifies the node.
func (s *Session) Close() {
	_ = s.c.do(func(now time.Time) {
		if x, err := s.c.exchanges.Initiate(now, s.s, &transaction{over: true}); err == nil {
			report := message.StatusReport{General: message.GeneralSuccess, Code: message.CodeCloseSession}
			_ = x.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
			x.Close(now)
		}
		s.forget(now)
	})
}

// Forget drops the session without notifying the node, as a controller that lost
// power does.
func (s *Session) Forget() { _ = s.c.do(s.forget) }

func (s *Session) forget(now time.Time) {
	s.c.sessions.Remove(s.s)
	s.c.exchanges.SessionGone(now, s.s)
}

// Redirect changes the node's address in the session, as a controller does after it
// has resolved the address again.
func (s *Session) Redirect(addr netip.AddrPort) {
	_ = s.c.do(func(time.Time) { s.s.Path = to(addr) })
}

// Gone reports whether the session has ended: by Close, by Forget, or by the node.
func (s *Session) Gone() (gone bool) {
	if err := s.c.do(func(time.Time) { gone = s.s.Gone() }); err != nil {
		return true
	}
	return gone
}

// to returns the path to an address; the kernel chooses the interface.
func to(a netip.AddrPort) transport.Path { return transport.Path{Peer: a} }
