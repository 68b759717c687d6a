package server

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
)

// AddGroupEndpoint adds an endpoint that can belong to groups, beside the ones
// that a node has.
func (s *Server) AddGroupEndpoint(id matter.EndpointID, clusters ...im.Cluster) error {
	return s.onLoop(func(time.Time) error {
		g := groups.New(groups.Options{Fabrics: s.trust.fabrics, Max: groupkeymanagement.MaxGroups, Identifying: func() bool { return false }})
		s.addEndpoint(id, []descriptor.DeviceType{{ID: 0x0100, Revision: 3}}, nil, append([]im.Cluster{g}, clusters...))
		return nil
	})
}

// ClockTrusted reports whether the clock can be right; to be asked in Do.
func (s *Server) ClockTrusted() bool { return s.clockTrusted(time.Now()) }

// CheckStore checks the store of a node, which knows what it has given out of its
// counters. There is nothing to be said of one that has stopped.
func (s *Server) CheckStore() error {
	err := s.onLoop(func(time.Time) error { return provision.Check(s.trust.store) })
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// What each fabric can count on.
const (
	CASESessionsPerFabric  = caseSessionsPerFabric
	SubscriptionsPerFabric = im.SubscriptionsPerFabric
)

// Facts of the release, for tests from outside.
type (
	DataModel    = dataModel
	ElementFacts = elementFacts
)

var (
	ReadDataModel = readDataModel
	Privileges    = privileges
)

// Cluster returns the facts of a cluster, or nil.
func (m *dataModel) Cluster(id matter.ClusterID) *clusterFacts { return m.cluster(id) }
