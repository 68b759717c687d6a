package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// copyPath is where a database of an older schema is kept when it is upgraded.
func copyPath(path string, version int) string { return fmt.Sprintf("%s.schema%d", path, version) }

// An upgrader makes a store of this schema of one of an older version. After an
// error the caller closes the store it had.
type upgrader func(s *Store, version int) (*Store, error)

// upgradeInPlace migrates the file, in one transaction, and keeps a copy of what
// it was: the schema before is one that an older program can go on with, should
// this one have to be taken back. Without the copy nothing is changed.
func upgradeInPlace(s *Store, version int) (*Store, error) {
	if err := s.rehearse(version); err != nil {
		return s, err
	}
	if err := s.keepCopy(version); err != nil {
		return s, fmt.Errorf("upgrade %s from schema %d to %d: cannot keep a copy of it: %w", s.path, version, SchemaVersion, err)
	}
	if err := s.migrate(version); err != nil {
		return s, err
	}
	s.opt.Logger.Info("upgraded the database", "file", s.path, "from", version, "to", SchemaVersion, "copy", copyPath(s.path, version))
	s.forgetOld()
	return s, nil
}

// upgradeCopy migrates a file that is a copy, and that nobody uses yet.
func upgradeCopy(s *Store, version int) (*Store, error) {
	if err := s.migrate(version); err != nil {
		return s, err
	}
	s.forgetOld()
	return s, nil
}

// forgetOld overwrites what a migration has done away with. It is no reason to
// refuse the store if that fails.
func (s *Store) forgetOld() {
	if err := s.Clear(); err != nil {
		s.opt.Logger.Warn("cannot clear the free pages of the database", "file", s.path, "error", err)
	}
}

// upgradeInMemory leaves the file as it is, and returns what it will be: who only
// reads does not upgrade it.
func upgradeInMemory(s *Store, version int) (*Store, error) {
	f, err := memory(s.file)
	if err != nil {
		return s, fmt.Errorf("read %s, which has schema %d: %w", s.path, version, err)
	}
	opt := s.opt
	opt.ReadOnly, opt.Logger = false, slog.New(slog.DiscardHandler)
	m, err := openBolt(f, s.path, opt)
	if err == nil {
		err = m.migrate(version)
	}
	if err != nil {
		release(f, m)
		return s, err
	}
	m.opt, m.from, m.schema = s.opt, s, version
	return m, nil
}

// memory returns a copy of a file that has no name.
func memory(f *os.File) (*os.File, error) {
	m, err := newMemory(f.Name())
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(m, io.NewSectionReader(f, 0, math.MaxInt64)); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// newMemory returns an empty file in memory. name is for errors.
func newMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(FileName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// migrate brings the file from an older schema to this one, and reads all of it,
// in one transaction: it is there whole, in this schema, or as it was.
func (s *Store) migrate(version int) error {
	if err := s.Update(func(tx *Tx) error { return tx.upgrade(version) }); err != nil {
		return err
	}
	s.schema = SchemaVersion
	return nil
}

// rehearse finds out, without changing anything, whether migrate will do.
func (s *Store) rehearse(version int) error {
	return s.transact(true, func(tx *Tx) error { return tx.upgrade(version) }, s.leave)
}

func (tx *Tx) upgrade(version int) error {
	if err := tx.migrate(version, migrations); err != nil {
		return err
	}
	if err := tx.finish(); err != nil {
		return err
	}
	c, err := tx.load()
	if err != nil {
		return err
	}
	for _, err := range tx.s.findings(&c) {
		if errors.Is(err, ErrDamaged) {
			return err
		}
	}
	return nil
}

// keepCopy writes the database as it is beside itself, durably, in the place of
// an earlier copy.
func (s *Store) keepCopy(version int) error {
	f, err := openNew(s.path, &s.opt)
	if err != nil {
		return err
	}
	defer f.Close()
	err = s.Backup(f)
	if err == nil {
		err = moveIn(f, s.path, copyPath(s.path, version))
	}
	if err != nil {
		os.Remove(newPath(s.path)) // it is ours while the lock is held
	}
	return err
}
