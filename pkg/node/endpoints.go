package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
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
// One with the Bridged Device Basic Information cluster is a bridged device: it is
// listed below the node's aggregator, and Bridged Node is added to its device types.
// Any other is a part of the node itself.
type Endpoint struct {
	// ID is FirstEndpoint or higher. A device keeps its number over restarts, as
	// controllers know it by that, and no other device gets it later.
	ID          matter.EndpointID
	DeviceTypes []DeviceType
	// Tags tell the endpoint from others of the same device type that have the same
	// parent, up to [descriptor.MaxTags].
	Tags []Tag
	// UniqueID is unique within the device, up to [descriptor.MaxUniqueID] octets. It
	// may be empty.
	UniqueID string
	// Clusters are what the endpoint serves, without Descriptor, Identify and Groups,
	// each for this endpoint alone. They are called on the loop, one at a time.
	Clusters []im.Cluster
	// Groups says that the endpoint can belong to groups: most types of lights and
	// plugs want that. It has the Groups cluster then.
	Groups bool
	// Identify says how the device makes itself known to its user, which all types of
	// lights and plugs want. It has the Identify cluster then.
	Identify *identify.Options
}

// AddEndpoint adds an endpoint. Controllers that have subscribed to the list of parts
// hear of it, as do those whose wildcards take it in.
func (n *Node) AddEndpoint(ep Endpoint) error {
	if err := n.checkEndpoint(&ep); err != nil {
		return fmt.Errorf("endpoint %d: %w", ep.ID, err)
	}
	types, clusters := slices.Clone(ep.DeviceTypes), slices.Clone(ep.Clusters)
	if bridged(clusters) && !slices.ContainsFunc(types, func(t DeviceType) bool { return t.ID == datamodel.DeviceTypeBridgedNode }) {
		types = append(types, deviceType(datamodel.DeviceTypeBridgedNode))
	}
	identifying := func() bool { return false }
	if ep.Identify != nil {
		c, err := identify.New(*ep.Identify)
		if err != nil {
			return fmt.Errorf("endpoint %d: %w", ep.ID, err)
		}
		clusters, identifying = append(clusters, c), c.Identifying
	}
	if ep.Groups {
		clusters = append(clusters, groups.New(groups.Options{
			Fabrics: n.trust.fabrics, Max: groupkeymanagement.MaxGroups, Identifying: identifying,
		}))
	}
	if err := n.addEndpoint(ep.ID, descriptor.Options{DeviceTypes: types, Tags: ep.Tags, UniqueID: ep.UniqueID}, clusters); err != nil {
		return fmt.Errorf("endpoint %d: %w", ep.ID, err)
	}
	n.partsChanged()
	return nil
}

func (n *Node) checkEndpoint(ep *Endpoint) error {
	if ep.ID < FirstEndpoint || ep.ID > lastEndpoint {
		return fmt.Errorf("the number is not between %d and %d", FirstEndpoint, lastEndpoint)
	}
	if n.hasEndpoint(ep.ID) {
		return errors.New("it is there already")
	}
	if len(ep.DeviceTypes) == 0 {
		return errors.New("it has no device type")
	}
	seen := map[matter.ClusterID]bool{descriptor.ID: true, identify.ID: ep.Identify != nil, groups.ID: ep.Groups}
	for _, c := range ep.Clusters {
		if id := c.Spec().ID; seen[id] {
			return fmt.Errorf("cluster 0x%04X is there twice", uint32(id))
		} else {
			seen[id] = true
		}
	}
	return nil
}

func (n *Node) hasEndpoint(id matter.EndpointID) bool {
	_, ok := n.model.engine.Endpoint(id)
	return ok
}

func bridged(clusters []im.Cluster) bool {
	return slices.ContainsFunc(clusters, func(c im.Cluster) bool { return c.Spec().ID == bridgeddevicebasicinformation.ID })
}

// ErrNoEndpoint is returned by [Node.RemoveEndpoint] for one that is not there or that
// is the node's own.
var ErrNoEndpoint = errors.New("there is no such endpoint of the program")

// RemoveEndpoint removes an endpoint that AddEndpoint has added, for good: it leaves
// its groups too. After an error of the store the endpoint is still there.
func (n *Node) RemoveEndpoint(id matter.EndpointID) error {
	if id < FirstEndpoint || !n.hasEndpoint(id) {
		return ErrNoEndpoint
	}
	if err := n.leaveGroups(id); err != nil {
		return err
	}
	n.model.composition.remove(id)
	n.model.engine.RemoveEndpoint(id)
	n.partsChanged()
	return nil
}

// Endpoints returns all endpoints of the node, in the order of their numbers. The slice
// is not to be changed, and valid until an endpoint is added or removed.
func (n *Node) Endpoints() []im.Endpoint { return n.model.engine.Endpoints() }

// TouchAll says that the state of any endpoint may have changed, so that the node asks
// every cluster what is new.
func (n *Node) TouchAll() { n.model.engine.TouchAll() }

// leaveGroups takes an endpoint out of the groups of all fabrics.
func (n *Node) leaveGroups(id matter.EndpointID) error {
	var errs []error
	for _, f := range n.trust.fabrics.All() {
		if !slices.ContainsFunc(f.Groups, func(g store.Group) bool { return slices.Contains(g.Endpoints, id) }) {
			continue
		}
		errs = append(errs, n.trust.fabrics.Mutate(f.Index, func(r *store.Fabric) error {
			for i := range r.Groups {
				r.Groups[i].Endpoints = slices.DeleteFunc(r.Groups[i].Endpoints, func(e matter.EndpointID) bool { return e == id })
			}
			r.Groups = slices.DeleteFunc(r.Groups, func(g store.Group) bool { return len(g.Endpoints) == 0 })
			return nil
		}))
	}
	return errors.Join(errs...)
}

// partsChanged lets subscribers know of an endpoint that has come or gone.
func (n *Node) partsChanged() {
	for _, ep := range []matter.EndpointID{endpointRoot, endpointAggregator} {
		n.model.engine.Changed(ep, descriptor.ID, descriptor.PartsList)
	}
}

// UniqueID returns an id, 32 octets, for a device that a program bridges, made from
// this node's own and whatever tells the device from the program's others. It is
// another one after a factory reset.
func (n *Node) UniqueID(device string) string {
	h := hmac.New(sha256.New, []byte(n.trust.identity.UniqueID))
	h.Write([]byte(device))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
