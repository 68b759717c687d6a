package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Offline is the store of a node that does not run. It answers what the admin
// socket does, as far as a store can.
type Offline struct {
	st  *store.Store
	log *slog.Logger
}

// OpenOffline opens the store in stateDir, to change it only if writable. It
// makes none.
func OpenOffline(stateDir string, writable bool, log *slog.Logger) (*Offline, error) {
	path := filepath.Join(stateDir, store.FileName)
	if _, err := os.Stat(path); err != nil {
		// Also where it would be made: looking is no start.
		writable = false
	}
	st, err := store.Open(path, store.Options{ReadOnly: !writable, Logger: log})
	if err != nil {
		return nil, err
	}
	return &Offline{st, log}, nil
}

// Restore puts a backup in the place of the store in stateDir.
func Restore(stateDir string, backup io.Reader, log *slog.Logger) error {
	return store.Restore(filepath.Join(stateDir, store.FileName), backup, store.Options{Logger: log})
}

// Locked reports whether err says that a running daemon holds the store.
func Locked(err error) bool { return errors.Is(err, store.ErrLocked) }

// Close closes the store.
func (o *Offline) Close() error { return o.st.Close() }

var errEmpty = errors.New("the store is empty: start the daemon once")

// Pairing returns the onboarding payload.
func (o *Offline) Pairing(context.Context) (p admin.Pairing, err error) {
	err = o.st.View(func(tx *store.Tx) error {
		n, ok, err := tx.Node()
		if err != nil {
			return err
		}
		a, have, err := tx.Attestation()
		if err != nil {
			return err
		}
		if !ok || !have {
			return errEmpty
		}
		p, err = PairingOf(&n, a.VendorID, a.ProductID)
		return err
	})
	return p, err
}

// Fabrics returns the fabric table.
func (o *Offline) Fabrics(context.Context) ([]admin.Fabric, error) {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return nil, err
	}
	return FabricRows(t), nil
}

// RemoveFabric removes a fabric.
func (o *Offline) RemoveFabric(_ context.Context, i matter.FabricIndex) error {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return err
	}
	return removeFabric(t, i)
}

func removeFabric(t *fabric.Table, i matter.FabricIndex) error {
	err := t.Remove(i)
	if errors.Is(err, fabric.ErrNotFound) {
		return admin.Refuse("there is no fabric with index %d", i)
	}
	return err
}

// FactoryReset removes all fabrics and what controllers have set.
func (o *Offline) FactoryReset(context.Context) error {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return err
	}
	return t.RemoveAll(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error { return forgetUser(n, rand.Reader) })
	})
}

// Attestation returns what the node would prove itself with.
func (o *Offline) Attestation(context.Context) (out admin.Attestation, err error) {
	a, err := o.Material()
	if err != nil {
		return out, err
	}
	return attestationOf(a, time.Now()), nil
}

// Material returns the attestation material with its private key.
func (o *Offline) Material() (a store.Attestation, err error) {
	err = o.st.View(func(tx *store.Tx) error {
		var ok bool
		a, ok, err = tx.Attestation()
		if err == nil && !ok {
			return errEmpty
		}
		return err
	})
	return a, err
}

// PutMaterial replaces the attestation material by one that would pass
// [attestation.Verify] with roots besides the known ones. Fabrics stay.
func (o *Offline) PutMaterial(a store.Attestation, roots [][]byte) error {
	now := time.Now()
	if epoch(now) == 0 {
		now = time.Time{}
	}
	if _, err := attestation.Verify(a, attestation.VerifyOptions{Now: now, Roots: roots}); err != nil {
		return err
	}
	return o.st.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) })
}

// GenerateMaterial replaces the attestation material by new one for
// development.
func (o *Offline) GenerateMaterial(vid matter.VendorID, pid matter.ProductID) error {
	a, err := attestation.Generate(rand.Reader, vid, pid, time.Now())
	if err != nil {
		return err
	}
	return o.st.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) })
}

// CheckStore checks the store.
func (o *Offline) CheckStore(context.Context) error { return checkStore(o.st) }

// Backup writes a copy of the store to w.
func (o *Offline) Backup(_ context.Context, w io.Writer) error { return o.st.Backup(w) }
