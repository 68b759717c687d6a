package fabric

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func TestMutate(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	old, commits, generation := w.Get(1), w.commits, w.Generation()
	label := func(s string) func(*store.Fabric) error {
		return func(f *store.Fabric) error { f.Label = s; f.ACL[0].Subjects[0] = 445566; return nil }
	}
	if err := w.Mutate(1, label("home")); err != nil {
		t.Fatal(err)
	}
	if old.Label != "" || old.ACL[0].Subjects[0] != 112233 {
		t.Error("the fabric that was handed out has changed")
	}
	if f := w.Get(1); f.Label != "home" || f.ACL[0].Subjects[0] != 445566 || f.NOCCert != old.NOCCert || w.All()[0] != f {
		t.Errorf("after the change: %+v", f)
	}
	if w.commits != commits+1 || w.Generation() != generation+1 {
		t.Errorf("%d transactions, generation moved by %d", w.commits-commits, w.Generation()-generation)
	}
	if err := w.Mutate(1, label("home")); err != nil || w.commits != commits+1 || w.Generation() != generation+1 {
		t.Errorf("the same again was written: %v", err)
	}
	boom := errors.New("boom")
	for name, test := range map[string]struct {
		i      matter.FabricIndex
		change func(*store.Fabric) error
		want   error
	}{
		"error of the change": {1, func(f *store.Fabric) error { f.Label = "x"; f.ACL[0].Subjects[0] = 1; return boom }, boom},
		"invalid record":      {1, func(f *store.Fabric) error { f.KeySets = nil; return nil }, store.ErrInvalid},
		"no such fabric":      {2, label("x"), ErrNotFound},
		"fabric 0":            {0, label("x"), ErrNotFound},
	} {
		before := w.Get(1).Fabric.Clone()
		if err := w.Mutate(test.i, test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(w.Get(1).Fabric, before) || w.Generation() != generation+1 {
			t.Errorf("%s: the fabric has changed", name)
		}
	}
	w.restart()
	if w.Get(1).Label != "home" {
		t.Error("the change was not stored")
	}
}

func TestMutateOfAStagedFabricIsStaged(t *testing.T) {
	w := newWorld(t, 5)
	must(w.Stage(shared.record(1, 10)))
	commits := w.commits
	if err := w.Mutate(1, func(f *store.Fabric) error { f.Label = "new"; return nil }); err != nil {
		t.Fatal(err)
	}
	if f := w.Get(1); !f.Pending || f.Label != "new" || w.Pending() != f || w.commits != commits {
		t.Errorf("%+v after %d transactions", f, w.commits-commits)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if w.Get(1).Label != "new" {
		t.Error("the change was lost at the commit")
	}
}

func TestMutateMustNotTouchCredentials(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	defer func() {
		if recover() == nil {
			t.Error("Mutate let the key change")
		}
	}()
	w.Mutate(1, func(f *store.Fabric) error { f.Key[0] ^= 1; return nil })
}

func TestKeySetRotationChangesIPKs(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	first := w.Get(1).IPKs[0]
	if err := w.Mutate(1, func(f *store.Fabric) error {
		f.KeySets[0].Keys = append(f.KeySets[0].Keys, store.GroupKey{Key: []byte("0123456789abcdef"), Start: 5}, store.GroupKey{Key: []byte("fedcba9876543210"), Start: 9})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f := w.Get(1)
	newest := [16]byte([]byte("fedcba9876543210"))
	if len(f.IPKs) != 3 || f.IPKs[0] != newest || f.IPKs[2] != first {
		t.Errorf("IPKs %x, want the newest, %x, first and %x last", f.IPKs, newest, first)
	}
}

func TestRemove(t *testing.T) {
	w := newWorld(t, 5)
	for id := range matter.FabricID(3) {
		w.add(shared.record(id+1, 10))
	}
	update := shared.record(2, 12)
	update.Index = 2
	must(w.Stage(update))
	generation := w.Generation()
	if err := w.Remove(2); err != nil { // staged and stored
		t.Fatal(err)
	}
	if w.Get(2) != nil || w.Pending() != nil || w.Generation() <= generation {
		t.Error("the fabric is still there")
	}
	staged := must(w.Stage(shared.record(9, 10))).Index
	commits := w.commits
	if err := w.Remove(staged); err != nil || w.commits != commits || w.Pending() != nil {
		t.Errorf("a staged fabric did not just vanish: %v", err)
	}
	for _, i := range []matter.FabricIndex{0, 2, 255} {
		if err := w.Remove(i); !errors.Is(err, ErrNotFound) {
			t.Errorf("fabric %d: %v", i, err)
		}
	}
	w.restart()
	if !slices.Equal(w.indices(), []matter.FabricIndex{1, 3}) {
		t.Errorf("after a restart there are %v", w.indices())
	}
}

func TestRemoveAll(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	must(w.Stage(shared.record(2, 10)))
	boom := errors.New("boom")
	if w.LastKnownGoodTime() == 0 {
		t.Fatal("no last known good time")
	}
	if err := w.RemoveAll(func(*store.Tx) error { return boom }); !errors.Is(err, boom) || w.Len() != 2 {
		t.Errorf("a failure left %d fabrics: %v", w.Len(), err)
	}
	commits := w.commits
	if err := w.RemoveAll(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error { n.UniqueID = "new"; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	if w.Len() != 0 || w.Pending() != nil || w.commits != commits+1 {
		t.Errorf("%d fabrics left after %d transactions", w.Len(), w.commits-commits)
	}
	for range 2 {
		if good := w.LastKnownGoodTime(); good != 0 {
			t.Errorf("last known good time %d", good)
		}
		w.restart()
	}
	if i := w.add(shared.record(1, 10)); i != 2 {
		t.Errorf("the next fabric has index %d", i)
	}
}

func TestDiskErrorChangesNothing(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	must(w.Stage(shared.record(2, 10)))
	w.store.Close()
	generation, all := w.Generation(), w.All()
	for name, err := range map[string]error{
		"Mutate":    w.Mutate(1, func(f *store.Fabric) error { f.Label = "x"; return nil }),
		"Remove":    w.Remove(1),
		"RemoveAll": w.RemoveAll(nil),
		"Commit":    w.Commit(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.Generation() != generation || !slices.Equal(w.All(), all) || w.Get(1).Label != "" || w.Pending() == nil {
		t.Error("the table shows what is not on the disk")
	}
}
