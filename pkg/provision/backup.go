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
		// The store's error contains advice for the daemon's own store, which does
		// not apply here.
		return nil, fmt.Errorf("%s is not a valid copy of a store: use another one; nothing was changed", file)
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
