package provision

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// The reboot count stops at its maximum.
func TestRebootCountEnds(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	opt := Options{Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)}
	start := func() Start {
		t.Helper()
		p, err := Begin(st, opt, clustertest.Start)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := start(); p.Node.RebootCount != 1 || p.Run != 0 {
		t.Errorf("the first start is reboot %d, run %d", p.Node.RebootCount, p.Run)
	}
	if err := st.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.RebootCount = 65533
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint16{65534, 65535, 65535, 65535} {
		if p := start(); p.Node.RebootCount != want || p.Run != uint64(i+1) {
			t.Errorf("reboot %d, run %d; want %d, %d", p.Node.RebootCount, p.Run, want, i+1)
		}
	}
}
