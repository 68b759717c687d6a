package im

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Endpoint is one endpoint of the node: what it is and what it serves. The
// Descriptor cluster among Clusters reports its parts and device types.
type Endpoint struct {
	ID          matter.EndpointID
	DeviceTypes []matter.DeviceTypeID
	Clusters    []Cluster

	// Model, if set, reports the changes of clusters that share state. Clusters that
	// are not part of it may still be Watchers and Timers.
	Model Model

	// Polled says that the clusters show state that others change as well. Settle
	// asks them what has changed after every event, and not only when the endpoint
	// was touched. The cost of every event grows with the number of such endpoints.
	Polled bool
}

// endpoint is an Endpoint of an Engine, with what the Engine needs to serve it.
type endpoint struct {
	id        matter.EndpointID
	instances []*instance // ascending by cluster
	model     Model       // or nil
	watchers  []*instance
	timers    []Timer
	polled    bool

	touched  bool      // it is in pending.touched
	reported uint64    // number of the last change when the endpoint was settled last
	due      time.Time // when it is next to be advanced
	place    int       // its index in pending.timed, -1 if it is not there
}

// layout holds the endpoints and their clusters. What it costs to find one of them
// does not depend on how many there are.
type layout struct {
	endpoints []Endpoint  // ascending
	ordered   []*endpoint // the same, at the same indexes
	byID      map[matter.EndpointID]*endpoint
	metadata  map[*Spec]*metadata
	revision  uint // counts the changes of ordered
}

func (l *layout) init() {
	l.byID = make(map[matter.EndpointID]*endpoint)
	l.metadata = make(map[*Spec]*metadata)
}

// position returns the index of the first endpoint whose number is id or higher,
// and whether it is id.
func (l *layout) position(id matter.EndpointID) (int, bool) {
	return slices.BinarySearchFunc(l.ordered, id, func(x *endpoint, id matter.EndpointID) int { return cmp.Compare(x.id, id) })
}

// Endpoints returns the endpoints in ascending order of their numbers. The
// slice is the Engine's: read only, valid until the next AddEndpoint or
// RemoveEndpoint. A cluster may call it at any time.
func (l *layout) Endpoints() []Endpoint { return l.endpoints }

// Endpoint returns the endpoint with this number, and whether there is one. A
// cluster may call it at any time.
func (l *layout) Endpoint(id matter.EndpointID) (ep Endpoint, ok bool) {
	if l.byID[id] == nil {
		return Endpoint{}, false
	}
	i, ok := l.position(id)
	return l.endpoints[i], ok
}

// find returns the cluster on the endpoint, or nil and why there is none.
func (l *layout) find(ep matter.EndpointID, cl matter.ClusterID) (*instance, matter.Status) {
	x := l.byID[ep]
	if x == nil {
		return nil, matter.StatusUnsupportedEndpoint
	}
	if i, ok := x.position(cl); ok {
		return x.instances[i], matter.StatusSuccess
	}
	return nil, matter.StatusUnsupportedCluster
}

// position returns the index of the first cluster whose id is cl or higher, and
// whether it is cl.
func (ep *endpoint) position(cl matter.ClusterID) (int, bool) {
	lo, hi := 0, len(ep.instances)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if ep.instances[mid].id < cl {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(ep.instances) && ep.instances[lo].id == cl
}

// AddEndpoint adds an endpoint, before or after the first request. Its attributes
// are reported to the subscribers whose paths include them. It panics if the number
// is in use, or if a cluster is there twice.
func (e *Engine) AddEndpoint(ep Endpoint) {
	i, found := e.layout.position(ep.ID)
	if found {
		panic(fmt.Sprintf("BUG: im: endpoint %d is there already", ep.ID))
	}
	x := &endpoint{id: ep.ID, model: ep.Model, polled: ep.Polled, place: -1}
	x.instances = make([]*instance, 0, len(ep.Clusters))
	for _, c := range ep.Clusters {
		e.addCluster(x, c)
	}
	e.endpoints = slices.Insert(e.endpoints, i, ep)
	e.ordered = slices.Insert(e.ordered, i, x)
	e.byID[ep.ID] = x
	e.layout.revision++
	for _, in := range x.instances {
		e.markAll(in)
	}
	if x.polled {
		e.polled = append(e.polled, x)
	}
	e.touch(x)
}

func (e *Engine) addCluster(ep *endpoint, c Cluster) {
	spec := c.Spec()
	i, found := ep.position(spec.ID)
	if found {
		panic(fmt.Sprintf("BUG: im: endpoint %d has %s twice", ep.id, spec.Name))
	}
	meta := e.metadata[spec]
	if meta == nil {
		meta = newMetadata(spec)
		e.metadata[spec] = meta
	}
	meta.instances++
	in := &instance{
		ep: ep, id: spec.ID, cluster: c, meta: meta,
		version: matter.DataVersion(e.random32()),
		changed: make([]uint64, len(meta.attributes)),
	}
	ep.instances = slices.Insert(ep.instances, i, in)
	if w, ok := c.(Watcher); ok {
		in.watcher = w
		ep.watchers = append(ep.watchers, in)
	}
	if t, ok := c.(Timer); ok {
		ep.timers = append(ep.timers, t)
	}
}

// RemoveEndpoint removes an endpoint and its events, and reports whether it was
// there. Paths no longer lead to it, and subscribers hear no more of it.
func (e *Engine) RemoveEndpoint(id matter.EndpointID) bool {
	x := e.byID[id]
	if x == nil {
		return false
	}
	i, _ := e.layout.position(id)
	e.endpoints = slices.Delete(e.endpoints, i, i+1)
	e.ordered = slices.Delete(e.ordered, i, i+1)
	delete(e.byID, id)
	e.layout.revision++
	for _, in := range x.instances {
		e.unmark(in)
		if in.meta.instances--; in.meta.instances == 0 {
			delete(e.metadata, in.meta.spec)
		}
	}
	e.pending.remove(x)
	for p := range e.events.kept {
		e.events.kept[p] = slices.DeleteFunc(e.events.kept[p], func(r record) bool { return r.in.ep == x })
	}
	return true
}
