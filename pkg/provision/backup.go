package provision

import (
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// OpenBackup opens a copy of a store to look at it.
func OpenBackup(file string) (*Store, error) {
	st, err := store.Open(file, store.Options{ReadOnly: true})
	if errors.Is(err, store.ErrDamaged) {
		// The store's own words are on a store in its place.
		return nil, fmt.Errorf("%s is no good copy of a store: take another; nothing was changed", file)
	}
	if err != nil {
		return nil, err
	}
	return &Store{st: st}, nil
}

// VerifyBackup checks a copy of a store as a store.
func VerifyBackup(file string) error {
	o, err := OpenBackup(file)
	if err != nil {
		return err
	}
	return errors.Join(o.Check(), o.st.Close())
}
