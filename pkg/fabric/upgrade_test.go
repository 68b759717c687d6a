package fabric

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// After the upgrade of a database with epoch keys, initiators with those epoch keys
// find their fabrics. The database belongs to package store.
func TestUpgradedFabricsAreFoundByTheirEpochKeys(t *testing.T) {
	var old struct {
		Fabrics []struct {
			Index   int
			KeySets []struct {
				ID   uint16
				Keys []struct {
					EpochKey []byte `json:"epoch_key"`
				}
			} `json:"key_sets"`
		}
	}
	if err := json.Unmarshal(must(os.ReadFile("../store/testdata/schema1.json")), &old); err != nil {
		t.Fatal(err)
	}
	z := must(gzip.NewReader(bytes.NewReader(must(os.ReadFile("../store/testdata/schema1.db.gz")))))
	path := filepath.Join(t.TempDir(), store.FileName)
	if err := os.WriteFile(path, must(io.ReadAll(z)), 0o600); err != nil {
		t.Fatal(err)
	}
	st := must(store.Open(path, store.Options{}))
	defer st.Close()
	if err := Check(st); err != nil {
		t.Error(err)
	}
	table := must(Open(st, 16))
	random := bytes.Repeat([]byte{9}, 32)
	tried := 0
	for i, f := range table.All() {
		if int(f.Index) != old.Fabrics[i].Index {
			t.Fatalf("fabric %d in the place of %d", f.Index, old.Fabrics[i].Index)
		}
		for _, k := range old.Fabrics[i].KeySets[0].Keys {
			ipk := must(mcrypto.OperationalGroupKey(k.EpochKey, f.CompressedID))
			d := newDestination(ipk[:], f.RootPublicKey[:], f.FabricID, f.NodeID)
			if got, with, ok := table.FindDestination(d.sum(nil, random), random); !ok || got != f || with != ipk {
				t.Errorf("fabric %d is not found", f.Index)
			}
			tried++
		}
	}
	if tried != 4 {
		t.Errorf("%d epoch keys tried, want 4", tried)
	}
}
