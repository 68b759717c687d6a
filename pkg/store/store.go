package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	// initialMap has room for most databases, so that the file is rarely mapped again.
	initialMap = 1 << 20

	// maxFile bounds the file. 254 full fabrics need about 2 MB, 1,000 devices with
	// the largest records 64 MB, and a commit needs room beside the old pages.
	maxFile = 256 << 20
)

// Options are the settings of a store. The zero value is good.
type Options struct {
	Logger *slog.Logger // default: none

	// ReadOnly shares the file with other readers and changes nothing on the disk.
	ReadOnly bool

	// LockTimeout is how long to wait for another process to release the file.
	// Default: one second.
	LockTimeout time.Duration

	// OnCommit is called after each commit with its duration.
	OnCommit func(time.Duration)

	link func(old, name string) error // default: os.Link
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.OnCommit == nil {
		o.OnCommit = func(time.Duration) {}
	}
	if o.link == nil {
		o.link = os.Link
	}
}

// Store is an open database. Several goroutines may use it at once; writable
// transactions run one after the other.
type Store struct {
	path   string
	file   *os.File
	db     *bbolt.DB
	opt    Options
	schema int      // of the file that Open found
	from   *Store   // nil, or the store of an older schema that this one is a migrated copy of
	locked *os.File // nil, or the file that this one is a copy of, without its last transaction

	// writing is held from the begin of a writable transaction until it is on the
	// disk: the next one overwrites the pages that a crash would need.
	writing  sync.Mutex
	unproven bool // the next commit needs two syncs, see commit
	unsealed bool // a commit was made, see seal

	mu       sync.Mutex
	failed   error             // not nil: every use returns it
	panicked bool              // bbolt may still hold its locks
	reserved map[string]uint64 // end of the values that each counter has given out
}

// Open opens the database at path, STATE_DIR/opcredsd.db. It makes the database and
// its directory if there has never been one.
//
// An error may wrap ErrLocked, ErrDamaged, ErrNewer or ErrMissing. It is then one line
// that says what to do, and nothing on the disk has changed. With Options.ReadOnly the
// error wraps fs.ErrNotExist if there has never been a database.
func Open(path string, opt Options) (*Store, error) {
	opt.setDefaults()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if !opt.ReadOnly {
		if err := prepareDir(filepath.Dir(path), opt.Logger); err != nil {
			return nil, err
		}
	}
	deadline := time.Now().Add(opt.LockTimeout)
	for {
		s, err := openOrCreate(path, opt)
		if !errors.Is(err, errReplaced) {
			return s, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("open %s: %w, again and again", path, err)
		}
	}
}

func openOrCreate(path string, opt Options) (*Store, error) {
	there, err := exists(path)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if there {
		return openExisting(path, opt)
	}
	if was, err := exists(markerPath(path)); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	} else if was {
		return nil, missing(path)
	}
	if opt.ReadOnly {
		return nil, fmt.Errorf("database: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
	}
	return create(path, opt)
}

func openExisting(path string, opt Options) (*Store, error) {
	f, err := openLocked(path, &opt)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	upgrade := upgradeInPlace
	if opt.ReadOnly {
		upgrade = upgradeInMemory
	}
	s, err := openFile(f, path, opt, upgrade)
	if err == nil && !opt.ReadOnly {
		err = repairMode(f, path, opt.Logger)
	}
	if err != nil {
		release(f, s)
		return nil, err
	}
	if opt.ReadOnly {
		return s, nil
	}
	removeLeftover(path, opt.Logger)
	s.mark()
	return s, nil
}

// mark writes the marker. The database can be used without it, so a failure is only
// logged.
func (s *Store) mark() {
	if err := writeMarker(s.path); err != nil {
		s.opt.Logger.Warn("cannot write the marker beside the database", "file", markerPath(s.path), "error", err)
	}
}

// openFile opens a locked file that is not empty, and calls upgrade if its schema is
// older. After an error the caller releases the file and the store, which may be nil.
func openFile(f *os.File, path string, opt Options, upgrade upgrader) (*Store, error) {
	s, err := openWhole(f, path, opt)
	if err != nil {
		return nil, err
	}
	if s.schema, err = s.readSchema(); err != nil {
		return s, err
	}
	if s.schema < SchemaVersion {
		return upgrade(s, s.schema)
	}
	return s, s.View(func(tx *Tx) error {
		_, err := tx.load()
		return err
	})
}

// openBolt opens a locked file with bbolt.
func openBolt(f *os.File, path string, opt Options) (s *Store, err error) {
	s = &Store{path: path, file: f, opt: opt, schema: SchemaVersion, reserved: make(map[string]uint64), unproven: true}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.guard(&err)
	s.db, err = bbolt.Open(path, fileMode, &bbolt.Options{
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:         opt.LockTimeout,
		ReadOnly:        opt.ReadOnly,
		PreLoadFreelist: true,
		FreelistType:    bbolt.FreelistArrayType,
		InitialMmapSize: initialMap,
		MaxSize:         maxFile,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// readSchema returns the schema version of the file, or ErrNewer.
func (s *Store) readSchema() (version int, err error) {
	err = s.View(func(tx *Tx) (err error) {
		version, err = tx.schemaVersion()
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case version == 0:
		return 0, damaged(s.path, "no schema version")
	case version > SchemaVersion:
		return 0, newer(s.path, fmt.Sprintf("schema %d, this one knows %d", version, SchemaVersion))
	}
	return version, nil
}

// create makes the database under another name, syncs it and renames it. The file stays
// locked all the time, so that no other process uses it before it is complete.
func create(path string, opt Options) (s *Store, err error) {
	f, err := openNew(path, &opt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			discard(f, s, path)
		}
	}()
	if there, err := exists(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	} else if there {
		return nil, errReplaced // by a process that was faster
	}
	s, err = openBolt(f, path, opt)
	if err != nil {
		return nil, err
	}
	err = s.Update((*Tx).initialise)
	if err == nil {
		err = moveIn(f, path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("make database: %w", err)
	}
	s.mark()
	opt.Logger.Info("made a new database", "file", path)
	return s, nil
}

// discard removes a file made by openNew. Nobody else uses it while the lock is held.
func discard(f *os.File, s *Store, path string) {
	os.Remove(newPath(path))
	release(f, s)
}

// release closes the store, which may be nil, and the file.
func release(f *os.File, s *Store) {
	if s != nil {
		s.Close()
	}
	f.Close()
}

// Path returns the path of the database.
func (s *Store) Path() string { return s.path }

// Schema returns the schema version of the file. It is lower than SchemaVersion only
// with Options.ReadOnly; the store then shows the migrated records.
func (s *Store) Schema() int { return s.schema }

// Close waits for transactions to end and closes the file. A second call does nothing.
func (s *Store) Close() error {
	s.seal()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if errors.Is(s.failed, ErrClosed) {
		s.mu.Unlock()
		return nil
	}
	panicked := s.panicked
	s.failed = ErrClosed
	s.mu.Unlock()
	var image error
	if s.from != nil {
		image = s.from.Close()
	}
	if s.locked != nil {
		image = s.locked.Close()
	}
	if panicked {
		return errors.Join(image, s.file.Close()) // db.Close would wait for a lock that bbolt still holds
	}
	return errors.Join(image, s.db.Close())
}

// failure returns the error that every use of the store returns, or nil.
func (s *Store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// fail makes every later use of the store return err, unless it has failed already.
func (s *Store) fail(err error, panicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panicked = s.panicked || panicked
	if s.failed == nil {
		s.failed = err
	}
}

// guard turns a panic into ErrDamaged. It is deferred around calls of bbolt, which
// panics at invalid pages.
func (s *Store) guard(err *error) {
	if r := recover(); r != nil {
		*err = damaged(s.path, fmt.Sprint(r))
		s.fail(*err, true)
		s.opt.Logger.Error("the database is damaged", "file", s.path, "error", *err)
	}
}

func (s *Store) begin(writable bool) (b *bbolt.Tx, err error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	if writable && s.opt.ReadOnly {
		return nil, bolterrors.ErrDatabaseReadOnly
	}
	defer s.guard(&err)
	b, err = s.db.Begin(writable)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	return b, err
}

func (s *Store) rollback(b *bbolt.Tx) (err error) {
	defer s.guard(&err)
	return b.Rollback()
}

// View calls f with a read-only transaction and returns its error. f must not call
// Update.
func (s *Store) View(f func(*Tx) error) error { return s.transact(false, f, s.leave) }

// Update calls f with a writable transaction. If Update returns nil, all changes are on
// the disk. If f returns an error, Update returns it and nothing has changed; nothing
// has changed either if f panics.
func (s *Store) Update(f func(*Tx) error) error { return s.transact(true, f, s.commit) }

// transact calls f and, if f returns nil, end.
func (s *Store) transact(writable bool, f, end func(*Tx) error) error {
	if writable {
		s.writing.Lock()
		defer s.writing.Unlock()
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b, err := s.begin(writable)
	if err != nil {
		return err
	}
	tx := &Tx{raw: raw{path: s.path, b: b}, s: s}
	defer tx.wipe()
	ended := false
	defer func() {
		if !ended {
			s.rollback(b)
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	if err := s.failure(); err != nil { // f may have ignored it
		return err
	}
	ended = true
	return end(tx)
}

func (s *Store) leave(tx *Tx) error { return s.rollback(tx.b) }

// Reserve reserves the next block values of a counter: first up to but not including
// first+block. No value is reserved twice, not even after a crash. Each call commits
// once.
func (s *Store) Reserve(name string, block uint64) (first uint64, err error) {
	err = s.Update(func(tx *Tx) error {
		first, err = tx.reserve(name, block)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved[name] = first + block
	return first, nil
}

// Backup writes a consistent copy of the database, for Open and Restore, while the store
// is in use. The copy has the schema of the file. It holds all private keys, and also
// what was removed since the last Clear.
//
// Backup makes the copy in memory before the first Write: w may be slow, and an open
// transaction blocks Close and some writes.
func (s *Store) Backup(w io.Writer) error {
	if s.from != nil {
		return s.from.Backup(w)
	}
	f, err := newMemory(s.path)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	err = s.View(func(tx *Tx) (err error) {
		defer s.guard(&err)
		_, err = tx.b.WriteTo(f)
		return err
	})
	if err == nil {
		_, err = io.Copy(w, io.NewSectionReader(f, 0, math.MaxInt64))
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}
