package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// restoreSkip is how far every counter moves on at a restore, as nobody knows
// what was used since the backup was made: more than a node uses in years.
const restoreSkip = 1 << 24

// Restore puts a copy made by Backup in the place of the database at path, which
// need not be there, and keeps the old one beside it with the ending
// ".before-restore". It refuses, and changes nothing, when the copy is damaged or
// newer and when the database is in use.
//
// An old state must not let anything happen twice: counters move on beyond what
// can have been used, and resumption records and subscriptions are dropped.
// Fabrics that were removed since the copy was made are there again.
func Restore(path string, backup io.Reader, opt Options) (err error) {
	opt.setDefaults()
	opt.ReadOnly = false
	path, err = filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := prepareDir(filepath.Dir(path), opt.Logger); err != nil {
		return err
	}
	old, counters, err := takeOld(path, opt)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer old()
	f, err := openNew(path, &opt)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	s, err := fill(f, backup, opt)
	defer func() {
		if err != nil {
			discard(f, s, path)
		}
	}()
	if err != nil {
		return err
	}
	if err := s.forget(counters); err != nil {
		return err
	}
	if err := s.Check(); errors.Is(err, ErrDamaged) {
		return backupDamaged(err)
	}
	keepAside(path, opt)
	if err := moveIn(f, path, path); err != nil {
		if samePath(f, path) == nil { // all but the last sync
			return fmt.Errorf("restore: the copy is in the place of %s, but %w: see after the next start whether it still is: %w", path, ErrFailed, err)
		}
		return fmt.Errorf("restore: %w", err)
	}
	s.path = path
	s.mark()
	return s.Close()
}

// takeOld locks the database that is there, until done is called, and returns
// its counters, if it can still be read.
func takeOld(path string, opt Options) (done func(), counters map[string]uint64, err error) {
	there, err := exists(path)
	if err != nil || !there {
		return func() {}, nil, err
	}
	f, err := openLocked(path, &opt)
	if err != nil {
		return nil, nil, err
	}
	opt.ReadOnly = true // nothing is written to what may be wanted back
	s, err := openFile(f, path, opt, upgradeInMemory)
	if err == nil {
		err = s.View(func(tx *Tx) (err error) {
			counters, err = tx.counters()
			return err
		})
	}
	if err != nil {
		opt.Logger.Warn("the database to be replaced cannot be read", "error", err)
	}
	return func() { release(f, s) }, counters, nil
}

// fill copies the backup into f and opens it. The name in the errors is the
// backup's, not the file's.
func fill(f *os.File, backup io.Reader, opt Options) (*Store, error) {
	n, err := io.Copy(f, io.LimitReader(backup, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if n > maxFile {
		return nil, backupDamaged(&damage{what: "it is too large"})
	}
	s, err := openFile(f, "the backup", opt, upgradeCopy)
	if errors.Is(err, ErrDamaged) {
		return s, backupDamaged(err)
	}
	return s, err
}

// forget makes an old state safe to go on from.
func (s *Store) forget(counters map[string]uint64) error {
	return s.Update(func(tx *Tx) error {
		saved, err := tx.counters()
		if err != nil {
			return err
		}
		for name, next := range counters {
			saved[name] = max(saved[name], next)
		}
		for name, next := range saved {
			if err := tx.RaiseCounter(name, min(next, math.MaxUint64-restoreSkip)+restoreSkip); err != nil {
				return err
			}
		}
		for _, bucket := range [][]byte{bucketResumptions, bucketSubscriptions} {
			if err := tx.deletePrefix(bucket, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepAside gives the database that is to be replaced, if there is one, a second
// name.
func keepAside(path string, opt Options) {
	name := asidePath(path)
	if there, err := exists(path); err != nil || !there {
		return
	}
	err := os.Remove(name)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Link(path, name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path)) // before the first name goes
	}
	if err != nil {
		opt.Logger.Warn("cannot keep the database that is replaced", "file", name, "error", err)
	}
}

func backupDamaged(err error) error {
	var d *damage
	if errors.As(err, &d) {
		return fmt.Errorf("the backup is %w (%s): nothing was changed", ErrDamaged, d.what)
	}
	return err
}
