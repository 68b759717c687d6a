package im

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Endpoint describes one endpoint of the node. Its parts and device types are
// served by the Descriptor cluster, which must be one of Clusters.
type Endpoint struct {
	ID          matter.EndpointID
	DeviceTypes []matter.DeviceTypeID
	Clusters    []Cluster

	// Model, if set, reports the changes of clusters that share state. The other
	// clusters of the endpoint may still be Watchers and Timers.
	Model Model

	// Polled means that the clusters serve state that is changed otherNode. Settle
	// then asks them for changes after every event, even if the endpoint was not
	// touched. The cost of every event grows with the number of such endpoints.
	Polled bool
}

// endpoint is an Endpoint together with the Engine's data about it.
type endpoint struct {
	id        matter.EndpointID
	instances []*instance // ascending by cluster
	model     Model       // or nil
	watchers  []*instance
	timers    []Timer
	polled    bool

	touched  bool      // is in pending.touched
	reported uint64    // number of the last change when the endpoint was last settled
	due      time.Time // when Advance is due
	place    int       // index in pending.timed, or -1
}

// layout holds the endpoints and their clusters. The cost of finding one does not
// depend on their number.
type layout struct {
	endpoints []Endpoint  // ascending
	ordered   []*endpoint // the same, at the same indexes
	byID      map[matter.EndpointID]*endpoint
	metadata  map[*Spec]*metadata
	revision  uint // incremented when ordered changes
}

func (l *layout) init() {
	l.byID = make(map[matter.EndpointID]*endpoint)
	l.metadata = make(map[*Spec]*metadata)
}

// position returns the index of the first endpoint whose number is at least id, and
// whether its number is id.
func (l *layout) position(id matter.EndpointID) (int, bool) {
	return slices.BinarySearchFunc(l.ordered, id, func(x *endpoint, id matter.EndpointID) int { return cmp.Compare(x.id, id) })
}

// Endpoints returns the endpoints in ascending order of their numbers. The caller
// must not modify the slice, which is valid until the next AddEndpoint or
// RemoveEndpoint. Clusters may call it at any time.
func (l *layout) Endpoints() []Endpoint { return l.endpoints }

// Endpoint returns the endpoint with this number, and whether it exists. Clusters
// may call it at any time.
func (l *layout) Endpoint(id matter.EndpointID) (ep Endpoint, ok bool) {
	if l.byID[id] == nil {
		return Endpoint{}, false
	}
	i, ok := l.position(id)
	return l.endpoints[i], ok
}

// find returns the cluster on the endpoint, or nil and a status with the reason.
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

// position returns the index of the first cluster whose id is at least cl, and
// whether its id is cl.
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

// AddEndpoint adds an endpoint. It may be called at any time. The attributes are
// reported to subscribers whose paths include them. AddEndpoint panics if the
// number is in use or a cluster occurs twice.
func (e *Engine) AddEndpoint(ep Endpoint) {
	i, found := e.layout.position(ep.ID)
	if found {
		panic(fmt.Sprintf("BUG: im: endpoint %d already exists", ep.ID))
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

// RemoveEndpoint removes an endpoint and its events, and reports whether it
// existed. Paths to it are no longer valid, and subscribers get no more reports
// about it.
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
