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

// ErrNoEndpoint is returned by [Server.RemoveEndpoint] for one that is not there or
// that is the node's own.
var ErrNoEndpoint = node.ErrNoEndpoint

// AddEndpoint adds an endpoint. Controllers that have subscribed to the list of
// parts hear of it, as do those whose wildcards take it in. It may be called before
// Start and while the node runs, but not by a cluster or in [Server.Do].
func (s *Server) AddEndpoint(ep Endpoint) error {
	return s.node.Do(func(time.Time) error { return s.node.AddEndpoint(ep) })
}

// RemoveEndpoint removes an endpoint that AddEndpoint has added, for good: it leaves
// its groups too. It may be called when AddEndpoint may. After an error of the store
// the endpoint is still there.
func (s *Server) RemoveEndpoint(id matter.EndpointID) error {
	return s.node.Do(func(time.Time) error { return s.node.RemoveEndpoint(id) })
}

// Do runs f on the goroutine that calls the clusters, and waits for it. What an
// added cluster serves is changed in there: when f returns, the node asks those
// clusters that are an [im.Watcher] what has changed, and tells subscribers. f must
// not wait for long, as nobody is answered meanwhile. The error is f's, or says that
// the node has stopped; in a cluster, and in f itself, Do, AddEndpoint, RemoveEndpoint
// and Stop return node.ErrOnLoop at once.
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
