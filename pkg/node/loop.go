package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// ErrStopped is returned for a node that no longer runs.
var ErrStopped = errors.New("the node has stopped")

// ErrOnLoop is returned by functions that wait for the loop if they are called on
// it, by a cluster or by a function that the loop runs. Such a call would deadlock.
var ErrOnLoop = errors.New("called by a cluster, or by a function that the node runs: it would wait for itself")

// loop holds what the loop waits for.
type loop struct {
	inbox   *transport.Inbox
	calls   chan func(now time.Time)
	serving bool          // after Start; used by the loop only
	quit    chan struct{} // closed to end it
	gone    chan struct{} // closed when the loop has ended
	once    sync.Once
	ended   sync.Once
	others  sync.WaitGroup // goroutines that read sockets, or work for a command
}

func (l *loop) init(log *slog.Logger) {
	l.inbox = transport.NewInbox(log)
	l.calls = make(chan func(time.Time))
	l.quit = make(chan struct{})
	l.gone = make(chan struct{})
}

// run is the goroutine that owns all protocol state.
func (n *Node) run() {
	defer close(n.loop.gone)
	pc, _, _, _ := runtime.Caller(0)
	loopEntry.Store(runtime.FuncForPC(pc).Entry())
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due time.Time
	for {
		var p *transport.Packet
		var call func(time.Time)
		select {
		case <-n.loop.inbox.Ready():
			p = n.loop.inbox.Take()
		case call = <-n.loop.calls:
		case <-timer.C:
		case <-n.loop.quit:
			return
		}
		now := time.Now()
		if n.loop.serving && !now.Before(due) {
			n.step(now) // deadlines that have passed come before the event
		}
		switch {
		case p != nil:
			n.receive(now, p)
			n.loop.inbox.Release(p)
		case call != nil:
			call(now)
		}
		if !n.loop.serving {
			continue
		}
		n.step(now)
		due = n.deadline(now)
		timer.Reset(time.Until(due))
	}
}

// Do runs f on the loop and waits for it. f must not block, as the node handles
// nothing in the meantime. The error is f's, ErrOnLoop, or ErrStopped.
func (n *Node) Do(f func(now time.Time) error) error { return n.Ask(context.Background(), f) }

// Ask is like Do, but returns the error of ctx if ctx ends before f begins. Once f has
// begun, Ask waits for it, so that the error is always the outcome of f.
func (n *Node) Ask(ctx context.Context, f func(now time.Time) error) error {
	if OnLoop() {
		return ErrOnLoop
	}
	result := make(chan error, 1)
	select {
	case n.loop.calls <- func(now time.Time) { result <- f(now) }:
		return <-result
	case <-ctx.Done():
		return ctx.Err()
	case <-n.loop.quit:
		return ErrStopped
	}
}

// Background calls work on another goroutine and then, if the loop still runs,
// calls done on the loop.
func (n *Node) Background(work func(), done func(now time.Time)) {
	n.loop.others.Go(func() {
		work()
		_ = n.Do(func(now time.Time) error {
			done(now)
			return nil
		})
	})
}

// OnLoop reports whether the calling goroutine is the loop of any node in the
// process. A loop may not wait for another one either. The loop is recognized by
// the function at the bottom of its stack.
func OnLoop() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		k := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:k] {
			if f := runtime.FuncForPC(pc - 1); f != nil && f.Entry() == loopEntry.Load() {
				return true
			}
		}
		if k < len(pcs) {
			return false
		}
	}
}

// loopEntry is the entry point of run, or 0 before its first call.
var loopEntry atomic.Uintptr

// step does the work that is due and derives the effects.
func (n *Node) step(now time.Time) {
	n.advance(now)
	n.settle(now)
}

// receive handles one datagram.
func (n *Node) receive(now time.Time, p *transport.Packet) {
	n.count.received++
	in, err := n.talk.sessions.Receive(now, p.Bytes(), p.Path)
	if !proves(&in, err) {
		n.loop.inbox.Charge(now, p)
	}
	if err != nil {
		n.drop(err)
		return
	}
	if in.Session == nil {
		n.receiveGroup(now, in)
		return
	}
	n.talk.current = in.Session
	n.talk.exchanges.Receive(now, in)
}

// proves reports whether a datagram proves its sender, or is a copy that its sender
// did not cause: several interfaces may receive one message to a group.
func proves(in *session.Incoming, err error) bool {
	if err != nil {
		return errors.Is(err, session.DropCopy)
	}
	return (in.Session == nil || in.Session.Kind != session.Unsecured) && !in.Duplicate
}

func (n *Node) drop(err error) {
	var reason session.DropReason
	if !errors.As(err, &reason) {
		panic("BUG: node: session.Table.Receive gave no reason: " + err.Error())
	}
	n.count.dropped[reason.String()]++
}

// send sends one datagram. A failure is treated like a loss on the network: MRP
// retransmits the message.
func (n *Node) send(p transport.Path, b []byte) {
	n.count.sent++
	if err := n.connFor(p).WriteTo(b, p); err != nil && !errors.Is(err, net.ErrClosed) {
		n.count.sendErrors++
		n.log.Debug("sending failed", "error", err)
	}
}

// connFor returns the conn of the peer's address family.
func (n *Node) connFor(p transport.Path) transport.PacketConn {
	if p.Peer.Addr().Is4() && len(n.opt.Ports) > 1 {
		return n.opt.Ports[1]
	}
	return n.opt.Ports[0]
}

// advance calls Advance of every part.
func (n *Node) advance(now time.Time) {
	n.talk.exchanges.Advance(now)
	n.trust.failsafe.Advance(now)
	n.trust.window.Advance(now)
	n.model.composition.advance(now)
	for _, c := range n.opt.Components {
		c.Advance(now)
	}
	n.model.engine.Advance(now)
	n.resubscriber.advance(now)
	if err := n.trust.records.Advance(now); err != nil {
		n.log.Warn("resumption records are not kept", "error", err)
	}
	if n.operationalHours(now) != n.count.hours {
		if err := n.keepHours(now, false); err != nil {
			n.log.Warn("the hours of operation are not kept", "error", err)
			n.count.hours = n.operationalHours(now) // until the next hour
		}
	}
}

// deadline returns the earliest deadline of all parts.
func (n *Node) deadline(now time.Time) time.Time {
	first := now.Add(time.Hour)
	for _, c := range n.opt.Components {
		if t, ok := c.Deadline(); ok && t.Before(first) {
			first = t
		}
	}
	for _, d := range [...]func() (time.Time, bool){
		n.talk.exchanges.Deadline, n.trust.failsafe.Deadline, n.trust.window.Deadline, n.model.engine.Deadline, n.resubscriber.deadline,
		n.trust.records.Deadline, n.model.composition.deadline,
	} {
		if t, ok := d(); ok && t.Before(first) {
			first = t
		}
	}
	return first
}
