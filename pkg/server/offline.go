package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Offline is the store of a node that does not run. It answers what the admin
// socket does, as far as a store can.
type Offline struct {
	// DACKey is where the DAC's key is, nil for the store.
	DACKey *DACKey

	st  *store.Store
	log *slog.Logger
}

// Access is what is done to the store of a node that does not run.
type Access uint8

// Read changes nothing, and shares the store with others that read. Change needs
// a store that is there; Make also makes one.
const (
	Read Access = iota
	Change
	Make
)

// OpenOffline opens the store in stateDir.
func OpenOffline(stateDir string, a Access, log *slog.Logger) (*Offline, error) {
	path := filepath.Join(stateDir, store.FileName)
	if _, err := os.Stat(path); err != nil && a == Change {
		a = Read // fails as it should, and makes no directory
	}
	st, err := store.Open(path, store.Options{ReadOnly: a == Read, Logger: log})
	if err != nil {
		return nil, err
	}
	return &Offline{st: st, log: log}, nil
}

// Restore puts a backup in the place of the store in stateDir.
func Restore(stateDir string, backup io.Reader, log *slog.Logger) error {
	err := store.Restore(filepath.Join(stateDir, store.FileName), backup, store.Options{Logger: log})
	// Also after an error: all but the last sync may have succeeded.
	if gave := giveAway(stateDir); err == nil {
		err = gave
	}
	return err
}

// Locked reports whether err says that a running daemon holds the store.
func Locked(err error) bool { return errors.Is(err, store.ErrLocked) }

// Close closes the store.
func (o *Offline) Close() error {
	return errors.Join(o.st.Close(), giveAway(filepath.Dir(o.st.Path())))
}

// giveAway makes files that root has made in a directory of the daemon's user
// that user's: the daemon could not open them.
func giveAway(stateDir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, ok := owner(stateDir)
	if !ok || dir.Uid == 0 {
		return nil
	}
	for _, name := range store.Files() {
		if err := give(filepath.Join(stateDir, name), dir); err != nil {
			return err
		}
	}
	return nil
}

// give makes a file that is root's, and has no other name, another's.
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

// ErrEmpty says that the daemon has not run on a store.
var ErrEmpty = errors.New("the store is empty: start the daemon once")

// Pairing returns the onboarding payload.
func (o *Offline) Pairing(context.Context) (p admin.Pairing, err error) {
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
		p, err = PairingOf(&n, a.VendorID, a.ProductID)
		return err
	})
	return p, err
}

// Fabrics returns the fabric table.
func (o *Offline) Fabrics(context.Context) ([]admin.Fabric, error) {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return nil, err
	}
	return fabricRows(t), nil
}

// RemoveFabric removes a fabric.
func (o *Offline) RemoveFabric(_ context.Context, i matter.FabricIndex) error {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return err
	}
	if err := removeFabric(t, i); err != nil {
		return err
	}
	o.overwrite()
	return nil
}

// overwrite takes secrets that are removed from the store out of its file, too.
func (o *Offline) overwrite() {
	if err := o.st.Clear(); err != nil {
		o.log.Warn("what was removed from the store is not overwritten", "error", err)
	}
}

func removeFabric(t *fabric.Table, i matter.FabricIndex) error {
	err := t.Remove(i)
	if errors.Is(err, fabric.ErrNotFound) {
		return admin.Refuse("there is no fabric with index %d", i)
	}
	return err
}

// FactoryReset removes all fabrics and what controllers have set.
func (o *Offline) FactoryReset(context.Context) error {
	t, err := fabric.Open(o.st, MaxMaxFabrics)
	if err != nil {
		return err
	}
	err = t.RemoveAll(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error { return forgetUser(n, rand.Reader) })
	})
	if err != nil {
		return err
	}
	o.overwrite()
	if err := o.st.RemoveCopies(); err != nil {
		o.log.Warn("copies of the old store are not all removed", "error", err)
	}
	return nil
}

// Attestation returns what the node would prove itself with.
func (o *Offline) Attestation(ctx context.Context) (admin.Attestation, error) {
	return o.VerifyAttestation(ctx, admin.AttestationTrust{})
}

// VerifyAttestation is Attestation held against more than is known here.
func (o *Offline) VerifyAttestation(_ context.Context, q admin.AttestationTrust) (out admin.Attestation, err error) {
	a, err := o.material()
	if err != nil {
		return out, err
	}
	if a == nil {
		return out, ErrEmpty
	}
	opt := verifyOptions(q, product{})
	if o.DACKey != nil {
		if opt.Signer, err = o.DACKey.Open(); err != nil {
			return out, err
		}
	}
	return describeMaterial(*a, o.DACKey, opt), nil
}

// material returns the attestation material with its private key, nil if there
// is none.
func (o *Offline) material() (*store.Attestation, error) {
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

// ImportAttestation replaces the attestation material. Fabrics stay.
func (o *Offline) ImportAttestation(_ context.Context, q admin.AttestationMaterial) (admin.AttestationChange, error) {
	a, err := newMaterial(q, o.DACKey, product{})
	if err != nil {
		return admin.AttestationChange{}, err
	}
	return o.putMaterial(a)
}

// GenerateAttestation replaces the attestation material by new one for
// development.
func (o *Offline) GenerateAttestation(_ context.Context, q admin.GenerateRequest) (admin.AttestationChange, error) {
	there, err := o.material()
	if err != nil {
		return admin.AttestationChange{}, err
	}
	a, err := developmentMaterial(q, there, o.DACKey, rand.Reader)
	if err != nil {
		return admin.AttestationChange{}, err
	}
	return o.putMaterial(a)
}

func (o *Offline) putMaterial(a store.Attestation) (out admin.AttestationChange, err error) {
	if err := o.st.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) }); err != nil {
		return out, err
	}
	o.overwrite()
	out.Attestation, err = o.Attestation(context.Background())
	return out, err
}

// CheckStore checks the store.
func (o *Offline) CheckStore(context.Context) error { return checkStore(o.st) }

// Backup writes a copy of the store to w.
func (o *Offline) Backup(_ context.Context, w io.Writer) error { return o.st.Backup(w) }
