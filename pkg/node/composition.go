package node

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// configurationVersion returns the version of the node's configuration that the store
// keeps, or the first one (section 11.1.5.22).
func configurationVersion(s *store.Store) (version uint32, err error) {
	err = s.View(func(tx *store.Tx) error {
		c, err := tx.Composition()
		version = max(c.Version, 1)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading the composition: %w", err)
	}
	return version, nil
}
