package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/stats"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// stopTimeout is the time limit of Stop.
const stopTimeout = 4 * time.Second

// Server is a complete node. [New] creates it and [Server.Run] serves it. Its
// methods may be called from several goroutines, except where the comment says
// otherwise.
type Server struct {
	opt        Options
	configured provision.IDs // configured by the operator
	log        *slog.Logger
	begun      time.Time
	store      *store.Store
	backups    *provision.Backups
	watcher    Watcher // nil: the network of a test
	ports      []transport.PacketConn
	announcer  Announcer
	node       *node.Node
	prober     *node.Prober
	bridge     *bridge.Registry // nil: no bridge is configured
	operator   admin.Operator
	outside
	teardown teardown
}

// New opens the store, creates what a first start needs, and binds all sockets. If
// it returns an error, it has closed everything. The error is one line for the
// operator.
func New(opt Options) (_ *Server, err error) {
	if err := opt.check(); err != nil {
		return nil, &UsageError{err}
	}
	opt.keepLog()
	lines := logs.NewRing(opt.Log.Handler())
	s := &Server{opt: opt, log: slog.New(lines), begun: time.Now()}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			s.teardown.run(ctx)
		}
	}()
	s.backups = provision.OpenBackups(opt.StateDir)
	commits := stats.NewHistogram(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5)
	start, err := s.openStore(&commits)
	if err != nil {
		return nil, err
	}
	if err := s.openBridge(); err != nil {
		return nil, err
	}
	if err := s.bind(); err != nil {
		return nil, err
	}
	if err := s.newNode(start, lines, &commits); err != nil {
		return nil, err
	}
	if err := s.attachBridge(); err != nil {
		return nil, err
	}
	s.operator = s.newOperator()
	if err := s.bindHTTP(); err != nil {
		return nil, err
	}
	if err := s.bindBridge(); err != nil {
		return nil, err
	}
	if err := s.bindWeb(); err != nil {
		return nil, err
	}
	return s, nil
}

// UsageError is an error in the options.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// openStore opens the store and creates what a first start needs.
func (s *Server) openStore(commits *stats.Histogram) (start provision.Start, err error) {
	s.store, err = store.Open(filepath.Join(s.opt.StateDir, store.FileName), store.Options{Logger: s.log, OnCommit: commits.Observe})
	if err != nil {
		return start, err
	}
	s.teardown.push("store", func(context.Context) error { return s.store.Close() })
	if err := s.checkStore(); err != nil {
		return start, err
	}
	p := &s.opt.Product
	s.configured = provision.IDs{Vendor: p.VendorID, Product: p.ProductID}
	start, err = provision.Begin(s.store, provision.Options{
		IDs: s.configured, Passcode: s.opt.Passcode, Discriminator: s.opt.Discriminator,
		VerifierOnly: s.opt.PasscodeVerifierOnly, DACKey: s.opt.DACKey, Rand: s.opt.Rand, Log: s.log,
	}, s.begun)
	if err != nil {
		return start, err
	}
	a := &start.Material
	vendor, product, err := attestation.Product(*a, p.VendorID, p.ProductID)
	if err != nil {
		s.log.Warn("the attestation material is for another product: commissioners will refuse this node", "error", err)
	}
	p.VendorID, p.ProductID = cmp.Or(vendor, a.VendorID), cmp.Or(product, a.ProductID)
	return start, nil
}

// checkStore returns an error if the store is damaged. A fabric without an
// administrator cannot be used, but does not affect other fabrics.
func (s *Server) checkStore() error {
	for _, err := range provision.Faults(provision.Check(s.store)) {
		if !errors.Is(err, store.ErrNoAdministrator) {
			return err
		}
		s.log.Warn("nobody can administer a fabric; remove it with \"opcredsd fabrics remove\"", "error", err)
	}
	return nil
}

// bind opens the UDP sockets and the mDNS responder, unless the options provide
// them.
func (s *Server) bind() (err error) {
	var watcher *host.Watcher
	s.ports, s.watcher = s.opt.Conns, s.opt.Watcher
	if s.ports == nil {
		if watcher, err = host.NewWatcher(s.opt.Interfaces, s.log); err != nil {
			return err
		}
		s.teardown.push("watcher of the interfaces", func(context.Context) error { watcher.Close(); return nil })
		s.watcher = watcher
		if s.ports, err = transport.Listen(transport.Options{Port: s.opt.Port, Interfaces: s.opt.Interfaces}); err != nil {
			return err
		}
	}
	for _, c := range s.ports {
		s.teardown.push("UDP socket", func(context.Context) error { return c.Close() })
	}
	s.announcer = s.opt.Announcer
	if s.announcer == nil && watcher == nil {
		return errors.New("a node on the network of a test needs an Announcer")
	}
	if s.announcer == nil {
		a, err := mdns.NewAnnouncer(mdns.Options{Watcher: watcher, Log: s.log, Rand: s.opt.Rand})
		if err != nil {
			return err
		}
		s.announcer, s.opt.Resolver = a, a
	}
	s.teardown.push("mDNS", s.announcer.Close)
	return nil
}

// newNode creates the node.
func (s *Server) newNode(start provision.Start, lines *logs.Ring, commits *stats.Histogram) (err error) {
	opt := node.Options{
		Store: s.store, Start: start, Ports: s.ports, Host: host.New(nil), Announce: s.announce,
		Product: s.opt.Product, PasscodeVerifierOnly: s.opt.PasscodeVerifierOnly,
		CommissioningTimeout: s.opt.CommissioningTimeout, MaxFabrics: s.opt.MaxFabrics, Version: s.opt.Version,
		Log: s.log, Lines: lines, Rand: s.opt.Rand, Synchronised: s.opt.Synchronised, Commits: commits,
	}
	if s.bridge != nil {
		opt.Components = append(opt.Components, s.bridge)
	}
	if s.watcher != nil {
		opt.Host = host.New(s.watcher.Interfaces)
	}
	if s.opt.Resolver != nil {
		opt.Resolver = resolver{s.opt.Resolver}
	}
	if s.node, err = node.New(opt); err != nil {
		return err
	}
	s.teardown.push("node", s.node.Stop)
	s.teardown.last(s.node.Wait)
	s.prober = node.NewProber(s.node, s.probeTarget)
	return nil
}

// announce passes the node's services to the announcer.
func (s *Server) announce(list []node.Service) {
	services := make([]mdns.Service, len(list))
	for i, v := range list {
		services[i] = mdns.Service(v)
	}
	s.announcer.Set(services)
}

// resolver adapts a Resolver to the node.
type resolver struct{ r Resolver }

func (r resolver) Resolve(ctx context.Context, v node.Service) ([]netip.AddrPort, error) {
	return r.r.Resolve(ctx, mdns.Service(v))
}

// newOperator returns the answers to an operator's requests.
func (s *Server) newOperator() admin.Operator {
	opt := operator.Options{
		Node: s.node, Store: s.store, Bridge: s.bridge, Backups: s.backups, Version: s.opt.Version, Begun: s.begun,
		Announced: s.announcer.Status, Probe: s.Probe, Configured: s.configured, DACKey: s.opt.DACKey, Rand: s.opt.Rand,
		Log: s.log, LogLevel: s.opt.LogLevel, Reload: s.opt.Reload,
	}
	if s.opt.Web != nil {
		opt.NewURL = func(interfaces []admin.Interface) admin.WebURL { return s.page.NewURL(s.page.addr, interfaces) }
	}
	return operator.New(opt)
}

// Operator returns the functions for an operator's requests, for programs that
// embed the node. They may be called from any goroutine except the node's own.
func (s *Server) Operator() admin.Operator { return s.operator }

// Probe checks that the node answers a datagram; see [node.Prober.Probe].
func (s *Server) Probe(ctx context.Context) error { return s.prober.Probe(ctx) }

// probeTarget returns an address that the node serves: the loopback address or, if
// only some interfaces are served, a link-local address of one of them. There is none
// on the network of a test.
func (s *Server) probeTarget() (a netip.AddrPort, ok bool) {
	switch {
	case s.opt.Conns != nil:
		return a, false
	case len(s.opt.Interfaces) == 0:
		return netip.AddrPortFrom(netip.IPv6Loopback(), s.Port()), true
	}
	for _, i := range s.watcher.Interfaces() {
		if !i.Use {
			continue
		}
		for _, a := range i.Addrs {
			if a.LinkLocal6() {
				return netip.AddrPortFrom(a.Addr().WithZone(i.Name), s.Port()), true
			}
		}
	}
	return a, false
}

// Port returns the UDP port.
func (s *Server) Port() uint16 { return s.node.Port() }

// Start begins to serve: the node reads its sockets and is announced. Start may be
// called once.
func (s *Server) Start() {
	if err := s.node.Start(); err != nil {
		return // it was stopped
	}
	s.followLinks()
	// Sessions are closed before HTTP, which may take a while.
	s.teardown.push("node", s.node.Stop)
	s.teardown.push("probe", func(context.Context) error { s.prober.Close(); return nil })
	for _, h := range s.http {
		h.serve(s.log)
	}
	s.startFronts()
}

// followLinks notifies the node when the host's links change.
func (s *Server) followLinks() {
	if s.watcher == nil {
		return
	}
	done := make(chan struct{})
	s.teardown.push("following the links", func(context.Context) error {
		close(done)
		return nil
	})
	changed, cancel := s.watcher.Subscribe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for { // the first time at once, as links may have changed since New
			_ = s.node.Do(func(now time.Time) error { // fails if the node has stopped
				s.node.LinksChanged(now)
				return nil
			})
			select {
			case <-done:
				return
			case <-changed:
			}
		}
	})
	s.teardown.last(wg.Wait)
}

// Stop closes the sessions, withdraws the mDNS records and closes the store. It
// returns within 5 seconds. A second call has no effect. If Stop is called on the
// node's goroutine, it returns ErrOnLoop and does nothing else.
func (s *Server) Stop() error {
	if node.OnLoop() {
		return node.ErrOnLoop
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.teardown.run(ctx)
}

// Run starts the node and stops it when ctx ends. If ready is not nil, it is called
// once when the node can be discovered.
func (s *Server) Run(ctx context.Context, ready func()) error {
	s.Start()
	return s.Wait(ctx, ready)
}

// Wait is the rest of Run, after Start, for programs that have something to do as soon as
// the node serves.
func (s *Server) Wait(ctx context.Context, ready func()) error {
	s.awaitReady(ctx, ready)
	<-ctx.Done()
	s.log.Info("stopping")
	return s.Stop()
}

// Commissioned reports whether the node belongs to a fabric.
func (s *Server) Commissioned() (yes bool) {
	_ = s.node.Do(func(time.Time) error { // fails if the node has stopped
		yes = s.node.Commissioned()
		return nil
	})
	return yes
}

// Pairing returns the node's own codes for display.
func (s *Server) Pairing() (admin.Pairing, error) { return s.operator.Pairing(context.Background()) }

// awaitReady waits, in the background, until the node is announced.
func (s *Server) awaitReady(ctx context.Context, ready func()) {
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !s.announcer.Status().Announced() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		_ = s.node.Do(func(time.Time) error { // fails if the node has stopped
			material, _ := s.node.Material()
			s.log.Info("ready", "port", s.Port(), "fabrics", s.node.Fabrics(), "attestation", operator.MaterialKind(material))
			return nil
		})
		if ready != nil {
			ready()
		}
	}()
}

// teardown runs named steps once, in reverse order.
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

// last registers a function that waits for something. It is called after all steps.
func (t *teardown) last(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = append(t.after, f)
}

// run runs the steps and then the waiting functions. Each may run until ctx ends,
// plus stepTime.
func (t *teardown) run(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for i := len(t.steps) - 1; i >= 0; i-- {
		err := bounded(ctx, func() error { return t.steps[i].run(ctx) })
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("closing %s: %w", t.steps[i].name, err))
		}
	}
	t.steps = nil
	for _, f := range t.after {
		errs = append(errs, bounded(ctx, func() error { f(); return nil }))
	}
	t.after = nil
	return errors.Join(errs...)
}

// stepTime is how long a step may take after ctx has ended.
const stepTime = 20 * time.Millisecond

// bounded runs f and returns an error if f has not returned stepTime after the end
// of ctx.
func bounded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(stepTime):
		return errors.New("it has not ended in time")
	}
}
