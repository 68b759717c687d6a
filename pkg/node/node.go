package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/stats"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// Product is what Basic Information reports about the product.
type Product struct {
	VendorID        matter.VendorID
	ProductID       matter.ProductID
	VendorName      string // up to 32 octets
	ProductName     string // up to 32 octets
	SerialNumber    string // up to 32 octets
	HardwareVersion uint16
}

// Options are the parts and settings of a Node. All are required, except where the
// comment says otherwise.
type Options struct {
	Store                *store.Store
	Start                provision.Start        // of this run
	Ports                []transport.PacketConn // the IPv6 one first; the caller closes them
	Host                 *host.Host
	Announce             func([]Service) // replaces the announced services; must not block
	Resolver             Resolver        // nil: no node is found
	Product              Product
	PasscodeVerifierOnly bool // remove the passcode after it was shown or a fabric was added
	CommissioningTimeout time.Duration
	MaxFabrics           int
	Version              string
	Log                  *slog.Logger
	Lines                *logs.Ring // the newest lines of Log
	Rand                 io.Reader
	Synchronised         func() bool      // reports whether the clock is synchronized
	Commits              *stats.Histogram // of the store, observed on the loop
	Components           []Component      // may be empty
}

// Component is a part of the program that runs on the loop, like the node's own
// parts. Its methods are called on the loop from Start on and must not block. They
// may call the methods of the Node that belong to the loop.
type Component interface {
	// Advance does the work that is due at now.
	Advance(now time.Time)
	// Deadline returns the time at which Advance must be called next, and whether
	// there is one. It is called after every event.
	Deadline() (time.Time, bool)
	// Settle derives the effects of an event. It is called after every event,
	// including every datagram, before reports are sent to subscribers.
	Settle(now time.Time)
}

// Service is a DNS-SD service that announces the node (section 4.3).
type Service struct {
	Type     string
	Instance string
	Subtypes []string
	Port     uint16
	TXT      []string
}

// Resolver finds the nodes of a fabric on the network.
type Resolver interface {
	// Resolve returns the addresses of an instance of a service, the best first. It
	// returns an error if there is no answer before ctx ends. It is called from
	// several goroutines.
	Resolve(ctx context.Context, s Service) ([]netip.AddrPort, error)
}

// Node is the protocol state of a node and the goroutine that owns it, the loop.
// [New] returns a Node that serves from [Node.Start] on.
//
// Do, Ask, Start, Stop and Wait may be called from any goroutine except the loop.
// All other methods belong to the loop. They may be called by a function that Do or
// Ask runs, by a cluster, and by a [Component].
type Node struct {
	opt      Options
	log      *slog.Logger
	begun    time.Time
	loop     loop
	failures logs.Limit // of lines about handshakes that strangers can make fail
	refusals refusals

	trust        trust
	talk         talk
	model        model
	resubscriber *resubscriber
	keeper       *keeper
	settled      settled
	count        counters
}

// trust is the state that identity and access depend on.
type trust struct {
	store    *store.Store
	identity store.Node
	fabrics  *fabric.Table
	acl      *acl.List
	window   *window.Window
	failsafe *failsafe.FailSafe
	device   *attestation.Credentials
	material store.Attestation
	signer   attestation.Signer     // nil if the DAC's key is in the store
	records  *securechannel.Records // of sessions that can be resumed
}

// talk is the state of sessions and exchanges.
type talk struct {
	sessions  *session.Table
	exchanges *exchange.Manager
	channel   *securechannel.Channel
	current   *session.Session          // whose datagram is being handled
	closing   map[*session.Session]bool // to be removed when nothing is outstanding
	groups    followed
}

// New returns a node with an open store and bound ports. Stop must be called even
// if Start was not. An error is one line for the operator.
func New(opt Options) (*Node, error) {
	now := time.Now()
	n := &Node{opt: opt, log: opt.Log, begun: now, refusals: refusals{}}
	n.count.init()
	n.loop.init(opt.Log)
	if err := n.openTrust(now); err != nil {
		return nil, err
	}
	n.openTalk()
	if err := n.buildModel(now); err != nil {
		return nil, err
	}
	var err error
	if n.keeper, err = newKeeper(now, n.trust.store, n.trust.fabrics, n.model.engine, n.log); err != nil {
		return nil, err
	}
	n.resubscriber = n.newResubscriber(now)
	go n.run()
	return n, nil
}

func (n *Node) openTrust(now time.Time) error {
	t, start := &n.trust, &n.opt.Start
	t.store, t.identity = n.opt.Store, start.Node
	t.device, t.material, t.signer = start.Device, start.Material, start.Signer
	n.count.hours, n.count.since = start.Node.OperationalHours, now
	var err error
	if t.fabrics, err = fabric.Open(t.store, n.opt.MaxFabrics); err != nil {
		return err
	}
	n.settled.take(t.fabrics)
	n.settled.joined = map[matter.FabricIndex]time.Time{}
	if t.fabrics.Len() > 0 {
		n.forgetPasscode("the node is commissioned")
	}
	passcode, err := provision.Passcode(&t.identity)
	if err != nil {
		return err
	}
	t.window = window.New(passcode, n.opt.Rand)
	t.failsafe = failsafe.New(t.fabrics, failsafe.Options{})
	t.acl = acl.New(t.fabrics, n.deviceTypes)
	t.records = securechannel.NewRecords(t.store, t.fabrics, n.maxSessions(), start.Resumptions)
	return nil
}

// Port returns the UDP port.
func (n *Node) Port() uint16 { return n.opt.Ports[0].Port() }

// Start begins to serve: the node reads its ports and is announced. Announce has
// been called when Start returns. Start may be called once.
func (n *Node) Start() error {
	err := n.Do(func(now time.Time) error {
		n.started(now)
		if n.trust.fabrics.Len() == 0 {
			n.openInitialWindow(now)
		}
		n.loop.serving = true
		n.model.composition.start(now)
		n.settle(now)
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range n.opt.Ports {
		n.loop.others.Go(func() { n.loop.inbox.Read(c, n.loop.quit) })
	}
	return nil
}

// Stop closes all sessions, ends the loop and writes unwritten data. A second call
// has no effect. The error is ErrOnLoop if Stop is called on the loop, and the
// error of ctx if a function blocks the loop until ctx ends.
func (n *Node) Stop(ctx context.Context) error {
	if OnLoop() {
		return ErrOnLoop
	}
	err := n.Ask(ctx, func(now time.Time) error {
		if !n.loop.serving {
			return nil
		}
		return n.farewell(now)
	})
	if errors.Is(err, ErrStopped) {
		err = nil
	}
	n.loop.once.Do(func() { close(n.loop.quit) })
	n.resubscriber.stop()
	select {
	case <-n.loop.gone:
	case <-ctx.Done():
		return errors.Join(err, errHeld)
	}
	n.loop.ended.Do(func() { err = errors.Join(err, n.trust.records.Close()) })
	return err
}

// errHeld is returned by Stop.
var errHeld = errors.New("a function holds the node's goroutine")

// Wait waits for the goroutines of a stopped node. Its ports must be closed.
func (n *Node) Wait() {
	n.loop.others.Wait()
	n.resubscriber.lookups.Wait()
}

// subject returns the peer of a session for access control.
func subject(x *session.Session) acl.Subject {
	mode, ok := x.AuthMode()
	if !ok {
		panic("BUG: node: access asked for on an unsecured session")
	}
	return acl.Subject{Fabric: x.Fabric, AuthMode: mode, Node: x.PeerNode, CATs: x.CATs}
}
