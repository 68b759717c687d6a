package server

import (
	"fmt"
	"slices"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// resumptions are the records of sessions that can be resumed, one for each
// peer. They are only a short cut: what is not kept costs a full handshake.
//
// They are in the store while the process does not run, and only then. A record
// that was used and is still on the disk after a crash could be used again: by
// repeating the Sigma1 and the messages of the session that it gave, as that
// session's keys depend on nothing that this node draws. A sync for each
// handshake would prevent that too. So the records are taken out of the store
// before the first of them can be used, and put back by an orderly stop; after a
// crash there are none.
type resumptions struct {
	st      *store.Store
	fabrics *fabric.Table
	max     int
	used    uint64 // counts calls of remember
	byID    map[[16]byte]*resumption
	byPeer  map[peer]*resumption
}

type resumption struct {
	casesession.Record
	used uint64
}

type peer struct {
	fabric matter.FabricIndex
	node   matter.NodeID
}

// openResumptions takes the records out of the store. Up to max are remembered.
func openResumptions(st *store.Store, fabrics *fabric.Table, max int) (*resumptions, error) {
	r := &resumptions{st: st, fabrics: fabrics, max: max, byID: map[[16]byte]*resumption{}, byPeer: map[peer]*resumption{}}
	var list []store.Resumption
	err := st.View(func(tx *store.Tx) (err error) {
		list, err = tx.Resumptions()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading resumption records: %w", err)
	}
	if len(list) == 0 {
		return r, nil
	}
	err = st.Update(func(tx *store.Tx) error {
		for i := range list {
			if err := tx.DeleteResumption(list[i].Fabric, list[i].Peer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("taking resumption records: %w", err)
	}
	for _, s := range list {
		rec := casesession.Record{Fabric: s.Fabric, Peer: s.Peer, ID: [16]byte(s.ID), SharedSecret: [32]byte(s.SharedSecret)}
		copy(rec.CATs[:], s.CATs)
		r.Put(rec)
	}
	return r, nil
}

// keep puts the records back into the store, at the end of the process. That of
// a session with an identity that is only staged does not outlast it, as the
// identity does not.
func (r *resumptions) keep() error {
	if len(r.byID) == 0 {
		return nil
	}
	err := r.st.Update(func(tx *store.Tx) error {
		for _, rec := range r.byID {
			if f := r.fabrics.Get(rec.Fabric); f == nil || f.Pending {
				continue
			}
			err := tx.PutResumption(store.Resumption{
				Fabric: rec.Fabric, Peer: rec.Peer, ID: rec.ID[:], SharedSecret: rec.SharedSecret[:],
				CATs: slices.DeleteFunc(slices.Clone(rec.CATs[:]), func(c matter.CAT) bool { return c == 0 }),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, rec := range r.byID {
		r.drop(rec)
	}
	return err
}

// Find returns the record with this id.
func (r *resumptions) Find(id []byte) (casesession.Record, bool) {
	if len(id) != 16 {
		return casesession.Record{}, false
	}
	rec, ok := r.byID[[16]byte(id)]
	if !ok {
		return casesession.Record{}, false
	}
	return rec.Record, true
}

// Put remembers a record in place of the peer's last one. If there are too many,
// the one that was put least recently goes.
func (r *resumptions) Put(rec casesession.Record) {
	p := peer{rec.Fabric, rec.Peer}
	if old := r.byPeer[p]; old != nil {
		r.drop(old)
	}
	for len(r.byID) >= r.max {
		r.drop(r.oldest())
	}
	r.used++
	kept := &resumption{rec, r.used}
	r.byID[rec.ID], r.byPeer[p] = kept, kept
}

func (r *resumptions) oldest() (old *resumption) {
	for _, rec := range r.byID {
		if old == nil || rec.used < old.used {
			old = rec
		}
	}
	return old
}

func (r *resumptions) drop(rec *resumption) {
	delete(r.byID, rec.ID)
	delete(r.byPeer, peer{rec.Fabric, rec.Peer})
	clear(rec.SharedSecret[:])
}

// forget drops the records of a fabric.
func (r *resumptions) forget(i matter.FabricIndex) {
	for _, rec := range r.byPeer {
		if rec.Fabric == i {
			r.drop(rec)
		}
	}
}
