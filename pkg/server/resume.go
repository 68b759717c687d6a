package server

import (
	"fmt"
	"log/slog"
	"slices"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// resumptions are the records of sessions that can be resumed, one for each
// peer. They are only a short cut: what cannot be kept costs a full handshake.
type resumptions struct {
	st      *store.Store
	fabrics *fabric.Table
	log     *slog.Logger
	byID    map[[16]byte]casesession.Record
	ids     map[peer][16]byte
}

type peer struct {
	fabric matter.FabricIndex
	node   matter.NodeID
}

func openResumptions(st *store.Store, fabrics *fabric.Table, log *slog.Logger) (*resumptions, error) {
	r := &resumptions{st: st, fabrics: fabrics, log: log, byID: map[[16]byte]casesession.Record{}, ids: map[peer][16]byte{}}
	err := st.View(func(tx *store.Tx) error {
		list, err := tx.Resumptions()
		for _, s := range list {
			rec := casesession.Record{Fabric: s.Fabric, Peer: s.Peer, ID: [16]byte(s.ID), SharedSecret: [32]byte(s.SharedSecret)}
			copy(rec.CATs[:], s.CATs)
			r.remember(rec)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading resumption records: %w", err)
	}
	return r, nil
}

func (r *resumptions) remember(rec casesession.Record) {
	p := peer{rec.Fabric, rec.Peer}
	delete(r.byID, r.ids[p])
	r.ids[p] = rec.ID
	r.byID[rec.ID] = rec
}

// Find returns the record with this id.
func (r *resumptions) Find(id []byte) (casesession.Record, bool) {
	if len(id) != 16 {
		return casesession.Record{}, false
	}
	rec, ok := r.byID[[16]byte(id)]
	return rec, ok
}

// Put keeps a record in place of the peer's last one. That of a session with an
// identity that is only staged does not outlast the process, as the identity does
// not.
func (r *resumptions) Put(rec casesession.Record) {
	r.remember(rec)
	if f := r.fabrics.Get(rec.Fabric); f == nil || f.Pending {
		return
	}
	err := r.st.Update(func(tx *store.Tx) error {
		return tx.PutResumption(store.Resumption{
			Fabric: rec.Fabric, Peer: rec.Peer, ID: rec.ID[:], SharedSecret: rec.SharedSecret[:],
			CATs: slices.DeleteFunc(slices.Clone(rec.CATs[:]), func(c matter.CAT) bool { return c == 0 }),
		})
	})
	if err != nil {
		r.log.Warn("a resumption record is not kept", "error", err)
	}
}

// forget drops the records of a fabric.
func (r *resumptions) forget(i matter.FabricIndex) {
	gone := false
	for p, id := range r.ids {
		if p.fabric == i {
			delete(r.byID, id)
			delete(r.ids, p)
			gone = true
		}
	}
	if !gone {
		return
	}
	if err := r.st.Update(func(tx *store.Tx) error { return tx.DeleteResumptions(i) }); err != nil {
		r.log.Warn("resumption records are not removed from the store", "fabric", i, "error", err)
	}
}
