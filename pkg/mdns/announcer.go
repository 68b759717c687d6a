package mdns

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// When the node looks up its own records: a second after a change, so that several
// changes cause one lookup, and once an hour. After a failure it is sooner, and the
// interval doubles.
const (
	checkSettles  = time.Second
	checkEvery    = time.Hour
	checkTimeout  = 10 * time.Second
	checkRetry    = 30 * time.Second
	checkRetryMax = 10 * time.Minute
)

// Announcer is a Responder that also looks up its own services on each interface, as a
// firewall, for example, may keep controllers from finding them.
type Announcer struct {
	*Responder
	log *slog.Logger

	mu       sync.Mutex
	services []Service
	looked   map[int]error // results of the last lookup, by the index of the interface

	changed chan struct{} // has room for one
	stop    context.CancelFunc
	ended   chan struct{}
}

// NewAnnouncer returns an Announcer over a new Responder. Close ends both.
func NewAnnouncer(opt Options) (*Announcer, error) {
	a := &Announcer{log: opt.Log, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	m, err := newResponder(opt, a.due)
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	a.Responder = m
	go a.watch(ctx, a.look)
	return a, nil
}

// Set replaces the services that are announced.
func (a *Announcer) Set(services []Service) {
	a.mu.Lock()
	a.services = services
	a.mu.Unlock()
	a.Responder.Set(services)
	a.due()
}

// due schedules a lookup after a change.
func (a *Announcer) due() {
	select {
	case a.changed <- struct{}{}:
	default: // one is scheduled
	}
}

// Status returns that of the Responder, with the results of the last lookup.
func (a *Announcer) Status() Status {
	s := a.Responder.Status()
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range s.Interfaces {
		i := &s.Interfaces[n]
		if err, ok := a.looked[i.Index]; ok && i.Reason == "" {
			i.Found = err == nil
			if err != nil {
				i.Lookup = err.Error()
			}
		}
	}
	return s
}

// Close withdraws all services.
func (a *Announcer) Close(ctx context.Context) error {
	a.stop()
	<-a.ended
	return a.Responder.Close(ctx)
}

// watch calls look when a lookup is due.
func (a *Announcer) watch(ctx context.Context, look func(context.Context) map[int]error) {
	defer close(a.ended)
	wait, retry := checkEvery, checkRetry
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.changed:
			timer.Stop()
			if !pause(ctx, checkSettles) {
				return
			}
			retry = checkRetry
		case <-timer.C:
		}
		results, ok := a.unlessChanged(ctx, look)
		if ctx.Err() != nil {
			return
		}
		if !ok {
			continue
		}
		wait = checkEvery
		if a.setResults(results) {
			wait, retry = retry, min(2*retry, checkRetryMax)
		} else {
			retry = checkRetry
		}
	}
}

// setResults stores the results of a lookup and logs what is new in them. It reports
// whether a service was not found.
func (a *Announcer) setResults(results map[int]error) (failed bool) {
	a.mu.Lock()
	before := a.looked
	a.looked = results
	a.mu.Unlock()
	for index, err := range results {
		was, known := before[index]
		switch {
		case err != nil:
			failed = true
			a.log.Warn("the node does not find itself on the network", "interface", interfaceName(index), "error", err)
		case !known || was != nil:
			a.log.Info("the node finds itself on the network", "interface", interfaceName(index))
		}
	}
	return failed
}

func interfaceName(index int) string {
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return fmt.Sprint(index)
	}
	return ifi.Name
}

// unlessChanged calls look, and cancels it if the services change: a lookup for a record
// that was withdrawn in the meantime would fail.
func (a *Announcer) unlessChanged(ctx context.Context, look func(context.Context) map[int]error) (results map[int]error, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looked := make(chan map[int]error, 1)
	go func() { looked <- look(ctx) }()
	select {
	case results := <-looked:
		return results, true
	case <-a.changed:
	}
	cancel()
	<-looked
	a.due()
	return nil, false
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// look looks up one service of each type on each interface in use. The result is empty if
// nothing is announced.
func (a *Announcer) look(ctx context.Context) map[int]error {
	a.mu.Lock()
	services := a.services
	a.mu.Unlock()
	types := map[string]bool{}
	services = slices.DeleteFunc(slices.Clone(services), func(s Service) bool {
		known := types[s.Type]
		types[s.Type] = true
		return known
	})
	var used []InterfaceStatus
	for _, i := range a.Responder.Status().Interfaces {
		if i.Reason == "" {
			used = append(used, i)
		}
	}
	results := make(map[int]error)
	for _, on := range used {
		for _, s := range services {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			err := Look(ctx, s, on, used)
			cancel()
			results[on.Index] = err
			if err != nil {
				break
			}
		}
	}
	return results
}
