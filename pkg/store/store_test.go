package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestEverythingComesBackAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 3)
	want := contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	got := contentOf(t, s)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("reopened store holds\n%+v\nwant\n%+v", got, want)
	}
	if len(got.fabrics) != 3 || !reflect.DeepEqual(got.fabrics[1], sampleFabric(2)) {
		t.Errorf("fabrics: %+v", got.fabrics)
	}
	if got.node.Passcode != sampleNode().Passcode || !reflect.DeepEqual(*got.attestation, sampleAttestation()) {
		t.Errorf("node %+v, attestation %+v", got.node, got.attestation)
	}
}

func TestNullAndEmptyListsStayApart(t *testing.T) {
	s := newStore(t)
	f := sampleFabric(1)
	f.ACL = append(f.ACL, ACLEntry{Privilege: 1, AuthMode: 2, Subjects: []matter.NodeID{}, Targets: nil})
	update(t, s, func(tx *Tx) error { return tx.PutFabric(f) })
	e := contentOf(t, s).fabrics[0].ACL[2]
	if e.Subjects == nil || e.Targets != nil {
		t.Errorf("entry came back as %#v", e)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 1)
	before := contentOf(t, s)
	boom := errors.New("boom")
	err := s.Update(func(tx *Tx) error {
		if err := tx.PutFabric(sampleFabric(2)); err != nil {
			return err
		}
		if err := tx.DeleteFabric(1); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Update returned %v, want the function's error", err)
	}
	if after := contentOf(t, s); !reflect.DeepEqual(before, after) {
		t.Errorf("a failed update changed the store: %+v", after)
	}
}

func TestPanicOfTheCallerRollsBackAndGoesOn(t *testing.T) {
	s := newStore(t)
	func() {
		defer func() {
			if r := recover(); r != "BUG: of the caller" {
				t.Errorf("recovered %v, want the caller's own panic", r)
			}
		}()
		s.Update(func(tx *Tx) error {
			if err := tx.PutFabric(sampleFabric(1)); err != nil {
				t.Error(err)
			}
			panic("BUG: of the caller")
		})
	}()
	if got := contentOf(t, s).fabrics; len(got) != 0 {
		t.Errorf("the fabric was stored: %+v", got)
	}
	update(t, s, func(tx *Tx) error { return tx.PutFabric(sampleFabric(1)) })
}

func TestDeleteFabricTakesAllThatIsItsOwn(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 3)
	update(t, s, func(tx *Tx) error { return tx.DeleteFabric(2) })
	c := contentOf(t, s)
	for _, f := range c.fabrics {
		if f.Index == 2 {
			t.Error("the fabric is still there")
		}
	}
	if len(c.fabrics) != 2 || len(c.resumptions) != 6 || len(c.subscriptions) != 6 {
		t.Errorf("%d fabrics, %d resumption records, %d subscriptions left, want 2, 6, 6", len(c.fabrics), len(c.resumptions), len(c.subscriptions))
	}
	update(t, s, (*Tx).DeleteFabrics)
	c = contentOf(t, s)
	if len(c.fabrics)+len(c.resumptions)+len(c.subscriptions) != 0 {
		t.Errorf("left after DeleteFabrics: %+v", c)
	}
	if c.attestation == nil || c.node.UniqueID == "" || c.counters["events"] != 1000 {
		t.Errorf("DeleteFabrics took more than fabrics: %+v", c)
	}
}

func TestRecordsAreReplacedAndDeleted(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 1)
	update(t, s, func(tx *Tx) error {
		r := sampleResumption(1, 2)
		r.SharedSecret[0] = 0xEE
		if err := tx.PutResumption(r); err != nil {
			return err
		}
		if err := tx.DeleteResumption(1, 3); err != nil {
			return err
		}
		if err := tx.DeleteResumption(1, 99); err != nil { // it does not exist
			return err
		}
		return tx.DeleteSubscription(1, 1, 77)
	})
	c := contentOf(t, s)
	if len(c.resumptions) != 2 || c.resumptions[1].SharedSecret[0] != 0xEE {
		t.Errorf("resumption records: %+v", c.resumptions)
	}
	if len(c.subscriptions) != 2 {
		t.Errorf("subscriptions: %+v", c.subscriptions)
	}
	update(t, s, func(tx *Tx) error { return tx.DeleteResumptions(1) })
	if c := contentOf(t, s); len(c.resumptions) != 0 || len(c.subscriptions) != 2 {
		t.Errorf("after DeleteResumptions: %+v", c)
	}
}

func TestMutateNodeSeesTheTransactionsOwnChanges(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *Tx) error {
		for range 3 {
			if err := tx.MutateNode(func(n *Node) error { n.RebootCount++; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if n := contentOf(t, s).node; n.RebootCount != 3 {
		t.Errorf("reboot count %d, want 3", n.RebootCount)
	}
	if err := s.Update(func(tx *Tx) error {
		return tx.MutateNode(func(n *Node) error { n.Discriminator = 0x1000; return nil })
	}); !errors.Is(err, ErrInvalid) {
		t.Errorf("discriminator out of range: %v", err)
	}
}

func TestInvalidRecordsAreNotStored(t *testing.T) {
	fabric := func(change func(*Fabric)) func(*Tx) error {
		f := sampleFabric(1)
		change(&f)
		return func(tx *Tx) error { return tx.PutFabric(f) }
	}
	long := make([]byte, 401)
	tests := map[string]func(*Tx) error{
		"index 0":                fabric(func(f *Fabric) { f.Index = 0 }),
		"index 255":              fabric(func(f *Fabric) { f.Index = 255 }),
		"no fabric id":           fabric(func(f *Fabric) { f.FabricID = 0 }),
		"group node id":          fabric(func(f *Fabric) { f.NodeID = 0xFFFF_FFFF_FFFF_0001 }),
		"long label":             fabric(func(f *Fabric) { f.Label = strings.Repeat("x", 33) }),
		"label is not UTF-8":     fabric(func(f *Fabric) { f.Label = "\xFF" }),
		"no root":                fabric(func(f *Fabric) { f.Root = nil }),
		"long root":              fabric(func(f *Fabric) { f.Root = long }),
		"no NOC":                 fabric(func(f *Fabric) { f.NOC = nil }),
		"long NOC":               fabric(func(f *Fabric) { f.NOC = long }),
		"long ICAC":              fabric(func(f *Fabric) { f.ICAC = long }),
		"no key":                 fabric(func(f *Fabric) { f.Key = nil }),
		"short key":              fabric(func(f *Fabric) { f.Key = f.Key[1:] }),
		"VVSC beside ICAC":       fabric(func(f *Fabric) { f.VVSC = []byte{1} }),
		"long VVSC":              fabric(func(f *Fabric) { f.ICAC, f.VVSC = nil, long }),
		"statement of 84":        fabric(func(f *Fabric) { f.VIDVerificationStatement = f.VIDVerificationStatement[1:] }),
		"long extension":         fabric(func(f *Fabric) { f.Extension = long[:129] }),
		"no IPK":                 fabric(func(f *Fabric) { f.KeySets = f.KeySets[1:] }),
		"key set twice":          fabric(func(f *Fabric) { f.KeySets[1].ID = 0 }),
		"key set without keys":   fabric(func(f *Fabric) { f.KeySets[1].Keys = nil }),
		"four epoch keys":        fabric(func(f *Fabric) { f.KeySets[1].Keys = make([]GroupKey, 4) }),
		"epoch key of 15":        fabric(func(f *Fabric) { f.KeySets[0].Keys[0].Key = long[:15] }),
		"start times unordered":  fabric(func(f *Fabric) { f.KeySets[1].Keys[1].Start = 1 }),
		"group mapped to IPK":    fabric(func(f *Fabric) { f.GroupKeyMap[0].KeySet = 0 }),
		"group 0":                fabric(func(f *Fabric) { f.Groups[0].ID = 0 }),
		"long group name":        fabric(func(f *Fabric) { f.Groups[0].Name = strings.Repeat("x", 17) }),
		"resumption of fabric 0": func(tx *Tx) error { return tx.PutResumption(sampleResumption(0, 1)) },
		"resumption of node 0":   func(tx *Tx) error { return tx.PutResumption(sampleResumption(1, 0)) },
		"resumption id of 15": func(tx *Tx) error {
			r := sampleResumption(1, 1)
			r.ID = r.ID[1:]
			return tx.PutResumption(r)
		},
		"four CATs": func(tx *Tx) error {
			r := sampleResumption(1, 1)
			r.CATs = make([]matter.CAT, 4)
			return tx.PutResumption(r)
		},
		"subscription of fabric 0": func(tx *Tx) error { return tx.PutSubscription(sampleSubscription(0, 1, 1)) },
		"attestation without CD":   func(tx *Tx) error { a := sampleAttestation(); a.CD = nil; return tx.PutAttestation(a) },
		"node with 999 iterations": func(tx *Tx) error { n := sampleNode(); n.Iterations = 999; return tx.PutNode(n) },
		"node with short salt":     func(tx *Tx) error { n := sampleNode(); n.Salt = n.Salt[:15]; return tx.PutNode(n) },
		"node with short verifier": func(tx *Tx) error { n := sampleNode(); n.Verifier = n.Verifier[1:]; return tx.PutNode(n) },
		"node with long label": func(tx *Tx) error {
			n := sampleNode()
			n.NodeLabel = strings.Repeat("x", 33)
			return tx.PutNode(n)
		},
		"node with long unique id":        func(tx *Tx) error { n := sampleNode(); n.UniqueID = strings.Repeat("x", 33); return tx.PutNode(n) },
		"node in XXX":                     func(tx *Tx) error { n := sampleNode(); n.Location = "XXX"; return tx.PutNode(n) },
		"node with next fabric index 255": func(tx *Tx) error { n := sampleNode(); n.NextFabricIndex = 255; return tx.PutNode(n) },
	}
	s := newStore(t)
	before := contentOf(t, s)
	for name, put := range tests {
		if err := s.Update(put); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if after := contentOf(t, s); !reflect.DeepEqual(before, after) {
		t.Errorf("the store has changed: %+v", after)
	}
}

func TestReservedValuesNeverRepeat(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	var end uint64
	for range 4 {
		s := open(t, path)
		for range 3 {
			first, err := s.Reserve("events", 100)
			if err != nil {
				t.Fatal(err)
			}
			if first != end {
				t.Fatalf("block begins at %d, the last one ended at %d", first, end)
			}
			end = first + 100
		}
		// The rest of the block is lost when the process ends.
		s.Close()
	}
}

func TestCounters(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *Tx) error { return tx.RaiseCounter("group", 1<<20) })
	update(t, s, func(tx *Tx) error { return tx.RaiseCounter("group", 5) }) // at every start
	first, err := s.Reserve("group", 10)
	if err != nil || first != 1<<20 {
		t.Errorf("first block begins at %d, %v; want 2^20", first, err)
	}
	if _, err := s.Reserve("", 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("counter without a name: %v", err)
	}
	if _, err := s.Reserve("group", 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty block: %v", err)
	}
	update(t, s, func(tx *Tx) error { return tx.RaiseCounter("end", math.MaxUint64-5) })
	if _, err := s.Reserve("end", 6); !errors.Is(err, ErrInvalid) {
		t.Errorf("block past the end: %v", err)
	}
	if first, err := s.Reserve("end", 5); err != nil || first != math.MaxUint64-5 {
		t.Errorf("last block: %d, %v", first, err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), FileName))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	nothing := func(*Tx) error { return nil }
	for name, err := range map[string]error{"View": s.View(nothing), "Update": s.Update(nothing), "Check": s.Check(), "Backup": s.Backup(nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, err := s.Reserve("x", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Reserve after Close: %v", err)
	}
}

func TestOnCommitTellsHowLongItTook(t *testing.T) {
	var took []time.Duration
	s, err := Open(filepath.Join(t.TempDir(), FileName), Options{OnCommit: func(d time.Duration) { took = append(took, d) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := len(took)
	update(t, s, func(tx *Tx) error { return tx.PutFabric(sampleFabric(1)) })
	if len(took) != n+1 || took[n] <= 0 {
		t.Errorf("after one update: %v", took[n:])
	}
	s.Update(func(*Tx) error { return errors.New("no") })
	s.View(func(*Tx) error { return nil })
	if len(took) != n+1 {
		t.Errorf("a rollback or a view counted as a commit: %v", took[n:])
	}
}

// Server tests run in fake time with a real store.
func TestStoreWorksInABubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		fillStore(t, s, 2)
		time.Sleep(48 * time.Hour)
		if _, err := s.Reserve("events", 1); err != nil {
			t.Error(err)
		}
		if err := errors.Join(s.Check(), s.Close()); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkCommitFabric(b *testing.B) {
	for _, fabrics := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("fabrics=%d", fabrics), func(b *testing.B) {
			s := newStore(b)
			fillStore(b, s, fabrics)
			f := sampleFabric(1)
			b.ReportAllocs()
			for b.Loop() {
				f.NodeID++
				update(b, s, func(tx *Tx) error { return tx.PutFabric(f) })
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), FileName)
	s := open(b, path)
	fillStore(b, s, 16)
	s.Close()
	b.ReportAllocs()
	for b.Loop() {
		open(b, path).Close()
	}
}

// A client that stops reading a backup blocks neither Close nor a write that maps
// the file again.
func TestBackupToAStalledClient(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 3)
	want := contentOf(t, s)
	stalled, first := make(chan struct{}), make(chan struct{}, 1)
	var b bytes.Buffer
	done := make(chan error)
	go func() {
		done <- s.Backup(writerFunc(func(p []byte) (int, error) {
			select {
			case first <- struct{}{}:
			default:
			}
			<-stalled
			return b.Write(p)
		}))
	}()
	<-first
	update(t, s, func(tx *Tx) error {
		for i := range 64 { // more than is mapped
			if err := tx.PutDevice(fmt.Sprintf("api:%d", i), make([]byte, MaxDevice)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(s.Check(), s.Clear(), s.Close()); err != nil {
		t.Error(err)
	}
	close(stalled)
	if err := <-done; err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	of := open(t, path)
	defer of.Close()
	if got := contentOf(t, of); !reflect.DeepEqual(got, want) {
		t.Error("the backup is not what was there when it began")
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
