package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// errStopped is returned to those who ask a node that no longer runs.
var errStopped = errors.New("the node has stopped")

// loop is what the goroutine that owns all state listens to.
type loop struct {
	inbox *transport.Inbox
	calls chan func(now time.Time)
	begun chan struct{} // closed by Start: the state is the loop's from now on
	quit  chan struct{} // closed to end it
	gone  chan struct{} // closed when it has ended
	once  sync.Once
}

func (l *loop) init(log *slog.Logger) {
	l.inbox = transport.NewInbox(log)
	l.calls = make(chan func(time.Time))
	l.begun = make(chan struct{})
	l.quit = make(chan struct{})
	l.gone = make(chan struct{})
}

// stop ends the loop and waits until it has ended.
func (l *loop) stop() {
	l.once.Do(func() { close(l.quit) })
	<-l.gone
}

// run is the goroutine that owns all protocol state.
func (s *Server) run() {
	defer close(s.loop.gone)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due time.Time
	for {
		var p *transport.Packet
		var call func(time.Time)
		select {
		case <-s.loop.inbox.Ready():
			p = s.loop.inbox.Take()
		case call = <-s.loop.calls:
		case <-timer.C:
		case <-s.loop.quit:
			return
		}
		now := time.Now()
		if !now.Before(due) {
			s.step(now) // what has run out is over, even if the timer comes late
		}
		switch {
		case p != nil:
			s.receive(now, p)
			s.loop.inbox.Release(p)
		case call != nil:
			call(now)
		}
		s.step(now)
		due = s.deadline(now)
		timer.Reset(time.Until(due))
	}
}

// step does what is due and derives the effects.
func (s *Server) step(now time.Time) {
	s.advance(now)
	s.settle(now)
}

// onLoop runs f on the loop and waits for it.
func (s *Server) onLoop(f func(now time.Time) error) error {
	result := make(chan error, 1)
	select {
	case s.loop.calls <- func(now time.Time) { result <- f(now) }:
		select {
		case err := <-result:
			return err
		case <-s.loop.gone:
			return errStopped
		}
	case <-s.loop.quit:
		return errStopped
	}
}

// ask is onLoop for those who do not wait longer than ctx.
func (s *Server) ask(ctx context.Context, f func(now time.Time) error) error {
	result := make(chan error, 1)
	select {
	case s.loop.calls <- func(now time.Time) { result <- f(now) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.loop.quit:
		return errStopped
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.loop.gone:
		return errStopped
	}
}

// receive takes one datagram in.
func (s *Server) receive(now time.Time, p *transport.Packet) {
	s.count.received++
	in, err := s.talk.sessions.Receive(now, p.Bytes(), p.Path)
	if !proves(&in, err) {
		s.loop.inbox.Charge(now, p)
	}
	if err != nil {
		s.drop(err)
		return
	}
	if in.Session == nil {
		s.receiveGroup(now, in)
		return
	}
	s.talk.current = in.Session
	s.talk.exchanges.Receive(now, in)
}

// proves reports whether a datagram proves who sent it, or is not its source's
// doing: several interfaces may bring one message to a group.
func proves(in *session.Incoming, err error) bool {
	if err != nil {
		return errors.Is(err, session.DropCopy)
	}
	return (in.Session == nil || in.Session.Kind != session.Unsecured) && !in.Duplicate
}

func (s *Server) drop(err error) {
	var reason session.DropReason
	if !errors.As(err, &reason) {
		panic("BUG: server: session.Table.Receive gave no reason: " + err.Error())
	}
	s.count.dropped[reason.String()]++
}

// send puts one datagram on the network. What cannot be sent is as good as lost
// on the way: MRP sends it again.
func (s *Server) send(p transport.Path, b []byte) {
	s.count.sent++
	if err := s.connFor(p).WriteTo(b, p); err != nil && !errors.Is(err, net.ErrClosed) {
		s.count.sendErrors++
		s.log.Debug("sending failed", "error", err)
	}
}

// connFor returns the conn of the peer's address family.
func (s *Server) connFor(p transport.Path) transport.PacketConn {
	if p.Peer.Addr().Is4() && len(s.ports) > 1 {
		return s.ports[1]
	}
	return s.ports[0]
}

// advance lets every part do what its time has come for.
func (s *Server) advance(now time.Time) {
	s.talk.exchanges.Advance(now)
	s.trust.failsafe.Advance(now)
	s.trust.window.Advance(now)
	s.model.engine.Advance(now)
	s.again.advance(now)
	if err := s.trust.resume.Advance(now); err != nil {
		s.log.Warn("resumption records are not kept", "error", err)
	}
	if s.operationalHours(now) != s.count.hours {
		if err := s.keepHours(now, false); err != nil {
			s.log.Warn("the hours of operation are not kept", "error", err)
			s.count.hours = s.operationalHours(now) // until the next hour
		}
	}
}

// deadline returns when the first part wants to be advanced.
func (s *Server) deadline(now time.Time) time.Time {
	first := now.Add(time.Hour)
	for _, d := range [...]func() (time.Time, bool){
		s.talk.exchanges.Deadline, s.trust.failsafe.Deadline, s.trust.window.Deadline, s.model.engine.Deadline, s.again.deadline,
		s.trust.resume.Deadline,
	} {
		if t, ok := d(); ok && t.Before(first) {
			first = t
		}
	}
	return first
}
