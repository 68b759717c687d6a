package store

import (
	"errors"
	"fmt"
)

// The errors that a caller may branch on. An error that wraps one of them says in one
// line which file it is about, what is wrong and what to do.
var (
	// ErrNewer is returned when the file's schema is newer than SchemaVersion, or when
	// a record in it has a member that this version does not know.
	ErrNewer = errors.New("written by a newer opcredsd")

	// ErrDamaged is returned when the file is not a valid store. The file has not
	// been changed.
	ErrDamaged = errors.New("damaged")

	// ErrMissing is returned when a database was made here and the file is gone.
	ErrMissing = errors.New("missing")

	// ErrLocked is matched by a [LockedError].
	ErrLocked = errors.New("in use")

	// ErrFailed is returned when the disk has not confirmed a commit. Only the next
	// start shows whether the commit is on the disk. The store takes no more writes.
	ErrFailed = errors.New("the disk did not confirm a write")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")

	// ErrNotFound is returned for a record that belongs to no stored fabric.
	ErrNotFound = errors.New("not in the store")

	// ErrInvalid is returned for a record that may not be stored.
	ErrInvalid = errors.New("invalid record")

	// ErrNoAdministrator is returned by Check for a fabric without an access control
	// entry that grants Administer over CASE. Its administrator may have written such
	// a list: the fabric is useless, not damaged.
	ErrNoAdministrator = errors.New("no access control entry grants Administer")
)

// LockedError is returned when another process has the file open.
type LockedError struct {
	Path    string
	PID     int    // 0 if it is not known
	Command string // name of the process, or empty
}

func (e *LockedError) Error() string {
	switch {
	case e.PID == 0:
		return fmt.Sprintf("%s is in use by another process: stop it, or ask it over its admin socket", e.Path)
	case e.Command == "":
		return fmt.Sprintf("%s is in use by process %d: stop it, or ask it over its admin socket", e.Path, e.PID)
	default:
		return fmt.Sprintf("%s is in use by process %d (%s): stop it, or ask it over its admin socket", e.Path, e.PID, e.Command)
	}
}

// Is reports whether target is ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// damage is what is wrong with a file.
type damage struct{ path, what string }

func damaged(path, what string) error { return &damage{path, what} }

func (e *damage) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and was left as it is: bring a backup back with \"opcredsd store restore FILE\", or move it and %s away to start as a new device",
		e.path, e.what, markerPath(e.path))
}

func (e *damage) Is(target error) bool { return target == ErrDamaged }

// newer returns the error for a file that a newer version has written; what says which
// part of it shows that.
func newer(path, what string) error {
	back := "the backup made before the upgrade"
	if kept := copyPath(path, SchemaVersion); there(kept) {
		back = fmt.Sprintf("what was there before with \"opcredsd store restore %s\"", kept)
	}
	return fmt.Errorf("%s was %w (%s): upgrade opcredsd, or bring back %s", path, ErrNewer, what, back)
}

func missing(path string) error {
	return fmt.Errorf("%s is %w, and this directory held one: bring a backup back with \"opcredsd store restore FILE\", or remove %s to start as a new device",
		path, ErrMissing, markerPath(path))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
