package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// openBackup opens a copy of a store to look at it.
func openBackup(file string) (*Offline, error) {
	st, err := store.Open(file, store.Options{ReadOnly: true})
	if errors.Is(err, store.ErrDamaged) {
		// The store's own words are on a store in its place.
		return nil, fmt.Errorf("%s is no good copy of a store: take another; nothing was changed", file)
	}
	if err != nil {
		return nil, err
	}
	return &Offline{st: st}, nil
}

// VerifyBackup checks a copy of a store as a store.
func VerifyBackup(file string) error {
	o, err := openBackup(file)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.CheckStore(context.Background())
}

// BackupFabrics returns the fabrics in a copy of a store.
func BackupFabrics(file string) ([]admin.Fabric, error) {
	o, err := openBackup(file)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return o.Fabrics(context.Background())
}
