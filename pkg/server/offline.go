package server

import (
	"errors"
	"path/filepath"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Offline is the store of a node that does not run.
type Offline struct{ st *store.Store }

// OpenOffline opens the store in stateDir to look at it.
func OpenOffline(stateDir string) (*Offline, error) {
	st, err := store.Open(filepath.Join(stateDir, store.FileName), store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return &Offline{st}, nil
}

// Locked reports whether err says that a running daemon holds the store.
func Locked(err error) bool { return errors.Is(err, store.ErrLocked) }

// Close closes the store.
func (o *Offline) Close() error { return o.st.Close() }

// Pairing returns the onboarding payload.
func (o *Offline) Pairing() (p admin.Pairing, err error) {
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
			return errors.New("the store is empty: start the daemon once")
		}
		p, err = PairingOf(&n, a.VendorID, a.ProductID)
		return err
	})
	return p, err
}

// Fabrics returns the fabric table.
func (o *Offline) Fabrics() ([]admin.Fabric, error) {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return nil, err
	}
	return FabricRows(t), nil
}
