package scenes

import (
	"bytes"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/cluster"
)

var some = []entry{
	{key: key{1, 0, 0}, identity: [8]byte{1}, values: cluster.Scene{{Cluster: 6, Value: cluster.Number{V: 1}}, {Cluster: 8, Value: cluster.Number{Null: true}}}},
	{key: key{1, 2, 254}, identity: [8]byte{1}, name: "Dusk", transition: maxTransition},
	{key: key{2, 1, 1}, identity: [8]byte{2}, values: cluster.Scene{{Cluster: 0x402, Attribute: 3, Value: cluster.Number{V: -5}}}},
}

func TestTableIsReadAsItWasWritten(t *testing.T) {
	b := encodeTable(some)
	got, err := decodeTable(b)
	if err != nil || !bytes.Equal(encodeTable(got), b) || len(got) != len(some) {
		t.Fatalf("%v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeTable(b[:n]); err == nil {
			t.Errorf("%d of %d octets were accepted", n, len(b))
		}
	}
	for name, table := range map[string][]entry{
		"out of order": {some[1], some[0]},
		"twice":        {some[0], some[0]},
	} {
		if _, err := decodeTable(encodeTable(table)); err == nil {
			t.Errorf("a table %s was accepted", name)
		}
	}
}

// A fabric may get the index of a removed one, but not its scenes.
func TestIndexOfAnotherFabric(t *testing.T) {
	n := clustertest.New(t, 1)
	var e cluster.Endpoint
	theirs := entry{key: key{1, 0, 1}, identity: [8]byte{9}}
	ours := entry{key: key{1, 0, 2}, identity: n.Table.Get(1).CompressedID}
	if err := e.KeepExtra(ID, encodeTable([]entry{theirs, ours})); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Fabrics: n.Table, Endpoint: &e})
	if err != nil {
		t.Fatal(err)
	}
	n.Add(2, c)
	if got, want := n.Invoke(clustertest.Admin(1), 2, ID, 6, "{0:0}"), "6{0:0,1:14,2:0,3:[2]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := e.KeepExtra(ID, []byte{0xFF}); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Fabrics: n.Table, Endpoint: &e}); err == nil {
		t.Error("a table that cannot be read was accepted")
	}
}

func FuzzDecodeTable(f *testing.F) {
	f.Add(encodeTable(some))
	f.Add(encodeTable(some[:1]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := decodeTable(b)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeTable(table), b) {
			t.Errorf("%x is read, and written as %x", b, encodeTable(table))
		}
	})
}
