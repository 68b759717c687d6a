package store

import (
	"errors"
	"fmt"
)

// The errors a caller may branch on. What wraps them says in one line which
// file, what is wrong and what to do.
var (
	// ErrNewer is returned when the file's schema is newer than SchemaVersion, or when
	// a record in it has a member that this version does not know.
	ErrNewer = errors.New("written by a newer opcredsd")

	// ErrDamaged is returned when the file is not what a store can be. The file
	// has not been changed.
	ErrDamaged = errors.New("damaged")

	// ErrMissing is returned when there is no file where there was one.
	ErrMissing = errors.New("missing")

	// ErrLocked is matched by a [LockedError].
	ErrLocked = errors.New("in use")

	// ErrFailed is returned when the disk has not confirmed a commit, so that
	// only the next start shows whether it is kept. The store takes nothing more.
	ErrFailed = errors.New("the disk did not confirm a write")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")

	// ErrNotFound is returned for a record that belongs to no stored fabric.
	ErrNotFound = errors.New("not in the store")

	// ErrInvalid is returned for a record that may not be stored.
	ErrInvalid = errors.New("invalid record")

	// ErrNoAdministrator is what Check says of a fabric none of whose access
	// control entries grants Administer over CASE. Its administrator may have
	// done so: such a fabric is useless, not damaged.
	ErrNoAdministrator = errors.New("no access control entry grants Administer")
)

// LockedError says that another process has the file open.
type LockedError struct {
	Path    string
	PID     int    // 0 if it could not be found out
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

// Is makes errors.Is(err, ErrLocked) hold.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// damage says what is wrong with a file.
type damage struct{ path, what string }

func damaged(path, what string) error { return &damage{path, what} }

func (e *damage) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and was left as it is: bring a backup back with \"opcredsd store restore FILE\", or move it and %s away to start as a new device",
		e.path, e.what, markerPath(e.path))
}

func (e *damage) Is(target error) bool { return target == ErrDamaged }

// newer returns the error for a file in which what is of a newer version.
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
