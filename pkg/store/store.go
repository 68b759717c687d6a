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
	// initialMap is room for all but the fullest tables, so that the file is
	// rarely mapped anew.
	initialMap = 1 << 20

	// maxFile bounds the file. 254 full fabrics need about 2 MB, 1,000 devices with
	// records of the largest size 64 MB, and a commit writes beside what is there.
	maxFile = 256 << 20
)

// Options are the settings of a store. The zero value is good.
type Options struct {
	Logger *slog.Logger // default: none

	// ReadOnly shares the file with other readers, changes nothing on the disk
	// and makes nothing.
	ReadOnly bool

	// LockTimeout is how long to wait for another process to let go of the
	// file. Default: one second.
	LockTimeout time.Duration

	// OnCommit is called after each commit with the time that it took.
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

// Store is an open database. It may be used by several goroutines; transactions
// that write are one after the other.
type Store struct {
	path   string
	file   *os.File
	db     *bbolt.DB
	opt    Options
	schema int      // of the file that Open found
	from   *Store   // the file of an older schema that this one is an image of, or nil
	locked *os.File // that this one is an image of without its last transaction, or nil

	// writing is held from the begin of a transaction that writes until the disk
	// has it: the next one overwrites what a crash would have to fall back on.
	writing  sync.Mutex
	unproven bool // the next commit is to be synced in two steps, see commit
	unsealed bool // a commit was made, see seal

	mu       sync.Mutex
	failed   error             // why the store takes nothing more
	panicked bool              // bbolt may hold its locks for ever
	reserved map[string]uint64 // end of what each counter has given out
}

// Open opens the database at path, STATE_DIR/opcredsd.db, and makes it and its
// directory if there has never been one.
//
// It returns an error that wraps ErrLocked, ErrDamaged, ErrNewer or ErrMissing,
// with one line that says what to do; in all these cases nothing on the disk has
// been changed. With Options.ReadOnly a database that has never been there is
// fs.ErrNotExist.
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
			return nil, fmt.Errorf("open %s: %w again and again", path, err)
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

// mark writes the marker. It guards against a later loss: a failure is no reason
// to refuse what is there.
func (s *Store) mark() {
	if err := writeMarker(s.path); err != nil {
		s.opt.Logger.Warn("cannot write the marker beside the database", "file", markerPath(s.path), "error", err)
	}
}

// openFile opens a locked file that is not empty. An older schema is for upgrade.
// After an error the caller releases both the file and the store, which may be
// there.
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

// openBolt hands a locked file over to bbolt.
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

// readSchema returns the schema version of the file and refuses a newer one.
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

// create makes the database under another name and moves it in when it is
// durable. It stays locked all the time, so that nobody finds it half made.
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
		return nil, errReplaced // by one that was quicker
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

// discard gives up a file made by openNew. It is ours while the lock is held.
func discard(f *os.File, s *Store, path string) {
	os.Remove(newPath(path))
	release(f, s)
}

// release closes the store, if there is one, and the file, if that has not.
func release(f *os.File, s *Store) {
	if s != nil {
		s.Close()
	}
	f.Close()
}

// Path returns where the database lies.
func (s *Store) Path() string { return s.path }

// Schema returns the schema version of the file. It is older than SchemaVersion
// only with Options.ReadOnly: what is read then is what an upgrade will make of it.
func (s *Store) Schema() int { return s.schema }

// Close waits for transactions to end and releases the file. A second call does
// nothing.
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
		return errors.Join(image, s.file.Close()) // which ends the lock; bbolt would wait for itself
	}
	return errors.Join(image, s.db.Close())
}

// failure returns why the store takes nothing more, nil if it does.
func (s *Store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// fail makes every later use of the store return err, unless it has failed
// before.
func (s *Store) fail(err error, panicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panicked = s.panicked || panicked
	if s.failed == nil {
		s.failed = err
	}
}

// guard, deferred around calls into bbolt, turns a panic into ErrDamaged. It is
// how bbolt answers pages that make no sense.
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

// View calls f with a transaction that reads. An error of f is returned.
//
// Do not call Update within f.
func (s *Store) View(f func(*Tx) error) error { return s.transact(false, f, s.leave) }

// Update calls f with a transaction that writes. If f returns nil, what it did is
// on the disk, whole, when Update returns nil. An error of f is returned and
// nothing has changed; so it is, too, if f panics.
func (s *Store) Update(f func(*Tx) error) error { return s.transact(true, f, s.commit) }

// transact calls f and then, if it returns nil, end.
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
	if err := s.failure(); err != nil { // f may have kept it to itself
		return err
	}
	ended = true
	return end(tx)
}

func (s *Store) leave(tx *Tx) error { return s.rollback(tx.b) }

// Reserve gives out the next block of values of a counter: first up to but not
// including first+block. Nobody has been or will be given one of them, whatever
// crash comes. The disk is asked once a block.
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

// Backup writes a consistent copy of the database, one that Open and Restore
// take, while the store is in use. It has the schema of the file. It holds all
// private keys, and also what was removed since the last Clear.
//
// The copy is made in memory before the first Write: w may be slow, and a transaction
// that reads would hold up others and Close meanwhile.
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
