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

// restoreSkip is how far every counter moves on at a restore, as nobody knows
// what was used since the backup was made: more than a node uses in years.
// restoreSkipVersion is the same for the version of the composition.
const (
	restoreSkip        = 1 << 24
	restoreSkipVersion = 1 << 16
)

// given is what a database has used that must not be used again.
type given struct {
	counters     map[string]uint64
	nextEndpoint matter.EndpointID
	composition  Composition
}

// given returns what the database has used.
func (tx *Tx) given() (g given, err error) {
	if g.counters, err = tx.counters(); err != nil {
		return g, err
	}
	if g.nextEndpoint, err = tx.NextEndpoint(); err != nil {
		return g, err
	}
	g.composition, err = tx.Composition()
	return g, err
}

// Restore puts a copy made by Backup in the place of the database at path, which
// need not be there, and keeps the old one beside it with the ending
// ".before-restore", ".before-restore.2" and so on: none that an earlier Restore has
// kept is overwritten. It returns an error, and changes nothing, when the copy is
// damaged or newer, when the database is in use, and when it cannot be kept.
//
// An old state must not let anything happen twice: counters and the version of the
// composition move on beyond what can have been used, and resumption records and
// subscriptions are dropped. Numbers of endpoints that the replaced database has given
// are not given again; of a copy from another machine the next number stays as it is.
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
	done, used, err := takeOld(path, opt)
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
	if err := s.forget(used); err != nil {
		return err
	}
	if err := s.Check(); errors.Is(err, ErrDamaged) {
		return backupDamaged(err)
	}
	if err := keepAside(path, opt); err != nil {
		return fmt.Errorf("restore: cannot keep the database that is replaced: %w", err)
	}
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
// what it has used, if it can still be read.
func takeOld(path string, opt Options) (done func(), used given, err error) {
	there, err := exists(path)
	if err != nil || !there {
		return func() {}, used, err
	}
	f, err := openLocked(path, &opt)
	if err != nil {
		return nil, used, err
	}
	opt.ReadOnly = true // nothing is written to what may be wanted back
	s, err := openFile(f, path, opt, upgradeInMemory)
	if err == nil {
		err = s.View(func(tx *Tx) (err error) {
			used, err = tx.given()
			return err
		})
	}
	if err != nil {
		opt.Logger.Warn("the database to be replaced cannot be read", "error", err)
	}
	return func() { release(f, s) }, used, nil
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

// forget makes an old state safe to go on from. used is what the database that it
// replaces has used.
func (s *Store) forget(used given) error {
	return s.Update(func(tx *Tx) error {
		saved, err := tx.given()
		if err != nil {
			return err
		}
		for name, next := range used.counters {
			saved.counters[name] = max(saved.counters[name], next)
		}
		for name, next := range saved.counters {
			if err := tx.RaiseCounter(name, min(next, math.MaxUint64-restoreSkip)+restoreSkip); err != nil {
				return err
			}
		}
		if err := tx.RaiseNextEndpoint(used.nextEndpoint); err != nil {
			return err
		}
		if v := max(saved.composition.Version, used.composition.Version); v > 0 {
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

// keepAside gives the database that is to be replaced, if there is one, a second
// name, durably; where the file system has no second names it makes a copy.
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
	return syncDir(filepath.Dir(path)) // before the first name goes
}

// copyFile makes a copy under a name that is not taken.
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
