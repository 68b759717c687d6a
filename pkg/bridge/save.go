package bridge

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// save stores the changes in one transaction. It tries again if the disk fails.
func (r *Registry) save(now time.Time) {
	r.saving.at = time.Time{}
	if err := r.saveAll(); err != nil {
		r.log.Warn("values of devices are not stored", "error", err)
		r.saving.at = now.Add(saveValues)
	}
}

func (r *Registry) saveAll() error {
	var records, endpoints []*entry
	for _, e := range r.entries {
		if e.dirty {
			records = append(records, e)
		}
		if e.keeps() {
			endpoints = append(endpoints, e)
		}
	}
	if len(records) == 0 && len(endpoints) == 0 {
		return nil
	}
	var saved []*device.Node
	err := r.store.Update(func(tx *store.Tx) error {
		for _, e := range records {
			err := putRecord(tx, e)
			if errors.Is(err, store.ErrInvalid) {
				// One record that the store does not take is one device's loss.
				r.log.Error("the values of a device are not kept", "error", err)
				continue
			}
			if err != nil {
				return err
			}
		}
		for _, e := range endpoints {
			for _, n := range e.assembly.Nodes {
				if n.Dirty() {
					saved = append(saved, n)
					if err := tx.PutEndpoint(e.rec.Endpoints[n.Key].Number, n.Save()); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		for _, n := range saved {
			n.Unsaved()
		}
		return err
	}
	for _, e := range records {
		e.dirty = false
	}
	return nil
}

// keeps reports whether an endpoint of the entry has attributes to store.
func (e *entry) keeps() bool {
	if e.assembly == nil {
		return false
	}
	for _, n := range e.assembly.Nodes {
		if n.Dirty() {
			return true
		}
	}
	return false
}

// Close saves all changes. It must be called when the node has stopped.
func (r *Registry) Close() error { return r.saveAll() }
