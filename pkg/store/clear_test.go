package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// keyIn reports whether a file contains the operational key of a fabric.
func keyIn(b []byte, f Fabric) bool {
	return bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(f.Key)))
}

func TestClearTakesWhatWasRemoved(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 4)
	update(t, s, func(tx *Tx) error { return tx.DeleteFabric(2) })
	want := contentOf(t, s)
	if !keyIn(fileOf(t, s), sampleFabric(2)) {
		t.Fatal("the key went without this")
	}
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	b := fileOf(t, s)
	if keyIn(b, sampleFabric(2)) || !keyIn(b, sampleFabric(1)) {
		t.Error("the removed fabric's key is there, or another one's is not")
	}
	if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
		t.Error("records have changed")
	}
	fillStore(t, s, 4)
	if err := errors.Join(s.Clear(), s.Check()); err != nil {
		t.Error(err)
	}
}

// A transaction that reads sees the records from its begin.
func TestClearLeavesReadersAlone(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 4)
	var before, after content
	err := s.View(func(tx *Tx) (err error) {
		if before, err = tx.load(); err != nil {
			return err
		}
		done := make(chan error)
		go func() {
			done <- errors.Join(s.Update(func(tx *Tx) error { return tx.DeleteFabric(2) }), s.Clear())
		}()
		if err := <-done; err != nil {
			return err
		}
		after, err = tx.load()
		return err
	})
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the reader saw a change, %v", err)
	}
	if err := s.Clear(); err != nil || keyIn(fileOf(t, s), sampleFabric(2)) {
		t.Errorf("the key is there when nobody reads, %v", err)
	}
}

func TestRemoveCopies(t *testing.T) {
	old := readOld(t, 1)
	path := old.place(t)
	s := open(t, path)
	backup := backupOf(t, s)
	s.Close()
	if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
		t.Fatal(err)
	}
	mine := path + ".mine"
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.before-restore opcredsd.db.initialised opcredsd.db.mine opcredsd.db.schema1" {
		t.Fatalf("directory holds %s", got)
	}
	for range 2 {
		if err := s.RemoveCopies(); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.initialised opcredsd.db.mine" {
		t.Errorf("directory holds %s", got)
	}
}
