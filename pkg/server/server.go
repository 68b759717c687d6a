package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// stopTimeout bounds Stop.
const stopTimeout = 4 * time.Second

// Server is a node: [New] makes one, [Server.Run] serves it. Its methods may be
// called from several goroutines, except where they say otherwise. It ties the parts
// together, hence the number of fields.
type Server struct {
	opt   Options
	log   *slog.Logger
	begun time.Time
	ports []transport.PacketConn
	http  []*httpServer
	ads   Announcer
	down  teardown
	loop  loop
	self  prober
	quiet logs.Limit // of what strangers do

	// Once the loop runs, these are touched by its goroutine only.
	trust trust
	talk  talk
	model model
	again *resubscriber
	keep  *keeper
	seen  seen
	count counters
}

// trust is whom the node believes and what it keeps.
type trust struct {
	store      *store.Store
	identity   store.Node
	fabrics    *fabric.Table
	acl        *acl.List
	window     *window.Window
	failsafe   *failsafe.FailSafe
	device     *attestation.Credentials
	material   store.Attestation
	signer     attestation.Signer // with the DAC's key, where it is not in the store
	configured provision.IDs      // by the operator
	bootReason generaldiagnostics.BootReason
	stopped    bool // the node, in order, before this start
	resume     *securechannel.Records
	run        uint64 // number of this run of the process
}

// talk is how the node speaks.
type talk struct {
	sessions  *session.Table
	exchanges *exchange.Manager
	channel   *securechannel.Channel
	current   *session.Session          // whose datagram is being handled
	closing   map[*session.Session]bool // to be removed when nothing is outstanding
	groups    followed
}

// counters are what no part counts for itself.
type counters struct {
	received, sent, sendErrors uint64
	dropped                    metrics.Counters[string]
	expirations                uint64
	commit                     metrics.Histogram
	pase                       metrics.Counters[string]
	paseFailures               uint64
	cases                      metrics.Counters[metrics.CASEKey]
	caseDuration               metrics.Histogram
	commands                   metrics.Counters[metrics.CommandKey]
	requests                   metrics.Counters[metrics.RequestKey]
	durations                  map[string]metrics.Histogram
	hours                      uint32    // of operation, as the store has them
	since                      time.Time // from when those of this run count
}

func (c *counters) init() {
	c.dropped = metrics.Counters[string]{}
	for _, reason := range session.DropReasons() {
		c.dropped[reason.String()] = 0
	}
	c.pase = metrics.Counters[string]{}
	c.cases = metrics.Counters[metrics.CASEKey]{}
	for _, r := range securechannel.Results() {
		c.pase[r.String()] = 0
		c.cases[metrics.CASEKey{Result: r.String()}] = 0
		c.cases[metrics.CASEKey{Result: r.String(), Resumed: true}] = 0
	}
	c.commands = metrics.Counters[metrics.CommandKey]{}
	c.requests = metrics.Counters[metrics.RequestKey]{}
	c.durations = map[string]metrics.Histogram{}
	c.caseDuration = metrics.NewHistogram(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	c.commit = metrics.NewHistogram(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5)
}

// New opens the store, makes what a first start needs, and binds every socket.
// It takes nothing half: an error has closed what was open. Errors are one line
// for the operator.
func New(opt Options) (_ *Server, err error) {
	if err := opt.check(); err != nil {
		return nil, &UsageError{err}
	}
	ring := logs.NewRing(opt.Log.Handler())
	s := &Server{opt: opt, log: slog.New(ring), begun: time.Now()}
	s.model.lines = ring
	s.count.init()
	s.loop.init(s.log)
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			s.down.run(ctx)
		}
	}()
	if err := s.openTrust(s.begun); err != nil {
		return nil, err
	}
	if err := s.bind(); err != nil {
		return nil, err
	}
	s.openTalk()
	if err := s.buildModel(s.begun); err != nil {
		return nil, err
	}
	if s.keep, err = newKeeper(s.begun, s.trust.store, s.trust.fabrics, s.model.engine, s.log); err != nil {
		return nil, err
	}
	s.again = s.newResubscriber(s.begun)
	if err := s.bindHTTP(); err != nil {
		return nil, err
	}
	return s, nil
}

// UsageError is an error in what the operator asked for.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

func (s *Server) openTrust(now time.Time) error {
	st, err := store.Open(filepath.Join(s.opt.StateDir, store.FileName), store.Options{
		Logger:   s.log,
		OnCommit: func(d time.Duration) { s.count.commit.Observe(d) },
	})
	if err != nil {
		return err
	}
	s.down.push("store", func(context.Context) error { return st.Close() })
	if err := s.checkStore(st); err != nil {
		return err
	}
	t := &s.trust
	t.store = st
	p := &s.opt.Product
	t.configured = provision.IDs{Vendor: p.VendorID, Product: p.ProductID}
	made, err := provision.Begin(st, provision.Options{
		IDs: t.configured, Passcode: s.opt.Passcode, Discriminator: s.opt.Discriminator,
		VerifierOnly: s.opt.PasscodeVerifierOnly, DACKey: s.opt.DACKey, Rand: s.opt.Rand, Log: s.log,
	}, now)
	if err != nil {
		return err
	}
	t.identity, t.material, t.run, t.stopped = made.Node, made.Material, made.Run, made.Stopped
	t.device, t.signer = made.Device, made.Signer
	t.bootReason = generaldiagnostics.BootSoftwareReset
	if made.Booted {
		t.bootReason = generaldiagnostics.BootPowerOn
	}
	s.count.hours, s.count.since = made.Node.OperationalHours, s.begun
	s.completeProduct()
	if t.fabrics, err = fabric.Open(st, s.opt.MaxFabrics); err != nil {
		return err
	}
	s.seen.look(t.fabrics)
	if t.fabrics.Len() > 0 {
		s.forgetPasscode("the node is commissioned")
	}
	passcode, err := provision.Passcode(&t.identity)
	if err != nil {
		return err
	}
	t.window = window.New(passcode, s.opt.Rand)
	t.failsafe = failsafe.New(t.fabrics, failsafe.Options{})
	t.acl = acl.New(t.fabrics, s.deviceTypes)
	t.resume = securechannel.NewRecords(st, t.fabrics, s.maxSessions(), made.Resumptions)
	s.down.push("resumption records", func(context.Context) error { return t.resume.Close() })
	return nil
}

// completeProduct takes from the attestation material what the options leave open.
func (s *Server) completeProduct() {
	p, a := &s.opt.Product, &s.trust.material
	p.VendorID, p.ProductID = cmp.Or(p.VendorID, a.VendorID), cmp.Or(p.ProductID, a.ProductID)
	if p.VendorID != a.VendorID || p.ProductID != a.ProductID {
		s.log.Warn("the attestation material is for another product: commissioners will refuse this node",
			"vendor_id", p.VendorID, "product_id", p.ProductID, "attestation_vendor_id", a.VendorID, "attestation_product_id", a.ProductID)
	}
}

// checkStore refuses damage. A fabric without an administrator is useless, but
// none of the others' business.
func (s *Server) checkStore(st *store.Store) error {
	for _, err := range provision.Faults(provision.Check(st)) {
		if !errors.Is(err, store.ErrNoAdministrator) {
			return err
		}
		s.log.Warn("nobody can administer a fabric; remove it with \"opcredsd fabrics remove\"", "error", err)
	}
	return nil
}

// bind opens the UDP sockets, unless a test gave its own.
func (s *Server) bind() error {
	s.ports = s.opt.Conns
	if s.ports == nil {
		var err error
		s.logInterfaces()
		if s.ports, err = transport.Listen(transport.Options{Port: s.opt.Port, Interfaces: s.opt.Interfaces}); err != nil {
			return err
		}
	}
	for _, c := range s.ports {
		s.down.push("UDP socket", func(context.Context) error { return c.Close() })
	}
	return s.bindAnnouncer()
}

// Port returns the UDP port.
func (s *Server) Port() uint16 { return s.ports[0].Port() }

// Start begins to serve: from now on the sockets are read and the node is
// announced. It may be called once.
func (s *Server) Start() {
	now := time.Now() // the loop does not run yet: its state is ours
	s.started(now)
	if s.trust.fabrics.Len() == 0 {
		s.openInitialWindow(now)
	}
	s.settle(now) // what is to be found is known before anybody asks whether it is
	var wg sync.WaitGroup
	for _, c := range s.ports {
		wg.Go(func() { s.loop.inbox.Read(c, s.loop.quit) })
	}
	wg.Go(s.run)
	s.watchLinks(&wg)
	s.down.push("event loop", func(context.Context) error {
		s.loop.stop()
		return nil
	})
	s.down.push("peers", func(context.Context) error {
		return s.onLoop(s.farewell)
	})
	s.down.last(func() { wg.Wait() })
	for _, h := range s.http {
		h.serve(s.log)
	}
}

// Stop takes the node down: peers are told, records withdrawn, the store
// closed. It returns within 5 seconds and does nothing the second time.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.down.run(ctx)
}

// Run starts the node, waits for the end of ctx and stops it. ready, if not
// nil, is called once when the node can be discovered.
func (s *Server) Run(ctx context.Context, ready func()) error {
	s.Start()
	s.awaitReady(ctx, ready)
	<-ctx.Done()
	s.log.Info("stopping")
	return s.Stop()
}

// awaitReady waits, in the background, until the node is announced.
func (s *Server) awaitReady(ctx context.Context, ready func()) {
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !s.ads.Status().Announced() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		fabrics, kind := s.readyFacts()
		s.log.Info("ready", "port", s.Port(), "fabrics", fabrics, "attestation", kind)
		if ready != nil {
			ready()
		}
	}()
}

// teardown runs named steps in the reverse order of their registration, each
// once.
type teardown struct {
	mu    sync.Mutex
	steps []step
	after []func()
}

type step struct {
	name string
	run  func(context.Context) error
}

func (t *teardown) push(name string, f func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step{name, f})
}

// last registers what is waited for when all steps are done.
func (t *teardown) last(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = append(t.after, f)
}

func (t *teardown) run(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for i := len(t.steps) - 1; i >= 0; i-- {
		if err := t.steps[i].run(ctx); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("closing %s: %w", t.steps[i].name, err))
		}
	}
	t.steps = nil
	for _, f := range t.after {
		f()
	}
	t.after = nil
	return errors.Join(errs...)
}

// subject says who speaks on a session.
func subject(x *session.Session) acl.Subject {
	mode, ok := x.AuthMode()
	if !ok {
		panic("BUG: server: access asked for on an unsecured session")
	}
	return acl.Subject{Fabric: x.Fabric, AuthMode: mode, Node: x.PeerNode, CATs: x.CATs}
}
