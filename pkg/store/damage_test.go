package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// image returns a file with branch pages, free pages and a record of each kind, and
// its content.
func image(t testing.TB) ([]byte, content) {
	t.Helper()
	s := newStore(t)
	fillStore(t, s, 3)
	update(t, s, func(tx *Tx) error {
		for id := range uint32(60) {
			if err := tx.PutSubscription(sampleSubscription(3, 1000, id)); err != nil {
				return err
			}
		}
		return tx.DeleteFabric(2)
	})
	return backupOf(t, s), contentOf(t, s)
}

// tryImage opens a file with the given content. Either Open returns ErrDamaged and the
// file is unchanged, or the store passes its check and has the wanted records.
func tryImage(t *testing.T, path string, b []byte, want *content) (opened bool) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("error is not ErrDamaged: %v", err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(b, after) {
			t.Fatalf("damaged file was changed, %v", err)
		}
		return false
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Fatalf("opened, but: %v", err)
	}
	if got := contentOf(t, s); !reflect.DeepEqual(got, *want) {
		t.Fatal("opened with other content")
	}
	return true
}

func TestTruncatedFile(t *testing.T) {
	b, want := image(t)
	path := filepath.Join(t.TempDir(), FileName)
	for n := 0; n < len(b); n += 97 {
		if tryImage(t, path, b[:n], &want) {
			t.Errorf("a file cut to %d of %d octets opened", n, len(b))
		}
	}
	if !tryImage(t, path, b, &want) {
		t.Error("the whole file does not open")
	}
	if !tryImage(t, path, append(bytes.Clone(b), make([]byte, 5000)...), &want) {
		t.Error("a file with room at its end does not open")
	}
}

// Every flipped bit is detected or has no effect.
func TestFlippedBits(t *testing.T) {
	b, want := image(t)
	path := filepath.Join(t.TempDir(), FileName)
	size := os.Getpagesize()
	rnd := rand.New(rand.NewPCG(1, 2))
	noticed := 0
	for at := 0; at < len(b); at++ {
		chance := 400 // in a page
		if at%size < 96 {
			chance = 20 // in its header, or in a meta page
		}
		if rnd.IntN(chance) != 0 {
			continue
		}
		damagedCopy := bytes.Clone(b)
		damagedCopy[at] ^= 1 << rnd.IntN(8)
		if !tryImage(t, path, damagedCopy, &want) {
			noticed++
		}
	}
	if noticed < len(b)/size/2 { // each page has a header
		t.Errorf("%d flips noticed in %d pages", noticed, len(b)/size)
	}
}

func TestOverwrittenPages(t *testing.T) {
	b, want := image(t)
	path := filepath.Join(t.TempDir(), FileName)
	size := os.Getpagesize()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		damagedCopy := bytes.Clone(b)
		to, from := rnd.IntN(len(b)/size)*size, rnd.IntN(len(b)/size)*size
		copy(damagedCopy[to:to+size], b[from:from+size])
		if rnd.IntN(2) == 0 {
			clear(damagedCopy[to : to+size])
		}
		tryImage(t, path, damagedCopy, &want)
	}
}

func TestDamageIsOneLineWithARemedy(t *testing.T) {
	b, want := image(t)
	path := filepath.Join(t.TempDir(), FileName)
	tryImage(t, path, b[:len(b)/2], &want)
	_, err := Open(path, Options{})
	for _, part := range []string{path, "was left as it is", "store restore"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %v", err)
	}
}

// pagesOf splits a file into pages, up to n, which is the length of the longer
// file.
func pagesOf(b []byte, size, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, size)
		if i*size < len(b) {
			copy(all[i], b[i*size:min(len(b), (i+1)*size)])
		}
	}
	return all
}

// After a power cut the file has any part of what was written since the last sync:
// any subset of the changed pages, whole or torn, with the old meta pages; or all
// of them with a torn meta page. The other cases are in crash_test.go.
func TestPowerCutLeavesBeforeOrAfter(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 2)
	rnd := rand.New(rand.NewPCG(5, 6))
	path := filepath.Join(t.TempDir(), FileName)
	steps := []func(tx *Tx) error{
		func(tx *Tx) error { return tx.PutFabric(sampleFabric(3)) },
		func(tx *Tx) error {
			f := sampleFabric(1)
			f.Label = "renamed"
			return tx.PutFabric(f)
		},
		func(tx *Tx) error { _, err := tx.reserve("events", 1000); return err },
		func(tx *Tx) error {
			for i := matter.FabricIndex(10); i < 40; i++ {
				if err := tx.PutFabric(sampleFabric(i)); err != nil {
					return err
				}
			}
			return nil
		},
		func(tx *Tx) error { return tx.DeleteFabric(2) },
		(*Tx).DeleteFabrics,
	}
	tried := 0
	for _, step := range steps {
		before, wantBefore := fileOf(t, s), contentOf(t, s)
		update(t, s, step)
		after, wantAfter := fileOf(t, s), contentOf(t, s)
		size := os.Getpagesize()
		n := max(len(before), len(after)) / size
		a, b := pagesOf(before, size, n), pagesOf(after, size, n)
		for range 10 { // while pages are written
			cut := bytes.Join(mix(rnd, a, b, 2), nil)
			if !tryImage(t, path, cut, &wantBefore) {
				t.Fatal("a power cut before the meta page was written damaged the store")
			}
			tried++
		}
		for at := 0; at <= 96; at += 8 { // while the meta page is written
			cut := append([][]byte(nil), b...)
			for i := range 2 {
				cut[i] = append(bytes.Clone(b[i][:at]), a[i][at:]...)
			}
			if err := os.WriteFile(path, bytes.Join(cut, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			got := open(t, path)
			c := contentOf(t, got)
			if err := got.Check(); err != nil {
				t.Fatal(err)
			}
			got.Close()
			if !reflect.DeepEqual(c, wantBefore) && !reflect.DeepEqual(c, wantAfter) {
				t.Fatalf("meta page torn at %d: neither before nor after", at)
			}
			tried++
		}
		if !tryImage(t, path, after, &wantAfter) {
			t.Fatal("after the commit the file does not open")
		}
	}
	t.Logf("%d power cuts tried, none failed", tried)
}

// mix takes each page from first on at random from a, from b, or from both.
func mix(rnd *rand.Rand, a, b [][]byte, first int) [][]byte {
	cut := append([][]byte(nil), a...)
	for i := first; i < len(a); i++ {
		switch rnd.IntN(3) {
		case 0:
			cut[i] = b[i]
		case 1:
			at := 512 * rnd.IntN(len(a[i])/512+1)
			cut[i] = append(bytes.Clone(b[i][:at]), a[i][at:]...)
		}
	}
	return cut
}

func fileOf(t *testing.T, s *Store) []byte {
	t.Helper()
	b, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A fault in mapped memory, for example because the file of a running daemon is
// truncated, ends the store but not the process.
func TestFileCutWhileOpen(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 30)
	if err := os.Truncate(s.Path(), 2*int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	err := s.View(func(tx *Tx) error { _, err := tx.Fabrics(); return err })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("View: %v", err)
	}
	if err := s.Update(func(tx *Tx) error { return tx.PutFabric(sampleFabric(1)) }); !errors.Is(err, ErrDamaged) {
		t.Errorf("Update: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestCommitErrorsAreSettled(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 1)
	cause := errors.New("input/output error")
	var id int
	update(t, s, func(tx *Tx) error { id = tx.b.ID(); return tx.PutFabric(sampleFabric(2)) })

	if err := s.commitFailed(id+1, cause); !errors.Is(err, cause) {
		t.Errorf("transaction that nobody sees: %v", err)
	}
	if err := s.commitFailed(id, cause); err != nil {
		t.Errorf("transaction that a further commit confirms: %v", err)
	}
	fillStore(t, s, 3)

	update(t, s, func(tx *Tx) error { id = tx.b.ID(); return tx.PutFabric(sampleFabric(2)) })
	unix.Flock(int(s.file.Fd()), unix.LOCK_UN)
	null, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), int(s.file.Fd())); err != nil { // the disk fails
		t.Fatal(err)
	}
	if err := s.commitFailed(id, cause); !errors.Is(err, ErrFailed) || !errors.Is(err, cause) {
		t.Errorf("transaction that nothing confirms: %v", err)
	}
	if err := s.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrFailed) {
		t.Errorf("the store went on in doubt: %v", err)
	}
}

// roleDiskFull writes to a store on a disk that becomes full, first inside the file
// and then at its end, and continues when there is room again.
func roleDiskFull(args []string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(args[0], Options{})
	if err != nil {
		return err
	}
	many := func(tx *Tx) error {
		for i := matter.FabricIndex(1); i <= 254; i++ {
			f := sampleFabric(i)
			f.Root, f.NOC = make([]byte, 400), make([]byte, 400)
			if err := tx.PutFabric(f); err != nil {
				return err
			}
			for peer := range matter.NodeID(4) {
				if err := tx.PutResumption(sampleResumption(i, peer+1)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var unlimited unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	for _, room := range []uint64{40_000, 300_000, 1 << 20} {
		before, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: room, Max: unlimited.Max}); err != nil {
			return err
		}
		if err := s.Update(many); !errors.Is(err, unix.EFBIG) && (err == nil || !strings.Contains(err.Error(), "file too large")) {
			return fmt.Errorf("room for %d octets: update returned %v", room, err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unlimited); err != nil {
			return err
		}
		after, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		if !bytes.Equal(before[:8192], after[:8192]) {
			return fmt.Errorf("room for %d octets: meta pages have changed", room)
		}
		if err := s.Check(); err != nil {
			return err
		}
		if err := s.Update(func(tx *Tx) error { return tx.PutFabric(sampleFabric(1)) }); err != nil {
			return fmt.Errorf("after the disk had room again: %w", err)
		}
	}
	return errors.Join(s.Update(many), s.Check(), s.Close())
}

func TestDiskFullLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if out, err := command(t, "diskfull", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := open(t, path)
	defer s.Close()
	if c := contentOf(t, s); len(c.fabrics) != 254 || len(c.resumptions) != 1016 {
		t.Errorf("%d fabrics, %d resumption records", len(c.fabrics), len(c.resumptions))
	}
}

// sealMeta corrects the checksum of a changed meta page, so that the change itself
// is tested.
func sealMeta(page []byte) {
	h := fnv.New64a()
	h.Write(page[pageHeader : pageHeader+metaSize-8])
	binary.NativeEndian.PutUint64(page[pageHeader+metaSize-8:], h.Sum64())
}

// The walk accepts every file that bbolt writes.
func TestWalkTakesWhatBoltWrites(t *testing.T) {
	s := newStore(t)
	rnd := rand.New(rand.NewPCG(7, 8))
	for round := range 60 {
		update(t, s, func(tx *Tx) error {
			for range rnd.IntN(120) {
				i, peer := matter.FabricIndex(1+rnd.IntN(40)), matter.NodeID(1+rnd.IntN(20))
				f := sampleFabric(i)
				f.Extension = make([]byte, rnd.IntN(129))
				err := tx.PutFabric(f)
				switch rnd.IntN(6) {
				case 0:
					err = tx.DeleteFabric(i)
				case 1:
					err = tx.DeleteResumptions(i)
				case 2, 3, 5:
					err = tx.PutResumption(sampleResumption(i, peer))
				case 4:
					err = tx.DeleteResumption(i, peer)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err := s.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// FuzzPages changes a few octets of a valid file. bbolt must handle every file that
// passes the walk.
func FuzzPages(f *testing.F) {
	good, _ := image(f)
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{8, 0, 0xFF, 16, 0, 1}, uint16(3)) // flags and first element of a page
	f.Add([]byte{24, 0, 0x10}, uint16(1))
	f.Fuzz(func(t *testing.T, changes []byte, page uint16) {
		b := bytes.Clone(good)
		size := os.Getpagesize()
		at := int(page) * size % len(b)
		for ; len(changes) >= 3; changes = changes[3:] {
			b[at+int(changes[0])|int(changes[1])<<8&0xF00] ^= changes[2]
		}
		sealMeta(b)
		sealMeta(b[size:])
		metas, err := findMetas(bytes.NewReader(b))
		if err != nil {
			return
		}
		if _, err := checkPages(bytes.NewReader(b), int64(len(b)), metas[0]); err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(func(tx *Tx) error { return errors.Join(tx.DeleteFabrics(), tx.PutFabric(sampleFabric(9))) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
