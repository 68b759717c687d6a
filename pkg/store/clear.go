package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// atOnce is how many pages one call overwrites.
const atOnce = 64

// Clear overwrites the unused pages of the file. They hold what was removed or replaced,
// such as the keys of a fabric. Clear cannot reach copies outside of the file: flash
// memory does not write in place, nor do some file systems.
//
// While a transaction reads, Clear does nothing, as the reader may need pages that are
// free for the next transaction.
func (s *Store) Clear() error {
	return s.transact(true, func(*Tx) error { // so that nobody else writes
		if s.db.Stats().OpenTxN > 0 { // later readers read pages in use only
			return nil
		}
		free, size, err := freePages(s.file)
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		slices.Sort(free)
		zero := make([]byte, atOnce*size)
		for len(free) > 0 {
			n := 1
			for n < min(len(free), atOnce) && free[n] == free[0]+uint64(n) {
				n++
			}
			if _, err := s.file.WriteAt(zero[:uint64(n)*size], int64(free[0]*size)); err != nil {
				return fmt.Errorf("database: %w", err)
			}
			free = free[n:]
		}
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("database: %w", err)
		}
		return nil
	}, s.leave)
}

// RemoveCopies removes the copies of earlier databases that an upgrade or a restore has
// kept beside the database.
func (s *Store) RemoveCopies() error {
	dir := filepath.Dir(s.path)
	names, err := Files(dir)
	errs := []error{err}
	removed := false
	for _, name := range names {
		if !isCopy.MatchString(name) {
			continue
		}
		err := os.Remove(filepath.Join(dir, name))
		removed = removed || err == nil
		errs = append(errs, err)
	}
	if removed {
		errs = append(errs, syncDir(dir))
	}
	return errors.Join(errs...)
}
