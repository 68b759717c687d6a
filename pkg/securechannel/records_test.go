package securechannel

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// A failed write is repeated, but not on every call, and no record is lost while
// the process runs.
func TestRecordsOfADiskThatFails(t *testing.T) {
	n := clustertest.New(t, 1)
	broken, err := store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.Close(); err != nil {
		t.Fatal(err)
	}
	r := NewRecords(broken, n.Table, 10, nil)
	now := clustertest.Start
	put := func(id byte) {
		r.Put(casesession.Record{Fabric: 1, Peer: matter.NodeID(0x100 + uint64(id)), ID: [16]byte{id}})
		r.Settle(now)
	}
	due := func(what string, want time.Duration) {
		t.Helper()
		at, ok := r.Deadline()
		if !ok || at.Sub(now) != want {
			t.Fatalf("%s: due in %v, %v, want %v", what, at.Sub(now), ok, want)
		}
	}
	put(1)
	due("a record", recordsQuiet)
	if err := r.Advance(now.Add(recordsQuiet - 1)); err != nil {
		t.Fatal("written early")
	}
	now = now.Add(recordsQuiet)
	if err := r.Advance(now); err == nil {
		t.Fatal("no error of a store that is closed")
	}
	due("after the failure", recordsRetry)
	now = now.Add(time.Minute)
	put(2)
	due("another record does not hurry it", recordsRetry-time.Minute)
	now = now.Add(recordsRetry - time.Minute)
	r.st = n.Store
	if err := r.Advance(now); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Deadline(); ok {
		t.Error("written, and still due")
	}
	var list []store.Resumption
	if err := n.Store.View(func(tx *store.Tx) (err error) {
		list, err = tx.Resumptions()
		return err
	}); err != nil || len(list) != 2 {
		t.Errorf("%d records stored, %v", len(list), err)
	}
	put(3)
	due("and as ever after that", recordsQuiet)
	// Setting the clock back does not delay a write for ever.
	now = now.Add(-24 * time.Hour)
	put(4)
	due("after a step back", recordsQuiet)
}
