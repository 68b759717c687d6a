package bridge

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// fakeNode is a node that records its lists of endpoints.
type fakeNode struct {
	t         *testing.T
	now       time.Time
	endpoints map[matter.EndpointID]node.Endpoint
	lists     [][]matter.EndpointID // after each change
	touched   map[matter.EndpointID]int
	refuses   map[matter.EndpointID]bool // adding them, as a node does with what is wrong
	keeps     bool                       // removing is refused, as by a full disk
	engine    *clustertest.Node          // serves the endpoints, if there is one
	slow      bool                       // work in the background waits in later
	later     []func()
}

func (n *fakeNode) AddEndpoints(all ...node.Endpoint) error {
	for _, e := range all {
		if n.refuses[e.ID] {
			return fmt.Errorf("endpoint %d is refused", e.ID)
		}
	}
	seen := map[matter.EndpointID]bool{}
	for _, e := range all {
		if _, ok := n.endpoints[e.ID]; ok || seen[e.ID] {
			return fmt.Errorf("endpoint %d is there already", e.ID)
		}
		if e.ID == 0 {
			return errors.New("an endpoint without a number")
		}
		seen[e.ID] = true
	}
	for _, e := range all {
		n.endpoints[e.ID] = e
		if n.engine != nil {
			n.engine.AddEndpoint(im.Endpoint{ID: e.ID, Clusters: e.Clusters, Model: e.Model})
		}
	}
	n.changed()
	return nil
}

func (n *fakeNode) RemoveEndpoints(all ...matter.EndpointID) error {
	if n.keeps {
		return errors.New("the disk is full")
	}
	for _, id := range all {
		if _, ok := n.endpoints[id]; !ok {
			n.t.Errorf("endpoint %d was removed, but is not there", id)
		}
		delete(n.endpoints, id)
		if n.engine != nil {
			n.engine.RemoveEndpoint(id)
		}
	}
	return nil
}

func (n *fakeNode) changed()                  { n.lists = append(n.lists, n.list()) }
func (n *fakeNode) list() []matter.EndpointID { return slices.Sorted(maps.Keys(n.endpoints)) }

func (n *fakeNode) Touch(id matter.EndpointID) {
	n.touched[id]++
	if n.engine != nil {
		n.engine.Touch(id)
	}
}

func (n *fakeNode) Background(work func(), done func(now time.Time)) {
	if n.slow {
		n.later = append(n.later, work, func() { done(n.now) })
		return
	}
	work()
	done(n.now)
}

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

// newServedRig is newRig with an engine that serves the endpoints.
func newServedRig(t *testing.T) *rig {
	g := newRig(t)
	g.kill()
	g.node.engine = clustertest.New(t, 1)
	g.start()
	return g
}

// start opens the store and creates the registry, as the daemon does at its start.
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
	if g.node.engine != nil {
		for id := range g.node.endpoints {
			g.node.engine.RemoveEndpoint(id)
		}
	}
	g.node = &fakeNode{t: g.t, now: g.node.now, engine: g.node.engine, refuses: g.node.refuses, endpoints: map[matter.EndpointID]node.Endpoint{}, touched: map[matter.EndpointID]int{}}
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

// stop stops the registry regularly.
func (g *rig) stop() {
	g.t.Helper()
	if err := g.Registry.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.kill()
}

// pass advances the time and handles what is due.
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
		g.settle()
	}
	g.node.now = end
	g.settle()
}

// settle makes the engine report changes.
func (g *rig) settle() {
	if e := g.node.engine; e != nil {
		e.Now = g.node.now
		e.Advance(e.Now)
		e.Settle(e.Now)
	}
}

// write and read access an attribute of a device with one part, as a controller
// does.
func (g *rig) write(id string, cl matter.ClusterID, attribute matter.AttributeID, value string) {
	g.t.Helper()
	g.settle()
	if got := g.node.engine.Write(clustertest.Admin(1), g.get(id).Endpoint, cl, attribute, value); got != "SUCCESS" {
		g.t.Fatalf("write: %s", got)
	}
	g.settle()
}

func (g *rig) read(id string, cl matter.ClusterID, attribute matter.AttributeID) string {
	g.t.Helper()
	g.settle()
	return g.node.engine.Read(clustertest.Admin(1), g.get(id).Endpoint, cl, attribute)
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
