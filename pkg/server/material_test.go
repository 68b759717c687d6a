package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// generated returns new development material in the form of an import.
func generated(t *testing.T, vid matter.VendorID, pid matter.ProductID) admin.AttestationMaterial {
	t.Helper()
	a, err := attestation.Generate(rand.Reader, vid, pid, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return admin.AttestationMaterial{DAC: a.DAC, PAI: a.PAI, CD: a.CD, Key: a.Key}
}

// New material is used from the next request on, on open sessions too. Fabrics
// stay, and the material is still there after a restart.
func TestImportWhileRunning(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		node := r.srv.Operator()
		done := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		before, err := done.CASE.Attest(r.ctx)
		r.must(err)
		m := generated(t, 0xFFF1, 0x8001)
		change, err := node.ImportAttestation(r.ctx, m)
		if err != nil || change.Restart || change.Kind != "TEST" || len(change.Faults) > 0 {
			t.Fatalf("%+v, %v", change, err)
		}
		after, err := done.CASE.Attest(r.ctx) // verifies the signature
		if err != nil || bytes.Equal(after.DAC, before.DAC) || !bytes.Equal(after.DAC, m.DAC) || !bytes.Equal(after.PAI, m.PAI) {
			t.Errorf("attestation as before, or wrong: %v", err)
		}
		// With another product, the running node reports its old ids.
		change, err = node.ImportAttestation(r.ctx, generated(t, 0xFFF1, 0x8002))
		if err != nil || !change.Restart {
			t.Errorf("%+v, %v", change, err)
		}
		st, err := node.Status(r.ctx)
		if err != nil || st.Product.ProductID != 0x8001 || st.Attestation.ProductID != 0x8002 || len(st.Fabrics) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		r.restart()
		st, err = r.srv.Operator().Status(r.ctx)
		if err != nil || st.Product.ProductID != 0x8002 || len(st.Fabrics) != 1 {
			t.Errorf("after a restart: %+v, %v", st, err)
		}
	})
}

func TestImportRefused(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		node := r.srv.Operator()
		good, other := generated(t, 0xFFF1, 0x8001), generated(t, 0xFFF1, 0x8001)
		for _, tc := range []struct {
			name   string
			change func(m *admin.AttestationMaterial)
			want   string
		}{
			{"no key", func(m *admin.AttestationMaterial) { m.Key = nil }, "give it with --key"},
			{"another key", func(m *admin.AttestationMaterial) { m.Key = other.Key }, "not that of the DAC"},
			{"half a key", func(m *admin.AttestationMaterial) { m.Key = m.Key[:16] }, "key"},
			{"another PAI", func(m *admin.AttestationMaterial) { m.PAI = other.PAI }, "another issuer"},
			{"no PAI", func(m *admin.AttestationMaterial) { m.PAI = nil }, "reading the PAI"},
			{"no DAC", func(m *admin.AttestationMaterial) { m.DAC = nil }, "reading the DAC"},
			{"no declaration", func(m *admin.AttestationMaterial) { m.CD = nil }, "declaration"},
			{"a declaration for another product", func(m *admin.AttestationMaterial) { m.CD = generated(t, 0xFFF1, 0x8003).CD }, "8001"},
			{"another vendor than the operator says", func(m *admin.AttestationMaterial) { m.Trust.VendorID = 0xFFF2 }, "vendor-id"},
		} {
			m := good
			tc.change(&m)
			if _, err := node.ImportAttestation(r.ctx, m); !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		a, err := node.Attestation(r.ctx)
		if err != nil || len(a.Faults) > 0 || !strings.Contains(a.DAC.Subject, "Development") {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// New material must match the configured product.
func TestImportAgainstConfiguration(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.Product.ProductID = 0x8007
		r.start()
		node := r.srv.Operator()
		if _, err := node.ImportAttestation(r.ctx, generated(t, 0xFFF1, 0x8001)); !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "product-id 0x8007") {
			t.Errorf("%v", err)
		}
		// Generated material uses the configured product.
		if c, err := node.GenerateAttestation(r.ctx, admin.GenerateRequest{}); err != nil || c.ProductID != 0x8007 || c.Restart {
			t.Errorf("%+v, %v", c, err)
		}
		r.finish()
	})
}

// The DAC belongs to another vendor's product, as the declaration allows. Basic
// Information has the ids of the declaration and not those of the DAC (section
// 6.2.3.1). The declaration is that of appendix F.2 of the specification.
func TestMaterialOfAnOrigin(t *testing.T) {
	text, err := os.ReadFile("../attestation/testdata/attestation-and-vid.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name string
			CD   string `json:"certification_declaration_cms"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var cd []byte
	for _, v := range file.Vectors {
		if v.Name == "F.2 attestation response" {
			cd, err = hex.DecodeString(v.CD)
		}
	}
	if err != nil || len(cd) == 0 {
		t.Fatal("no declaration", err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.start()
		m := generated(t, 0xFFF1, 0x8000)
		m.CD = cd
		if _, err := r.srv.Operator().ImportAttestation(r.ctx, m); !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "say which one with product-id") {
			t.Errorf("which of two products is not known: %v", err)
		}
		m.Trust.ProductID = 0x8002
		c, err := r.srv.Operator().ImportAttestation(r.ctx, m)
		if err != nil || len(c.Faults) > 0 || !c.Restart || c.VendorID != 0xFFF2 || c.ProductID != 0x8002 {
			t.Fatalf("%+v, %v", c, err)
		}
		r.restart()
		s := r.pase(r.client())
		if v, p := r.number(s, clBasic, 2), r.number(s, clBasic, 4); v != 0xFFF2 || p != 0x8002 {
			t.Errorf("Basic Information shows %04X/%04X", v, p)
		}
		if a, err := r.srv.Operator().Attestation(r.ctx); err != nil || len(a.Faults) > 0 {
			t.Errorf("faults %q, %v", a.Faults, err)
		}
		r.finish()
	})
}

// remoteKey is a signer outside of the process. It counts its calls and can fail.
type remoteKey struct {
	attestation.Signer
	signed int
	err    error
}

func (k *remoteKey) Sign(msg []byte) ([mcrypto.SignatureSize]byte, error) {
	k.signed++
	if k.err != nil {
		return [mcrypto.SignatureSize]byte{}, k.err
	}
	return k.Signer.Sign(msg)
}

// With an external key the store has no key, and the node calls the signer.
func TestKeyElsewhere(t *testing.T) {
	dir := t.TempDir()
	o, err := operator.OpenOffline(dir, provision.Make, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m := generated(t, 0xFFF1, 0x8001)
	if _, err := o.ImportAttestation(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	o.Close()
	key, err := mcrypto.ParsePrivateKey(m.Key)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		remote := &remoteKey{Signer: attestation.NewSigner(key, rand.Reader)}
		r.opt.DACKey = &server.DACKey{Where: "the vault", Open: func() (attestation.Signer, error) { return remote, nil }}
		r.start()
		done := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		before := remote.signed
		if _, err := done.CASE.Attest(r.ctx); err != nil || remote.signed != before+1 {
			t.Errorf("%d signatures asked for, %v", remote.signed-before, err)
		}
		remote.err = errors.New("the vault is shut")
		if _, err := done.CASE.Attest(r.ctx); err == nil {
			t.Error("an attestation without a signature")
		}
		remote.err = nil
		a, err := r.srv.Operator().Attestation(r.ctx)
		if err != nil || a.Key != "the vault" || len(a.Faults)+len(a.Notes) > 0 {
			t.Errorf("%+v, %v", a, err)
		}
		r.finish()
	})
	st, err := store.Open(filepath.Join(dir, store.FileName), store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = st.View(func(tx *store.Tx) error {
		a, ok, err := tx.Attestation()
		if !ok || len(a.Key) != 0 || !bytes.Equal(a.DAC, m.DAC) {
			t.Errorf("the store has a key of %d octets", len(a.Key))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The passcode is removed when a controller has added its fabric. After a restart
// only its verifier is known.
func TestVerifierOnly(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.Passcode, r.opt.PasscodeVerifierOnly = 0, true
		r.start()
		r.stop()
		code := storedPasscode(t, dir)
		if code == 0 {
			t.Fatal("forgotten before anybody has seen it")
		}
		r.start()
		c := r.client()
		if _, err := c.Commission(r.ctx, deviceAddr, code, r.authority(commissioner.AuthorityOptions{})); err != nil {
			t.Fatal(err)
		}
		if _, err := r.srv.Operator().Pairing(r.ctx); err == nil {
			t.Error("the codes of a commissioned node are shown")
		}
		r.stop()
		if got := storedPasscode(t, dir); got != 0 {
			t.Errorf("passcode %08d is in the store", got)
		}
		// The code still works with the node's own window.
		r.start()
		if _, err := r.srv.Operator().OpenWindow(r.ctx, admin.WindowRequest{Seconds: 180}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PASE(r.ctx, deviceAddr, code); err != nil {
			t.Errorf("the code on the label: %v", err)
		}
		r.finish()
	})
}

func storedPasscode(t *testing.T, dir string) (code uint32) {
	t.Helper()
	st, err := store.Open(filepath.Join(dir, store.FileName), store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = st.View(func(tx *store.Tx) error {
		n, _, err := tx.Node()
		code = n.Passcode
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}
