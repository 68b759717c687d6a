package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Times of the registry.
const (
	// GraceTime is how long a removed device stays in the lists, in which the same
	// device coming back has never been away.
	GraceTime = 60 * time.Second

	// gather is how long changes of the list of devices are gathered before controllers
	// learn of them; gatherMost how long at most, if there is no end of them.
	gather     = time.Second
	gatherMost = 5 * time.Second

	// saveValues is how long the values of devices may differ from the store, saveKept
	// how long what controllers' commands have changed may.
	saveValues = 30 * time.Second
	saveKept   = 5 * time.Second
)

// FirstEndpoint is the lowest number of a bridged endpoint: 0 is the root, 1 the
// aggregator.
const FirstEndpoint = node.FirstEndpoint

// Bounds of the registry.
const (
	MaxDevices   = 1000 // of all sources
	MaxParts     = 32   // of a device
	MaxEndpoints = 2000 // of all devices
)

// Node is what the registry needs of the node: a [node.Node]. All but Do are called on
// the loop.
type Node interface {
	AddEndpoints(...node.Endpoint) error
	RemoveEndpoints(...matter.EndpointID) error
	// Touch says that the state of an endpoint may have changed.
	Touch(matter.EndpointID)
	// Do runs f on the loop and waits for it.
	Do(f func(now time.Time) error) error
}

// Options configure a Registry.
type Options struct {
	Store *store.Store // required
	Log   *slog.Logger // nil: no log
	// Expose decides which devices are shown.
	Expose Filter
	// Profile is what the node's ecosystem takes.
	Profile device.Profile
	// Resident are the sources whose devices live in the program: these get power when it
	// starts, and do what their StartUp attributes say. A restart of the program is nothing
	// that any other device notices.
	Resident []string
}

// Registry holds the bridged devices of a node.
type Registry struct {
	opt   Options
	log   *slog.Logger
	node  Node
	store *store.Store

	entries map[string]*entry // by device id, those that are gone included
	sources map[string]*source
	ignored map[string][]device.Ignored // by source
	pending list
	shown   int // endpoints that the node has

	settling map[*entry]struct{} // whose reachability is held back
	leaving  map[*entry]struct{} // removed, in their grace time

	commands commands
	counts   counts
	watchers map[*Watcher]struct{}

	saveAt time.Time // when something is to be saved; zero: nothing
}

// list is what is to change in the list of devices.
type list struct {
	since time.Time // of the first change
	last  time.Time // of the last one; zero: nothing
}

// New returns a registry with the devices that the store knows. They stand, unreachable,
// with their last values, when Attach has been called.
func New(opt Options) (*Registry, error) {
	if opt.Store == nil {
		panic("BUG: bridge: New without a store")
	}
	r := &Registry{
		opt:      opt,
		log:      opt.Log,
		store:    opt.Store,
		entries:  map[string]*entry{},
		sources:  map[string]*source{},
		ignored:  map[string][]device.Ignored{},
		watchers: map[*Watcher]struct{}{},
		settling: map[*entry]struct{}{},
		leaving:  map[*entry]struct{}{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.commands.init()
	r.counts.init()
	err := r.store.View(func(tx *store.Tx) error {
		return tx.Devices(func(id string, value []byte) error {
			rec, err := decodeRecord(id, value)
			if err != nil {
				// One record that cannot be read is one device's loss.
				r.log.Error("a device is not restored", "error", err)
				return nil
			}
			r.entries[id] = &entry{id: id, rec: rec}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Attach makes the known devices endpoints of the node, in one step and before it
// answers anybody.
func (r *Registry) Attach(now time.Time, n Node) error {
	r.node = n
	var all []node.Endpoint
	for _, e := range r.sorted() {
		if e.rec.Gone != nil {
			continue
		}
		e.silent = true
		if err := r.assemble(now, e); err != nil {
			r.log.Warn("a device is not shown", "device", e.id, "error", err)
			continue
		}
		if slices.Contains(r.opt.Resident, e.source()) {
			for _, n := range e.assembly.Nodes {
				n.PowerUp(now)
			}
		}
	}
	r.limit()
	for _, e := range r.sorted() {
		if e.rec.Gone == nil && e.wantShown() {
			all = append(all, r.show(e)...)
		}
	}
	if err := n.AddEndpoints(all...); err != nil {
		return err
	}
	r.shown = len(all)
	return nil
}

// sorted returns the entries in the order in which they came to be.
func (r *Registry) sorted() []*entry {
	all := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(a.rec.Created.Compare(b.rec.Created), cmp.Compare(a.first(), b.first()), cmp.Compare(a.id, b.id))
	})
	return all
}

// Deadline returns when Advance is next to be called, and whether it is.
func (r *Registry) Deadline() (first time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	sooner(r.pending.due())
	sooner(r.saveAt)
	sooner(r.commands.deadline())
	for _, s := range r.sources {
		sooner(s.ends)
	}
	for e := range r.settling {
		sooner(e.settleAt)
	}
	for e := range r.leaving {
		sooner(e.rec.Gone.Add(GraceTime))
	}
	return first, ok
}

func (l *list) due() time.Time {
	if l.last.IsZero() {
		return time.Time{}
	}
	if a, b := l.last.Add(gather), l.since.Add(gatherMost); b.Before(a) {
		return b
	} else {
		return a
	}
}

// changed notes that the list of devices has changed.
func (l *list) changed(now time.Time) {
	if l.last.IsZero() {
		l.since = now
	}
	l.last = now
}

// Settle does nothing: what follows from an event is seen to at once.
func (r *Registry) Settle(time.Time) {}

// Advance does what is due at now.
func (r *Registry) Advance(now time.Time) {
	r.commands.advance(now, r)
	r.endLingering(now)
	for e := range r.settling {
		if !now.Before(e.settleAt) {
			r.settleReachable(now, e)
		}
	}
	for e := range r.leaving {
		if !now.Before(e.rec.Gone.Add(GraceTime)) {
			delete(r.leaving, e)
			r.pending.changed(now)
		}
	}
	if due := r.pending.due(); !due.IsZero() && !now.Before(due) {
		r.updateList(now)
	}
	if !r.saveAt.IsZero() && !now.Before(r.saveAt) {
		r.save(now)
	}
}

// updateList makes the node's list of endpoints that of the devices that are to be
// shown, in one step.
func (r *Registry) updateList(now time.Time) {
	r.pending = list{}
	r.limit()
	var remove []matter.EndpointID
	var add []node.Endpoint
	for _, e := range r.sorted() {
		if e.rec.Gone != nil && !now.Before(e.rec.Gone.Add(GraceTime)) {
			remove = append(remove, e.take()...)
			e.assembly = nil
			continue
		}
		remove = append(remove, e.stale...)
		e.stale = nil
		if e.wantShown() {
			add = append(add, r.show(e)...)
		} else {
			remove = append(remove, e.take()...)
		}
	}
	var errs []error
	if len(remove) > 0 {
		errs = append(errs, r.node.RemoveEndpoints(remove...))
	}
	if len(add) > 0 {
		errs = append(errs, r.node.AddEndpoints(add...))
	}
	if err := errors.Join(errs...); err != nil {
		r.log.Error("the list of devices is not what it should be", "error", err)
	}
	r.shown += len(add) - len(remove)
	if len(add)+len(remove) > 0 {
		r.log.Info("the list of devices has changed", "added", len(add), "removed", len(remove), "endpoints", r.shown)
	}
}

// do runs f on the node's goroutine.
func (r *Registry) do(f func(now time.Time) error) error {
	if r.node == nil {
		return errors.New("the registry has no node yet")
	}
	return r.node.Do(f)
}

// keep stores the record of an entry.
func (r *Registry) keep(e *entry) error {
	if err := r.store.Update(func(tx *store.Tx) error { return putRecord(tx, e) }); err != nil {
		return err
	}
	e.dirty = false
	return nil
}

func putRecord(tx *store.Tx, e *entry) error {
	if err := tx.PutDevice(e.id, e.rec.encode()); err != nil {
		return fmt.Errorf("device %s: %w", e.id, err)
	}
	return nil
}
