package opcreds

import (
	"bytes"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func TestUpdateNOC(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after bool // with an ICAC
	}{{"without ICAC", false, false}, {"with ICAC", true, true}, {"an ICAC comes", false, true}, {"the ICAC goes", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 5)
			a := newAuthority(t, 1, tt.before)
			admin := r.commission(a, 0x10)
			if status, _, err := admin.noc(cmdUpdateFabricLabel, label("home")); outcomeOf(status, err) != "OK" {
				t.Fatal(status, err)
			}
			old := r.table.Get(1)
			admin.arm()
			pub := admin.csr(true)
			next := reissuer(t, a, tt.after)
			status, i, err := admin.updateNOC(next.noc(pub, 0x99), next.icacTLV())
			if outcomeOf(status, err) != "OK" || i != 1 {
				t.Fatalf("UpdateNOC = %v, %d, %v", status, i, err)
			}
			changed := r.settle()
			if !changed[attrFabrics] || !changed[attrNOCs] || changed[attrCommissionedFabrics] || changed[attrTrustedRootCertificates] {
				t.Errorf("changed: %v", changed)
			}
			f := r.table.Get(1)
			if f.NodeID != 0x99 || f.Label != "home" || f.FabricID != 1 || f.VendorID != old.VendorID || len(f.ACL) != 1 || f.OperationalKey.Public() != pub {
				t.Errorf("updated: %+v", f.Fabric)
			}
			if got := admin.nocs(true); got[0].icacNull == tt.after || bytes.Equal(got[0].noc, old.NOC) {
				t.Errorf("NOCs: %+v", got)
			}
			if r.failSafe.NOC() != failsafe.Updated || !r.failSafe.ArmedFor(1) {
				t.Error("the fail-safe does not know")
			}
			_, err = admin.tryCSR(true)
			wantStatus(t, "another CSRRequest", err, matter.StatusConstraintError)
			wantStatus(t, "a root", admin.addRoot(newAuthority(t, 2, false).rootTLV()), matter.StatusConstraintError)
			status, _, err = admin.updateNOC(next.noc(pub, 0x99), next.icacTLV())
			if got := outcomeOf(status, err); got != "CONSTRAINT_ERROR" {
				t.Errorf("a second UpdateNOC = %s", got)
			}

			r.failSafe.Expire(failsafe.Disarmed)
			r.settle()
			f = r.table.Get(1)
			if !bytes.Equal(f.NOC, old.NOC) || !bytes.Equal(f.ICAC, old.ICAC) || f.NodeID != 0x10 || f.OperationalKey.Public() != old.OperationalKey.Public() {
				t.Error("the expiry did not bring the old identity back")
			}
		})
	}
}

// reissuer is a's root with another ICAC or none.
func reissuer(t *testing.T, a *authority, withICAC bool) *authority {
	t.Helper()
	b := &authority{t: t, root: a.root, fabric: a.fabric}
	if withICAC {
		var err error
		if b.icac, err = a.root.IssueICAC(newKey(t), 3, 0); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestUpdateNOCPersists(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, true)
	admin := r.commission(a, 0x10)
	admin.arm()
	pub := admin.csr(true)
	if status, _, err := admin.updateNOC(a.noc(pub, 0x99), a.icacTLV()); outcomeOf(status, err) != "OK" {
		t.Fatal(status, err)
	}
	r.complete()
	r.failSafe.Expire(failsafe.Disarmed)
	r.reboot()
	if f := r.table.Get(1); f == nil || f.NodeID != 0x99 || f.OperationalKey.Public() != pub {
		t.Error("the new identity is not in the store")
	}
}

func TestUpdateNOCFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		want  string
		make  func(w *nocWorld) (noc, icac []byte)
		final bool
	}{
		{"NOC too long", "INVALID_COMMAND", func(w *nocWorld) ([]byte, []byte) { return make([]byte, 401), nil }, false},
		{"ICAC too long", "INVALID_COMMAND", func(w *nocWorld) ([]byte, []byte) { return w.a.noc(w.pub, 0x10), make([]byte, 401) }, false},
		{"no fail-safe", "FAILSAFE_REQUIRED", func(w *nocWorld) ([]byte, []byte) {
			w.r.failSafe.Expire(failsafe.Timeout)
			return w.a.noc(w.pub, 0x10), w.a.icacTLV()
		}, true},
		{"CSR for AddNOC", "CONSTRAINT_ERROR", func(w *nocWorld) ([]byte, []byte) {
			return w.a.noc(w.s.csr(false), 0x10), w.a.icacTLV()
		}, true},
		{"CSR of another session", "MissingCsr", func(w *nocWorld) ([]byte, []byte) {
			return w.a.noc(w.r.caseOf(w.s.fabric).csr(true), 0x10), w.a.icacTLV()
		}, true},
		{"after a root", "CONSTRAINT_ERROR", func(w *nocWorld) ([]byte, []byte) {
			if err := w.s.addRoot(w.other.rootTLV()); err != nil {
				w.r.t.Fatal(err)
			}
			return w.a.noc(w.pub, 0x10), w.a.icacTLV()
		}, true},
		{"after a root, of that root", "MissingCsr", func(w *nocWorld) ([]byte, []byte) {
			b := newAuthority(w.r.t, 1, true)
			if err := w.s.addRoot(b.rootTLV()); err != nil {
				w.r.t.Fatal(err)
			}
			return b.noc(w.pub, 0x10), b.icacTLV()
		}, true},
		{"NOC that does not parse", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) { return w.a.noc(w.pub, 0x10)[1:], w.a.icacTLV() }, false},
		{"another fabric id", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) {
			b := &authority{t: w.r.t, root: w.a.root, icac: w.a.icac, fabric: 2}
			return b.noc(w.pub, 0x10), b.icacTLV()
		}, false},
		{"an ICAC of another fabric id", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) {
			icac, err := w.a.root.IssueICAC(newKey(w.r.t), 9, 2)
			if err != nil {
				w.r.t.Fatal(err)
			}
			b := &authority{t: w.r.t, root: w.a.root, icac: icac, fabric: 1}
			return b.noc(w.pub, 0x10), b.icacTLV()
		}, false},
		{"another root", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) {
			b := newAuthority(w.r.t, 1, true)
			return b.noc(w.pub, 0x10), b.icacTLV()
		}, false},
		{"another fabric of this node", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) { return w.other.noc(w.pub, 0x10), nil }, false},
		{"the root as ICAC", "InvalidNOC", func(w *nocWorld) ([]byte, []byte) { return w.a.noc(w.pub, 0x10), w.a.rootTLV() }, false},
		{"node id out of range", "InvalidNodeOpId", func(w *nocWorld) ([]byte, []byte) {
			return w.a.noc(w.pub, 0xFFFF_FFF0_0000_0001), w.a.icacTLV()
		}, false},
		{"the NOC it has", "InvalidPublicKey", func(w *nocWorld) ([]byte, []byte) {
			f := w.r.table.Get(w.s.fabric)
			return f.NOC, f.ICAC
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 5)
			w := &nocWorld{r: r, a: newAuthority(t, 1, true), other: newAuthority(t, 7, false)}
			w.owner = r.commission(w.other, 0x70)
			w.s = r.commission(w.a, 0x10)
			w.s.arm()
			w.pub = w.s.csr(true)
			old := r.table.Get(w.s.fabric)
			status, _, err := w.s.updateNOC(tt.make(w))
			if got := outcomeOf(status, err); got != tt.want {
				t.Fatalf("UpdateNOC = %s (%v), want %s", got, err, tt.want)
			}
			if f := r.table.Get(w.s.fabric); !bytes.Equal(f.NOC, old.NOC) || f.OperationalKey.Public() != old.OperationalKey.Public() {
				t.Error("the failure changed the fabric")
			}
			if tt.final {
				return
			}
			status, _, err = w.s.updateNOC(w.a.noc(w.pub, 0x99), w.a.icacTLV())
			if got := outcomeOf(status, err); got != "OK" {
				t.Errorf("a correct UpdateNOC after it = %s (%v)", got, err)
			}
		})
	}
}

func TestUpdateNOCWithoutCSR(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	admin := r.commission(a, 0x10)
	noc := a.noc(newKey(t).Public(), 0x10)
	admin.arm()
	status, _, err := admin.updateNOC(noc, nil)
	if got := outcomeOf(status, err); got != "MissingCsr" {
		t.Errorf("UpdateNOC = %s, want MissingCsr", got)
	}
	_, err = admin.invoke(cmdUpdateNOC, nil)
	wantStatus(t, "no NOC", err, matter.StatusInvalidCommand)

	// The fail-safe of another fabric does not count.
	other := r.commissionWhileArmed(t)
	status, _, err = other.updateNOC(noc, nil)
	if got := outcomeOf(status, err); got != "FAILSAFE_REQUIRED" {
		t.Errorf("UpdateNOC of the other fabric = %s, want FAILSAFE_REQUIRED", got)
	}
}

// commissionWhileArmed returns a session of another fabric with the first one's
// fail-safe armed.
func (r *rig) commissionWhileArmed(t *testing.T) *session {
	t.Helper()
	r.failSafe.Expire(failsafe.Disarmed)
	r.settle()
	other := r.commission(newAuthority(t, 42, false), 0x42)
	r.caseOf(1).arm()
	return other
}

func TestUpdateNOCAfterAddNOCOverPASE(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	s := r.pase()
	s.join(a, 0x10)
	status, _, err := s.updateNOC(a.noc(newKey(t).Public(), 0x10), nil)
	if got := outcomeOf(status, err); got != "CONSTRAINT_ERROR" {
		t.Errorf("UpdateNOC = %s, want CONSTRAINT_ERROR", got)
	}
}

func TestUpdateNOCWithVVSC(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	admin := r.commission(a, 0x10)
	vvsc := func(b []byte) {
		t.Helper()
		_, err := admin.invoke(cmdSetVIDVerificationStatement, func(w *tlv.Writer) { w.Octets(tlv.Context(2), b) })
		wantStatus(t, "SetVIDVerificationStatement", err, matter.StatusSuccess)
	}
	vvsc([]byte("signer"))
	admin.arm()
	pub := admin.csr(true)
	next := reissuer(t, a, true)
	status, _, err := admin.updateNOC(next.noc(pub, 0x10), next.icacTLV())
	if got := outcomeOf(status, err); got != "MissingCsr" {
		t.Errorf("UpdateNOC with an ICAC beside a VVSC = %s, want MissingCsr", got)
	}
	vvsc(nil)
	status, _, err = admin.updateNOC(next.noc(pub, 0x10), next.icacTLV())
	if got := outcomeOf(status, err); got != "OK" {
		t.Errorf("UpdateNOC after the VVSC is gone = %s (%v)", got, err)
	}
}

// TestUpdateNOCOrder is TestAddNOCOrder for UpdateNOC.
func TestUpdateNOCOrder(t *testing.T) {
	const (
		badNOC = iota
		noFailSafe
		nocDone
		noCSR
		csrForAdd
		withRoot
		withVVSC
		badFabric
		badNode
		badKey
		none
	)
	for first, want := range map[int]string{
		badNOC: "INVALID_COMMAND", noFailSafe: "FAILSAFE_REQUIRED", nocDone: "CONSTRAINT_ERROR", noCSR: "MissingCsr",
		csrForAdd: "CONSTRAINT_ERROR", withRoot: "CONSTRAINT_ERROR", withVVSC: "MissingCsr", badFabric: "InvalidNOC",
		badNode: "InvalidNodeOpId", badKey: "InvalidPublicKey", none: "OK",
	} {
		t.Run(want, func(t *testing.T) {
			r := newRig(t, 5)
			a := newAuthority(t, 1, false)
			s := r.commission(a, 0x10)
			next := reissuer(t, a, true)
			if first <= withVVSC && first != nocDone {
				wantStatus(t, "SetVIDVerificationStatement", s.setVID(vidFields{vvsc: []byte{1}}), matter.StatusSuccess)
			}
			if first > noFailSafe {
				s.arm()
			}
			pub := newKey(t).Public()
			if first == nocDone || first > noCSR {
				pub = s.csr(first != csrForAdd)
			}
			if first == nocDone {
				if status, _, err := s.updateNOC(next.noc(pub, 0x10), next.icacTLV()); outcomeOf(status, err) != "OK" {
					t.Fatal(status, err)
				}
			}
			if first > nocDone && first <= withRoot {
				if err := s.addRoot(newAuthority(t, 2, false).rootTLV()); err != nil {
					t.Fatal(err)
				}
			}
			if first <= badKey {
				pub = newKey(t).Public()
			}
			noc := next.noc(pub, 0x99)
			if first <= badNode {
				noc = next.noc(pub, 0xFFFF_FFF0_0000_0001)
			}
			if first <= badFabric {
				next.fabric = 2
				noc = next.noc(pub, 0xFFFF_FFF0_0000_0001)
			}
			if first <= badNOC {
				noc = make([]byte, 401)
			}
			status, _, err := s.updateNOC(noc, next.icacTLV())
			if got := outcomeOf(status, err); got != want {
				t.Errorf("UpdateNOC = %s (%v), want %s", got, err, want)
			}
		})
	}
}
