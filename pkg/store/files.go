package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// FileName is the name of the database within the state directory.
const FileName = "opcredsd.db"

const (
	fileMode = 0o600
	dirMode  = 0o700
	forOther = 0o077 // what neither may have
)

// markerPath is the file that says that a database has been made here. It is
// written when the database is durable, and its presence alone counts.
func markerPath(path string) string { return path + ".initialised" }

// newPath is the name under which a database is made, before it is renamed.
func newPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// asidePath is where the n-th Restore leaves the database that it replaces.
func asidePath(path string, n int) string {
	if n == 1 {
		return path + ".before-restore"
	}
	return fmt.Sprintf("%s.before-restore.%d", path, n)
}

// maxAside bounds how many of these there may be.
const maxAside = 1000

const markerText = `opcredsd keeps its fabrics and keys in the database beside this file.
While this file is here and the database is not, opcredsd does not start: it
would come up as a new device and every controller would have lost it.
`

func writeMarker(path string) error {
	name := markerPath(path)
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(markerText)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Files returns the names of all that a store has made in dir and has left there: the
// database, the marker, and copies that an upgrade or a restore has kept.
func Files(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if n := e.Name(); n == FileName || n == markerPath(FileName) || isCopy.MatchString(n) {
			names = append(names, n)
		}
	}
	return names, nil
}

// isCopy matches what copyPath and asidePath return.
var isCopy = regexp.MustCompile(`^` + regexp.QuoteMeta(FileName) + `\.(schema\d+|before-restore(\.\d+)?)$`)

func there(path string) bool {
	there, err := exists(path)
	return there && err == nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// prepareDir makes the state directory, or closes it to others.
//
// A directory with nothing in it but the state is ours: it gets mode 0700, with
// a note. One that holds other things, say a home directory or /, or whose mode
// we may not change, as some container volumes, is left as it is: with a
// warning, as the files in it are closed on their own, or refused if everybody
// could replace them.
func prepareDir(dir string, log *slog.Logger) error {
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s is not a directory", dir)
	}
	mode := info.Mode().Perm()
	if mode&forOther == 0 {
		return nil
	}
	ours, err := onlyState(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if ours && os.Chmod(dir, dirMode) == nil {
		log.Warn("state directory was open to other users, closed it", "dir", dir, "was", fmt.Sprintf("%04o", mode))
		return nil
	}
	if mode&0o002 != 0 {
		return fmt.Errorf("state directory %s can be written to by everybody (mode %04o): chmod 700 it, or give opcredsd one of its own", dir, mode)
	}
	log.Warn("state directory is open to other users", "dir", dir, "mode", fmt.Sprintf("%04o", mode), "remedy", "chmod 700 it, or give opcredsd one of its own")
	return nil
}

// makeDir makes dir and its missing parents, durably.
func makeDir(dir string) error {
	there, err := exists(dir)
	if err != nil || there {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// onlyState reports whether nothing but the daemon's own files lies in dir.
func onlyState(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		name := strings.TrimPrefix(e.Name(), ".")
		if !strings.HasPrefix(name, "opcredsd.") && name != "admin.sock" && name != "lost+found" {
			return false, nil
		}
	}
	return true, nil
}

// repairMode closes the file to others.
func repairMode(f *os.File, path string, log *slog.Logger) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if mode&forOther == 0 {
		return nil
	}
	if err := f.Chmod(fileMode); err != nil {
		return fmt.Errorf("%s holds private keys and is open to other users (mode %04o): chmod 600 it: %w", path, mode, err)
	}
	log.Warn("database was open to other users, closed it: whoever has read it has the keys", "file", path, "was", fmt.Sprintf("%04o", mode))
	return nil
}

// errReplaced says that another process has put another file in the place of
// the one that was opened: look again.
var errReplaced = errors.New("file was replaced")

// samePath returns errReplaced unless path still names f.
func samePath(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errReplaced
	}
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) {
		return errReplaced
	}
	return nil
}

// openLocked opens and locks a file that is there.
func openLocked(path string, opt *Options) (*os.File, error) {
	info, err := os.Stat(path) // before the open: that of a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	flag := os.O_RDWR
	if opt.ReadOnly {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	err = lock(f, path, opt.ReadOnly, opt.LockTimeout)
	if err == nil {
		err = samePath(f, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openNew opens, locks and empties the file under which a database for path is
// made. Whoever holds that lock is the only one that makes one; what is left of
// a process that was killed at it is used up.
func openNew(path string, opt *Options) (*os.File, error) {
	name := newPath(path)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("make database: %w", err)
	}
	err = lock(f, name, false, opt.LockTimeout)
	if err == nil {
		err = samePath(f, name)
	}
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("make database: %w", err)
	}
	return f, nil
}

// removeLeftover removes what a killed process has left under the name for new
// databases, unless another one is at work there.
func removeLeftover(path string, log *slog.Logger) {
	name := newPath(path)
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f, name, false, 0) != nil || samePath(f, name) != nil {
		return
	}
	if err := os.Remove(name); err != nil {
		log.Warn("cannot remove an unfinished database", "file", name, "error", err)
		return
	}
	log.Info("removed an unfinished database", "file", name)
}

// moveIn gives the finished file that openNew made for path a name, durably.
func moveIn(f *os.File, path, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(newPath(path), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
