package operator_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Production material is not replaced by accident, as its key has no other copy.
func TestGenerateSparesProduction(t *testing.T) {
	dir := t.TempDir()
	o, err := operator.OpenOffline(dir, provision.Make, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := o.Attestation(t.Context()); !errors.Is(err, provision.ErrEmpty) {
		t.Errorf("of an empty store: %v", err)
	}
	if _, err := o.GenerateAttestation(t.Context(), admin.GenerateRequest{VendorID: 0xFFF3}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.GenerateAttestation(t.Context(), admin.GenerateRequest{}); err != nil {
		t.Fatalf("test material in place of test material: %v", err)
	}
	o.Close()
	pretendProduction(t, dir)
	if o, err = operator.OpenOffline(dir, provision.Change, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if a, err := o.Attestation(t.Context()); err != nil || a.Kind != "production" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := o.GenerateAttestation(t.Context(), admin.GenerateRequest{}); !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("%v", err)
	}
	if _, err := o.GenerateAttestation(t.Context(), admin.GenerateRequest{Force: true}); err != nil {
		t.Errorf("%v", err)
	}
}

// pretendProduction marks the material in a store as production material.
func pretendProduction(t *testing.T, dir string) {
	t.Helper()
	st, err := store.Open(filepath.Join(dir, store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = st.Update(func(tx *store.Tx) error {
		a, _, err := tx.Attestation()
		if err != nil {
			return err
		}
		a.Test = false
		return tx.PutAttestation(a)
	})
	if err != nil {
		t.Fatal(err)
	}
}
