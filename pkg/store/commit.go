package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// commit makes the transaction durable with one sync for all of its pages, including the
// meta page. A crash before the sync may leave any part of them. If the meta page is on
// the disk and another page is not, findTorn notices: either the list of free pages does
// not match the pages in use, or the digest does not match the records and the number of
// the transaction. It then goes back to the transaction before. Its pages are all there:
// no transaction overwrites pages that the one before uses, and this one has not begun
// before that one was durable.
//
// findTorn would not notice pages of another attempt at a transaction with the same
// number. There may have been one before a crash or a failed commit. So the first commit
// after these takes two syncs, as bbolt does it, and writes the meta page last.
func (s *Store) commit(tx *Tx) error {
	if err := tx.finish(); err != nil {
		return errors.Join(err, s.rollback(tx.b))
	}
	id := tx.b.ID()
	start := time.Now()
	s.db.NoSync, s.unproven, s.unsealed = !s.unproven, true, true
	if err := s.commitBolt(tx.b); err != nil {
		return s.commitFailed(id, err)
	}
	if s.db.NoSync {
		if err := s.db.Sync(); err != nil {
			return s.retryCommit(err)
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

// commitFailed handles a commit that returned an error. If the meta page was not written,
// nothing has changed. Otherwise readers see the transaction, but the disk may not have
// it.
func (s *Store) commitFailed(id int, cause error) error {
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
	return s.retryCommit(cause)
}

// retryCommit writes a transaction again that was written and not synced. If that fails
// as well, the store takes no more writes.
func (s *Store) retryCommit(cause error) error {
	if err := s.rewriteLast(); err != nil {
		err = fmt.Errorf("%w to %s: free or replace the disk and restart: %w", ErrFailed, s.path, cause)
		s.fail(err, false)
		return err
	}
	s.opt.Logger.Warn("the disk failed at a commit and recovered", "file", s.path, "error", cause)
	return nil
}

// visible reports whether readers see the transaction.
func (s *Store) visible(id int) (bool, error) {
	b, err := s.begin(false)
	if err != nil {
		return false, err
	}
	seen := b.ID()
	return seen == id, s.rollback(b)
}

// rewriteLast writes the pages of the last transaction again and syncs them. After a
// failed sync the kernel regards them as written, so a second sync alone would prove
// nothing.
func (s *Store) rewriteLast() error {
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
	taken, err := newWalker(s.file, before).freelist() // where the last one took its pages from
	if err != nil {
		return err
	}
	page := make([]byte, last.pageSize)
	rewrite := func(at int64) error {
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
		if err := rewrite(int64(id * last.pageSize)); err != nil {
			return err
		}
	}
	if err := rewrite(last.place); err != nil {
		return err
	}
	return s.file.Sync()
}

// seal makes a last transaction that changes nothing. If its pages are damaged on the
// disk, going back to the transaction before loses nothing.
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
