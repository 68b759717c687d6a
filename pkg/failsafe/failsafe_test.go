package failsafe

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a fail-safe with a real table and store.
type world struct {
	*FailSafe
	t     *testing.T
	path  string
	store *store.Store
	table *fabric.Table
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "opcredsd.db")}
	w.open()
	t.Cleanup(func() {
		if err := errors.Join(w.store.Check(), fabric.Check(w.store)); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("the store after the test: %v", err)
		}
		w.store.Close()
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(w.path, store.Options{}); err != nil {
		w.t.Fatal(err)
	}
	if w.table, err = fabric.Open(w.store, 5); err != nil {
		w.t.Fatal(err)
	}
	w.FailSafe = New(w.table, Options{})
}

// reboot starts again from what is in the store.
func (w *world) reboot() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func key(t *testing.T) *mcrypto.PrivateKey {
	t.Helper()
	k, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func authority(t *testing.T) *cert.Authority {
	t.Helper()
	a, err := cert.NewRoot(rand.Reader, key(t), 1, 0, cert.Validity{NotBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// noc issues a NOC for the staged key pair.
func (w *world) noc(a *cert.Authority, node matter.NodeID, id matter.FabricID) []byte {
	w.t.Helper()
	k, _, _, ok := w.CSR()
	if !ok {
		w.t.Fatal("no key pair is staged")
	}
	c, err := a.IssueNOC(k.Public(), node, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Raw()
}

func record(noc []byte, node matter.NodeID, id matter.FabricID) store.Fabric {
	return store.Fabric{
		FabricID: id, NodeID: node, VendorID: 0xFFF1, NOC: noc,
		ACL:     []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{1}}},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: bytes.Repeat([]byte{1}, 16)}}}},
	}
}

// add stages a fabric up to the NOC.
func (w *world) add(i matter.FabricIndex, session uint64, a *cert.Authority, node matter.NodeID, id matter.FabricID) *fabric.Fabric {
	w.t.Helper()
	if !w.Arm(start, i, time.Minute, session) {
		w.t.Fatal("not armed")
	}
	w.SetCSR(key(w.t), false, session)
	w.SetRoot(a.Certificate)
	f, err := w.AddNOC(record(w.noc(a, node, id), node, id))
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// commission adds a fabric permanently.
func (w *world) commission(a *cert.Authority, node matter.NodeID, id matter.FabricID) matter.FabricIndex {
	w.t.Helper()
	f := w.add(matter.NoFabric, 1, a, node, id)
	if err := w.Complete(); err != nil {
		w.t.Fatal(err)
	}
	w.TakeEnded()
	return f.Index
}

func (w *world) wantEnded(want Ended) {
	w.t.Helper()
	if got, ok := w.TakeEnded(); !ok || got != want {
		w.t.Errorf("TakeEnded = %+v, %v, want %+v", got, ok, want)
	}
	if _, ok := w.TakeEnded(); ok {
		w.t.Error("TakeEnded returns one end twice")
	}
}

func TestIdle(t *testing.T) {
	w := newWorld(t)
	if w.Armed() || w.ArmedFor(matter.NoFabric) || w.Ending() || w.Session() != 0 || w.Fabric() != matter.NoFabric {
		t.Error("a fresh fail-safe is armed")
	}
	if _, ok := w.Deadline(); ok {
		t.Error("it has a deadline")
	}
	w.Expire(Timeout)
	w.Advance(start.Add(time.Hour))
	w.FabricRemoved(1)
	if _, ok := w.TakeEnded(); ok {
		t.Error("an end without a beginning")
	}
}

func TestArm(t *testing.T) {
	w := newWorld(t)
	if !w.Arm(start, 3, 30*time.Second, 77) || !w.ArmedFor(3) || w.ArmedFor(matter.NoFabric) || w.Session() != 77 || w.Fabric() != 3 {
		t.Fatal("not armed for fabric 3")
	}
	if w.Arm(start, 4, time.Minute, 78) || w.Arm(start, matter.NoFabric, time.Minute, 78) {
		t.Error("armed for another fabric")
	}
	if end, _ := w.Deadline(); !end.Equal(start.Add(30 * time.Second)) {
		t.Errorf("Deadline = %v", end)
	}
	// Again, on another session of the fabric. A shorter time is allowed.
	if !w.Arm(start.Add(10*time.Second), 3, 5*time.Second, 79) || w.Session() != 77 {
		t.Error("not armed again")
	}
	if end, _ := w.Deadline(); !end.Equal(start.Add(15 * time.Second)) {
		t.Errorf("Deadline = %v", end)
	}
	w.SetBreadcrumb(5)
	w.Advance(start.Add(15*time.Second - 1))
	if !w.Armed() {
		t.Fatal("expired before its time")
	}
	w.Advance(start.Add(15 * time.Second))
	if w.Armed() || w.Breadcrumb() != 0 {
		t.Error("armed, or the breadcrumb kept, after its time")
	}
	if !w.Ending() || w.Arm(start, 3, time.Minute, 80) {
		t.Error("armed before the end was taken")
	}
	w.wantEnded(Ended{Fabric: 3, Reason: Timeout, Session: 77})
	if w.Ending() || !w.Arm(start, matter.NoFabric, time.Minute, 80) {
		t.Error("not armed after the end was taken")
	}
}

func TestCumulativeLimit(t *testing.T) {
	w := newWorld(t)
	now := start
	for now.Before(start.Add(MaxCumulative)) {
		if !w.Arm(now, matter.NoFabric, 10*time.Minute, 1) {
			t.Fatal("not armed")
		}
		if end, _ := w.Deadline(); end.After(start.Add(MaxCumulative)) {
			t.Fatalf("after %v: deadline %v after the first arming", now.Sub(start), end.Sub(start))
		}
		now = now.Add(time.Minute)
		w.Advance(now)
	}
	if w.Armed() {
		t.Error("armed after the limit")
	}
	// The limit starts again with the next context.
	w.TakeEnded()
	w.Arm(now, matter.NoFabric, MaxCumulative, 1)
	if end, _ := w.Deadline(); !end.Equal(now.Add(MaxCumulative)) {
		t.Errorf("Deadline = %v", end)
	}
}

func TestOwnCumulativeLimit(t *testing.T) {
	f := New(newWorld(t).table, Options{MaxCumulative: time.Second})
	f.Arm(start, matter.NoFabric, time.Minute, 1)
	if end, _ := f.Deadline(); !end.Equal(start.Add(time.Second)) {
		t.Errorf("Deadline = %v", end)
	}
}

func TestStagedThingsEnd(t *testing.T) {
	w := newWorld(t)
	w.Arm(start, matter.NoFabric, time.Minute, 1)
	first, second := key(t), key(t)
	w.SetCSR(first, true, 1)
	w.SetCSR(second, false, 2)
	if k, update, session, ok := w.CSR(); k != second || update || session != 2 || !ok {
		t.Error("the second CSR did not replace the first")
	}
	w.SetRoot(authority(t).Certificate)
	w.Expire(Disarmed)
	if _, _, _, ok := w.CSR(); ok || w.Root() != nil || w.NOC() != None || w.NOCSession() != 0 {
		t.Error("something is left")
	}
	w.wantEnded(Ended{Reason: Disarmed, Session: 1})
	w.Arm(start, matter.NoFabric, time.Minute, 1)
	if _, _, _, ok := w.CSR(); ok || w.Root() != nil {
		t.Error("something came back")
	}
}

func TestAddNOC(t *testing.T) {
	w := newWorld(t)
	f := w.add(matter.NoFabric, 9, authority(t), 0x10, 1)
	if f.Index != 1 || !f.Pending || w.table.Pending() != f || !w.ArmedFor(1) || w.NOC() != Added || w.NOCSession() != 9 {
		t.Errorf("staged %+v", f)
	}
	if _, _, _, ok := w.CSR(); ok {
		t.Error("the key pair can be used twice")
	}
	if pub := f.NOCCert.PublicKey; f.OperationalKey.Public() != pub {
		t.Error("the fabric's key is not that of its NOC")
	}
	if w.Root() == nil {
		t.Error("the root is forgotten before the end")
	}
	if err := w.Complete(); err != nil {
		t.Fatal(err)
	}
	w.wantEnded(Ended{Fabric: 1, NOC: Added, Completed: true, Session: 9})
	w.reboot()
	if g := w.table.Get(1); g == nil || g.Pending || g.NodeID != 0x10 || g.OperationalKey.Public() != f.OperationalKey.Public() {
		t.Errorf("in the store: %+v", g)
	}
}

// Expiry and a reboot come to the same state: the one before.
func TestAddNOCTakenBack(t *testing.T) {
	for _, end := range []string{"expiry", "reboot", "removal"} {
		t.Run(end, func(t *testing.T) {
			w := newWorld(t)
			w.commission(authority(t), 0x10, 1)
			f := w.add(1, 9, authority(t), 0x20, 2)
			switch end {
			case "expiry":
				w.Expire(Revoked)
				w.wantEnded(Ended{Fabric: 2, NOC: Added, Reason: Revoked, Session: 9})
			case "reboot":
				w.reboot()
			case "removal":
				if err := w.table.Remove(f.Index); err != nil {
					t.Fatal(err)
				}
				w.FabricRemoved(f.Index)
				w.wantEnded(Ended{Fabric: 2, NOC: Added, Reason: FabricRemoved, Session: 9})
			}
			if w.Armed() || w.table.Len() != 1 || w.table.Get(1) == nil || w.table.Pending() != nil {
				t.Error("not the state before")
			}
		})
	}
}

func TestUpdateNOC(t *testing.T) {
	for _, end := range []string{"complete", "expiry", "reboot", "removal"} {
		t.Run(end, func(t *testing.T) {
			w := newWorld(t)
			a := authority(t)
			w.commission(a, 0x10, 1)
			old := w.table.Get(1)
			w.Arm(start, 1, time.Minute, 9)
			w.SetCSR(key(t), true, 9)
			f, err := w.UpdateNOC(w.noc(a, 0x99, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			if f.Index != 1 || f.NodeID != 0x99 || w.NOC() != Updated || f.OperationalKey.Public() == old.OperationalKey.Public() || len(f.ACL) != 1 {
				t.Errorf("staged %+v", f)
			}
			want := matter.NodeID(0x10)
			switch end {
			case "complete":
				if err := w.Complete(); err != nil {
					t.Fatal(err)
				}
				w.wantEnded(Ended{Fabric: 1, NOC: Updated, Completed: true, Session: 9})
				want = 0x99
				w.reboot()
			case "expiry":
				w.Expire(Timeout)
				w.wantEnded(Ended{Fabric: 1, NOC: Updated, Reason: Timeout, Session: 9})
			case "reboot":
				w.reboot()
			case "removal":
				if err := w.table.Remove(1); err != nil {
					t.Fatal(err)
				}
				w.FabricRemoved(1)
				if w.Armed() || w.table.Len() != 0 {
					t.Error("something came back")
				}
				return
			}
			if g := w.table.Get(1); g.NodeID != want || g.Pending || (want == 0x10) != (g.OperationalKey.Public() == old.OperationalKey.Public()) {
				t.Errorf("after the end: %+v", g)
			}
		})
	}
}

// A failure does not use up what is staged.
func TestFailuresKeepWhatIsStaged(t *testing.T) {
	w := newWorld(t)
	a := authority(t)
	w.commission(a, 0x10, 1)
	w.Arm(start, 1, time.Minute, 9)
	k := key(t)
	w.SetCSR(k, false, 9)
	w.SetRoot(a.Certificate)
	generation := w.table.Generation()
	if _, err := w.AddNOC(record(w.noc(a, 0x10, 1), 0x10, 1)); !errors.Is(err, fabric.ErrConflict) {
		t.Errorf("AddNOC of a known fabric = %v, want ErrConflict", err)
	}
	if _, err := w.UpdateNOC([]byte{0x15, 0x18}, nil); !errors.Is(err, cert.ErrMalformed) {
		t.Errorf("UpdateNOC with garbage = %v, want ErrMalformed", err)
	}
	if got, _, _, ok := w.CSR(); !ok || got != k || w.Root() == nil || w.NOC() != None || !w.ArmedFor(1) || w.table.Generation() != generation {
		t.Error("a failure used something up")
	}
	if _, err := w.AddNOC(record(w.noc(a, 0x20, 2), 0x20, 2)); err != nil {
		t.Errorf("a correct AddNOC after them: %v", err)
	}
}

func TestCompleteWithoutNOC(t *testing.T) {
	w := newWorld(t)
	w.commission(authority(t), 0x10, 1)
	w.Arm(start, 1, time.Minute, 9)
	w.SetRoot(authority(t).Certificate)
	w.SetBreadcrumb(4)
	if err := w.Complete(); err != nil {
		t.Fatal(err)
	}
	if w.Root() != nil || w.Breadcrumb() != 0 {
		t.Error("the unused root or the breadcrumb is left")
	}
	w.wantEnded(Ended{Fabric: 1, Completed: true, Session: 9})
}

// If a commit fails, the fail-safe stays armed: it can be tried again or expires.
func TestCompleteFails(t *testing.T) {
	w := newWorld(t)
	w.add(matter.NoFabric, 9, authority(t), 0x10, 1)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Complete(); err == nil {
		t.Fatal("committed into a closed store")
	}
	if !w.ArmedFor(1) || w.NOC() != Added || w.Ending() {
		t.Error("the failure ended the fail-safe")
	}
	w.Expire(Timeout)
	if w.table.Len() != 0 {
		t.Error("the expiry left the fabric")
	}
}

func TestFabricRemovedOfAnother(t *testing.T) {
	w := newWorld(t)
	w.Arm(start, matter.NoFabric, time.Minute, 9)
	w.FabricRemoved(1)
	w.FabricRemoved(matter.NoFabric)
	if !w.Armed() {
		t.Error("another fabric's removal ended the fail-safe")
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for r := NoReason; r <= FabricRemoved+1; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d: %q", uint8(r), s)
		} else {
			seen[s] = true
		}
	}
}

func TestBugs(t *testing.T) {
	for name, bug := range map[string]func(w *world){
		"a CSR while not armed": func(w *world) { w.SetCSR(key(t), false, 1) },
		"a root after the NOC": func(w *world) {
			w.add(matter.NoFabric, 1, authority(t), 0x10, 1)
			w.SetRoot(authority(t).Certificate)
		},
		"AddNOC without a root": func(w *world) {
			w.Arm(start, matter.NoFabric, time.Minute, 1)
			w.SetCSR(key(t), false, 1)
			w.AddNOC(store.Fabric{})
		},
		"AddNOC without a key pair": func(w *world) {
			w.Arm(start, matter.NoFabric, time.Minute, 1)
			w.SetRoot(authority(t).Certificate)
			w.AddNOC(store.Fabric{})
		},
		"UpdateNOC without a fabric": func(w *world) {
			w.Arm(start, matter.NoFabric, time.Minute, 1)
			w.SetCSR(key(t), true, 1)
			w.UpdateNOC(nil, nil)
		},
		"Complete while not armed": func(w *world) { w.Complete() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			bug(w)
		})
	}
}
