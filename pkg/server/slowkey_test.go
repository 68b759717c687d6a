package server_test

import (
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// slowKey is a key on a slow token.
type slowKey struct {
	attestation.Signer
	delay  atomic.Int64
	signed atomic.Int64
}

func (k *slowKey) Sign(msg []byte) ([mcrypto.SignatureSize]byte, error) {
	time.Sleep(time.Duration(k.delay.Load()))
	k.signed.Add(1)
	return k.Signer.Sign(msg)
}

// withSlowKey runs f with a node whose key is external.
func withSlowKey(t *testing.T, f func(r *rig, k *slowKey)) {
	dir := t.TempDir()
	m := generated(t, 0xFFF1, 0x8001)
	private, err := mcrypto.ParsePrivateKey(m.Key)
	if err != nil {
		t.Fatal(err)
	}
	m.Key = nil
	k := &slowKey{Signer: attestation.NewSigner(private, rand.Reader)}
	elsewhere := &server.DACKey{Where: "the token", Open: func() (attestation.Signer, error) { return k, nil }}
	o, err := operator.OpenOffline(dir, provision.Make, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o.DACKey = elsewhere
	if _, err := o.ImportAttestation(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.DACKey = elsewhere
		r.start()
		f(r, k)
		k.delay.Store(0)
		r.finish()
	})
}

// A request for a signature by a slow key waits for it; no other request does.
// Commissioning works with it, and the operator's verification of the material
// blocks nobody either.
func TestSlowKey(t *testing.T) {
	withSlowKey(t, func(r *rig, k *slowKey) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		k.delay.Store(int64(3 * time.Second))
		done := r.commission(c, a)
		other := r.session(c, a, done.Node)

		begun := time.Now()
		took := make(chan time.Duration, 2)
		go func() {
			if _, err := done.CASE.Attest(r.ctx); err != nil {
				t.Error(err)
			}
			took <- time.Since(begun)
		}()
		go func() {
			if st, err := r.srv.Operator().Attestation(r.ctx); err != nil || len(st.Faults) > 0 || st.Key != "the token" {
				t.Errorf("%+v, %v", st, err)
			}
			took <- time.Since(begun)
		}()
		r.wait(100 * time.Millisecond)
		at := time.Now()
		r.number(other, clOpCreds, 3)
		r.must(other.UpdateFabricLabel(r.ctx, "kitchen"))
		if d := time.Since(at); d > 500*time.Millisecond {
			t.Errorf("another request took %v", d)
		}
		for range 2 {
			if d := <-took; d < 3*time.Second || d > 8*time.Second {
				t.Errorf("a signature took %v", d)
			}
		}
		i := r.inspect()
		if n := i.Requests["invoke SUCCESS"]; n == 0 {
			t.Errorf("requests %v", i.Requests)
		}
	})
}

// If a fail-safe ends while the key signs, no key pair is left.
func TestSlowKeyAfterTheFailSafe(t *testing.T) {
	withSlowKey(t, func(r *rig, k *slowKey) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		s := r.commission(c, a).CASE
		r.must(s.ArmFailSafe(r.ctx, 2, 0))
		k.delay.Store(int64(5 * time.Second))
		r.want("CSRRequest", r.creds(s, cmdCSR, 0, make([]byte, 32)), failsafeRequired)
		k.delay.Store(0)
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		r.want("a NOC for that key", r.updateNOC(s, []byte{1}, nil), missingCSR)
	})
}

// Stop returns even if a key never answers.
func TestKeyThatHangs(t *testing.T) {
	withSlowKey(t, func(r *rig, k *slowKey) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		k.delay.Store(int64(time.Hour))
		go func() { _, _ = s.Attest(r.ctx) }()
		r.wait(time.Second)
		begun := time.Now()
		_ = r.srv.Stop()
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("Stop took %v", d)
		}
		time.Sleep(2 * time.Hour)
		k.delay.Store(0)
		r.start()
	})
}
