// Package bridgetest opens registries of bridged devices for tests of their users.
package bridgetest

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// New returns a registry over a real store, without a node.
func New(t testing.TB) *bridge.Registry {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r, err := bridge.New(bridge.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Attach attaches a registry to a node, and stops the test if that fails.
func Attach(t testing.TB, r *bridge.Registry, n bridge.Node) {
	t.Helper()
	err := n.Do(func(now time.Time) error { return r.Attach(now, n) })
	if err != nil {
		t.Fatal(err)
	}
}

// Node is a node that accepts all endpoints. Functions run on the goroutine that
// passes them, one at a time.
type Node struct {
	Now       func() time.Time // nil: the real time
	Endpoints map[matter.EndpointID]node.Endpoint
	mu        sync.Mutex // held by Do
}

func (n *Node) AddEndpoints(all ...node.Endpoint) error {
	if n.Endpoints == nil {
		n.Endpoints = map[matter.EndpointID]node.Endpoint{}
	}
	for _, e := range all {
		n.Endpoints[e.ID] = e
	}
	return nil
}

func (n *Node) RemoveEndpoints(all ...matter.EndpointID) error {
	for _, id := range all {
		delete(n.Endpoints, id)
	}
	return nil
}

func (n *Node) Touch(matter.EndpointID) {}

func (n *Node) Do(f func(now time.Time) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return f(n.now())
}

// Background runs both functions at once, and expects to be called in Do.
func (n *Node) Background(work func(), done func(now time.Time)) {
	work()
	done(n.now())
}

func (n *Node) now() time.Time {
	if n.Now == nil {
		return time.Now()
	}
	return n.Now()
}
