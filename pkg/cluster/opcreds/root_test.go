package opcreds

import (
	"bytes"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestAddTrustedRootCertificate(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, true)
	good := a.rootTLV()
	s := r.pase()

	wantStatus(t, "too long, no fail-safe", s.addRoot(make([]byte, 401)), matter.StatusInvalidCommand)
	_, err := s.invoke(cmdAddTrustedRootCertificate, nil)
	wantStatus(t, "no certificate", err, matter.StatusInvalidCommand)
	wantStatus(t, "no fail-safe", s.addRoot(good), matter.StatusFailsafeRequired)
	s.arm()
	for name, bad := range map[string][]byte{
		"empty":             {},
		"cut":               good[:len(good)-1],
		"one octet more":    append(bytes.Clone(good), 0),
		"another signature": tamper(good),
		"an ICAC":           a.icacTLV(),
		"a NOC":             a.noc(newKey(t).Public(), 0x10),
	} {
		wantStatus(t, name, s.addRoot(bad), matter.StatusInvalidCommand)
	}
	if r.failSafe.Root() != nil || len(s.roots()) != 0 {
		t.Error("a refused root is staged")
	}
	wantStatus(t, "a good one", s.addRoot(good), matter.StatusSuccess)
	if roots := s.roots(); len(roots) != 1 || !bytes.Equal(roots[0], good) {
		t.Errorf("roots %x", roots)
	}
	wantStatus(t, "a second one", s.addRoot(newAuthority(t, 2, false).rootTLV()), matter.StatusConstraintError)
	wantStatus(t, "the same again", s.addRoot(good), matter.StatusSuccess)
	if roots := s.roots(); len(roots) != 1 {
		t.Errorf("%d roots", len(roots))
	}
	r.failSafe.Expire(failsafe.Timeout)
	if len(s.roots()) != 0 {
		t.Error("the root outlives the fail-safe")
	}
}

func tamper(certificate []byte) []byte {
	b := bytes.Clone(certificate)
	b[len(b)-4] ^= 1 // within the signature
	return b
}

func TestAddTrustedRootCertificateOfAnotherFabric(t *testing.T) {
	r := newRig(t, 5)
	a := r.commission(newAuthority(t, 1, false), 0x10)
	b := r.commission(newAuthority(t, 2, false), 0x10)
	a.arm()
	wantStatus(t, "the other fabric", b.addRoot(newAuthority(t, 3, false).rootTLV()), matter.StatusFailsafeRequired)
}

// A root that another fabric has is accepted, is listed once, and can be used for
// AddNOC.
func TestKnownRootAgain(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	admin := r.commission(a, 0x10)
	second := &authority{t: t, root: a.root, fabric: 2}
	i := admin.join(second, 0x20)
	r.complete()
	if n := len(admin.roots()); n != 1 {
		t.Errorf("%d roots, want 1", n)
	}
	if n := len(admin.fabrics(false)); n != 2 {
		t.Errorf("%d fabrics, want 2", n)
	}
	if status, _, err := admin.noc(cmdRemoveFabric, index(i)); outcomeOf(status, err) != "OK" {
		t.Fatalf("RemoveFabric: %v, %v", status, err)
	}
	if n := len(admin.roots()); n != 1 {
		t.Errorf("%d roots after the second fabric is gone, want 1", n)
	}
}
