package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// When the node looks its own records up from the wire: a moment after each
// change, so that several make one look, and now and then. After a failure sooner,
// and then ever less often.
const (
	checkSettles  = time.Second
	checkEvery    = time.Hour
	checkTimeout  = 10 * time.Second
	checkRetry    = 30 * time.Second
	checkRetryMax = 10 * time.Minute
)

// bindAnnouncer opens the mDNS responder, unless a test gave its own.
func (s *Server) bindAnnouncer() error {
	s.ads = s.opt.Announcer
	if s.ads == nil {
		r, err := mdns.New(mdns.Options{
			Interfaces: transport.Serves(s.opt.Interfaces),
			Log:        s.log,
			Rand:       s.opt.Rand,
		})
		if err != nil {
			return err
		}
		s.ads, s.opt.Resolver = newResponder(r, s.log), r
	}
	s.down.push("mDNS", s.ads.Close)
	return nil
}

// responder is the Announcer over mDNS. It also looks from the outside: records
// that were sent may still not be found.
type responder struct {
	*mdns.Responder
	log   *slog.Logger
	found atomic.Bool

	mu       sync.Mutex
	services []mdns.Service

	changed chan struct{} // holds one
	stop    context.CancelFunc
	ended   chan struct{}
}

func newResponder(m *mdns.Responder, log *slog.Logger) *responder {
	ctx, stop := context.WithCancel(context.Background())
	r := &responder{Responder: m, log: log, changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go r.watch(ctx, r.look)
	return r
}

// Set makes services what is announced.
func (r *responder) Set(services []mdns.Service) {
	r.mu.Lock()
	r.services = services
	r.mu.Unlock()
	r.Responder.Set(services)
	select {
	case r.changed <- struct{}{}:
	default: // the look that is due will see it
	}
}

// Announced reports whether everything that was set can be found.
func (r *responder) Announced() bool { return r.Status().Announced() }

// Discoverable reports whether the last look from the wire found everything.
func (r *responder) Discoverable() bool { return r.found.Load() }

// Interfaces tells what is announced where.
func (r *responder) Interfaces() []admin.Interface {
	list := []admin.Interface{}
	for _, i := range r.Status().Interfaces {
		row := admin.Interface{Name: i.Name, Host: i.Host, Reason: i.Reason, Addresses: []string{}}
		for _, a := range i.Addrs {
			row.Addresses = append(row.Addresses, a.String())
		}
		list = append(list, row)
	}
	return list
}

// Stats tells what went by.
func (r *responder) Stats() mdns.Stats { return r.Status().Stats }

// Close withdraws everything.
func (r *responder) Close(ctx context.Context) error {
	r.stop()
	<-r.ended
	return r.Responder.Close(ctx)
}

// watch looks when it is time to.
func (r *responder) watch(ctx context.Context, look func(context.Context) error) {
	defer close(r.ended)
	wait, retry := checkEvery, checkRetry
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.changed:
			timer.Stop()
			if !pause(ctx, checkSettles) {
				return
			}
			retry = checkRetry
		case <-timer.C:
		}
		err := r.unlessChanged(ctx, look)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errChanged) {
			continue
		}
		was := r.found.Swap(err == nil)
		switch {
		case errors.Is(err, errNothing):
			wait = checkEvery
		case err != nil:
			r.log.Warn("the node does not find itself on the network", "error", err)
			wait, retry = retry, min(2*retry, checkRetryMax)
		default:
			if !was {
				r.log.Info("the node finds itself on the network")
			}
			wait, retry = checkEvery, checkRetry
		}
	}
}

// errChanged says that something else is announced than what was looked for.
var errChanged = errors.New("changed")

// unlessChanged looks, and gives up when what is announced changes: a record that was
// withdrawn meanwhile is found by nobody.
func (r *responder) unlessChanged(ctx context.Context, look func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looked := make(chan error, 1)
	go func() { looked <- look(ctx) }()
	select {
	case err := <-looked:
		return err
	case <-r.changed:
	}
	cancel()
	<-looked
	select {
	case r.changed <- struct{}{}: // for the look that is due now
	default:
	}
	return errChanged
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var errNothing = errors.New("nothing is announced: no fabric, and no commissioning window")

// look looks one service of each type up.
func (r *responder) look(ctx context.Context) error {
	r.mu.Lock()
	services := r.services
	r.mu.Unlock()
	if len(services) == 0 {
		return errNothing
	}
	seen := map[string]bool{}
	for _, s := range services {
		if seen[s.Type] {
			continue
		}
		seen[s.Type] = true
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		err := r.Check(ctx, s)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
