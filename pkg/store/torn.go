package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openWhole opens a locked file at its last complete transaction. If a crash interrupted
// the commit of the last transaction, Update had not returned for it: openWhole undoes
// it in the file, or in a copy with Options.ReadOnly. After an error the caller releases
// the file.
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

// reread makes later reads of f come from the disk. After a sync that failed, the kernel
// shows the data that was to be written, which may not be what the disk has.
func reread(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	// An error means that the file system has no cache to drop.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return nil
}

// findTorn returns the meta page of the last transaction if that is incomplete and the
// one before is complete; nil if the last one is complete. The error is ErrDamaged if
// neither is.
//
// Only a digest shows that a transaction is complete, so a transaction of schema 1 is
// never taken for the one before. If the last transaction has schema 1, the one before
// must not have a later schema: then a page of the last one was not written.
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
		case before > SchemaVersion: // with a digest that is not known here
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

// erase overwrites the meta page, so that it is not valid any more.
func (m *metaPage) erase(f *os.File) error {
	_, err := f.WriteAt(make([]byte, pageHeader+metaSize), m.place)
	return err
}

// openCopyWithout opens a copy of the file in memory without the meta page, and keeps
// the file locked.
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
