package fabric

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

var (
	// ErrFull is returned by Stage when the table has no room for another fabric.
	ErrFull = errors.New("the fabric table is full")

	// ErrConflict is returned by Stage when another entry has the same root public
	// key and fabric id.
	ErrConflict = errors.New("this fabric is in the table already")

	// ErrStaged is returned by Stage while a fabric is staged.
	ErrStaged = errors.New("a fabric is staged already")

	// ErrNotFound is returned for an index that is not in the table.
	ErrNotFound = errors.New("no such fabric")
)

// Table is the fabric table.
type Table struct {
	st         *store.Store
	max        int
	next       matter.FabricIndex // the search for a free index begins here
	goodTime   uint32             // last known good time, as stored
	stored     [int(matter.MaxFabricIndex) + 1]*Fabric
	pending    *Fabric   // staged over stored, or nil
	visible    []*Fabric // what All returns
	generation uint64
	scratch    [mcrypto.SignatureSize]byte // for FindDestination
}

// Open reads the table from the store. max, 5 to 254, is SupportedFabrics. If more
// fabrics are stored they stay, and none can be added. The error wraps store.ErrDamaged
// if a record is not a valid fabric.
func Open(st *store.Store, max int) (*Table, error) {
	if max < 5 || max > int(matter.MaxFabricIndex) {
		return nil, fmt.Errorf("room for %d fabrics: must be 5 to %d", max, matter.MaxFabricIndex)
	}
	t := &Table{st: st, max: max, next: matter.MinFabricIndex}
	records, err := read(st)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		f, err := derive(r, nil)
		if err == nil {
			err = unique(t.visible, f)
		}
		if err != nil {
			return nil, damaged(st, r.Index, err)
		}
		t.stored[r.Index] = f
		t.visible = append(t.visible, f)
	}
	err = st.View(func(tx *store.Tx) error {
		n, _, err := tx.Node()
		if n.NextFabricIndex.Valid() {
			t.next = n.NextFabricIndex
		}
		t.goodTime = n.LastKnownGoodTime
		return err
	})
	if err != nil {
		return nil, err
	}
	t.publish()
	return t, nil
}

// publish makes a change visible.
func (t *Table) publish() {
	all := make([]*Fabric, 0, len(t.visible)+1) // earlier results of All do not change
	for i := range t.stored {
		if f := t.Get(matter.FabricIndex(i)); f != nil {
			all = append(all, f)
		}
	}
	t.visible = all
	t.generation++
}

// Get returns the fabric, the staged form if there is one, or nil.
func (t *Table) Get(i matter.FabricIndex) *Fabric {
	switch {
	case !i.Valid():
		return nil
	case t.pending != nil && t.pending.Index == i:
		return t.pending
	default:
		return t.stored[i]
	}
}

// All returns the fabrics, including the staged one, by ascending index. The caller must
// not change the slice; the table does not change it either.
func (t *Table) All() []*Fabric { return t.visible }

// Len returns the number of fabrics, including the staged one.
func (t *Table) Len() int { return len(t.visible) }

// Max returns the maximum number of fabrics.
func (t *Table) Max() int { return t.max }

// Generation returns a number that grows with every visible change.
func (t *Table) Generation() uint64 { return t.generation }

// FindRoot returns the fabric with this root public key (65 octets) and fabric
// id, or nil.
func (t *Table) FindRoot(rootPublicKey []byte, id matter.FabricID) *Fabric {
	for _, f := range t.visible {
		if f.FabricID == id && string(f.RootPublicKey[:]) == string(rootPublicKey) {
			return f
		}
	}
	return nil
}

// Mutate calls change with a copy of the fabric's record and then stores the copy in one
// transaction, or stages it if the fabric is staged. After an error of change or of the
// disk nothing has changed. A record without changes is not written.
//
// Access control, group keys and Added of a fabric that UpdateNOC has staged are stored at
// once, and a Rollback does not undo them (section 11.10.7.2.2).
//
// change must not change the credentials; see Stage.
func (t *Table) Mutate(i matter.FabricIndex, change func(*store.Fabric) error) error {
	old := t.Get(i)
	if old == nil {
		return fmt.Errorf("fabric %d: %w", i, ErrNotFound)
	}
	r := old.Fabric.Clone()
	if err := change(&r); err != nil {
		return err
	}
	if r.Index != i || !sameIdentity(&r, &old.Fabric) {
		panic("BUG: fabric: Mutate changed the identity of a fabric")
	}
	if reflect.DeepEqual(r, old.Fabric) {
		return nil
	}
	r = r.Clone() // change may have kept references
	var err error
	if old.Pending {
		err = t.restage(r)
	} else {
		err = t.keep(r)
	}
	if err != nil {
		return err
	}
	t.publish()
	return nil
}

// keep stores a changed record of a stored fabric.
func (t *Table) keep(r store.Fabric) error {
	old := t.stored[r.Index]
	if reflect.DeepEqual(r, old.Fabric) {
		return nil
	}
	f, err := derive(r, old)
	if err != nil {
		return err
	}
	if err := t.st.Update(func(tx *store.Tx) error { return tx.PutFabric(r) }); err != nil {
		return err
	}
	t.stored[r.Index] = f
	return nil
}

// restage replaces the staged record, and stores the parts that the fail-safe does not
// take back.
func (t *Table) restage(r store.Fabric) error {
	f, err := derive(r, t.pending)
	if err != nil {
		return err
	}
	if old := t.stored[r.Index]; old != nil {
		lasting := r.Clone()
		kept := old.Fabric.Clone()
		kept.ACL, kept.Extension = lasting.ACL, lasting.Extension
		kept.Added = lasting.Added
		kept.KeySets, kept.GroupKeyMap, kept.Groups = lasting.KeySets, lasting.GroupKeyMap, lasting.Groups
		if err := t.keep(kept); err != nil {
			return err
		}
	}
	f.Pending, f.Provisional = true, t.pending.Provisional
	t.pending = f
	return nil
}

// Remove deletes the fabric and everything that belongs to it in one transaction, and
// drops its staged state.
func (t *Table) Remove(i matter.FabricIndex) error {
	if t.Get(i) == nil {
		return fmt.Errorf("fabric %d: %w", i, ErrNotFound)
	}
	if t.stored[i] != nil {
		if err := t.st.Update(func(tx *store.Tx) error { return tx.DeleteFabric(i) }); err != nil {
			return err
		}
		t.stored[i] = nil
	}
	if t.pending != nil && t.pending.Index == i {
		t.pending = nil
	}
	t.publish()
	return nil
}

// RemoveAll deletes all fabrics and everything that belongs to them, calls also, which may
// be nil, in the same transaction, and drops the staged fabric. It resets the last known
// good time.
func (t *Table) RemoveAll(also func(*store.Tx) error) error {
	err := t.st.Update(func(tx *store.Tx) error {
		if err := tx.DeleteFabrics(); err != nil {
			return err
		}
		n, ok, err := tx.Node()
		if err != nil {
			return err
		}
		if ok && n.LastKnownGoodTime != 0 {
			n.LastKnownGoodTime = 0
			if err := tx.PutNode(n); err != nil {
				return err
			}
		}
		if also == nil {
			return nil
		}
		return also(tx)
	})
	if err != nil {
		return err
	}
	clear(t.stored[:])
	t.pending, t.goodTime = nil, 0
	t.publish()
	return nil
}

// Stage stages a copy of r until Commit. If r.Index is 0 it becomes a new fabric with the
// next free index (section 11.18.6.8); otherwise it replaces the stored fabric, which must
// have the same root and fabric id.
func (t *Table) Stage(r store.Fabric) (*Fabric, error) {
	if t.pending != nil {
		return nil, ErrStaged
	}
	r = r.Clone()
	var old *Fabric
	if r.Index == matter.NoFabric {
		if len(t.visible) >= t.max {
			return nil, ErrFull
		}
		r.Index = t.free(t.next)
	} else if old = t.Get(r.Index); old == nil {
		return nil, fmt.Errorf("fabric %d: %w", r.Index, ErrNotFound)
	}
	f, err := derive(r, old)
	if err != nil {
		return nil, err
	}
	if err := unique(t.visible, f); err != nil {
		return nil, err
	}
	if old != nil && (f.RootPublicKey != old.RootPublicKey || f.FabricID != old.FabricID) {
		return nil, fmt.Errorf("fabric %d cannot become another fabric", r.Index)
	}
	f.Pending, f.Provisional = true, old == nil
	t.pending = f
	t.publish()
	return f, nil
}

// free returns the first unused index from i on, continuing at 1 after 254; 0 if there is
// none.
func (t *Table) free(i matter.FabricIndex) matter.FabricIndex {
	for range int(matter.MaxFabricIndex) {
		if t.stored[i] == nil {
			return i
		}
		i = i%matter.MaxFabricIndex + 1
	}
	return matter.NoFabric
}

// Pending returns the staged fabric, or nil.
func (t *Table) Pending() *Fabric { return t.pending }

// Commit stores the staged fabric, if there is one, and the new last known good time in
// one transaction. After an error the fabric is still staged. Commit deletes the
// resumption records of the fabric.
func (t *Table) Commit() error {
	if t.pending == nil {
		return nil
	}
	f := *t.pending
	f.Pending, f.Provisional = false, false
	// The search continues above this index, so that a freed one is reused last.
	next := t.next
	if t.stored[f.Index] == nil {
		next = f.Index%matter.MaxFabricIndex + 1
	}
	good := t.LastKnownGoodTime()
	err := t.st.Update(func(tx *store.Tx) error {
		if err := errors.Join(tx.PutFabric(f.Fabric), tx.DeleteResumptions(f.Index)); err != nil || next == t.next && good == t.goodTime {
			return err
		}
		return tx.MutateNode(func(n *store.Node) error {
			n.NextFabricIndex, n.LastKnownGoodTime = next, good
			return nil
		})
	})
	if err != nil {
		return err
	}
	t.stored[f.Index], t.pending, t.next, t.goodTime = &f, nil, next, good
	t.publish()
	return nil
}

// Rollback drops the staged fabric, if there is one.
func (t *Table) Rollback() {
	if t.pending != nil {
		t.pending = nil
		t.publish()
	}
}
