package bridge

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// write is what a save stores, as it was when the save began.
type write struct {
	records   []*entry
	values    [][]byte // of records
	nodes     []*device.Node
	endpoints []matter.EndpointID // of nodes
	kept      [][]byte            // of nodes

	done chan struct{} // closed when the store has answered
	err  error         // set before done is closed
}

// save stores the changes in one transaction, off the loop, as a disk may take its
// time. It tries again if the disk fails.
func (r *Registry) save(now time.Time) {
	if r.saving.now != nil {
		r.saving.at = now.Add(time.Second)
		return
	}
	r.saving.at = time.Time{}
	w := r.collect()
	if w == nil {
		return
	}
	r.saving.now = w
	r.node.Background(func() { w.commit(r.store, r.log) }, func(now time.Time) {
		if r.saving.now != w {
			return // saveAll was faster
		}
		if r.saved(w); w.err != nil {
			r.log.Warn("values of devices are not stored", "error", w.err)
			r.saveBy(now.Add(saveValues))
		}
	})
}

// collect returns all changes, or nil. They count as stored.
func (r *Registry) collect() *write {
	w := &write{done: make(chan struct{})}
	for _, e := range r.entries {
		if e.dirty {
			w.records, w.values = append(w.records, e), append(w.values, e.rec.encode())
			e.dirty = false
		}
		if e.assembly == nil {
			continue
		}
		for _, n := range e.assembly.Nodes {
			if n.Dirty() {
				w.nodes, w.kept = append(w.nodes, n), append(w.kept, n.Save())
				w.endpoints = append(w.endpoints, e.rec.Endpoints[n.Key].Number)
			}
		}
	}
	if len(w.records)+len(w.nodes) == 0 {
		return nil
	}
	return w
}

// commit writes to the store.
func (w *write) commit(st *store.Store, log *slog.Logger) {
	defer close(w.done)
	w.err = st.Update(func(tx *store.Tx) error {
		for i, e := range w.records {
			err := tx.PutDevice(e.id, w.values[i])
			if errors.Is(err, store.ErrInvalid) {
				// One record that the store does not take is one device's loss.
				log.Error("the values of a device are not kept", "device", e.id, "error", err)
				continue
			}
			if err != nil {
				return err
			}
		}
		for i, number := range w.endpoints {
			if err := tx.PutEndpoint(number, w.kept[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// saved ends a save. What the store did not take has changed still.
func (r *Registry) saved(w *write) {
	r.saving.now = nil
	if w.err == nil {
		return
	}
	for _, e := range w.records {
		e.dirty = true
	}
	for _, n := range w.nodes {
		n.Unsaved()
	}
}

// update stores changes at once. An earlier save is awaited: it must not overwrite them,
// and load must see it.
func (r *Registry) update(f func(*store.Tx) error) error {
	r.awaitSave()
	return r.store.Update(f)
}

func (r *Registry) load(f func(*store.Tx) error) error {
	r.awaitSave()
	return r.store.View(f)
}

func (r *Registry) awaitSave() {
	if w := r.saving.now; w != nil {
		<-w.done
	}
}

// Close saves all changes. It must be called when the node has stopped. Devices that live
// in the program are kept as controllers have seen them last, also if a command has not
// come to its source any more.
func (r *Registry) Close() error {
	for _, e := range r.entries {
		if e.assembly != nil && slices.Contains(r.opt.Resident, e.source()) {
			for _, n := range e.assembly.Nodes {
				r.adopt(time.Now(), e, n)
			}
		}
	}
	return r.saveAll()
}

// saveAll stores all changes at once.
func (r *Registry) saveAll() error {
	if w := r.saving.now; w != nil {
		<-w.done
		r.saved(w)
	}
	w := r.collect()
	if w == nil {
		return nil
	}
	w.commit(r.store, r.log)
	r.saved(w)
	return w.err
}
