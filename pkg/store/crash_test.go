package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// After a power cut a disk may have any part of what was written since the last
// confirmed sync, in any order, in whole pages or sectors.

// plug is a store with power cuts.
type plug struct {
	t    *testing.T
	rnd  *rand.Rand
	path string
	s    *Store
	back int // number of undone transactions
}

func newPlug(t *testing.T, seed uint64) *plug {
	p := &plug{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), path: filepath.Join(t.TempDir(), FileName)}
	p.open()
	return p
}

func (p *plug) open() {
	p.t.Helper()
	log := slog.New(slog.NewTextHandler(&counter{p, "was cut off, or lost: it counts"}, nil))
	s, err := Open(p.path, Options{Logger: log})
	if err != nil {
		p.t.Fatal(err)
	}
	p.s = s
	if err := s.Check(); err != nil {
		p.t.Fatal(err)
	}
}

// counter counts the lines of a log.
type counter struct {
	p     *plug
	words string
}

func (c *counter) Write(b []byte) (int, error) {
	c.p.back += bytes.Count(b, []byte(c.words))
	return len(b), nil
}

// pull makes f's commit and leaves a part of its writes on the disk, chosen by keep
// within the guarantees of the syncs (one or two). Then it opens the store, which
// must have the content from before f or after it.
func (p *plug) pull(f func(tx *Tx) error, keep func(page int) part) {
	p.t.Helper()
	before, wantBefore := fileOf(p.t, p.s), contentOf(p.t, p.s)
	update(p.t, p.s, f)
	after, wantAfter := fileOf(p.t, p.s), contentOf(p.t, p.s)
	twoSteps := !p.s.db.NoSync
	p.s.db.Close() // releases the lock; nothing is written
	size := os.Getpagesize()
	n := max(len(before), len(after)) / size
	a, b := pagesOf(before, size, n), pagesOf(after, size, n)
	disk := slices.Clone(a)
	pagesDone := true
	for i := 2; i < n; i++ {
		disk[i] = keep(i).of(a[i], b[i])
		pagesDone = pagesDone && bytes.Equal(disk[i], b[i])
	}
	if !twoSteps || pagesDone {
		for i := range 2 {
			disk[i] = keep(i).of(a[i], b[i])
		}
	}
	if err := os.WriteFile(p.path, bytes.Join(disk, nil), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.open()
	got := contentOf(p.t, p.s)
	if !reflect.DeepEqual(got, wantBefore) && !reflect.DeepEqual(got, wantAfter) {
		p.t.Fatalf("neither before nor after, synced in two steps: %v", twoSteps)
	}
	all := true
	for i := range disk {
		all = all && bytes.Equal(disk[i], b[i])
	}
	if all && !reflect.DeepEqual(got, wantAfter) {
		p.t.Fatal("all was written, and it is not there")
	}
}

// part is the part of a page that reached the disk: a number of sectors from the
// front or from the back.
type part struct {
	sectors  int
	fromBack bool
}

const sector = 512

var (
	whole  = part{sectors: 1 << 20}
	nought = part{}
)

func (k part) of(a, b []byte) []byte {
	n := min(k.sectors*sector, len(a))
	if k.fromBack {
		return append(bytes.Clone(a[:len(a)-n]), b[len(b)-n:]...)
	}
	return append(bytes.Clone(b[:n]), a[n:]...)
}

// transactions returns random changes like the daemon's.
func transactions(rnd *rand.Rand) func(tx *Tx) error {
	i, peer := matter.FabricIndex(1+rnd.IntN(6)), matter.NodeID(1+rnd.IntN(3))
	label := fmt.Sprintf("label %d", rnd.IntN(3)) // often the same as before
	switch rnd.IntN(8) {
	case 0:
		return func(tx *Tx) error { return tx.DeleteFabric(i) }
	case 1:
		return func(tx *Tx) error { _, err := tx.reserve("events", uint64(1+rnd.IntN(2))); return err }
	case 2:
		return func(tx *Tx) error {
			return tx.MutateNode(func(n *Node) error { n.NodeLabel = label; return nil })
		}
	case 3:
		return func(tx *Tx) error { // grows to several pages and shrinks again
			for i := matter.FabricIndex(10); i < 40; i++ {
				if err := tx.PutFabric(sampleFabric(i)); err != nil {
					return err
				}
			}
			return nil
		}
	case 4:
		return func(tx *Tx) error {
			for i := matter.FabricIndex(10); i < 40; i++ {
				if err := tx.DeleteFabric(i); err != nil {
					return err
				}
			}
			return nil
		}
	case 5:
		return func(tx *Tx) error {
			return errors.Join(tx.PutFabric(sampleFabric(i)), tx.PutResumption(sampleResumption(i, peer)))
		}
	default:
		return func(tx *Tx) error {
			f := sampleFabric(i)
			f.Label = label
			return tx.PutFabric(f)
		}
	}
}

// Every subset of the pages of a commit, in a store with many commits.
func TestPowerCutKeepsAnySubset(t *testing.T) {
	p := newPlug(t, 1)
	fillStore(t, p.s, 2)
	for range 2 {
		for range p.rnd.IntN(4) {
			update(t, p.s, transactions(p.rnd))
		}
		b := fileOf(t, p.s)
		tx := transactions(p.rnd)
		for subset := range 1 << 5 {
			// Restore the file, in a process that has made a commit with two syncs.
			p.s.db.Close()
			if err := os.WriteFile(p.path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			p.open()
			p.s.unproven = false
			var changed []int
			p.pull(tx, func(page int) part {
				if page == 0 || page == 1 { // bit 0; the other meta page does not change
					return [...]part{nought, whole}[subset&1]
				}
				k := slices.Index(changed, page)
				if k < 0 {
					k = len(changed)
					changed = append(changed, page)
				}
				return [...]part{nought, whole}[subset>>(1+k%4)&1]
			})
		}
	}
	p.s.Close()
}

// Many crashes in a row. Each leaves pages of an interrupted transaction, and its
// number is used again.
func TestPowerCutAgainAndAgain(t *testing.T) {
	back := 0
	for seed := range uint64(2) {
		p := newPlug(t, 100+seed)
		for range 25 {
			for range p.rnd.IntN(3) {
				update(t, p.s, transactions(p.rnd))
			}
			p.pull(transactions(p.rnd), func(page int) part {
				switch p.rnd.IntN(5) {
				case 0:
					return part{p.rnd.IntN(9), p.rnd.IntN(2) == 0}
				case 1, 2:
					return nought
				}
				return whole
			})
		}
		back += p.back
		p.s.Close()
	}
	if back < 5 {
		t.Errorf("only %d times a transaction was given up: the test does not test that", back)
	}
}

// One commit is interrupted after its pages were written. The next one, with the
// same number, is interrupted after its meta page, which refers to the pages of the
// first.
func TestPowerCutBetweenTwoAttempts(t *testing.T) {
	p := newPlug(t, 200)
	fillStore(t, p.s, 1)
	label := func(text string) func(tx *Tx) error {
		return func(tx *Tx) error {
			f := sampleFabric(1)
			f.Label = text
			return tx.PutFabric(f)
		}
	}
	for _, text := range []string{"a", "b", "c"} {
		update(t, p.s, label(text))
	}
	for range 4 {
		p.pull(label("first"), func(page int) part { return [...]part{nought, whole}[min(page/2, 1)] })
		p.pull(label("other"), func(page int) part { return [...]part{whole, nought}[min(page/2, 1)] })
		if got := contentOf(t, p.s).fabrics[0].Label; got != "c" {
			t.Fatalf("label %q, of an attempt that was cut off", got)
		}
	}
	p.s.Close()
}

// damagePage changes a page of the last transaction, except the meta pages, and
// reports whether there was one.
func damagePage(t *testing.T, path string, before []byte) bool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	for at := 2 * size; at < len(b) && at < len(before); at += size {
		if !bytes.Equal(b[at:at+size], before[at:at+size]) {
			b[at+100] ^= 0x40
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return true
		}
	}
	return false
}

// Damage after an orderly end must not undo a confirmed transaction.
func TestNothingIsUndoneAfterAnOrderlyEnd(t *testing.T) {
	for round := range 20 {
		path := filepath.Join(t.TempDir(), FileName)
		s := open(t, path)
		fillStore(t, s, 2)
		update(t, s, func(tx *Tx) error { return tx.DeleteFabric(1) })
		for range round % 3 {
			update(t, s, transactions(rand.New(rand.NewPCG(uint64(round), 1))))
		}
		want, before := contentOf(t, s), fileOf(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !damagePage(t, path, before) {
			t.Fatal("the end wrote no page")
		}
		s, err := Open(path, Options{})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			continue
		}
		if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
			t.Fatal("a transaction that was confirmed is undone")
		}
		s.Close()
	}
}

// A reader uses the transaction before and changes nothing, so that a check after a
// power cut finds a valid store.
func TestReadOnlyGoesBackInMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 1)
	before := fileOf(t, s)
	update(t, s, func(tx *Tx) error { return tx.PutFabric(sampleFabric(2)) })
	s.db.Close()
	if !damagePage(t, path, before) {
		t.Fatal("no page was written")
	}
	torn, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the lock is released
		s, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		if got := contentOf(t, s).fabrics; len(got) != 1 {
			t.Errorf("%d fabrics, want that of before", len(got))
		}
		copied := filepath.Join(t.TempDir(), "backup.db")
		if err := os.WriteFile(copied, backupOf(t, s), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := contentOf(t, open(t, copied)).fabrics; len(got) != 1 {
			t.Errorf("%d fabrics in a copy", len(got))
		}
		if _, err := Open(path, Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) {
			t.Errorf("opened for writing while it is read: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, torn) {
			t.Errorf("the file was changed, %v", err)
		}
	}
	s = open(t, path)
	defer s.Close()
	if got := contentOf(t, s).fabrics; len(got) != 1 {
		t.Errorf("%d fabrics, want that of before", len(got))
	}
}

// After a failed sync the content of the disk is not known, and the store accepts
// no writes.
func TestFailedSyncEndsTheStore(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), FileName))
	fillStore(t, s, 1)
	relabel := func(label string) func(tx *Tx) error {
		return func(tx *Tx) error {
			f := sampleFabric(1)
			f.Label = label
			return tx.PutFabric(f)
		}
	}
	for _, label := range []string{"a", "b", "c"} { // until there are free pages
		update(t, s, relabel(label))
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // accepts writes and fails to sync
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), int(s.file.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(relabel("d")); !errors.Is(err, ErrFailed) {
		t.Errorf("a commit that was not synced: %v", err)
	}
	if err := s.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrFailed) {
		t.Errorf("the store went on in doubt: %v", err)
	}
	s.Close()
}

// A page of an older schema in the last transaction must not restore the records
// from before an upgrade.
func TestPageOfAnOlderSchemaIsNotTheLastTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 1)
	for range 3 {
		update(t, s, func(tx *Tx) error { return tx.PutFabric(sampleFabric(2)) })
	}
	want := contentOf(t, s)
	update(t, s, (*Tx).DeleteFabrics)
	b := fileOf(t, s)
	s.db.Close()
	metas, err := findMetas(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	now, err := seal(bucketMeta, keySchema, SchemaVersion)
	if err != nil {
		t.Fatal(err)
	}
	then, err := seal(bucketMeta, keySchema, 1)
	if err != nil {
		t.Fatal(err)
	}
	at := int(metas[0].root * metas[0].pageSize)
	i := bytes.Index(b[at:at+int(metas[0].pageSize)], now)
	if i < 0 {
		t.Fatal("the schema is not in the root page")
	}
	copy(b[at+i:], then)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("%d fabrics, want those of the transaction before", len(got.fabrics))
	}
	if there(copyPath(path, 1)) {
		t.Error("it was upgraded")
	}
}

// Two old records instead of two that were changed in the same way are detected,
// although the changes of their checksums cancel each other out.
func TestDigestIsNoChecksum(t *testing.T) {
	bucket, a, b := []byte("x"), []byte("a"), []byte("b")
	var before, after digest
	var sums [2]uint32
	for i, label := range []string{"kitchen", "bedroom"} {
		d := []*digest{&before, &after}[i]
		for _, key := range [][]byte{a, b} {
			d.add(bucket, key, []byte(label))
			sums[i] ^= sum(bucket, key, []byte(label))
		}
	}
	if sums[0] != sums[1] {
		t.Fatal("the checksums do not cancel out: this shows nothing")
	}
	if before == after {
		t.Error("the digest takes the one for the other")
	}
	for _, key := range [][]byte{a, b} {
		after.remove(bucket, key, []byte("bedroom"))
	}
	if after != (digest{}) {
		t.Errorf("digest of nothing: %+v", after)
	}
}
