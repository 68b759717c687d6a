package node

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// keeper stores the subscriptions of the engine. It writes only when one begins or
// ends: a subscription may last for months, and the store may be on an SD card.
type keeper struct {
	st      *store.Store
	fabrics *fabric.Table
	engine  *im.Engine
	log     *slog.Logger

	kept       map[subscriptionKey]bool // what is in the store
	revision   uint64
	generation uint64
}

type subscriptionKey struct {
	im.Subscriber
	id uint32
}

func keyOf(m *im.Subscription) subscriptionKey { return subscriptionKey{m.Subscriber, m.ID} }

// newKeeper restores the subscriptions of the last run.
func newKeeper(now time.Time, st *store.Store, fabrics *fabric.Table, engine *im.Engine, log *slog.Logger) (*keeper, error) {
	k := &keeper{st: st, fabrics: fabrics, engine: engine, log: log, kept: map[subscriptionKey]bool{}}
	var list []im.Subscription
	err := st.View(func(tx *store.Tx) error {
		records, err := tx.Subscriptions()
		for i := range records {
			m := remembered(&records[i])
			k.kept[keyOf(&m)] = true
			list = append(list, m)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading subscriptions: %w", err)
	}
	engine.Restore(now, list)
	return k, nil
}

// settle stores what has changed, in one transaction.
func (k *keeper) settle() {
	if k.revision == k.engine.Revision() && k.generation == k.fabrics.Generation() {
		return
	}
	k.revision, k.generation = k.engine.Revision(), k.fabrics.Generation()
	gone := make(map[subscriptionKey]bool, len(k.kept))
	for key := range k.kept {
		// The store removes the subscriptions of a fabric together with the fabric.
		if k.fabrics.Get(key.Fabric) == nil {
			delete(k.kept, key)
		} else {
			gone[key] = true
		}
	}
	var begun []im.Subscription
	for _, m := range k.engine.Subscriptions() {
		key := keyOf(&m)
		delete(gone, key)
		// A fabric that is only staged is not in the store, and its subscriptions
		// cannot be either.
		if f := k.fabrics.Get(m.Fabric); !k.kept[key] && f != nil && !f.Pending {
			begun = append(begun, m)
		}
	}
	if len(gone)+len(begun) == 0 {
		return
	}
	err := k.st.Update(func(tx *store.Tx) error {
		for key := range gone {
			if err := tx.DeleteSubscription(key.Fabric, key.Node, key.id); err != nil {
				return err
			}
		}
		for i := range begun {
			if err := tx.PutSubscription(recordOf(&begun[i])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		k.log.Warn("subscriptions are not kept", "error", err)
		return
	}
	for key := range gone {
		delete(k.kept, key)
	}
	for i := range begun {
		k.kept[keyOf(&begun[i])] = true
	}
}

func remembered(r *store.Subscription) im.Subscription {
	m := im.Subscription{
		Subscriber: im.Subscriber{Fabric: r.Fabric, Node: r.Peer}, ID: r.ID,
		Min: r.MinInterval, Max: r.MaxInterval, FabricFiltered: r.FabricFiltered,
	}
	for _, p := range r.Attributes {
		m.Attributes = append(m.Attributes, im.AttributePath(p))
	}
	for _, p := range r.Events {
		m.Events = append(m.Events, im.EventPath(p))
	}
	return m
}

func recordOf(m *im.Subscription) store.Subscription {
	r := store.Subscription{
		Fabric: m.Fabric, Peer: m.Node, ID: m.ID,
		MinInterval: m.Min, MaxInterval: m.Max, FabricFiltered: m.FabricFiltered,
	}
	for _, p := range m.Attributes {
		r.Attributes = append(r.Attributes, store.AttributePath(p))
	}
	for _, p := range m.Events {
		r.Events = append(r.Events, store.EventPath(p))
	}
	return r
}
