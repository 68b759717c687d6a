package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// restoreSkip is how far a restore advances every counter. Which values were used since
// the backup is not known; a node does not use so many in years. restoreSkipVersion is
// the same for the version of the composition, and restoreSkipEndpoints for numbers of
// endpoints, which are only skipped if the replaced database does not know them: a node
// has 65,534.
const (
	restoreSkip          = 1 << 24
	restoreSkipVersion   = 1 << 16
	restoreSkipEndpoints = 256
)

// used is what a database has used and must not be used again.
type used struct {
	counters     map[string]uint64
	nextEndpoint matter.EndpointID
	composition  Composition
}

// used returns what the database has used.
func (tx *Tx) used() (u used, err error) {
	if u.counters, err = tx.counters(); err != nil {
		return u, err
	}
	if u.nextEndpoint, err = tx.NextEndpoint(); err != nil {
		return u, err
	}
	u.composition, err = tx.Composition()
	return u, err
}

// Restore replaces the database at path, if there is one, by a copy made by Backup. It
// keeps the old one beside it with the ending ".before-restore", or ".before-restore.2"
// and so on if an earlier Restore has used that name. It returns an error, and changes
// nothing, if the copy is damaged or newer, if the database is in use, or if the old one
// cannot be kept.
//
// Nothing may be used twice after a restore. So Restore advances counters and the
// version of the composition beyond what can have been used, and removes resumption
// records and subscriptions. Endpoint numbers that the replaced database has reserved
// are not reserved again. If it does not know them, as on another machine, Restore skips
// some hundred numbers, which may have been reserved since the copy was made. Fabrics
// that were removed after the copy was made exist again.
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
	done, old, err := takeOld(path, opt)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer done()
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
	if err := s.moveOn(old); err != nil {
		return err
	}
	if err := s.Check(); errors.Is(err, ErrDamaged) {
		return backupDamaged(err)
	}
	if err := keepAside(path, opt); err != nil {
		return fmt.Errorf("restore: cannot keep the database that is replaced: %w", err)
	}
	if err := moveIn(f, path, path); err != nil {
		if samePath(f, path) == nil { // only the last sync has failed
			return fmt.Errorf("restore: the copy is in the place of %s, but %w: see after the next start whether it still is: %w", path, ErrFailed, err)
		}
		return fmt.Errorf("restore: %w", err)
	}
	s.path = path
	s.mark()
	return s.Close()
}

// takeOld locks the database at path, if there is one, until done is called, and
// returns what it has used, as far as it can be read.
func takeOld(path string, opt Options) (done func(), u used, err error) {
	there, err := exists(path)
	if err != nil || !there {
		return func() {}, u, err
	}
	f, err := openLocked(path, &opt)
	if err != nil {
		return nil, u, err
	}
	opt.ReadOnly = true // the operator may want it back as it is
	s, err := openFile(f, path, opt, upgradeInMemory)
	if err == nil {
		err = s.View(func(tx *Tx) (err error) {
			u, err = tx.used()
			return err
		})
	}
	if err != nil {
		opt.Logger.Warn("the database to be replaced cannot be read", "error", err)
	}
	return func() { release(f, s) }, u, nil
}

// fill copies the backup into f and opens it. Its errors name the backup, not the file.
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

// moveOn advances what must not be used twice, and removes what must not be used
// again. old is what the replaced database has used.
func (s *Store) moveOn(old used) error {
	return s.Update(func(tx *Tx) error {
		saved, err := tx.used()
		if err != nil {
			return err
		}
		for name, next := range old.counters {
			saved.counters[name] = max(saved.counters[name], next)
		}
		for name, next := range saved.counters {
			if err := tx.RaiseCounter(name, min(next, math.MaxUint64-restoreSkip)+restoreSkip); err != nil {
				return err
			}
		}
		next := old.nextEndpoint
		if given := saved.nextEndpoint; given > next && given > 1 {
			next = given + min(restoreSkipEndpoints, (MaxEndpoint+1-given)/2)
		}
		if err := tx.RaiseNextEndpoint(next); err != nil {
			return err
		}
		if v := max(saved.composition.Version, old.composition.Version); v > 0 {
			v = min(v, math.MaxUint32-restoreSkipVersion) + restoreSkipVersion
			if err := tx.PutComposition(Composition{Version: v}); err != nil {
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

// keepAside links the database that will be replaced, if there is one, to a second name
// and syncs the directory. If the file system has no links it makes a copy.
func keepAside(path string, opt Options) error {
	if there, err := exists(path); err != nil || !there {
		return err
	}
	var name string
	err := os.ErrExist
	for n := 1; n <= maxAside && errors.Is(err, os.ErrExist); n++ {
		name = asidePath(path, n)
		err = opt.link(path, name)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		err = copyFile(path, name)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path)) // before the first name is removed
}

// copyFile copies a file to a name that is not taken.
func copyFile(path, name string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		os.Remove(name)
	}
	return err
}

func backupDamaged(err error) error {
	var d *damage
	if errors.As(err, &d) {
		return fmt.Errorf("the backup is %w (%s): nothing was changed", ErrDamaged, d.what)
	}
	return err
}
