package opcreds

import (
	"bytes"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func TestAddNOCOverPASE(t *testing.T) {
	for _, withICAC := range []bool{false, true} {
		r := newRig(t, 5)
		a := newAuthority(t, 0xFAB, withICAC)
		s := r.pase()
		i := s.join(a, 0xABCD)
		if i != 1 || s.fabric != 1 {
			t.Errorf("fabric index %d, session's fabric %d, want 1", i, s.fabric)
		}
		entry := store.ACLEntry{Privilege: 5, AuthMode: 2, Subjects: []matter.NodeID{adminNode}}
		if len(r.added) != 1 || r.added[0].index != i || r.added[0].subject.AuthMode != matter.AuthModePASE ||
			r.added[0].entry.Privilege != entry.Privilege || r.added[0].entry.AuthMode != entry.AuthMode ||
			!slices.Equal(r.added[0].entry.Subjects, entry.Subjects) || r.added[0].entry.Targets != nil {
			t.Errorf("EntryAdded: %+v", r.added)
		}
		f := r.table.Get(i)
		if !f.Pending || f.FabricID != 0xFAB || f.NodeID != 0xABCD || f.VendorID != 0xFFF1 || f.Label != "" || len(f.ACL) != 1 ||
			len(f.KeySets) != 1 || f.KeySets[0].ID != 0 || f.KeySets[0].Policy != 0 ||
			len(f.KeySets[0].Keys) != 1 || f.KeySets[0].Keys[0].Start != 0 || !bytes.Equal(f.KeySets[0].Keys[0].Key, a.operationalIPK(ipk)) {
			t.Errorf("the fabric: %+v", f.Fabric)
		}
		if got := s.nocs(true); len(got) != 1 || got[0].icacNull == withICAC || !bytes.Equal(got[0].icac, a.icacTLV()) {
			t.Errorf("NOCs %+v", got)
		}
		if !r.failSafe.ArmedFor(i) || r.failSafe.NOC() != failsafe.Added || r.failSafe.NOCSession() != s.serial {
			t.Error("the fail-safe does not belong to the fabric")
		}
		if s.readUint(attrCurrentFabricIndex) != uint64(i) || s.readUint(attrCommissionedFabrics) != 1 {
			t.Error("the fabric is not visible at once")
		}

		// Before CommissioningComplete no fabric is stored.
		r.reboot()
		if r.table.Len() != 0 {
			t.Error("a reboot leaves the pending fabric")
		}
	}
}

func TestAddNOCOverCASE(t *testing.T) {
	r := newRig(t, 5)
	admin := r.commission(newAuthority(t, 1, false), 0x10)
	r.added = nil
	i := admin.join(newAuthority(t, 2, true), 0x20)
	if i != 2 || admin.fabric != 1 {
		t.Errorf("fabric index %d, session's fabric %d, want 2 and 1", i, admin.fabric)
	}
	if len(r.added) != 1 || r.added[0].subject.AuthMode != matter.AuthModeCASE || r.added[0].subject.Node != adminNode {
		t.Errorf("EntryAdded: %+v", r.added)
	}
	// The fail-safe context belongs to the new fabric, so its administrator continues.
	_, err := admin.tryCSR(false)
	wantStatus(t, "CSRRequest of the first fabric", err, matter.StatusFailsafeRequired)
	_, err = r.caseOf(i).tryCSR(false)
	wantStatus(t, "CSRRequest of the new fabric", err, matter.StatusConstraintError)
	r.complete()
	r.reboot()
	if r.table.Len() != 2 || r.table.Get(2).NodeID != 0x20 {
		t.Error("the second fabric is not in the store")
	}
}

// nocWorld is the situation in which a fault is made.
type nocWorld struct {
	r     *rig
	a     *authority
	s     *session
	other *authority // of a fabric that the node is in
	owner *session   // its administrator
	pub   [65]byte   // of the last CSR
}

// TestAddNOCFaults makes one fault at a time. Then a correct AddNOC follows in the same
// fail-safe.
func TestAddNOCFaults(t *testing.T) {
	faults := []struct {
		name  string
		want  string
		make  func(w *nocWorld, f *addNOC)
		final bool // nothing may follow in this fail-safe
	}{
		{name: "NOC too long", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.noc = make([]byte, 401) }},
		{name: "ICAC too long", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.icac = make([]byte, 401) }},
		{name: "no NOC", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.noc = nil }},
		{name: "no IPK", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.ipk = nil }},
		{name: "IPK of 15 octets", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.ipk = ipk[1:] }},
		{name: "vendor 0", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.vendor = 0 }},
		{name: "vendor FFF5", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.vendor = 0xFFF5 }},
		{name: "vendor of 17 bits", want: "INVALID_COMMAND", make: func(w *nocWorld, f *addNOC) { f.vendor = 0x1FFF1 }},
		{name: "no fail-safe", want: "FAILSAFE_REQUIRED", final: true, make: func(w *nocWorld, f *addNOC) { w.r.failSafe.Expire(failsafe.Timeout) }},
		{name: "a NOC came already", want: "CONSTRAINT_ERROR", final: true, make: func(w *nocWorld, f *addNOC) {
			if status, _, err := w.s.addNOC(w.a.goodNOC(w.pub, 0x10)); outcomeOf(status, err) != "OK" {
				w.r.t.Fatalf("the first AddNOC: %v, %v", status, err)
			}
			w.r.settle(w.s)
		}},
		{name: "no admin subject", want: "InvalidAdminSubject", make: func(w *nocWorld, f *addNOC) { f.subject = 0 }},
		{name: "reserved admin subject", want: "InvalidAdminSubject", make: func(w *nocWorld, f *addNOC) { f.subject = 0xFFFF_FFF0_0000_0001 }},
		{name: "group as admin subject", want: "InvalidAdminSubject", make: func(w *nocWorld, f *addNOC) { f.subject = 0xFFFF_FFFF_FFFF_0001 }},
		{name: "tag of version 0 as admin subject", want: "InvalidAdminSubject", make: func(w *nocWorld, f *addNOC) { f.subject = 0xFFFF_FFFD_0001_0000 }},
		{name: "NOC that does not parse", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.noc = f.noc[:len(f.noc)-1] }},
		{name: "empty NOC", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.noc = []byte{} }},
		{name: "NOC with another signature", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.noc = tamper(f.noc) }},
		{name: "the root as ICAC", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.icac = w.a.rootTLV() }},
		{name: "the ICAC left out", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.icac = nil }},
		{name: "ICAC that does not parse", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.icac = f.icac[1:] }},
		{name: "NOC of another authority", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) {
			b := newAuthority(w.r.t, 1, true)
			f.noc, f.icac = b.noc(w.pub, 0x10), b.icacTLV()
		}},
		{name: "the ICAC as NOC", want: "InvalidNOC", make: func(w *nocWorld, f *addNOC) { f.noc = w.a.icacTLV() }},
		{name: "node id out of range", want: "InvalidNodeOpId", make: func(w *nocWorld, f *addNOC) { f.noc = w.a.noc(w.pub, 0xFFFF_FFF0_0000_0001) }},
		{name: "another public key", want: "InvalidPublicKey", make: func(w *nocWorld, f *addNOC) { f.noc = w.a.noc(newKey(w.r.t).Public(), 0x10) }},
		{name: "an older CSR", want: "InvalidPublicKey", make: func(w *nocWorld, f *addNOC) {
			f.noc = w.a.noc(w.pub, 0x10)
			w.pub = w.s.csr(false)
		}},
	}
	for _, over := range []string{"PASE", "CASE"} {
		for _, tt := range faults {
			t.Run(over+"/"+tt.name, func(t *testing.T) {
				w := newNOCWorld(t, over)
				f := w.a.goodNOC(w.pub, 0x10)
				tt.make(w, &f)
				before := w.r.table.Len()
				status, _, err := w.s.addNOC(f)
				if got := outcomeOf(status, err); got != tt.want {
					// Over CASE the fail-safe context now belongs to the new fabric.
					if !(over == "CASE" && tt.name == "a NOC came already" && got == "FAILSAFE_REQUIRED") {
						t.Fatalf("AddNOC = %s (%v), want %s", got, err, tt.want)
					}
				}
				if w.r.table.Len() != before {
					t.Error("the failure left a fabric")
				}
				if tt.final {
					return
				}
				status, _, err = w.s.addNOC(w.a.goodNOC(w.pub, 0x10))
				if got := outcomeOf(status, err); got != "OK" {
					t.Errorf("a correct AddNOC after it = %s (%v)", got, err)
				}
			})
		}
	}
}

func newNOCWorld(t *testing.T, over string) *nocWorld {
	t.Helper()
	r := newRig(t, 5)
	w := &nocWorld{r: r, a: newAuthority(t, 1, true), other: newAuthority(t, 7, false)}
	w.owner = r.commission(w.other, 0x70)
	w.s = r.pase()
	if over == "CASE" {
		w.s = w.owner
	}
	w.s.arm()
	w.pub = w.s.csr(false)
	if err := w.s.addRoot(w.a.rootTLV()); err != nil {
		t.Fatal(err)
	}
	return w
}

// The checks of earlier commands: the key pair, its purpose and its session, and the root.
func TestAddNOCPreconditions(t *testing.T) {
	a := newAuthority(t, 1, false)
	for _, tt := range []struct {
		name string
		want string
		run  func(r *rig, s *session) [65]byte // the commands before AddNOC
	}{
		{"no CSR, no root", "MissingCsr", func(r *rig, s *session) (pub [65]byte) { return newKey(t).Public() }},
		{"no CSR", "MissingCsr", func(r *rig, s *session) [65]byte {
			if err := s.addRoot(a.rootTLV()); err != nil {
				t.Fatal(err)
			}
			return newKey(t).Public()
		}},
		{"CSR of another session", "MissingCsr", func(r *rig, s *session) [65]byte {
			twin := r.caseOf(s.fabric)
			if err := s.addRoot(a.rootTLV()); err != nil {
				t.Fatal(err)
			}
			return twin.csr(false)
		}},
		{"CSR for update, no root", "CONSTRAINT_ERROR", func(r *rig, s *session) [65]byte { return s.csr(true) }},
		{"no root", "InvalidNOC", func(r *rig, s *session) [65]byte { return s.csr(false) }},
		{"a root before the CSR", "OK", func(r *rig, s *session) [65]byte {
			if err := s.addRoot(a.rootTLV()); err != nil {
				t.Fatal(err)
			}
			return s.csr(false)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 5)
			s := r.commission(newAuthority(t, 7, false), 0x70)
			s.arm()
			pub := tt.run(r, s)
			status, _, err := s.addNOC(a.goodNOC(pub, 0x10))
			if got := outcomeOf(status, err); got != tt.want {
				t.Errorf("AddNOC = %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

// A fail-safe of one fabric does not count for another, nor for PASE.
func TestAddNOCWithAnothersFailSafe(t *testing.T) {
	r := newRig(t, 5)
	mine := r.commission(newAuthority(t, 1, false), 0x10)
	other := r.commission(newAuthority(t, 2, false), 0x10)
	mine.arm()
	a := newAuthority(t, 3, false)
	for name, s := range map[string]*session{"CASE": other, "PASE": r.pase()} {
		status, _, err := s.addNOC(a.goodNOC(newKey(t).Public(), 0x30))
		if got := outcomeOf(status, err); got != "FAILSAFE_REQUIRED" {
			t.Errorf("%s: AddNOC = %s", name, got)
		}
	}
}

func TestAddNOCConflict(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	admin := r.commission(a, 0x10)
	admin.arm()
	pub := admin.csr(false)
	if err := admin.addRoot(a.rootTLV()); err != nil {
		t.Fatal(err)
	}
	f := a.goodNOC(pub, 0x20)
	f.noc = tamper(f.noc) // what is checked later is wrong too
	status, _, err := admin.addNOC(f)
	if got := outcomeOf(status, err); got != "FabricConflict" {
		t.Errorf("AddNOC = %s (%v), want FabricConflict", got, err)
	}
	// The same fabric id under another root is another fabric.
	r.failSafe.Expire(failsafe.Timeout)
	r.settle()
	if i := admin.join(newAuthority(t, 1, false), 0x20); i != 2 {
		t.Errorf("fabric index %d, want 2", i)
	}
}

func TestAddNOCTableFull(t *testing.T) {
	const max = 5
	r := newRig(t, max)
	var admin *session
	for n := range max {
		admin = r.commission(newAuthority(t, matter.FabricID(n+1), false), 0x10)
	}
	a := newAuthority(t, 99, false)
	admin.arm()
	pub := admin.csr(false)
	if err := admin.addRoot(a.rootTLV()); err != nil {
		t.Fatal(err)
	}
	f := a.goodNOC(pub, 0x10)
	f.noc = tamper(f.noc)
	status, _, err := admin.addNOC(f)
	if got := outcomeOf(status, err); got != "TableFull" {
		t.Errorf("AddNOC = %s (%v), want TableFull", got, err)
	}
	if got := admin.readUint(attrCommissionedFabrics); got != max || admin.readUint(attrSupportedFabrics) != max {
		t.Errorf("%d fabrics of %d", got, max)
	}
	// After a fabric is removed, the same credentials are accepted.
	if status, _, err := admin.noc(cmdRemoveFabric, index(1)); outcomeOf(status, err) != "OK" {
		t.Fatalf("RemoveFabric: %v, %v", status, err)
	}
	if status, _, err := admin.addNOC(a.goodNOC(pub, 0x10)); outcomeOf(status, err) != "OK" {
		t.Errorf("AddNOC: %v, %v", status, err)
	}
}

func TestAddNOCAdminTag(t *testing.T) {
	w := newNOCWorld(t, "PASE")
	f := w.a.goodNOC(w.pub, 0x10)
	f.subject = matter.CAT(0x0001_0002).NodeID()
	status, i, err := w.s.addNOC(f)
	if outcomeOf(status, err) != "OK" || w.r.table.Get(i).ACL[0].Subjects[0] != f.subject {
		t.Errorf("AddNOC = %v, %v", status, err)
	}
}

func TestAddNOCRollback(t *testing.T) {
	r := newRig(t, 5)
	admin := r.commission(newAuthority(t, 1, false), 0x10)
	admin.join(newAuthority(t, 2, false), 0x20)
	r.failSafe.Expire(failsafe.Timeout)
	changed := r.settle()
	if !changed[attrFabrics] || !changed[attrCommissionedFabrics] || !changed[attrNOCs] || !changed[attrTrustedRootCertificates] {
		t.Errorf("changed: %v", changed)
	}
	if len(admin.fabrics(false)) != 1 || len(admin.nocs(false)) != 1 || len(admin.roots()) != 1 || admin.readUint(attrCommissionedFabrics) != 1 {
		t.Error("something of the fabric is left")
	}
}

// TestAddNOCOrder begins with an AddNOC that has all faults, and removes them one by one
// in the order of the checks.
func TestAddNOCOrder(t *testing.T) {
	const (
		badNOC = iota
		badIPK
		badVendor
		noFailSafe
		nocDone
		noCSR
		csrForUpdate
		noRoot
		badSubject
		tableFull
		conflict
		badChain
		badNode
		badKey
		none
	)
	for first, want := range map[int]string{
		badNOC: "INVALID_COMMAND", badIPK: "INVALID_COMMAND", badVendor: "INVALID_COMMAND",
		noFailSafe: "FAILSAFE_REQUIRED", nocDone: "CONSTRAINT_ERROR", noCSR: "MissingCsr",
		csrForUpdate: "CONSTRAINT_ERROR", noRoot: "InvalidNOC", badSubject: "InvalidAdminSubject",
		tableFull: "TableFull", conflict: "FabricConflict", badChain: "InvalidNOC",
		badNode: "InvalidNodeOpId", badKey: "InvalidPublicKey", none: "OK",
	} {
		t.Run(want, func(t *testing.T) {
			const max = 5
			r := newRig(t, max)
			known := newAuthority(t, 1, false)
			s := r.commission(known, 0x10)
			fill := max - 1
			switch {
			case first == nocDone: // the NOC that succeeds fills the table
			case first <= tableFull:
				fill = max
			}
			for n := 1; n < fill && first <= tableFull; n++ {
				r.commission(newAuthority(t, matter.FabricID(100+n), false), 0x10)
			}
			a := newAuthority(t, 2, false)
			if first <= conflict {
				a = known
			}
			var pub [65]byte
			switch {
			case first == nocDone:
				s = r.pase()
				s.join(newAuthority(t, 3, false), 0x30)
			case first > nocDone:
				s.arm()
			}
			if first > noCSR {
				pub = s.csr(first == csrForUpdate)
			}
			if first > noRoot {
				if err := s.addRoot(a.rootTLV()); err != nil {
					t.Fatal(err)
				}
			}

			if first <= badKey {
				pub = newKey(t).Public()
			}
			f := a.goodNOC(pub, 0x10)
			if first <= badNode {
				f.noc = a.noc(pub, 0xFFFF_FFF0_0000_0001)
			}
			if first <= badChain {
				f.noc = tamper(f.noc)
			}
			if first <= badSubject {
				f.subject = 0
			}
			if first <= badVendor {
				f.vendor = 0
			}
			if first <= badIPK {
				f.ipk = ipk[1:]
			}
			if first <= badNOC {
				f.noc = make([]byte, 401)
			}
			status, _, err := s.addNOC(f)
			if got := outcomeOf(status, err); got != want {
				t.Errorf("AddNOC = %s (%v), want %s", got, err, want)
			}
		})
	}
}
