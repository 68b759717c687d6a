package bridge

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// fakeNode is a node that remembers what its list of endpoints has been.
type fakeNode struct {
	t         *testing.T
	now       time.Time
	endpoints map[matter.EndpointID]node.Endpoint
	lists     [][]matter.EndpointID // after each change
	touched   map[matter.EndpointID]int
}

func (n *fakeNode) AddEndpoints(all ...node.Endpoint) error {
	for _, e := range all {
		if _, ok := n.endpoints[e.ID]; ok {
			n.t.Errorf("endpoint %d was added twice", e.ID)
		}
		if e.ID == 0 {
			n.t.Errorf("an endpoint without a number was added")
		}
		n.endpoints[e.ID] = e
	}
	n.changed()
	return nil
}

func (n *fakeNode) RemoveEndpoints(all ...matter.EndpointID) error {
	for _, id := range all {
		if _, ok := n.endpoints[id]; !ok {
			n.t.Errorf("endpoint %d was removed, but is not there", id)
		}
		delete(n.endpoints, id)
	}
	return nil
}

func (n *fakeNode) changed()                  { n.lists = append(n.lists, n.list()) }
func (n *fakeNode) list() []matter.EndpointID { return slices.Sorted(maps.Keys(n.endpoints)) }

func (n *fakeNode) Touch(id matter.EndpointID) { n.touched[id]++ }

func (n *fakeNode) Do(f func(now time.Time) error) error { return f(n.now) }

// rig is a registry over a real store.
type rig struct {
	*Registry
	t    *testing.T
	path string
	node *fakeNode
	db   *store.Store
}

func newRig(t *testing.T) *rig {
	g := &rig{t: t, path: filepath.Join(t.TempDir(), "test.db"), node: &fakeNode{now: time.Unix(1_800_000_000, 0)}}
	g.start()
	t.Cleanup(func() { g.db.Close() })
	return g
}

// start opens the store and makes the registry, as the daemon does at its start.
func (g *rig) start(opt ...func(*Options)) {
	g.t.Helper()
	db, err := store.Open(g.path, store.Options{})
	if err != nil {
		g.t.Fatal(err)
	}
	g.db = db
	o := Options{Store: db}
	for _, f := range opt {
		f(&o)
	}
	g.Registry, err = New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.node = &fakeNode{t: g.t, now: g.node.now, endpoints: map[matter.EndpointID]node.Endpoint{}, touched: map[matter.EndpointID]int{}}
	if err := g.Attach(g.node.now, g.node); err != nil {
		g.t.Fatal(err)
	}
}

// kill ends the registry as SIGKILL does.
func (g *rig) kill() {
	g.t.Helper()
	if err := g.db.Close(); err != nil {
		g.t.Fatal(err)
	}
}

// stop ends the registry in order.
func (g *rig) stop() {
	g.t.Helper()
	if err := g.Registry.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.kill()
}

// pass lets time pass, with what is due in it.
func (g *rig) pass(d time.Duration) {
	end := g.node.now.Add(d)
	for {
		at, ok := g.Deadline()
		if !ok || at.After(end) {
			break
		}
		if at.After(g.node.now) {
			g.node.now = at
		}
		g.Advance(g.node.now)
	}
	g.node.now = end
}

func lamp(id string) device.Device {
	return device.Device{ID: id, Name: "Lamp", Reachable: true, Parts: []device.Part{
		{ID: "main", Type: "on_off_light", State: device.Values{"on": device.Bool(false)}},
	}}
}

func (g *rig) put(d device.Device) View {
	g.t.Helper()
	if _, err := g.Put(d); err != nil {
		g.t.Fatal(err)
	}
	return g.get(d.ID)
}

func (g *rig) get(id string) View {
	g.t.Helper()
	v, err := g.Device(id)
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

func (g *rig) endpoint(id string) node.Endpoint {
	g.t.Helper()
	ep, ok := g.node.endpoints[g.get(id).Endpoint]
	if !ok {
		g.t.Fatalf("%s is not in the node's list %v", id, g.node.list())
	}
	return ep
}

// information returns the cluster that describes an endpoint.
func (g *rig) information(ep node.Endpoint) *information.Cluster {
	g.t.Helper()
	i := slices.IndexFunc(ep.Clusters, func(c im.Cluster) bool { return c.Spec().ID == information.ID })
	if i < 0 {
		g.t.Fatalf("endpoint %d is not bridged", ep.ID)
	}
	return ep.Clusters[i].(*information.Cluster)
}

// listen opens a stream of a source.
func (g *rig) listen(source string) *Stream {
	g.t.Helper()
	s, err := g.Open(source, 0, DefaultLinger)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// taken returns the commands that a stream has.
func taken(t *testing.T, s *Stream) (all []device.Command) {
	t.Helper()
	ds, ok := s.Take()
	if !ok {
		t.Fatal("the stream was cut off")
	}
	for _, d := range ds {
		all = append(all, d.Command)
	}
	return all
}
