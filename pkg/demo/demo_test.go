package demo

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// noNode is a node of which nobody asks anything: calls are made where they come from.
type noNode struct{ now time.Time }

func (*noNode) AddEndpoints(...node.Endpoint) error        { return nil }
func (*noNode) RemoveEndpoints(...matter.EndpointID) error { return nil }
func (*noNode) Touch(matter.EndpointID)                    {}
func (n *noNode) Do(f func(now time.Time) error) error     { return f(n.now) }

func newRegistry(t *testing.T) (*bridge.Registry, *noNode) {
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
	n := &noNode{now: time.Unix(1_800_000_000, 0)}
	if err := r.Attach(n.now, n); err != nil {
		t.Fatal(err)
	}
	return r, n
}

func state(t *testing.T, r *bridge.Registry, id, name string) device.Value {
	t.Helper()
	v, err := r.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	return v.Parts[0].State[name]
}

func TestHome(t *testing.T) {
	r, n := newRegistry(t)
	h := newHome(r)
	h.began = n.now
	if err := h.begin(); err != nil {
		t.Fatal(err)
	}
	all, err := r.Devices()
	if err != nil || len(all) != 6 {
		t.Fatalf("%d devices, %v", len(all), err)
	}
	for _, v := range all {
		if !v.Reachable {
			t.Errorf("%s is unreachable", v.ID)
		}
	}

	if err := h.command(device.Command{Device: lamp, Part: "main", Set: device.Values{"on": device.Bool(false)}}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, lamp, "on"); got != device.Bool(false) {
		t.Errorf("the lamp is on: %v", got)
	}

	if err := h.command(device.Command{Device: blind, Part: "main", Set: device.Values{"position_percent": device.Number(35)}}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, blind, "moving"); got != device.Text("closing") {
		t.Errorf("the blind is %v", got)
	}
	occupied := map[device.Value]bool{}
	for range 300 {
		n.now = n.now.Add(step)
		if err := h.advance(n.now); err != nil {
			t.Fatal(err)
		}
		occupied[state(t, r, motion, "occupied")] = true
	}
	if p, m := state(t, r, blind, "position_percent"), state(t, r, blind, "moving"); p != device.Number(35) || m != device.Text("stopped") {
		t.Errorf("the blind is at %v, %v", p, m)
	}
	if len(occupied) != 2 {
		t.Errorf("nobody has moved, or has ever since: %v", occupied)
	}
	if got, _ := state(t, r, thermostat, "temperature_celsius").Number(); got <= 20 {
		t.Errorf("it is heated, and %v degrees", got)
	}

	// Another run goes on with what there was.
	again := newHome(r)
	if err := again.begin(); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, blind, "position_percent"); got != device.Number(35) || again.target != 35 {
		t.Errorf("after a restart the blind is at %v, on its way to %v", got, again.target)
	}

	if err := remove(r); err != nil {
		t.Fatal(err)
	}
	if all, _ := r.Devices(); len(all) != 0 {
		t.Errorf("%d devices without the demo", len(all))
	}
}
