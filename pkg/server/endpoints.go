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

// ErrNoEndpoint is returned by [Server.RemoveEndpoints] for an endpoint that does not exist
// or is the node's own.
var ErrNoEndpoint = node.ErrNoEndpoint

// ErrOnLoop is returned by methods that wait for the node's goroutine if they are called
// on that goroutine, by a cluster or in [Server.Do].
var ErrOnLoop = node.ErrOnLoop

// AddEndpoint adds an endpoint; see [Server.AddEndpoints].
func (s *Server) AddEndpoint(ep Endpoint) error { return s.AddEndpoints(ep) }

// AddEndpoints adds endpoints in one step: either all of them or, if the error is not
// nil, none. The error names the endpoint and what is wrong with it. Controllers that
// subscribe to the lists of parts get one report.
//
// A bridge adds the devices that it knows before Start, or before Run. To the controllers
// of a node that serves without them the devices are gone, and most controllers then
// remove what users have configured for them.
//
// It may be called before Start and while the node runs.
func (s *Server) AddEndpoints(list ...Endpoint) error {
	return s.node.Do(func(time.Time) error { return s.node.AddEndpoints(list...) })
}

// RemoveEndpoint removes an endpoint; see [Server.RemoveEndpoints].
func (s *Server) RemoveEndpoint(id matter.EndpointID) error { return s.RemoveEndpoints(id) }

// RemoveEndpoints removes endpoints that the program has added, also from their groups, in
// one step. Their numbers are not given to other devices in this run. If one of them does
// not exist or has parts that stay, or if the store fails, none is removed. It may be
// called when AddEndpoints may.
func (s *Server) RemoveEndpoints(ids ...matter.EndpointID) error {
	return s.node.Do(func(time.Time) error { return s.node.RemoveEndpoints(ids...) })
}

// Do runs f on the goroutine that calls the clusters, and waits for it. A program changes
// the state of its clusters in f: when f returns, the node asks every cluster that is an
// [im.Watcher] what has changed, and reports it to subscribers. f must not wait, as the
// node answers nobody meanwhile. The error is f's, or node.ErrStopped. In a cluster and in
// f itself, Do, AddEndpoints, RemoveEndpoints and Stop return [ErrOnLoop] at once.
func (s *Server) Do(f func() error) error {
	return s.node.Do(func(time.Time) error {
		s.node.TouchAll() // f does not say what it changes
		return f()
	})
}

// UniqueID returns an id of 32 octets for a bridged device. It is derived from the node's
// own unique id and from device, which distinguishes the program's devices. A factory
// reset changes it. It may be called by a cluster, in Do, and before Start.
func (s *Server) UniqueID(device string) string { return s.node.UniqueID(device) }
