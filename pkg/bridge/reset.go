package bridge

import (
	"maps"
	"time"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// ResetRecords resets the records of a store, in the transaction of a factory
// reset, so that controllers see new devices. UniqueIDs are new (section 9.13.5.3),
// and the settings of controllers are removed, including their names for devices.
// Data of sources and the operator stays. The numbers stay too, because earlier
// ones are in backups.
func ResetRecords(tx *store.Tx) error {
	fresh := map[string]*record{}
	err := tx.Devices(func(id string, value []byte) error {
		if rec, err := decodeRecord(id, value); err == nil {
			rec.reset()
			fresh[id] = rec
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, rec := range fresh {
		if err := tx.PutDevice(id, rec.encode()); err != nil {
			return err
		}
	}
	return tx.DeleteEndpoints()
}

// reset removes what a factory reset removes.
func (r *record) reset() {
	r.Endpoints = maps.Clone(r.Endpoints)
	for key, id := range r.Endpoints {
		id.UniqueID = newUniqueID()
		r.Endpoints[key] = id
	}
	r.Labels = maps.Clone(r.Labels)
	maps.DeleteFunc(r.Labels, func(_ string, l label) bool { return l.By != ByOperator })
}

// Reset takes part in a factory reset of the node. reset runs the transaction,
// including [ResetRecords]. Reset must be called on the loop. The endpoints are
// created again a moment later, as for any change of the list.
func (r *Registry) Reset(now time.Time, reset func(also func(*store.Tx) error) error) error {
	if err := r.saveAll(); err != nil {
		return err
	}
	if err := reset(ResetRecords); err != nil {
		return err
	}
	fresh := map[string]*record{}
	err := r.load(func(tx *store.Tx) error {
		return tx.Devices(func(id string, value []byte) error {
			if rec, err := decodeRecord(id, value); err == nil {
				fresh[id] = rec
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for id, e := range r.entries {
		if fresh[id] == nil {
			continue
		}
		e.rec = fresh[id]
		r.commands.forget(id)
		if e.assembly != nil {
			e.retire()
			e.former = nil // their attributes are not needed any more
			if err := r.assemble(now, e); err != nil {
				r.log.Error("a device is not shown", "device", id, "error", err)
			}
		}
	}
	r.pending.changed(now)
	return nil
}
