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
	forOther = 0o077 // permissions of others, which neither may have
)

// markerPath returns the name of the file that shows that a database has been made
// here. It is written once the database is durable. Only its presence counts.
func markerPath(path string) string { return path + ".initialised" }

// newPath returns the name under which a database is made, before it is renamed.
func newPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// asidePath returns the name under which the n-th Restore keeps the database that it
// replaces.
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

// Files returns the names of the store's files in dir: the database, the marker, and
// the copies that an upgrade or a restore has kept.
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

// isCopy matches the names that copyPath and asidePath return.
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
// A directory that holds nothing but the state gets mode 0700, and prepareDir logs
// that. If it holds other files, as a home directory does, or if its mode cannot be
// changed, as with some container volumes, it stays as it is: prepareDir logs a
// warning, since the files in it have their own modes, or returns an error if
// everybody could replace them.
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

// makeDir makes dir and its missing parents, and syncs them.
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

// onlyState reports whether dir holds only the daemon's own files.
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

// repairMode takes the permissions of others from the file.
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

// errReplaced is returned when another process has put another file in the place of
// the one that was opened. The caller opens the new one.
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

// openLocked opens and locks an existing file.
func openLocked(path string, opt *Options) (*os.File, error) {
	info, err := os.Stat(path) // first, as opening a pipe would block
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
// made. Only the process that holds the lock makes a database. A file that a killed
// process has left is used.
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

// removeLeftover removes the file that a killed process has left under the name for new
// databases, unless another process has locked it.
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

// moveIn syncs the file that openNew made for path, renames it and syncs the directory.
func moveIn(f *os.File, path, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(newPath(path), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
