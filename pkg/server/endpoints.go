package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// FirstEndpoint is the lowest number of an endpoint that a program may add.
const FirstEndpoint = endpointAggregator + 1

const lastEndpoint matter.EndpointID = 0xFFFE

// DeviceType is a device type, with the revision that the endpoint conforms to.
type DeviceType = descriptor.DeviceType

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
	// Clusters are what the endpoint serves, without Descriptor, Identify and Groups,
	// each for this endpoint alone. They are called by the node's own goroutine, one at a
	// time; see [Server.Do].
	Clusters []im.Cluster
	// Groups says that the endpoint can belong to groups: most types of lights and
	// plugs want that. It has the Groups cluster then.
	Groups bool
	// Identify says how the device makes itself known to its user, which all types of
	// lights and plugs want. It has the Identify cluster then.
	Identify *identify.Options
}

// AddEndpoint adds an endpoint. Controllers that have subscribed to the list of
// parts hear of it, as do those whose wildcards take it in. It may be called before
// Start and while the node runs, but not by a cluster or in [Server.Do].
func (s *Server) AddEndpoint(ep Endpoint) error {
	return s.Do(func() error {
		if err := s.checkEndpoint(&ep); err != nil {
			return fmt.Errorf("endpoint %d: %w", ep.ID, err)
		}
		types, clusters := slices.Clone(ep.DeviceTypes), slices.Clone(ep.Clusters)
		if bridged(clusters) && !slices.ContainsFunc(types, func(t DeviceType) bool { return t.ID == deviceTypeBridgedNode }) {
			types = append(types, DeviceType{ID: deviceTypeBridgedNode, Revision: 3})
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
				Fabrics: s.trust.fabrics, Max: groupkeymanagement.MaxGroups, Identifying: identifying,
			}))
		}
		s.addEndpoint(ep.ID, types, nil, clusters)
		s.partsChanged()
		return nil
	})
}

func (s *Server) checkEndpoint(ep *Endpoint) error {
	if ep.ID < FirstEndpoint || ep.ID > lastEndpoint {
		return fmt.Errorf("the number is not between %d and %d", FirstEndpoint, lastEndpoint)
	}
	if s.hasEndpoint(ep.ID) {
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

func (s *Server) hasEndpoint(id matter.EndpointID) bool {
	_, ok := s.model.engine.Endpoint(id)
	return ok
}

func bridged(clusters []im.Cluster) bool {
	return slices.ContainsFunc(clusters, func(c im.Cluster) bool { return c.Spec().ID == bridgeddevicebasicinformation.ID })
}

// ErrNoEndpoint is returned by [Server.RemoveEndpoint] for one that is not there or
// that is the node's own.
var ErrNoEndpoint = errors.New("there is no such endpoint of the program")

// RemoveEndpoint removes an endpoint that AddEndpoint has added, for good: it leaves
// its groups too. It may be called when AddEndpoint may. After an error of the store
// the endpoint is still there.
func (s *Server) RemoveEndpoint(id matter.EndpointID) error {
	return s.Do(func() error {
		if id < FirstEndpoint || !s.hasEndpoint(id) {
			return ErrNoEndpoint
		}
		if err := s.leaveGroups(id); err != nil {
			return err
		}
		s.model.engine.RemoveEndpoint(id)
		s.partsChanged()
		return nil
	})
}

// leaveGroups takes an endpoint out of the groups of all fabrics.
func (s *Server) leaveGroups(id matter.EndpointID) error {
	var errs []error
	for _, f := range s.trust.fabrics.All() {
		if !slices.ContainsFunc(f.Groups, func(g store.Group) bool { return slices.Contains(g.Endpoints, id) }) {
			continue
		}
		errs = append(errs, s.trust.fabrics.Mutate(f.Index, func(r *store.Fabric) error {
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
func (s *Server) partsChanged() {
	for _, ep := range []matter.EndpointID{endpointRoot, endpointAggregator} {
		s.model.engine.Changed(ep, descriptor.ID, descriptor.PartsList)
	}
}

// Do runs f on the goroutine that calls the clusters, and waits for it. What an
// added cluster serves is changed in there: when f returns, the node asks those
// clusters that are an [im.Watcher] what has changed, and tells subscribers. f must
// not wait for long, as nobody is answered meanwhile, nor call methods of the
// Server. Before Start, f is run by the caller, and Do must not be called by two at
// once. The error is f's, or says that the node has stopped.
func (s *Server) Do(f func() error) error {
	select {
	case <-s.loop.begun:
		return s.onLoop(func(time.Time) error {
			s.model.engine.TouchAll() // f does not say what it changes
			return f()
		})
	case <-s.loop.quit:
		return errStopped
	default:
		return f()
	}
}

// UniqueID returns an id, 32 octets, for a device that a program bridges, made from
// this node's own and whatever tells the device from the program's others. It is
// another one after a factory reset. It may be called by a cluster, in Do, and
// before Start.
func (s *Server) UniqueID(device string) string {
	h := hmac.New(sha256.New, []byte(s.trust.identity.UniqueID))
	h.Write([]byte(device))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
