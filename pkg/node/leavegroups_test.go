package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// An endpoint that cannot leave its groups stays, so that it can be removed later.
func TestRemoveEndpointWithADiskThatFails(t *testing.T) {
	const id matter.EndpointID = 7
	n := clustertest.New(t, 2)
	n.Add(id)
	if err := n.Table.Mutate(2, func(f *store.Fabric) error {
		f.Groups = []store.Group{{ID: 5, Endpoints: []matter.EndpointID{id, id + 1}}, {ID: 6, Endpoints: []matter.EndpointID{id}}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s := &Node{}
	s.model.init()
	s.model.added[id] = &added{}
	s.model.engine, s.model.composition = n.Engine, &composition{}
	s.trust.fabrics = closedTable(t, n.Store)
	if err := s.RemoveEndpoints(id); err == nil || errors.Is(err, ErrNoEndpoint) {
		t.Fatalf("removed without the store: %v", err)
	}
	s.trust.fabrics = n.Table
	if err := s.RemoveEndpoints(id); err != nil {
		t.Fatalf("removed again: %v", err)
	}
	if g := n.Table.Get(2).Groups; len(g) != 1 || g[0].ID != 5 || len(g[0].Endpoints) != 1 || g[0].Endpoints[0] != id+1 {
		t.Errorf("groups %+v", g)
	}
	if err := s.RemoveEndpoints(id); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("removed twice: %v", err)
	}
}

// closedTable returns the fabrics of a store in a table whose own store is closed.
func closedTable(t *testing.T, of *store.Store) *fabric.Table {
	t.Helper()
	path := filepath.Join(t.TempDir(), store.FileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(of.Backup(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := fabric.Open(st, 16)
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return table
}
