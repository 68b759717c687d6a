package fabric

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// The rollback of an update only restores the entry in the fabric table.
func TestMutateOfAnUpdatedFabric(t *testing.T) {
	update := func(t *testing.T) *world {
		w := newWorld(t, 5)
		w.add(shared.record(1, 10))
		r := w.Get(1).Fabric.Clone()
		u := shared.record(1, 12)
		r.NOC, r.ICAC, r.Key, r.NodeID = u.NOC, u.ICAC, u.Key, u.NodeID
		must(w.Stage(r))
		err := w.Mutate(1, func(f *store.Fabric) error {
			f.Label, f.VendorID, f.VIDVerificationStatement = "new", 0xFFF2, make([]byte, 85)
			f.ACL = append(f.ACL, store.ACLEntry{Privilege: matter.PrivilegeView, AuthMode: matter.AuthModeCASE})
			f.Extension = []byte{0x17, 0x18}
			f.KeySets = append(f.KeySets, store.GroupKeySet{ID: 7, Keys: []store.GroupKey{{Key: make([]byte, 16), Start: 1}}})
			f.GroupKeyMap = []store.GroupKeyMapping{{Group: 1, KeySet: 7}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	check := func(t *testing.T, f *Fabric, node matter.NodeID, label string, vendor matter.VendorID) {
		t.Helper()
		if f.NodeID != node || f.Label != label || f.VendorID != vendor || (f.VIDVerificationStatement != nil) != (label != "") {
			t.Errorf("entry of node %v, vendor %04X, label %q", f.NodeID, f.VendorID, f.Label)
		}
		if len(f.ACL) != 2 || len(f.Extension) != 2 || len(f.KeySets) != 2 || len(f.GroupKeyMap) != 1 {
			t.Errorf("what lasts: %+v", f.Fabric)
		}
	}
	t.Run("rollback", func(t *testing.T) {
		w := update(t)
		check(t, w.Get(1), 12, "new", 0xFFF2)
		w.Rollback()
		check(t, w.Get(1), 10, "", 0xFFF1)
	})
	t.Run("restart", func(t *testing.T) {
		w := update(t)
		w.restart()
		check(t, w.Get(1), 10, "", 0xFFF1)
	})
	t.Run("commit", func(t *testing.T) {
		w := update(t)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		w.restart()
		check(t, w.Get(1), 12, "new", 0xFFF2)
	})
	t.Run("disk error", func(t *testing.T) {
		w := update(t)
		w.store.Close()
		before := w.Get(1)
		err := w.Mutate(1, func(f *store.Fabric) error { f.ACL = f.ACL[:1]; return nil })
		if !errors.Is(err, store.ErrClosed) || w.Get(1) != before {
			t.Errorf("%v; the table shows what is not on the disk: %v", err, w.Get(1) != before)
		}
	})
}

// The last known good time follows the certificates that were committed.
func TestLastKnownGoodTime(t *testing.T) {
	issue := func(id matter.FabricID, from uint32) store.Fabric {
		root := must(cert.NewRoot(rand.Reader, must(mcrypto.GenerateKey(rand.Reader)), 1, 0, cert.Validity{NotBefore: from}))
		return authority{root: root}.record(id, 11)
	}
	w := newWorld(t, 5)
	want := func(what string, good uint32) {
		t.Helper()
		if got := w.LastKnownGoodTime(); got != good {
			t.Errorf("%s: %d, want %d", what, got, good)
		}
	}
	want("at first", 0)
	must(w.Stage(issue(1, 1000)))
	want("staged", 1000)
	w.Rollback()
	want("taken back", 0)
	w.add(issue(1, 2000))
	want("kept", 2000)
	w.add(issue(2, 1500))
	want("after older certificates", 2000)
	if err := w.Remove(1); err != nil {
		t.Fatal(err)
	}
	must(w.Stage(issue(3, 9000)))
	w.restart()
	want("after a restart in a fail-safe", 2000)
}

func TestDiffer(t *testing.T) {
	at := func(i matter.FabricIndex, label string) *Fabric {
		return &Fabric{Fabric: store.Fabric{Index: i, Label: label}}
	}
	same := func(x, y *Fabric) bool { return x.Label == y.Label }
	one, two, plain := at(1, "one"), at(2, "two"), at(2, "")
	tests := map[string]struct {
		a, b []*Fabric
		want bool
	}{
		"nothing":          {nil, nil, false},
		"the same":         {[]*Fabric{one, two}, []*Fabric{one, two}, false},
		"equal":            {[]*Fabric{one}, []*Fabric{at(1, "one")}, false},
		"changed":          {[]*Fabric{one, two}, []*Fabric{one, at(2, "x")}, true},
		"added":            {[]*Fabric{one}, []*Fabric{one, two}, true},
		"removed":          {[]*Fabric{one, two}, []*Fabric{two}, true},
		"one for another":  {[]*Fabric{one}, []*Fabric{two}, true},
		"empty one added":  {[]*Fabric{one, at(3, "x")}, []*Fabric{one, plain, at(3, "x")}, false},
		"all gone":         {[]*Fabric{one}, nil, true},
		"all gone, empty":  {[]*Fabric{plain}, nil, false},
		"at another index": {[]*Fabric{at(1, "x")}, []*Fabric{at(2, "x")}, true},
	}
	for name, tt := range tests {
		if got := Differ(tt.a, tt.b, same); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A fabric that is being updated exists, whatever happens to the update.
func TestProvisional(t *testing.T) {
	w := newWorld(t, 5)
	if f := must(w.Stage(shared.record(1, 10))); !f.Pending || !f.Provisional {
		t.Error("a new fabric is not provisional")
	}
	if err := w.Mutate(1, func(f *store.Fabric) error { f.Label = "x"; return nil }); err != nil || !w.Get(1).Provisional {
		t.Errorf("nor is it after a change: %v", err)
	}
	if err := w.Commit(); err != nil || w.Get(1).Pending || w.Get(1).Provisional {
		t.Errorf("after the commit: %v, %+v", err, w.Get(1))
	}
	r := w.Get(1).Fabric.Clone()
	u := shared.record(1, 12)
	r.NOC, r.ICAC, r.Key, r.NodeID = u.NOC, u.ICAC, u.Key, u.NodeID
	if f := must(w.Stage(r)); !f.Pending || f.Provisional {
		t.Error("an updated fabric is provisional")
	}
}
