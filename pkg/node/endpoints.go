package node

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/cluster/scenes"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// FirstEndpoint is the lowest number of an endpoint that a program may add.
const FirstEndpoint = endpointAggregator + 1

const lastEndpoint matter.EndpointID = 0xFFFE

// DeviceType is a device type, with the revision that the endpoint conforms to.
type DeviceType = descriptor.DeviceType

// Tag is a semantic tag of an endpoint.
type Tag = descriptor.Tag

// Endpoint is an endpoint that a program adds to the node.
//
// An endpoint with the Bridged Device Basic Information cluster is a bridged
// device: the node's aggregator lists it and its parts, and the device type Bridged
// Node is appended to its device types. Any other endpoint is a part of the node
// itself.
type Endpoint struct {
	// ID is FirstEndpoint or higher. A device must keep its number across restarts,
	// because controllers identify it by the number, and no other device may get it
	// later.
	ID matter.EndpointID
	// Parent is the endpoint of the device that this endpoint is a part of. It was
	// added before, or precedes this endpoint in the list. 0: the endpoint is a
	// device of its own.
	Parent matter.EndpointID
	// Returns means that the same device had the number before. Without it, a
	// number that was removed in this run cannot be used again.
	Returns bool
	// DeviceTypes are the endpoint's device types, with the application's type
	// first.
	DeviceTypes []DeviceType
	// Tags distinguish the endpoint from others with the same device type and parent. There
	// are up to [descriptor.MaxTags].
	Tags []Tag
	// UniqueID is unique within the device, up to [descriptor.MaxUniqueID] octets. It
	// may be empty.
	UniqueID string
	// Clusters are the endpoint's clusters, except Descriptor, Identify, Groups and
	// Scenes Management. Each belongs to this endpoint alone. They are called on
	// the loop, one at a time.
	Clusters []im.Cluster
	// Model is the state behind the clusters, if they share it.
	Model im.Model
	// Groups adds the Groups cluster, which most types of lights and plugs require.
	Groups bool
	// Scenes adds the Scenes Management cluster, which lights and plugs require
	// together with Groups. It holds the attributes that scenes store: the state
	// behind the clusters, with its stored values loaded.
	Scenes *cluster.Endpoint
	// Identify adds the Identify cluster, which all types of lights and plugs
	// require. It describes how the device identifies itself to its user.
	Identify *identify.Options
}

// added is the node's data about an endpoint that a program has added.
type added struct {
	parent  matter.EndpointID
	bridged bool // it is a bridged device, or a part of one
	parts   []matter.EndpointID
}

// AddEndpoints adds endpoints in one step. If it returns an error, it has added
// none. The error contains the endpoint and the reason. Controllers that subscribe
// to the lists of parts get one report.
func (n *Node) AddEndpoints(list ...Endpoint) error {
	known := make(map[matter.EndpointID]*added, len(list))
	build := make([]im.Endpoint, len(list))
	for i := range list {
		ep := &list[i]
		x, err := n.checkEndpoint(ep, known)
		if err == nil {
			build[i], err = n.build(ep)
		}
		if err != nil {
			return fmt.Errorf("endpoint %d: %w", ep.ID, err)
		}
		known[ep.ID] = x
	}
	for i := range list {
		ep := &list[i]
		n.addEndpoint(build[i])
		n.model.added[ep.ID] = known[ep.ID]
		if up := n.model.added[ep.Parent]; up != nil {
			at, _ := slices.BinarySearch(up.parts, ep.ID)
			up.parts = slices.Insert(up.parts, at, ep.ID)
		}
	}
	n.reportParts(slices.Collect(maps.Values(known)))
	return nil
}

// checkEndpoint returns an error if ep cannot be added. known are the endpoints before it
// in the list.
func (n *Node) checkEndpoint(ep *Endpoint, known map[matter.EndpointID]*added) (*added, error) {
	m := &n.model
	x := &added{parent: ep.Parent}
	up := cmp.Or(known[ep.Parent], m.added[ep.Parent])
	switch {
	case ep.ID < FirstEndpoint || ep.ID > lastEndpoint:
		return nil, fmt.Errorf("the number is not between %d and %d", FirstEndpoint, lastEndpoint)
	case m.added[ep.ID] != nil || known[ep.ID] != nil:
		return nil, errors.New("the number is in use")
	case m.retired[ep.ID] && !ep.Returns:
		return nil, errors.New("the number belonged to another device, and controllers would confuse them")
	case ep.Parent != 0 && up == nil:
		return nil, fmt.Errorf("it is a part of endpoint %d, which the program has not added", ep.Parent)
	case len(ep.DeviceTypes) == 0:
		return nil, errors.New("it has no device type")
	case len(ep.Clusters) == 0 && !ep.Groups && ep.Identify == nil:
		return nil, errors.New("it has no clusters")
	}
	for _, t := range ep.DeviceTypes {
		if t.Revision == 0 {
			return nil, fmt.Errorf("device type 0x%04X has revision 0", uint32(t.ID))
		}
	}
	seen := map[matter.ClusterID]bool{descriptor.ID: true, identify.ID: ep.Identify != nil, groups.ID: ep.Groups, scenes.ID: ep.Scenes != nil}
	for i, c := range ep.Clusters {
		if v := reflect.ValueOf(c); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() || c.Spec() == nil {
			return nil, fmt.Errorf("cluster number %d of the list is nil, or has no Spec", i+1)
		}
		spec := c.Spec()
		if err := spec.Check(); err != nil {
			return nil, err
		}
		if seen[spec.ID] {
			return nil, fmt.Errorf("cluster 0x%04X occurs twice", uint32(spec.ID))
		}
		seen[spec.ID] = true
	}
	x.bridged = seen[bridgeddevicebasicinformation.ID] || up != nil && up.bridged
	return x, nil
}

// build returns the engine's form of the endpoint.
func (n *Node) build(ep *Endpoint) (im.Endpoint, error) {
	types, clusters := slices.Clone(ep.DeviceTypes), slices.Clone(ep.Clusters)
	isBridged := func(c im.Cluster) bool { return c.Spec().ID == bridgeddevicebasicinformation.ID }
	isBridgedNode := func(t DeviceType) bool { return t.ID == datamodel.DeviceTypeBridgedNode }
	if slices.ContainsFunc(clusters, isBridged) && !slices.ContainsFunc(types, isBridgedNode) {
		types = append(types, deviceType(datamodel.DeviceTypeBridgedNode))
	}
	identifying := func() bool { return false }
	if ep.Identify != nil {
		c, err := identify.New(*ep.Identify)
		if err != nil {
			return im.Endpoint{}, err
		}
		clusters, identifying = append(clusters, c), c.Identifying
	}
	group := groups.Options{Fabrics: n.trust.fabrics, Max: groupkeymanagement.MaxGroups, Identifying: identifying}
	if ep.Scenes != nil {
		c, err := scenes.New(scenes.Options{Fabrics: n.trust.fabrics, Endpoint: ep.Scenes})
		if err != nil {
			return im.Endpoint{}, err
		}
		clusters, group.Left = append(clusters, c), c.Left
	}
	if ep.Groups {
		clusters = append(clusters, groups.New(group))
	}
	id := ep.ID
	x, err := n.endpoint(id, descriptor.Options{
		DeviceTypes: types, Tags: ep.Tags, UniqueID: ep.UniqueID,
		Parts: func() []matter.EndpointID { return n.model.added[id].parts },
	}, clusters)
	x.Model = ep.Model
	return x, err
}

// ErrNoEndpoint is returned for an endpoint that does not exist or was not added by
// the program.
var ErrNoEndpoint = errors.New("there is no such endpoint of the program")

// RemoveEndpoints removes endpoints that AddEndpoints has added, and their group
// memberships, in one step. It removes none if one of them does not exist or has
// parts that stay, or if the store fails.
func (n *Node) RemoveEndpoints(ids ...matter.EndpointID) error {
	m := &n.model
	for _, id := range ids {
		x := m.added[id]
		if x == nil {
			return fmt.Errorf("endpoint %d: %w", id, ErrNoEndpoint)
		}
		for _, part := range x.parts {
			if !slices.Contains(ids, part) {
				return fmt.Errorf("endpoint %d: endpoint %d is a part of it", id, part)
			}
		}
	}
	if err := n.leaveGroups(ids); err != nil {
		return err
	}
	var gone []*added
	for _, id := range ids {
		x := m.added[id]
		if x == nil {
			continue // named twice
		}
		m.composition.remove(id)
		m.engine.RemoveEndpoint(id)
		gone = append(gone, x)
		if up := m.added[x.parent]; up != nil {
			up.parts = slices.DeleteFunc(up.parts, func(p matter.EndpointID) bool { return p == id })
		}
		delete(m.added, id)
		m.retired[id] = true
	}
	n.reportParts(gone)
	return nil
}

// Endpoints returns all endpoints of the node, in the order of their numbers. The
// caller must not modify the slice, which is valid until an endpoint is added or
// removed.
func (n *Node) Endpoints() []im.Endpoint { return n.model.engine.Endpoints() }

// Touch reports that the state of an endpoint may have changed. The node then asks
// its model and its clusters for changes.
func (n *Node) Touch(id matter.EndpointID) { n.model.engine.Touch(id) }

// TouchAll touches all endpoints.
func (n *Node) TouchAll() { n.model.engine.TouchAll() }

// leaveGroups removes endpoints from the groups of all fabrics.
func (n *Node) leaveGroups(ids []matter.EndpointID) error {
	leaves := func(e matter.EndpointID) bool { return slices.Contains(ids, e) }
	var errs []error
	for _, f := range n.trust.fabrics.All() {
		if !slices.ContainsFunc(f.Groups, func(g store.Group) bool { return slices.ContainsFunc(g.Endpoints, leaves) }) {
			continue
		}
		errs = append(errs, n.trust.fabrics.Mutate(f.Index, func(r *store.Fabric) error {
			for i := range r.Groups {
				r.Groups[i].Endpoints = slices.DeleteFunc(r.Groups[i].Endpoints, leaves)
			}
			r.Groups = slices.DeleteFunc(r.Groups, func(g store.Group) bool { return len(g.Endpoints) == 0 })
			return nil
		}))
	}
	return errors.Join(errs...)
}

// reportParts reports the lists of parts that endpoints were added to or removed from,
// each list once.
func (n *Node) reportParts(changed []*added) {
	lists := map[matter.EndpointID]bool{}
	for _, x := range changed {
		lists[endpointRoot] = true
		if x.bridged {
			lists[endpointAggregator] = true
		}
		lists[x.parent] = true
	}
	for id := range lists {
		n.model.engine.Changed(id, descriptor.ID, descriptor.PartsList)
	}
}

// UniqueID returns an id of 32 octets for a bridged device. It is derived from the node's
// own unique id and from device, which distinguishes the program's devices. A factory
// reset changes it.
func (n *Node) UniqueID(device string) string {
	h := hmac.New(sha256.New, []byte(n.trust.identity.UniqueID))
	h.Write([]byte(device))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
