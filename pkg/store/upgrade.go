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

// copyPath returns the name under which an upgrade keeps the database of the older
// schema.
func copyPath(path string, version int) string { return fmt.Sprintf("%s.schema%d", path, version) }

// An upgrader turns a store of an older schema into one of this schema. After an error
// the caller closes s.
type upgrader func(s *Store, version int) (*Store, error)

// upgradeInPlace migrates the file in one transaction, and keeps a copy of the old one:
// an older program needs that schema if the upgrade of the program is undone. If the
// copy cannot be made, nothing changes.
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

// upgradeCopy migrates a copy that nobody uses yet.
func upgradeCopy(s *Store, version int) (*Store, error) {
	if err := s.migrate(version); err != nil {
		return s, err
	}
	s.forgetOld()
	return s, nil
}

// forgetOld overwrites the records that a migration has replaced. The store can be used
// if that fails, so a failure is only logged.
func (s *Store) forgetOld() {
	if err := s.Clear(); err != nil {
		s.opt.Logger.Warn("cannot clear the free pages of the database", "file", s.path, "error", err)
	}
}

// upgradeInMemory returns a migrated copy in memory and does not change the file, as is
// right for a reader.
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

// memory returns a copy of a file, in memory.
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

// newMemory returns an empty file in memory. Errors name it name.
func newMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(FileName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// migrate migrates the file from an older schema to this one and checks the result, in
// one transaction.
func (s *Store) migrate(version int) error {
	if err := s.Update(func(tx *Tx) error { return tx.upgrade(version) }); err != nil {
		return err
	}
	s.schema = SchemaVersion
	return nil
}

// rehearse runs migrate without the commit.
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

// keepCopy writes a copy of the database beside it, syncs it, and replaces an earlier
// copy.
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
		os.Remove(newPath(s.path)) // nobody else uses it while the lock is held
	}
	return err
}
