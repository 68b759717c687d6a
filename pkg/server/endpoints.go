package server

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
)

// FirstEndpoint is the lowest number of an endpoint that a program may add.
const FirstEndpoint = node.FirstEndpoint

// DeviceType is a device type, with the revision that the endpoint conforms to.
type DeviceType = node.DeviceType

// Tag is a semantic tag of an endpoint.
type Tag = node.Tag

// Endpoint is an endpoint that a program adds to the node.
type Endpoint = node.Endpoint

// ErrNoEndpoint is returned by [Server.RemoveEndpoints] for one that is not there or
// that is the node's own.
var ErrNoEndpoint = node.ErrNoEndpoint

// ErrOnLoop is returned by what waits for the node, if it is called by a cluster or in
// [Server.Do]: it would wait for itself.
var ErrOnLoop = node.ErrOnLoop

// AddEndpoint adds an endpoint; see [Server.AddEndpoints].
func (s *Server) AddEndpoint(ep Endpoint) error { return s.AddEndpoints(ep) }

// AddEndpoints adds endpoints in one step: either all of them or, if the error is not
// nil, none. The error says what is wrong with which. Controllers that have subscribed
// to the lists of parts get one report, as do those whose wildcards include the
// endpoints.
//
// A bridge adds the devices that it knows before Start, or before Run. A node that
// serves without them tells controllers that they are gone, and most forget then what
// users have set up for them.
//
// It may be called before Start and while the node runs, but not by a cluster or in
// [Server.Do], where it returns [ErrOnLoop].
func (s *Server) AddEndpoints(list ...Endpoint) error {
	return s.node.Do(func(time.Time) error { return s.node.AddEndpoints(list...) })
}

// RemoveEndpoint removes an endpoint; see [Server.RemoveEndpoints].
func (s *Server) RemoveEndpoint(id matter.EndpointID) error { return s.RemoveEndpoints(id) }

// RemoveEndpoints removes endpoints that the program has added, in one step and for
// good: they leave their groups too, and their numbers are not given to other devices.
// After an error of the store, or if one of them is not there or has parts that stay,
// all are still there. It may be called when AddEndpoints may.
func (s *Server) RemoveEndpoints(ids ...matter.EndpointID) error {
	return s.node.Do(func(time.Time) error { return s.node.RemoveEndpoints(ids...) })
}

// Do runs f on the goroutine that calls the clusters, and waits for it. What an
// added cluster serves is changed in there: when f returns, the node asks those
// clusters that are an [im.Watcher] what has changed, and tells subscribers. f must
// not wait for long, as nobody is answered meanwhile. The error is f's, or says that
// the node has stopped; in a cluster, and in f itself, Do, AddEndpoints,
// RemoveEndpoints and Stop return [ErrOnLoop] at once.
func (s *Server) Do(f func() error) error {
	return s.node.Do(func(time.Time) error {
		s.node.TouchAll() // f does not say what it changes
		return f()
	})
}

// UniqueID returns an id, 32 octets, for a device that a program bridges, made from
// this node's own and whatever tells the device from the program's others. It is
// another one after a factory reset. It may be called by a cluster, in Do, and
// before Start.
func (s *Server) UniqueID(device string) string { return s.node.UniqueID(device) }
