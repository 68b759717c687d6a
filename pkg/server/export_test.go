package server

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/provision"
)

// AddGroupEndpoint adds an endpoint that can belong to groups.
func (s *Server) AddGroupEndpoint(id matter.EndpointID, clusters ...im.Cluster) error {
	return s.AddEndpoint(Endpoint{ID: id, DeviceTypes: []DeviceType{{ID: 0x0100, Revision: 3}}, Groups: true, Clusters: clusters})
}

// CheckStore checks the store of a running node, which knows the values reserved
// from its counters. It does nothing if the node has stopped.
func (s *Server) CheckStore() error {
	err := s.node.Do(func(time.Time) error { return provision.Check(s.store) })
	if errors.Is(err, node.ErrStopped) {
		return nil
	}
	return err
}

// The guarantees for each fabric.
const (
	CASESessionsPerFabric  = node.CASESessionsPerFabric
	SubscriptionsPerFabric = im.SubscriptionsPerFabric
)
