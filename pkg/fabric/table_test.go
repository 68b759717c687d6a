package fabric

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// authority is a root and an intermediate that tests share.
type authority struct{ root, ica *cert.Authority }

func newAuthority() authority {
	root := must(cert.NewRoot(rand.Reader, must(mcrypto.GenerateKey(rand.Reader)), 1, 0, cert.Validity{NotBefore: 1}))
	ica := must(root.IssueICAC(must(mcrypto.GenerateKey(rand.Reader)), 2, 0))
	return authority{root, ica}
}

var shared = newAuthority()

// record returns a complete fabric of the authority, with its own key. If the node
// id is even, its chain has an ICAC.
func (a authority) record(id matter.FabricID, node matter.NodeID) store.Fabric {
	key := must(mcrypto.GenerateKey(rand.Reader))
	issuer, icac := a.root, []byte(nil)
	if node%2 == 0 {
		issuer, icac = a.ica, a.ica.Certificate.Raw()
	}
	return store.Fabric{
		FabricID: id, NodeID: node, VendorID: 0xFFF1,
		Root: a.root.Certificate.Raw(), ICAC: icac, NOC: must(issuer.IssueNOC(key.Public(), node, id)).Raw(), Key: key.Scalar(),
		ACL:     []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{112233}}},
		KeySets: []store.GroupKeySet{{ID: 0, Keys: []store.GroupKey{{Key: []byte(fmt.Sprintf("group key %06d", uint64(id)%1e6))}}}},
	}
}

// world is a table with a store, and counts its commits.
type world struct {
	*Table
	t       testing.TB
	path    string
	store   *store.Store
	commits int
}

func newWorld(t testing.TB, max int) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), store.FileName)}
	w.open(max)
	t.Cleanup(func() {
		if err := errors.Join(w.store.Check(), Check(w.store)); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("after the test: %v", err)
		}
		w.store.Close()
	})
	return w
}

func (w *world) open(max int) {
	w.t.Helper()
	w.store = must(store.Open(w.path, store.Options{OnCommit: func(time.Duration) { w.commits++ }}))
	w.Table = must(Open(w.store, max))
}

// restart opens the table again, as after a crash.
func (w *world) restart() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open(w.Max())
}

// add stages and commits a fabric.
func (w *world) add(r store.Fabric) matter.FabricIndex {
	w.t.Helper()
	f, err := w.Stage(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		w.t.Fatal(err)
	}
	return f.Index
}

func (w *world) indices() []matter.FabricIndex {
	var all []matter.FabricIndex
	for _, f := range w.All() {
		all = append(all, f.Index)
	}
	return all
}

func TestStagedFabricIsVisibleAndNotStored(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	generation, commits, before := w.Generation(), w.commits, w.All()
	r := shared.record(2, 20)
	f, err := w.Stage(r)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Pending || f.Index != 2 || w.Get(2) != f || w.Pending() != f || w.Len() != 2 || w.All()[1] != f {
		t.Errorf("staged fabric %+v is not what the table shows", f)
	}
	if w.FindRoot(f.RootPublicKey[:], 2) != f || w.Generation() <= generation {
		t.Error("the staged fabric is not found, or not marked as staged")
	}
	if len(before) != 1 {
		t.Error("a slice that was handed out has changed")
	}
	if w.commits != commits {
		t.Error("staging wrote to the store")
	}
	r.Key[0] ^= 1
	if reflect.DeepEqual(r.Key, f.Key) {
		t.Error("the table keeps the caller's slices")
	}
	generation = w.Generation()
	w.Rollback()
	if w.Len() != 1 || w.Get(2) != nil || w.Pending() != nil || w.Generation() <= generation {
		t.Error("rollback left the fabric")
	}
	w.Rollback() // nothing
	w.restart()
	if !slices.Equal(w.indices(), []matter.FabricIndex{1}) {
		t.Errorf("after a restart there are %v", w.indices())
	}
}

func TestRestartRollsBack(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	old := w.Get(1).Fabric.Clone()
	update := shared.record(1, 11)
	update.Index = 1
	must(w.Stage(update))
	w.restart()
	if got := w.Get(1); got.Pending || !reflect.DeepEqual(got.Fabric, old) {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestCommitIsOneTransaction(t *testing.T) {
	w := newWorld(t, 5)
	f := must(w.Stage(shared.record(1, 10)))
	commits := w.commits
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if w.commits != commits+1 {
		t.Errorf("%d transactions", w.commits-commits)
	}
	if !f.Pending || w.Get(1).Pending || w.Pending() != nil {
		t.Error("the fabric that was handed out has changed, or the table's has not")
	}
	if err := w.Commit(); err != nil || w.commits != commits+1 {
		t.Errorf("commit of nothing: %v", err)
	}
	want := w.Get(1).Fabric.Clone()
	w.restart()
	if got := w.Get(1); !reflect.DeepEqual(got.Fabric, want) || got.CompressedID != f.CompressedID || !reflect.DeepEqual(got.IPKs, f.IPKs) {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestUpdateReplacesTheIdentity(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	err := w.store.Update(func(tx *store.Tx) error {
		return tx.PutResumption(store.Resumption{Fabric: 1, Peer: 5, ID: make([]byte, 16), SharedSecret: make([]byte, 32)})
	})
	if err != nil {
		t.Fatal(err)
	}
	r := w.Get(1).Fabric.Clone()
	update := shared.record(1, 11)
	r.NOC, r.ICAC, r.Key, r.NodeID = update.NOC, update.ICAC, update.Key, update.NodeID
	f := must(w.Stage(r))
	if w.Len() != 1 || w.Get(1) != f || f.NodeID != 11 || f.ICACCert != nil {
		t.Errorf("staged: %+v", f)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got := w.Get(1); got.NodeID != 11 || got.NOCCert.PublicKey != got.OperationalKey.Public() {
		t.Errorf("after the update: %+v", got)
	}
	w.store.View(func(tx *store.Tx) error {
		if all, err := tx.Resumptions(); len(all) != 0 || err != nil {
			t.Errorf("sessions of the old identity can be resumed: %v, %v", all, err)
		}
		return nil
	})
	if i := w.add(shared.record(2, 10)); i != 2 {
		t.Errorf("an update moved the next index: %d", i)
	}
}

func TestStageRefusals(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 10))
	w.add(shared.record(2, 10))
	with := func(i matter.FabricIndex, r store.Fabric) store.Fabric { r.Index = i; return r }
	other := shared.record(7, 7)
	notMine := shared.record(8, 8)
	notMine.Key = other.Key
	for name, test := range map[string]struct {
		r    store.Fabric
		want error
	}{
		"known fabric":           {shared.record(1, 11), ErrConflict},
		"update of no fabric":    {with(9, shared.record(1, 10)), ErrNotFound},
		"update to another one":  {with(1, shared.record(2, 10)), ErrConflict},
		"update of fabric id":    {with(1, shared.record(3, 10)), nil},
		"update of the root":     {with(1, newAuthority().record(1, 10)), nil},
		"key of another NOC":     {notMine, nil},
		"record without IPK":     {store.Fabric{FabricID: 4, NodeID: 4}, store.ErrInvalid},
		"garbage for a NOC":      {func() store.Fabric { r := shared.record(4, 4); r.NOC = []byte{1}; return r }(), cert.ErrMalformed},
		"garbage for a root":     {func() store.Fabric { r := shared.record(4, 4); r.Root = []byte{1}; return r }(), cert.ErrMalformed},
		"garbage for an ICAC":    {func() store.Fabric { r := shared.record(4, 4); r.ICAC = []byte{1}; return r }(), cert.ErrMalformed},
		"another node id":        {func() store.Fabric { r := shared.record(4, 4); r.NodeID = 5; return r }(), nil},
		"another fabric id":      {func() store.Fabric { r := shared.record(4, 4); r.FabricID = 5; return r }(), nil},
		"a key that is no key":   {func() store.Fabric { r := shared.record(4, 4); r.Key = make([]byte, 32); return r }(), nil},
		"fabric index too large": {with(255, shared.record(4, 4)), ErrNotFound},
	} {
		generation := w.Generation()
		f, err := w.Stage(test.r)
		if err == nil || f != nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if w.Pending() != nil || w.Generation() != generation {
			t.Errorf("%s: the table has changed", name)
			w.Rollback()
		}
	}
	must(w.Stage(shared.record(3, 3)))
	if _, err := w.Stage(shared.record(4, 4)); !errors.Is(err, ErrStaged) {
		t.Errorf("second staged fabric: %v", err)
	}
}

func TestTableTakesExactlyItsMaximum(t *testing.T) {
	w := newWorld(t, 5)
	for id := range matter.FabricID(5) {
		w.add(shared.record(id+1, 1))
	}
	if _, err := w.Stage(shared.record(6, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("sixth fabric: %v", err)
	}
	update := shared.record(5, 3)
	update.Index = 5
	must(w.Stage(update)) // needs no room
	w.Rollback()
	if err := w.Remove(1); err != nil {
		t.Fatal(err)
	}
	must(w.Stage(shared.record(6, 1)))
	if w.Len() != 5 || w.Max() != 5 {
		t.Errorf("%d of %d fabrics", w.Len(), w.Max())
	}
	for _, max := range []int{-1, 4, 255} {
		if _, err := Open(w.store, max); err == nil {
			t.Errorf("a table of %d fabrics was opened", max)
		}
	}
}

func TestIndexIsUsedAgainAsLateAsPossible(t *testing.T) {
	w := newWorld(t, 8)
	id := matter.FabricID(0)
	add := func() matter.FabricIndex { id++; return w.add(shared.record(id, 1)) }
	expect := func(what string, got, want matter.FabricIndex) {
		t.Helper()
		if got != want {
			t.Errorf("%s: index %d, want %d", what, got, want)
		}
	}
	expect("first", add(), 1)
	expect("second", add(), 2)
	if f := must(w.Stage(shared.record(100, 1))); f.Index != 3 {
		t.Errorf("staged with index %d", f.Index)
	}
	w.Rollback()
	expect("after a rollback", add(), 3)
	if err := w.Remove(2); err != nil {
		t.Fatal(err)
	}
	expect("with 2 free", add(), 4)
	w.restart()
	expect("after a restart", add(), 5)
	if err := w.Remove(5); err != nil {
		t.Fatal(err)
	}
	expect("with the last one free", add(), 6)

	// After 254 the search continues with 1 and skips used indexes.
	w.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error { n.NextFabricIndex = 254; return nil })
	})
	w.restart()
	expect("last index", add(), 254)
	expect("wrapped, with 1 in use", add(), 2)
	expect("then", add(), 5)
}

// The table agrees with a model of two maps, over random steps and restarts.
func TestTableAgainstModel(t *testing.T) {
	w := newWorld(t, 6)
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	var records [12]store.Fabric
	for i := range records {
		records[i] = shared.record(matter.FabricID(i+1), matter.NodeID(i+1))
	}
	stored, staged := map[matter.FabricIndex]store.Fabric{}, map[matter.FabricIndex]store.Fabric{}
	for step := range 600 {
		i := matter.FabricIndex(rnd.IntN(20))
		visible := len(stored)
		for k := range staged {
			if _, ok := stored[k]; !ok {
				visible++
			}
		}
		switch rnd.IntN(8) {
		case 0, 1, 2:
			r := records[rnd.IntN(len(records))]
			if f, err := w.Stage(r); err == nil {
				if visible >= 6 || len(staged) > 0 {
					t.Fatalf("step %d: staged beyond the limit", step)
				}
				staged[f.Index] = f.Fabric.Clone()
			}
		case 3:
			if w.Commit() == nil {
				for k, v := range staged {
					stored[k] = v
				}
				clear(staged)
			}
		case 4:
			w.Rollback()
			clear(staged)
		case 5:
			if w.Remove(i) == nil {
				delete(stored, i)
				delete(staged, i)
			}
		case 6:
			label := fmt.Sprint(step)
			if w.Mutate(i, func(f *store.Fabric) error { f.Label = label; return nil }) == nil {
				m := stored
				if _, ok := staged[i]; ok {
					m = staged
				}
				r := m[i]
				r.Label = label
				m[i] = r
			}
		case 7:
			w.restart()
			clear(staged)
		}
		want := map[matter.FabricIndex]store.Fabric{}
		for k, v := range stored {
			want[k] = v
		}
		for k, v := range staged {
			want[k] = v
		}
		got := map[matter.FabricIndex]store.Fabric{}
		for _, f := range w.All() {
			got[f.Index] = f.Fabric
			if _, pending := staged[f.Index]; f.Pending != pending || w.Get(f.Index) != f {
				t.Fatalf("step %d: fabric %d is shown wrongly", step, f.Index)
			}
		}
		if !reflect.DeepEqual(got, want) || w.Len() != len(want) {
			t.Fatalf("step %d: table and model differ", step)
		}
	}
}
