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
	// GraceTime is how long a removed device stays in the lists. If it is added
	// again in that time, nothing changes for controllers.
	GraceTime = 60 * time.Second

	// gather is how long changes of the list of devices are collected before
	// controllers get a report. gatherMost is the limit if the changes do not end.
	gather     = time.Second
	gatherMost = 5 * time.Second

	// saveValues is how long the values of devices may differ from the store.
	// saveKept is the limit for attributes that controllers change, and for the
	// source's values of them.
	saveValues = 30 * time.Second
	saveKept   = 5 * time.Second
)

// FirstEndpoint is the lowest number of a bridged endpoint: 0 is the root, 1 the
// aggregator.
const FirstEndpoint = node.FirstEndpoint

// Limits of the registry.
const (
	MaxDevices   = 1000 // of all sources
	MaxParts     = 32   // of a device
	MaxEndpoints = 2000 // of all devices
)

// Node is the part of a [node.Node] that the registry uses. All methods except Do
// are called on the loop.
type Node interface {
	AddEndpoints(...node.Endpoint) error
	RemoveEndpoints(...matter.EndpointID) error
	// Touch reports that the state of an endpoint may have changed.
	Touch(matter.EndpointID)
	// Do runs f on the loop and waits for it.
	Do(f func(now time.Time) error) error
	// Background runs work on another goroutine, and then done on the loop if it still
	// runs.
	Background(work func(), done func(now time.Time))
}

// Options configure a Registry.
type Options struct {
	Store *store.Store // required
	Log   *slog.Logger // nil: no log
	// Expose decides which devices are shown.
	Expose Filter
	// Overrides are the operator's settings for devices, by id.
	Overrides map[string]Override
	// Profile describes the node's ecosystem.
	Profile device.Profile
	// Resident are the sources whose devices are part of the program. They power up
	// when the program starts, and apply their StartUp attributes. Other devices
	// are not affected by a restart of the program.
	Resident []string
}

// Registry holds the bridged devices of a node.
type Registry struct {
	opt   Options
	log   *slog.Logger
	node  Node
	store *store.Store

	entries map[string]*entry // by device id, including removed ones
	sources map[string]*source
	ignored map[string][]device.Ignored // by source
	pending list
	shown   int // endpoints that the node has

	settling map[*entry]struct{} // whose reachability is held back
	leaving  map[*entry]struct{} // removed, in their grace time

	commands commands
	counts   counts
	watchers map[*Watcher]struct{}

	saving saving
}

// saving is when something must be saved.
type saving struct {
	at   time.Time // zero: nothing is
	kept bool      // attributes of an endpoint have changed, and Advance must set at
	now  *write    // on its way to the disk; nil: none
}

// list contains the pending changes of the list of devices.
type list struct {
	since time.Time // of the first change
	last  time.Time // of the last one; zero: nothing

	remove []matter.EndpointID // not removed by the node yet
}

// New returns a registry with the devices in the store. After Attach they are on
// the node, unreachable and with their last values.
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
				// A record that cannot be read only affects its own device.
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
	r.separate()
	return r, nil
}

// separate removes a number from the younger of two devices that have it. A valid
// store has no such records. Controllers know the older device by the number.
func (r *Registry) separate() {
	owner := map[matter.EndpointID]string{}
	for _, e := range r.sorted() {
		for key, id := range e.rec.Endpoints {
			if other, ok := owner[id.Number]; ok {
				r.log.Error("two devices have one endpoint number", "device", e.id, "other", other, "endpoint", id.Number)
				delete(e.rec.Endpoints, key)
				continue
			}
			owner[id.Number] = e.id
		}
	}
}

// Attach adds the endpoints of the known devices to the node, in one step and
// before it answers requests.
func (r *Registry) Attach(now time.Time, n Node) error {
	r.node = n
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
				r.adopt(now, e, n)
			}
		}
	}
	if err := r.override(now, func(id string) bool { return r.entries[id] == nil || r.entries[id].otherwise(r.opt.Overrides) }); err != nil {
		r.log.Error("the devices file was not applied", "error", err)
	}
	r.limit()
	r.add(now, r.sorted())
	return nil
}

// adopt makes the state of a node, after a power-up or a last command, the one that its
// source has reported last: the next start begins with it.
func (r *Registry) adopt(now time.Time, e *entry, n *device.Node) {
	p := e.part(n.Key)
	if p == nil {
		return
	}
	is := n.State(now)
	for name, was := range p.State {
		if v, ok := is[name]; ok && !v.IsNull() && v != was {
			p.State[name] = v
			e.dirty = true
			r.saveBy(now.Add(saveKept))
		}
	}
}

// sorted returns the entries in the order of their creation.
func (r *Registry) sorted() []*entry {
	type place struct {
		*entry
		first matter.EndpointID
	}
	places := make([]place, 0, len(r.entries))
	for _, e := range r.entries {
		places = append(places, place{e, e.first()})
	}
	slices.SortFunc(places, func(a, b place) int {
		if c := a.rec.Created.Compare(b.rec.Created); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.id, b.id))
	})
	all := make([]*entry, len(places))
	for i, p := range places {
		all[i] = p.entry
	}
	return all
}

// Deadline returns the time at which Advance must be called next, and whether there
// is one.
func (r *Registry) Deadline() (first time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	if r.saving.kept {
		sooner(time.Unix(0, 0)) // at once
	}
	sooner(r.pending.due())
	sooner(r.saving.at)
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

// changed records a change of the list of devices.
func (l *list) changed(now time.Time) {
	if l.last.IsZero() {
		l.since = now
	}
	l.last = now
}

// Settle does nothing, as all effects of an event are carried out at once.
func (r *Registry) Settle(time.Time) {}

// Advance does the work that is due at now.
func (r *Registry) Advance(now time.Time) {
	if r.saving.kept {
		r.saving.kept = false
		r.saveBy(now.Add(saveKept))
	}
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
	if !r.saving.at.IsZero() && !now.Before(r.saving.at) {
		r.save(now)
	}
}

// updateList updates the node's endpoints to the devices that should be shown, in
// one step.
func (r *Registry) updateList(now time.Time) {
	remove := r.pending.remove
	r.pending = list{}
	defer r.notifyShown(now, r.shownNow())
	r.limit()
	var renewed []*entry
	all := r.sorted()
	for _, e := range all {
		switch {
		case e.rec.Gone != nil && !now.Before(e.rec.Gone.Add(GraceTime)):
			remove = append(remove, e.take()...)
			e.assembly = nil
		case e.wantShown():
			if len(e.former) > 0 {
				renewed = append(renewed, e)
			}
			remove = append(remove, e.stale...)
			e.stale = nil
		default:
			remove = append(remove, e.take()...)
		}
	}
	if len(remove) > 0 {
		if err := r.node.RemoveEndpoints(remove...); err != nil {
			// They still exist, so their numbers cannot be used again.
			r.log.Error("endpoints could not be removed; the bridge tries again", "endpoints", len(remove), "error", err)
			r.pending = list{since: now, last: now.Add(gatherMost), remove: remove}
			return
		}
	}
	for _, e := range renewed {
		r.takeOver(now, e)
	}
	r.shown -= len(remove)
	if added := r.add(now, all); added+len(remove) > 0 {
		r.log.Info("the list of devices has changed", "added", added, "removed", len(remove), "endpoints", r.shown)
	}
}

// takeOver copies the stored attributes of earlier endpoints to the endpoints of an
// entry: controllers may have changed them since the new ones were created.
func (r *Registry) takeOver(now time.Time, e *entry) {
	for _, f := range e.former {
		if !f.node.Dirty() || e.rec.Endpoints[f.node.Key].Number != f.number {
			continue
		}
		if err := r.persist(e, f.node, f.number); err != nil {
			r.log.Warn("a change by a controller is not stored", "device", e.id, "error", err)
		}
	}
	e.former = nil
	if err := r.assemble(now, e); err != nil {
		r.log.Error("a device is not shown", "device", e.id, "error", err)
	}
}

// add adds the endpoints of all entries that are ready to the node, in one step, and returns their
// number. A device that the node rejects does not affect the others.
func (r *Registry) add(now time.Time, all []*entry) (added int) {
	var ready []*entry
	var each [][]node.Endpoint
	for _, e := range all {
		if e.wantShown() {
			if all := r.show(e); len(all) > 0 {
				ready, each = append(ready, e), append(each, all)
			}
		}
	}
	r.raiseVersions(now, ready)
	if len(ready) > 0 && r.node.AddEndpoints(slices.Concat(each...)...) == nil {
		for _, all := range each {
			added += len(all)
		}
		r.shown += added
		return added
	}
	for i, e := range ready {
		if err := r.node.AddEndpoints(each[i]...); err != nil {
			r.log.Error("a device is not shown", "device", e.id, "error", err)
			e.unshow(each[i], err)
			continue
		}
		added += len(each[i])
	}
	r.shown += added
	return added
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
	if err := r.update(func(tx *store.Tx) error { return putRecord(tx, e) }); err != nil {
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
