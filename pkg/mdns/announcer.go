package mdns

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
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

// Announcer is a Responder that also looks its own services up from the wire:
// records that were sent may still not be found.
type Announcer struct {
	*Responder
	log   *slog.Logger
	found atomic.Bool

	mu       sync.Mutex
	services []Service

	changed chan struct{} // holds one
	stop    context.CancelFunc
	ended   chan struct{}
}

// NewAnnouncer returns an Announcer over a new Responder. Close ends both.
func NewAnnouncer(opt Options) (*Announcer, error) {
	m, err := New(opt)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Announcer{Responder: m, log: opt.Log, changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go r.watch(ctx, r.look)
	return r, nil
}

// Set makes services what is announced.
func (r *Announcer) Set(services []Service) {
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
func (r *Announcer) Announced() bool { return r.Status().Announced() }

// Discoverable reports whether the last look from the wire found everything.
func (r *Announcer) Discoverable() bool { return r.found.Load() }

// Close withdraws everything.
func (r *Announcer) Close(ctx context.Context) error {
	r.stop()
	<-r.ended
	return r.Responder.Close(ctx)
}

// watch looks when it is time to.
func (r *Announcer) watch(ctx context.Context, look func(context.Context) error) {
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
func (r *Announcer) unlessChanged(ctx context.Context, look func(context.Context) error) error {
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
func (r *Announcer) look(ctx context.Context) error {
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
