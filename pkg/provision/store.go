package provision

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Store is the store of a node that is not running.
type Store struct {
	st  *store.Store
	log *slog.Logger
}

// Access is the way in which the store of a node that is not running is opened.
type Access uint8

// Read opens the store read-only, beside other readers. Change opens an existing store;
// Make creates one if there is none.
const (
	Read Access = iota
	Change
	Make
)

// Open opens the store in stateDir.
func Open(stateDir string, a Access, log *slog.Logger) (*Store, error) {
	path := filepath.Join(stateDir, store.FileName)
	if _, err := os.Stat(path); err != nil && a == Change {
		a = Read // fails, and creates no directory
	}
	st, err := store.Open(path, store.Options{ReadOnly: a == Read, Logger: log})
	if err != nil {
		return nil, err
	}
	return &Store{st: st, log: log}, nil
}

// Restore replaces the store in stateDir by a backup.
func Restore(stateDir string, backup io.Reader, log *slog.Logger) error {
	err := store.Restore(filepath.Join(stateDir, store.FileName), backup, store.Options{Logger: log})
	// Also after an error, as all but the last sync may have succeeded.
	if gave := giveAway(stateDir); err == nil {
		err = gave
	}
	return err
}

// Locked reports whether err means that a running daemon holds the store.
func Locked(err error) bool { return errors.Is(err, store.ErrLocked) }

// Close closes the store.
func (o *Store) Close() error {
	return errors.Join(o.st.Close(), giveAway(filepath.Dir(o.st.Path())))
}

// giveAway gives files that root has created in the directory of the daemon's user
// to that user. Otherwise the daemon could not open them.
func giveAway(stateDir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, ok := owner(stateDir)
	if !ok || dir.Uid == 0 {
		return nil
	}
	names, err := store.Files(stateDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := give(filepath.Join(stateDir, name), dir); err != nil {
			return err
		}
	}
	return nil
}

// give changes the owner of a file that belongs to root and has no other links.
func give(path string, to *syscall.Stat_t) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var is unix.Stat_t
	if err := unix.Fstat(fd, &is); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if is.Uid != 0 || is.Nlink != 1 || is.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if err := unix.Fchownat(fd, "", int(to.Uid), int(to.Gid), unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "chown", Path: path, Err: err}
	}
	return nil
}

func owner(path string) (*syscall.Stat_t, bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// ErrEmpty is returned for a store that no daemon has used.
var ErrEmpty = errors.New("the store is empty: start the daemon once")

// Codes returns the onboarding payload.
func (o *Store) Codes() (p onboarding.Payload, err error) {
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
			return ErrEmpty
		}
		p, err = Codes(&n, a.VendorID, a.ProductID)
		return err
	})
	return p, err
}

// Fabrics returns the fabric table.
func (o *Store) Fabrics() (*fabric.Table, error) {
	return fabric.Open(o.st, int(matter.MaxFabricIndex))
}

// RemoveFabric removes a fabric. The error is fabric.ErrNotFound if there is no fabric with
// the index.
func (o *Store) RemoveFabric(i matter.FabricIndex) error {
	t, err := o.Fabrics()
	if err != nil {
		return err
	}
	if err := t.Remove(i); err != nil {
		return err
	}
	Overwrite(o.st, o.log)
	return nil
}

// Overwrite overwrites secrets that were removed from the store in its file. A failure is
// only logged, as the secrets are removed from the store already.
func Overwrite(st *store.Store, log *slog.Logger) {
	if err := st.Clear(); err != nil {
		log.Warn("what was removed from the store is not overwritten", "error", err)
	}
}

// FactoryReset removes all fabrics and the settings of controllers, and calls also
// in the same transaction.
func (o *Store) FactoryReset(also func(*store.Tx) error) error {
	t, err := o.Fabrics()
	if err != nil {
		return err
	}
	err = t.RemoveAll(func(tx *store.Tx) error {
		if err := also(tx); err != nil {
			return err
		}
		return tx.MutateNode(func(n *store.Node) error { return Reset(n, rand.Reader) })
	})
	if err != nil {
		return err
	}
	Overwrite(o.st, o.log)
	if err := o.st.RemoveCopies(); err != nil {
		o.log.Warn("copies of the old store are not all removed", "error", err)
	}
	return nil
}

// Material returns the attestation material, or nil.
func (o *Store) Material() (*store.Attestation, error) {
	var a store.Attestation
	var ok bool
	err := o.st.View(func(tx *store.Tx) (err error) {
		a, ok, err = tx.Attestation()
		return err
	})
	if err != nil || !ok {
		return nil, err
	}
	return &a, nil
}

// PutMaterial replaces the attestation material. Fabrics stay.
func (o *Store) PutMaterial(a store.Attestation) error {
	if err := o.st.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) }); err != nil {
		return err
	}
	Overwrite(o.st, o.log)
	return nil
}

// Check checks the records, the fabrics in them, and what further checks.
func (o *Store) Check(further ...func(*store.Store) error) error { return Check(o.st, further...) }

// Check checks the records of a store, the fabrics in them, and what further checks.
func Check(st *store.Store, further ...func(*store.Store) error) error {
	errs := []error{st.Check(), fabric.Check(st)}
	for _, f := range further {
		errs = append(errs, f(st))
	}
	return errors.Join(errs...)
}

// Backup writes a copy of the store to w.
func (o *Store) Backup(w io.Writer) error { return o.st.Backup(w) }
