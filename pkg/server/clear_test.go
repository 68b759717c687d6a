package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// traces reports whether the state directory contains a fabric's root certificate,
// which is in one record with the keys.
func (r *rig) traces(a *commissioner.Authority) bool {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	r.must(err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		r.must(err)
		if bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(a.Root()))) {
			return true
		}
	}
	return false
}

// A removed fabric leaves nothing in the unused pages of the store.
func TestRemovedFabricLeavesNoTrace(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		one, other := r.authority(commissioner.AuthorityOptions{}), r.authority(commissioner.AuthorityOptions{})
		s := r.commission(c, one).CASE
		r.join(c, s, other)
		if !r.traces(one) || !r.traces(other) {
			t.Fatal("fabrics that are there leave no trace: this shows nothing")
		}
		r.must(s.RemoveFabric(r.ctx, 2))
		r.eventually("overwritten", time.Second, func() bool { return !r.traces(other) })
		if !r.traces(one) {
			t.Error("the fabric that stays is gone")
		}
	})
}

// The file no longer contains a passcode that was removed, or an attestation key
// that was replaced.
func TestForgottenSecretsLeaveNoTrace(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		in := func(secret string) bool {
			b, err := os.ReadFile(filepath.Join(r.dir, store.FileName))
			r.must(err)
			return bytes.Contains(b, []byte(secret))
		}
		var key string
		r.stop()
		st, err := store.Open(filepath.Join(r.dir, store.FileName), store.Options{ReadOnly: true})
		r.must(err)
		r.must(st.View(func(tx *store.Tx) error {
			a, _, err := tx.Attestation()
			key = base64.StdEncoding.EncodeToString(a.Key)
			return err
		}))
		r.must(st.Close())
		stored := fmt.Sprintf(`"passcode":%d`, passcode)
		if !in(key) || !in(stored) {
			t.Fatalf("the secrets are not there: this shows nothing")
		}
		r.opt.Passcode, r.opt.PasscodeVerifierOnly = 0, true
		r.start()
		_, err = r.srv.Operator().GenerateAttestation(r.ctx, admin.GenerateRequest{})
		r.must(err)
		a := r.authority(commissioner.AuthorityOptions{})
		r.commission(r.client(), a)
		r.eventually("overwritten", time.Second, func() bool { return !in(key) && !in(stored) })
	})
}

// A factory reset removes the copies that an upgrade or a restore has kept.
func TestFactoryResetLeavesNoTrace(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		r.commission(r.client(), a)
		r.stop()
		path := filepath.Join(r.dir, store.FileName)
		b, err := os.ReadFile(path)
		r.must(err)
		r.must(store.Restore(path, bytes.NewReader(b), store.Options{}))
		for _, ending := range []string{".schema1", ".schema2", ".schema3", ".before-restore", ".before-restore.2"} {
			r.must(os.WriteFile(path+ending, b, 0o600))
		}
		r.start()
		r.must(r.srv.Operator().FactoryReset(r.ctx))
		r.eventually("overwritten", time.Second, func() bool { return !r.traces(a) })
	})
}
