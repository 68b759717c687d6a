package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// crash starts the node anew on the store as it is at this moment.
func (r *rig) crash() {
	r.t.Helper()
	name := filepath.Join(r.dir, store.FileName)
	now, err := os.ReadFile(name)
	r.must(err)
	r.stop()
	r.must(os.WriteFile(name, now, 0o600))
	r.start()
}

// stored returns how many resumption records a file holds.
func (r *rig) stored(name string) int {
	r.t.Helper()
	st, err := store.Open(name, store.Options{ReadOnly: true})
	r.must(err)
	defer st.Close()
	var list []store.Resumption
	r.must(st.View(func(tx *store.Tx) (err error) {
		list, err = tx.Resumptions()
		return err
	}))
	return len(list)
}

// resume opens a session with a record, returns the next record and reports
// whether the node knew this one.
func (r *rig) resume(c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned, rec *casesession.Record) (casesession.Record, bool) {
	r.t.Helper()
	_, res, err := c.CASE(r.ctx, deviceAddr, a, done.Node, rec)
	r.must(err)
	return res.Record(), res.Resumed
}

func TestResumptionOutlivesAStop(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		rec, _ := r.resume(c, a, done, nil)
		for range 2 {
			r.restart()
			next, ok := r.resume(c, a, done, &rec)
			if !ok {
				t.Fatal("not resumed after an orderly restart")
			}
			if _, ok := r.resume(c, a, done, &rec); ok {
				t.Fatal("a used record was taken again")
			}
			// The full handshake has replaced next.
			if _, ok := r.resume(c, a, done, &next); ok {
				t.Fatal("a replaced record was taken")
			}
			rec, _ = r.resume(c, a, done, nil)
		}
	})
}

// After a crash a record that was used before it must not be taken again: the
// repeated Sigma1 would give the same session keys once more. Nor is any other,
// as nothing on the disk tells which ones were used.
func TestResumptionDoesNotOutliveACrash(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		unused, _ := r.resume(c, a, done, nil)
		r.restart() // so that it was on the disk
		used := unused
		unused, ok := r.resume(c, a, done, &used)
		if !ok {
			t.Fatal("not resumed after an orderly restart")
		}
		r.crash()
		for name, rec := range map[string]*casesession.Record{"used": &used, "unused": &unused} {
			if _, ok := r.resume(c, a, done, rec); ok {
				t.Errorf("the %s record was taken after a crash", name)
			}
		}
	})
}

// Not even when the node crashes before it has used the first one.
func TestResumptionRecordsLeaveTheStoreAtTheStart(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		rec, _ := r.resume(c, a, done, nil)
		r.stop()
		name := filepath.Join(r.dir, store.FileName)
		if n := r.stored(name); n != 1 {
			t.Fatalf("%d records stored by a stop", n)
		}
		r.start()
		running := filepath.Join(t.TempDir(), store.FileName)
		b, err := os.ReadFile(name)
		r.must(err)
		r.must(os.WriteFile(running, b, 0o600))
		if n := r.stored(running); n != 0 {
			t.Errorf("%d records stored while the node runs", n)
		}
		if _, ok := r.resume(c, a, done, &rec); !ok {
			t.Error("not resumed")
		}
	})
}

func TestResumptionRecordsAreBounded(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.stop()
		r.opt.MaxFabrics = 5
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		const max = 3*5 + 16
		first, _ := r.resume(c, a, done, nil)
		for range max {
			other, err := a.Admin(commissioner.RandomNodeID())
			r.must(err)
			r.resume(c, other, done, nil)
		}
		if _, ok := r.resume(c, a, done, &first); ok {
			t.Errorf("the record of the peer that came first is kept after %d others", max)
		}
		r.stop()
		if n := r.stored(filepath.Join(r.dir, store.FileName)); n != max {
			t.Errorf("%d records stored, want %d", n, max)
		}
		r.start()
	})
}
