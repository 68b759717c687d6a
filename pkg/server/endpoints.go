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

// ErrNoEndpoint is returned by [Server.RemoveEndpoints] for an endpoint that does
// not exist or was not added by the program.
var ErrNoEndpoint = node.ErrNoEndpoint

// ErrOnLoop is returned by methods that wait for the node's goroutine if they are called
// on that goroutine, by a cluster or in [Server.Do].
var ErrOnLoop = node.ErrOnLoop

// AddEndpoint adds an endpoint; see [Server.AddEndpoints].
func (s *Server) AddEndpoint(ep Endpoint) error { return s.AddEndpoints(ep) }

// AddEndpoints adds endpoints in one step. If it returns an error, it has added
// none. The error contains the endpoint and the reason. Controllers that subscribe
// to the lists of parts get one report.
//
// A bridge must add the devices that it knows before Start or Run. If a node serves
// without them, its controllers consider the devices removed, and most controllers
// then delete the users' settings for them.
//
// AddEndpoints may be called before Start and while the node runs.
func (s *Server) AddEndpoints(list ...Endpoint) error {
	return s.node.Do(func(time.Time) error { return s.node.AddEndpoints(list...) })
}

// RemoveEndpoint removes an endpoint; see [Server.RemoveEndpoints].
func (s *Server) RemoveEndpoint(id matter.EndpointID) error { return s.RemoveEndpoints(id) }

// RemoveEndpoints removes endpoints that the program has added, and their group
// memberships, in one step. Their numbers cannot be used for other devices in this
// run. It removes none if one of them does not exist or has parts that stay, or if
// the store fails. It may be called before Start and while the node runs.
func (s *Server) RemoveEndpoints(ids ...matter.EndpointID) error {
	return s.node.Do(func(time.Time) error { return s.node.RemoveEndpoints(ids...) })
}

// Do runs f on the goroutine that calls the clusters, and waits for it. A program
// changes the state of its clusters in f. When f returns, the node asks every
// cluster that is an [im.Watcher] for changes and reports them to subscribers. f
// must not block, as the node handles nothing in the meantime. The error is f's, or
// node.ErrStopped. If Do, AddEndpoints, RemoveEndpoints or Stop is called in a
// cluster or in f, it returns [ErrOnLoop] at once.
func (s *Server) Do(f func() error) error {
	return s.node.Do(func(time.Time) error {
		s.node.TouchAll() // f may change any endpoint
		return f()
	})
}

// UniqueID returns an id of 32 octets for a bridged device. It is derived from the node's
// own unique id and from device, which distinguishes the program's devices. A factory
// reset changes it. It may be called by a cluster, in Do, and before Start.
func (s *Server) UniqueID(device string) string { return s.node.UniqueID(device) }
