package node

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Timing of the calls to subscribers whose subscriptions are interrupted. Package
// im limits their duration.
const (
	callsAtOnce  = 4                // concurrent calls
	callSoon     = time.Second      // before the first call, plus up to the same at random
	callPause    = 10 * time.Second // after the first failed call; doubles
	callPauseMax = 5 * time.Minute
	resolveTime  = 5 * time.Second        // for the address of a subscriber
	callOnLink   = 500 * time.Millisecond // after the network has come up, plus up to the same at random
	returnGrace  = 2 * time.Second        // for a subscriber that has opened a session and may subscribe again
	// stopGrace is for subscribers that have received the event ShutDown. Home
	// Assistant then marks the node as unavailable, lets its subscription time out
	// after 5 s and subscribes again. If the old subscription is resumed before
	// that, Home Assistant waits for ever for the new one. The call itself is not
	// delayed: its session lets the subscriber find the node.
	stopGrace = 8 * time.Second
)

// nobody is a Resolver that finds no node.
type nobody struct{}

func (nobody) Resolve(context.Context, Service) ([]netip.AddrPort, error) {
	return nil, errNobody
}

var errNobody = errors.New("no resolver")

// resubscriber resumes interrupted subscriptions, on a session that the subscriber
// has opened or by calling the subscriber. It belongs to the loop. Only the look-up
// of addresses uses other goroutines.
type resubscriber struct {
	n        *Node
	resolver Resolver
	ctx      context.Context // of lookups
	stop     context.CancelFunc
	lookups  sync.WaitGroup
	calls    map[im.Subscriber]*call
	busy     int       // calls with an attempt in progress
	earliest time.Time // when the first subscription may be resumed
	revision uint64
}

// call is the state of the calls to one subscriber, until a report is confirmed.
type call struct {
	who     im.Subscriber
	waiting bool // it has subscriptions to resume
	busy    bool // an attempt is in progress
	came    bool // the network came up during the attempt
	next    time.Time
	pause   time.Duration
	full    bool             // do not offer to resume a CASE session
	used    uint64           // serial of the session tried last
	found   []netip.AddrPort // still to be tried in this attempt
}

func (n *Node) newResubscriber(now time.Time) *resubscriber {
	ctx, stop := context.WithCancel(context.Background())
	a := &resubscriber{n: n, resolver: n.opt.Resolver, ctx: ctx, stop: stop, calls: map[im.Subscriber]*call{}}
	if n.opt.Start.Stopped {
		a.earliest = now.Add(stopGrace)
	}
	if a.resolver == nil {
		a.resolver = nobody{}
	}
	return a
}

// follow adds and removes calls when the interrupted subscriptions have changed.
func (a *resubscriber) follow(now time.Time) {
	if a.revision == a.n.model.engine.Revision() {
		return
	}
	a.revision = a.n.model.engine.Revision()
	before := a.calls
	a.calls = make(map[im.Subscriber]*call)
	for _, x := range a.n.model.engine.Interruptions() {
		c := before[x.Subscriber]
		if c == nil {
			c = &call{who: x.Subscriber, next: now.Add(a.jitter(callSoon, 0, 1))}
		}
		c.waiting = x.Waiting
		a.calls[x.Subscriber] = c
	}
}

// jitter returns d with a random part, from low to high.
func (a *resubscriber) jitter(d time.Duration, low, high float64) time.Duration {
	n, err := mcrypto.RandomUint32(a.n.opt.Rand)
	if err != nil {
		return d // it only spreads the calls
	}
	return d + time.Duration(float64(d)*(low+(high-low)*float64(n)/math.MaxUint32))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// deadline returns when the next call is due.
func (a *resubscriber) deadline() (first time.Time, ok bool) {
	if a.busy >= callsAtOnce || !a.n.opt.Host.Served() {
		return first, false
	}
	for _, c := range a.calls {
		if c.waiting && !c.busy && (!ok || c.next.Before(first)) {
			first, ok = c.next, true
		}
	}
	return first, ok
}

// advance begins the calls that are due.
func (a *resubscriber) advance(now time.Time) {
	if !a.n.opt.Host.Served() {
		return // no node can be reached; networkCame makes the calls due
	}
	for _, c := range a.calls {
		if c.waiting && !c.busy && !now.Before(c.next) && a.busy < callsAtOnce {
			a.attempt(now, c)
		}
	}
}

// attempt uses an existing session, or looks up the subscriber.
func (a *resubscriber) attempt(now time.Time, c *call) {
	if x := a.session(c.who, c.used); x != nil {
		a.resume(now, c, x)
		return
	}
	f := a.n.trust.fabrics.Get(c.who.Fabric)
	if f == nil || a.n.talk.sessions.Len(session.PASE)+a.n.talk.sessions.Len(session.CASE) >= a.n.maxSessions() {
		// A call by the node must not evict a session.
		a.rest(now, c)
		return
	}
	a.began(c)
	service := Service{Type: serviceOperational, Instance: operationalInstance(f, c.who.Node)}
	a.lookups.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, resolveTime)
		defer cancel()
		found, err := a.resolver.Resolve(ctx, service)
		_ = a.n.Do(func(now time.Time) error { // no effect if the node has stopped
			a.resolved(now, c, found, err)
			return nil
		})
	})
}

// session returns the newest usable session with a subscriber, except the one that
// was tried before.
func (a *resubscriber) session(who im.Subscriber, but uint64) (newest *session.Session) {
	for x := range a.n.talk.sessions.All() {
		if x.Kind == session.CASE && x.Fabric == who.Fabric && x.PeerNode == who.Node && !x.Defunct && x.Serial != but && !a.n.talk.closing[x] {
			newest = x
		}
	}
	return newest
}

func (a *resubscriber) began(c *call) {
	c.busy, c.came = true, false
	a.busy++
}

// networkCame makes all calls due soon, as they may have failed because of the
// network. If an attempt is in progress, the next one is due when it fails.
func (a *resubscriber) networkCame(now time.Time) {
	for _, c := range a.calls {
		c.pause, c.came = 0, true
		if soon := now.Add(a.jitter(callOnLink, 0, 1)); !c.busy && soon.Before(c.next) {
			c.next = soon
		}
	}
}

// rest ends an attempt and schedules the next one.
func (a *resubscriber) rest(now time.Time, c *call) {
	if c.busy {
		c.busy = false
		a.busy--
	}
	if c.came {
		c.came = false
		c.next = now.Add(a.jitter(callOnLink, 0, 1))
		return
	}
	c.pause = min(max(2*c.pause, callPause), callPauseMax)
	c.next = now.Add(a.jitter(c.pause, -0.25, 0.25))
}

// resume resumes the subscriptions on a session. If they are interrupted again, the next
// attempt follows after a pause.
func (a *resubscriber) resume(now time.Time, c *call, x *session.Session) {
	if now.Before(a.earliest) {
		a.rest(now, c)
		c.next, c.pause = a.earliest, 0
		return
	}
	c.used, c.came = x.Serial, false
	a.rest(now, c)
	if a.calls[c.who] == c && c.waiting {
		a.n.model.engine.Resume(now, subject(x), im.Session{Serial: x.Serial, AttestationChallenge: x.AttestationChallenge})
	}
}

// resolved is called when the look-up of a subscriber ends.
func (a *resubscriber) resolved(now time.Time, c *call, found []netip.AddrPort, err error) {
	if err != nil || len(found) == 0 {
		a.n.log.Debug("subscriber not found", "fabric", c.who.Fabric, "peer", c.who.Node, "error", err)
		a.rest(now, c)
		return
	}
	c.found = found
	a.dial(now, c)
}

// dial calls the subscriber at the next of its addresses.
func (a *resubscriber) dial(now time.Time, c *call) {
	f := a.n.trust.fabrics.Get(c.who.Fabric)
	if len(c.found) == 0 || f == nil || a.calls[c.who] != c || !c.waiting {
		a.rest(now, c)
		return
	}
	at := c.found[0]
	err := a.n.talk.channel.Call(now, securechannel.Call{
		Fabric: f, Peer: c.who.Node, Path: transport.Path{Peer: at}, Full: c.full,
		Done: func(now time.Time, x *session.Session, err error) { a.called(now, c, x, err) },
	})
	if err != nil {
		a.n.log.Debug("subscriber cannot be called", "fabric", c.who.Fabric, "peer", c.who.Node, "address", at, "error", err)
		a.rest(now, c)
	}
}

// called is called when a call ends.
func (a *resubscriber) called(now time.Time, c *call, x *session.Session, err error) {
	var busy *securechannel.PeerBusy
	switch {
	case err == nil:
		a.n.loop.inbox.Proven(x.Path)
		a.n.log.Debug("CASE session opened to a subscriber", "fabric", x.Fabric, "peer", x.PeerNode, "address", x.Path.Peer)
		a.resume(now, c, x)
		return
	case errors.As(err, &busy):
		a.rest(now, c)
		if earliest := now.Add(busy.Wait); c.next.Before(earliest) {
			c.next = earliest
		}
		return
	}
	a.n.log.Debug("no session with a subscriber", "fabric", c.who.Fabric, "peer", c.who.Node, "address", c.found[0], "error", err)
	if !errors.Is(err, exchange.ErrNoAck) {
		c.full = true // the resumption record may be the reason
	}
	c.found = c.found[1:]
	a.dial(now, c)
}

// heard is called when a peer has opened a session. Interrupted subscriptions of
// the peer are resumed on this session after a delay, unless the peer subscribes
// again first.
func (a *resubscriber) heard(now time.Time, x *session.Session) {
	if c := a.calls[im.Subscriber{Fabric: x.Fabric, Node: x.PeerNode}]; c != nil && !c.busy {
		c.next = later(now.Add(returnGrace), a.earliest)
	}
}

// closed is called when a peer closes a session. The subscriptions on it end, unless the
// peer has another session.
func (a *resubscriber) closed(now time.Time, x *session.Session) {
	if x.Kind == session.CASE && a.session(im.Subscriber{Fabric: x.Fabric, Node: x.PeerNode}, x.Serial) == nil {
		a.n.model.engine.SessionClosed(now, x.Serial)
	}
}
