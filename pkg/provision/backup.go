package provision

import (
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// OpenBackup opens a copy of a store read-only.
func OpenBackup(file string) (*Store, error) {
	st, err := store.Open(file, store.Options{ReadOnly: true})
	if errors.Is(err, store.ErrDamaged) {
		// The store's error says what to do about the daemon's own store.
		return nil, fmt.Errorf("%s is no good copy of a store: take another; nothing was changed", file)
	}
	if err != nil {
		return nil, err
	}
	return &Store{st: st}, nil
}

// VerifyBackup checks a copy of a store.
func VerifyBackup(file string) error {
	o, err := OpenBackup(file)
	if err != nil {
		return err
	}
	return errors.Join(o.Check(), o.st.Close())
}
