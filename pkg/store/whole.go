package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// findWhole makes sure that the transaction that bbolt is about to read is there
// whole. If it is not, because a crash came within its commit, and the one before
// is, then the file goes back to that one: Update had not returned for the other.
// The error is ErrDamaged if neither is whole.
func findWhole(f *os.File, size int64, path string, opt *Options) error {
	if !opt.ReadOnly {
		if err := reread(f); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	metas, err := findMetas(f)
	if err != nil {
		return damaged(path, err.Error())
	}
	if err = checkPages(f, size, metas[0]); err == nil {
		if len(metas) == 1 {
			opt.Logger.Warn("one of the two meta pages of the database is not valid: a commit was cut off, or lost", "file", path)
		}
		return nil
	}
	if len(metas) == 1 || metas[1].txid+1 != metas[0].txid || checkPages(f, size, metas[1]) != nil {
		return damaged(path, err.Error())
	}
	if opt.ReadOnly {
		return fmt.Errorf("the last write to %s was cut off (%w): start the daemon once, it goes back to the one before", path, err)
	}
	opt.Logger.Error("the last write to the database was cut off, or lost: went back to the one before", "file", path, "transaction", metas[0].txid, "err", err)
	if _, err := f.WriteAt(make([]byte, pageHeader+metaSize), metas[0].place); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
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
