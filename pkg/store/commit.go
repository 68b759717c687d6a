package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// commit makes the transaction durable, with one sync for all of its pages, the
// meta page among them. A crash may keep any part of them. If the meta page is
// there and others are not, findTorn notices that: the list of free pages must
// leave out exactly the pages that are in use, and the digest must be that of the
// records, and of this transaction. It goes back to the transaction before, whose
// pages are all there: no transaction writes to pages that the one before uses, and
// this one has not begun before that one was durable.
//
// findTorn would not notice if the pages were those of another attempt at a
// transaction of this number. There may have been one before a crash or a failed
// commit, so that the first commit after these is synced as bbolt does it, the
// meta page last.
func (s *Store) commit(tx *Tx) error {
	if err := tx.finish(); err != nil {
		return errors.Join(err, s.rollback(tx.b))
	}
	id := tx.b.ID()
	start := time.Now()
	s.db.NoSync, s.unproven, s.unsealed = !s.unproven, true, true
	if err := s.commitBolt(tx.b); err != nil {
		return s.settle(id, err)
	}
	if s.db.NoSync {
		if err := s.db.Sync(); err != nil {
			return s.doubt(err)
		}
	}
	s.unproven = false
	s.opt.OnCommit(time.Since(start))
	return nil
}

func (s *Store) commitBolt(b *bbolt.Tx) (err error) {
	defer s.guard(&err)
	return b.Commit()
}

// settle finds out what has become of a commit that returned an error. As long
// as its meta page is not written nothing has changed. If it is, the transaction
// can be read, but the disk may not have it.
func (s *Store) settle(id int, cause error) error {
	if err := s.failure(); err != nil {
		return err
	}
	visible, err := s.visible(id)
	if err != nil {
		return err
	}
	if !visible {
		return fmt.Errorf("write to %s: %w", s.path, cause)
	}
	return s.doubt(cause)
}

// doubt makes a last attempt at a transaction that is written and not synced. If
// that fails, too, the store ends.
func (s *Store) doubt(cause error) error {
	if err := s.writeAgain(); err != nil {
		err = fmt.Errorf("%w to %s: free or replace the disk and restart: %w", ErrFailed, s.path, cause)
		s.fail(err, false)
		return err
	}
	s.opt.Logger.Warn("the disk failed at a commit and recovered", "file", s.path, "error", cause)
	return nil
}

// visible reports whether the transaction is the one that readers see.
func (s *Store) visible(id int) (bool, error) {
	b, err := s.begin(false)
	if err != nil {
		return false, err
	}
	seen := b.ID()
	return seen == id, s.rollback(b)
}

// writeAgain writes the pages of the last transaction once more, and syncs them.
// After a sync that failed the kernel takes them for written, so that another one
// would say nothing.
func (s *Store) writeAgain() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	metas, err := findMetas(s.file)
	if err != nil {
		return err
	}
	if len(metas) < 2 || metas[1].txid+1 != metas[0].txid {
		return errors.New("no transaction before this one")
	}
	last, before := metas[0], metas[1]
	if _, err := checkPages(s.file, info.Size(), last); err != nil {
		return err
	}
	free, err := newWalker(s.file, last).freelist()
	if err != nil {
		return err
	}
	taken, err := newWalker(s.file, before).freelist() // from these
	if err != nil {
		return err
	}
	page := make([]byte, last.pageSize)
	again := func(at int64) error {
		if _, err := s.file.ReadAt(page, at); err != nil {
			return err
		}
		_, err := s.file.WriteAt(page, at)
		return err
	}
	for id := uint64(2); id < last.pages; id++ {
		if slices.Contains(free, id) || id < before.pages && !slices.Contains(taken, id) {
			continue
		}
		if err := again(int64(id * last.pageSize)); err != nil {
			return err
		}
	}
	if err := again(last.place); err != nil {
		return err
	}
	return s.file.Sync()
}

// seal ends what was written with a transaction that changes nothing. If it is
// damaged on the disk, going back to the one before takes nothing away, so that
// after an orderly end no transaction is ever undone.
func (s *Store) seal() {
	s.writing.Lock()
	idle := !s.unsealed || s.opt.ReadOnly || s.schema != SchemaVersion
	s.unproven = true
	s.writing.Unlock()
	if idle || s.failure() != nil {
		return
	}
	if err := s.Update(func(*Tx) error { return nil }); err != nil {
		s.opt.Logger.Warn("the last write to the database is not safe from damage", "file", s.path, "error", err)
	}
}
