package fabric

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// vector is one of testdata/destination.json; each names its public source.
type vector struct {
	Name          string `json:"name"`
	IPK           string `json:"ipk_operational"`
	Random        string `json:"initiator_random"`
	RootPublicKey string `json:"root_public_key"`
	FabricID      string `json:"fabric_id"`
	NodeID        string `json:"node_id"`
	DestinationID string `json:"destination_id"`
}

func TestDestinationVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/destination.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, v := range file.Vectors {
		if v.DestinationID == "" {
			continue
		}
		tried++
		id := matter.FabricID(must(strconv.ParseUint(v.FabricID, 16, 64)))
		node := matter.NodeID(must(strconv.ParseUint(v.NodeID, 16, 64)))
		d := newDestination(must(hex.DecodeString(v.IPK)), must(hex.DecodeString(v.RootPublicKey)), id, node)
		for range 2 { // the hash is used again
			if got := hex.EncodeToString(d.sum(nil, must(hex.DecodeString(v.Random)))); got != v.DestinationID {
				t.Errorf("%s: %s, want %s", v.Name, got, v.DestinationID)
			}
		}
	}
	if tried < 2 {
		t.Errorf("%d vectors", tried)
	}
}

// destinationFor returns what an initiator computes for a fabric with its i-th IPK.
func destinationFor(f *Fabric, i int, random []byte) []byte {
	d := newDestination(f.IPKs[i][:], f.RootPublicKey[:], f.FabricID, f.NodeID)
	return d.sum(nil, random)
}

func TestFindDestination(t *testing.T) {
	w := newWorld(t, 16)
	for id := range matter.FabricID(6) {
		r := shared.record(id+1, matter.NodeID(id+1))
		r.KeySets[0].Keys = append(r.KeySets[0].Keys, store.GroupKey{Key: []byte("the second IPK.."), Start: 1}, store.GroupKey{Key: []byte("the third IPK..."), Start: 2})
		r.KeySets = append(r.KeySets, store.GroupKeySet{ID: 1, Keys: []store.GroupKey{{Key: []byte("not of key set 0"), Start: 1}}})
		w.add(r)
	}
	must(w.Stage(shared.record(7, 7)))
	random := bytes.Repeat([]byte{7}, 32)
	for _, f := range w.All() {
		for i := range f.IPKs {
			got, ipk, ok := w.FindDestination(destinationFor(f, i, random), random)
			if !ok || got != f || ipk != f.IPKs[i] {
				t.Errorf("fabric %d, key %d: found %v, %v", f.Index, i, got, ok)
			}
		}
	}
	f := w.Get(1)
	good := destinationFor(f, 0, random)
	for name, id := range map[string][]byte{"nothing": nil, "short": good[:31], "long": append(bytes.Clone(good), 0), "zeros": make([]byte, 32)} {
		if got, ipk, ok := w.FindDestination(id, random); ok || got != nil || ipk != ([16]byte{}) {
			t.Errorf("%s: found %v", name, got)
		}
	}
	if _, _, ok := w.FindDestination(good, make([]byte, 32)); ok {
		t.Error("found with another random")
	}
	// During an update the node uses only the new node id.
	w.Rollback()
	update := f.Fabric.Clone()
	with := shared.record(1, 99)
	update.NOC, update.ICAC, update.Key, update.NodeID = with.NOC, with.ICAC, with.Key, with.NodeID
	staged := must(w.Stage(update))
	if _, _, ok := w.FindDestination(good, random); ok {
		t.Error("found under the node id of before the update")
	}
	if got, _, _ := w.FindDestination(destinationFor(staged, 0, random), random); got != staged {
		t.Errorf("staged update: found %v", got)
	}
}

func TestFindDestinationDoesNotAllocate(t *testing.T) {
	w := newWorld(t, 5)
	w.add(shared.record(1, 1))
	w.add(shared.record(2, 2))
	random := make([]byte, 32)
	id := destinationFor(w.Get(2), 0, random)
	if n := testing.AllocsPerRun(100, func() { w.FindDestination(id, random) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDerivedValues(t *testing.T) {
	w := newWorld(t, 5)
	r := shared.record(0x2906C908D115D362, 2)
	w.add(r)
	f := w.Get(1)
	key := shared.root.Certificate.PublicKey
	if f.RootPublicKey != key {
		t.Errorf("root public key %x", f.RootPublicKey)
	}
	if want := must(mcrypto.CompressedFabricID(key[:], r.FabricID)); f.CompressedID != want {
		t.Errorf("compressed fabric id %x, want %x", f.CompressedID, want)
	}
	if want := r.KeySets[0].Keys[0].Key; len(f.IPKs) != 1 || !bytes.Equal(f.IPKs[0][:], want) {
		t.Errorf("IPKs %x, want %x", f.IPKs, want)
	}
	if f.ICACCert == nil || f.NOCCert.NodeID() != 2 || f.OperationalKey.Public() != f.NOCCert.PublicKey {
		t.Errorf("certificates and key: %+v", f)
	}
}

// A record that is not a valid fabric is never skipped: otherwise the fabric would
// be lost at the next write.
func TestDamagedRecordsStopTheStart(t *testing.T) {
	other := shared.record(1, 10)
	foreign := newAuthority().record(1, 10)
	for name, test := range map[string]struct {
		change func(r *store.Fabric)
		opens  bool // only Check finds it
	}{
		"root cannot be read":   {func(r *store.Fabric) { r.Root[0] ^= 1 }, false},
		"NOC cannot be read":    {func(r *store.Fabric) { r.NOC = r.NOC[:20] }, false},
		"ICAC cannot be read":   {func(r *store.Fabric) { r.ICAC[0] = 0 }, false},
		"key of another NOC":    {func(r *store.Fabric) { r.Key = other.Key }, false},
		"key out of range":      {func(r *store.Fabric) { r.Key = bytes.Repeat([]byte{0xFF}, 32) }, false},
		"another node id":       {func(r *store.Fabric) { r.NodeID++ }, false},
		"another fabric id":     {func(r *store.Fabric) { r.FabricID++ }, false},
		"signature of the NOC":  {func(r *store.Fabric) { r.NOC[len(r.NOC)-5] ^= 1 }, true},
		"signature of the ICAC": {func(r *store.Fabric) { r.ICAC[len(r.ICAC)-5] ^= 1 }, true},
		"signature of the root": {func(r *store.Fabric) { r.Root[len(r.Root)-5] ^= 1 }, true},
		"root of another chain": {func(r *store.Fabric) { r.Root = foreign.Root }, true},
		"no ICAC":               {func(r *store.Fabric) { r.ICAC = nil }, true},
	} {
		st := must(store.Open(t.TempDir()+"/"+store.FileName, store.Options{}))
		r := shared.record(1, 10)
		r.Index = 3
		r = r.Clone()
		test.change(&r)
		if err := st.Update(func(tx *store.Tx) error { return tx.PutFabric(r) }); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(st, 5); (err == nil) != test.opens || err != nil && (!errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "fabric 3")) {
			t.Errorf("%s: Open returned %v", name, err)
		}
		if err := Check(st); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "fabric 3") {
			t.Errorf("%s: Check returned %v", name, err)
		}
		st.Close()
	}
}

func TestTheSameFabricTwiceIsDamage(t *testing.T) {
	st := must(store.Open(t.TempDir()+"/"+store.FileName, store.Options{}))
	defer st.Close()
	a, b := shared.record(1, 10), shared.record(1, 12)
	a.Index, b.Index = 1, 2
	if err := st.Update(func(tx *store.Tx) error { return errors.Join(tx.PutFabric(a), tx.PutFabric(b)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(st, 5); !errors.Is(err, store.ErrDamaged) || !errors.Is(err, ErrConflict) {
		t.Errorf("Open: %v", err)
	}
	if err := Check(st); !errors.Is(err, ErrConflict) {
		t.Errorf("Check: %v", err)
	}
}

func TestMoreFabricsThanTheMaximumStay(t *testing.T) {
	w := newWorld(t, 8)
	for id := range matter.FabricID(7) {
		w.add(shared.record(id+1, 1))
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(5)
	if w.Len() != 7 {
		t.Errorf("%d fabrics", w.Len())
	}
	if _, err := w.Stage(shared.record(8, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("eighth: %v", err)
	}
}

func filled(b *testing.B, n int) *world {
	b.Helper()
	w := newWorld(b, 254)
	for id := range matter.FabricID(n) {
		w.add(shared.record(id+1, 1))
	}
	return w
}

func BenchmarkFindDestination(b *testing.B) {
	for _, n := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("fabrics=%d", n), func(b *testing.B) {
			w := filled(b, n)
			random, id := make([]byte, 32), make([]byte, 32)
			b.ReportAllocs()
			for b.Loop() {
				w.FindDestination(id, random)
			}
		})
	}
}

func BenchmarkMutate(b *testing.B) {
	for _, n := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("fabrics=%d", n), func(b *testing.B) {
			w := filled(b, n)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				if err := w.Mutate(1, func(f *store.Fabric) error { f.Label = strconv.Itoa(i); return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenTable(b *testing.B) {
	for _, n := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("fabrics=%d", n), func(b *testing.B) {
			w := filled(b, n)
			b.ReportAllocs()
			for b.Loop() {
				must(Open(w.store, 254))
			}
		})
	}
}
