package securechannel

import (
	"slices"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Delays for writing changed resumption records. They are long enough to collect
// several changes, and short enough that a power cut loses few records.
const (
	recordsQuiet  = 5 * time.Second
	recordsLatest = 30 * time.Second
	recordsRetry  = 5 * time.Minute // after a failed write
)

// Records holds the records of resumable sessions, one for each peer. They only
// save time: without a record the next handshake is a full one.
//
// Records are stored with a short delay, so that no handshake waits for the disk.
// After a crash the store may therefore contain a record that was used already. An
// attacker who has recorded that session could then resume it again, because its
// keys depend on no random value of this node, and replay its messages. Two
// measures make that useless. First, session ids, which are authenticated, are odd
// in one run of the process and even in the next. Second, a record can be used only
// in the run that created its id and in the next run. Each start deletes all
// records from the store in the transaction that counts the run, and does not write
// them again.
//
// One goroutine owns Records.
type Records struct {
	st      *store.Store
	fabrics *fabric.Table
	max     int
	used    uint64 // number of calls of Put
	byID    map[[16]byte]*record
	byPeer  map[peer]*record

	kept    map[peer][16]byte // ids of the records in the store
	changed bool              // since the last Settle
	since   time.Time         // time of the first unwritten change
	due     time.Time         // when to write; zero: no change
}

type record struct {
	casesession.Record
	used uint64
	old  bool // from the previous run
}

type peer struct {
	fabric matter.FabricIndex
	node   matter.NodeID
}

// NewRecords returns the records of the previous run. It holds at most max records.
func NewRecords(st *store.Store, fabrics *fabric.Table, max int, before []store.Resumption) *Records {
	r := &Records{
		st: st, fabrics: fabrics, max: max,
		byID: map[[16]byte]*record{}, byPeer: map[peer]*record{}, kept: map[peer][16]byte{},
	}
	for _, s := range before {
		rec := casesession.Record{Fabric: s.Fabric, Peer: s.Peer, ID: [16]byte(s.ID), SharedSecret: [32]byte(s.SharedSecret)}
		copy(rec.CATs[:], s.CATs)
		r.put(rec, true)
	}
	return r
}

// Find returns the record with this id.
func (r *Records) Find(id []byte) (casesession.Record, bool) {
	if len(id) != 16 {
		return casesession.Record{}, false
	}
	rec, ok := r.byID[[16]byte(id)]
	if !ok {
		return casesession.Record{}, false
	}
	return rec.Record, true
}

// Of returns the record for a fabric and peer.
func (r *Records) Of(f matter.FabricIndex, node matter.NodeID) (casesession.Record, bool) {
	rec := r.byPeer[peer{f, node}]
	if rec == nil {
		return casesession.Record{}, false
	}
	return rec.Record, true
}

// Put stores a record and replaces the peer's last one. If there are too many, it
// drops the one that was put least recently.
func (r *Records) Put(rec casesession.Record) {
	r.put(rec, false)
	r.changed = true
}

func (r *Records) put(rec casesession.Record, old bool) {
	p := peer{rec.Fabric, rec.Peer}
	if last := r.byPeer[p]; last != nil {
		r.drop(last)
	}
	for len(r.byID) >= r.max {
		r.drop(r.oldest())
	}
	r.used++
	kept := &record{rec, r.used, old}
	r.byID[rec.ID], r.byPeer[p] = kept, kept
}

func (r *Records) oldest() (first *record) {
	for _, rec := range r.byID {
		if first == nil || rec.used < first.used {
			first = rec
		}
	}
	return first
}

func (r *Records) drop(rec *record) {
	delete(r.byID, rec.ID)
	delete(r.byPeer, peer{rec.Fabric, rec.Peer})
	clear(rec.SharedSecret[:])
}

// Forget removes the records of a fabric.
func (r *Records) Forget(i matter.FabricIndex) {
	for _, rec := range r.byPeer {
		if rec.Fabric == i {
			r.drop(rec)
		}
	}
	r.changed = true
}

// Settle schedules the writing of changed records.
func (r *Records) Settle(now time.Time) {
	if !r.changed {
		return
	}
	r.changed = false
	if r.due.IsZero() {
		r.since = now
	}
	if latest := r.since.Add(recordsLatest); latest.After(now) {
		r.due = earlier(now.Add(recordsQuiet), latest)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Deadline returns the time of the next write, and whether there is one.
func (r *Records) Deadline() (time.Time, bool) { return r.due, !r.due.IsZero() }

// Advance writes the records if that is due. It returns an error of the store and
// schedules another attempt.
func (r *Records) Advance(now time.Time) error {
	if r.due.IsZero() || now.Before(r.due) {
		return nil
	}
	complete, err := r.write()
	switch {
	case err != nil:
		r.due = now.Add(recordsRetry)
	case !complete:
		r.since, r.due = now, now.Add(recordsLatest)
	default:
		r.due = time.Time{}
	}
	return err
}

// write replaces the stored records with those of this run, in one transaction.
// Records of a fabric whose identity is only staged are not written, because it may
// be reverted. write reports whether there were none of them.
func (r *Records) write() (complete bool, err error) {
	gone := make(map[peer]bool, len(r.kept))
	for p := range r.kept {
		gone[p] = true
	}
	var fresh []*record
	complete = true
	for p, rec := range r.byPeer {
		f := r.fabrics.Get(p.fabric)
		switch {
		case rec.old || f == nil:
			continue
		case f.Pending:
			complete = false
			continue
		}
		delete(gone, p)
		if id, ok := r.kept[p]; !ok || id != rec.ID {
			fresh = append(fresh, rec)
		}
	}
	if len(gone)+len(fresh) == 0 {
		return complete, nil
	}
	err = r.st.Update(func(tx *store.Tx) error {
		for p := range gone {
			if err := tx.DeleteResumption(p.fabric, p.node); err != nil {
				return err
			}
		}
		for _, rec := range fresh {
			if err := tx.PutResumption(rec.stored()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return complete, err
	}
	for p := range gone {
		delete(r.kept, p)
	}
	for _, rec := range fresh {
		r.kept[peer{rec.Fabric, rec.Peer}] = rec.ID
	}
	return complete, nil
}

func (rec *record) stored() store.Resumption {
	return store.Resumption{
		Fabric: rec.Fabric, Peer: rec.Peer, ID: rec.ID[:], SharedSecret: rec.SharedSecret[:],
		CATs: slices.DeleteFunc(slices.Clone(rec.CATs[:]), func(c matter.CAT) bool { return c == 0 }),
	}
}

// Close writes unwritten records and erases the secrets.
func (r *Records) Close() error {
	_, err := r.write()
	for _, rec := range r.byID {
		r.drop(rec)
	}
	return err
}
