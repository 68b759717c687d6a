package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openWhole opens a locked file at its last transaction that is there whole. If
// that is not the last one that was begun, because a crash came within its commit,
// then Update had not returned for it, and the file goes back to the one before;
// who only reads leaves the file as it is, and reads a copy. After an error the
// caller releases the file.
func openWhole(f *os.File, path string, opt Options) (*Store, error) {
	if !opt.ReadOnly {
		if err := reread(f); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	torn, err := findTorn(f, path, &opt)
	switch {
	case err != nil:
		return nil, err
	case torn == nil:
		return openBolt(f, path, opt)
	case opt.ReadOnly:
		return openCopyWithout(f, torn, path, opt)
	}
	err = torn.erase(f)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return openBolt(f, path, opt)
}

// reread makes what is read from f come from the disk. After a sync that failed,
// the kernel shows what it was told to write, and the disk has something else.
func reread(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	// Not every file system has a cache to drop.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return nil
}

// findTorn returns the meta page of a transaction that is not there whole, if
// the one before is; nil if nothing is wrong. The error is ErrDamaged if neither
// is whole.
//
// Only a digest shows that a transaction is whole, so that schema 1 never counts as
// the one before. Schema 1 in the last one is right only if there is no later schema
// before it; otherwise what leads there is a page that was not written.
func findTorn(f *os.File, path string, opt *Options) (*metaPage, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	metas, err := findMetas(f)
	if err != nil {
		return nil, damaged(path, err.Error())
	}
	schema, fault := checkPages(f, info.Size(), metas[0])
	if fault == nil && schema >= digestSince {
		if len(metas) == 1 {
			opt.Logger.Warn("one of the two meta pages of the database is not valid: a commit was cut off, or lost", "file", path)
		}
		return nil, nil
	}
	if len(metas) == 2 && metas[1].txid+1 == metas[0].txid {
		before, err := checkPages(f, info.Size(), metas[1])
		switch {
		case err != nil || before < digestSince:
		case before > SchemaVersion: // whether it is whole is not known
			return nil, newer(path, fmt.Sprintf("schema %d, this one knows %d", before, SchemaVersion))
		default:
			opt.Logger.Warn("the last write to the database was cut off, or lost: it counts as it was before that", "file", path, "transaction", metas[0].txid)
			return &metas[0], nil
		}
	}
	if fault != nil {
		return nil, damaged(path, fault.Error())
	}
	return nil, nil
}

// erase makes the meta page one that does not count.
func (m *metaPage) erase(f *os.File) error {
	_, err := f.WriteAt(make([]byte, pageHeader+metaSize), m.place)
	return err
}

// openCopyWithout opens a copy of the file in memory that has a meta page less,
// and keeps the lock of the file.
func openCopyWithout(f *os.File, torn *metaPage, path string, opt Options) (*Store, error) {
	image, err := memory(f)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	var s *Store
	if err = torn.erase(image); err == nil {
		s, err = openBolt(image, path, opt)
	}
	if err != nil {
		release(image, s)
		return nil, err
	}
	s.locked = f
	return s, nil
}
