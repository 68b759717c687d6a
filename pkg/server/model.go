package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/accesscontrol"
	"github.com/opcredsd/opcredsd/pkg/cluster/administratorcommissioning"
	"github.com/opcredsd/opcredsd/pkg/cluster/basicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/diagnosticlogs"
	"github.com/opcredsd/opcredsd/pkg/cluster/ethernetdiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/generalcommissioning"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/cluster/opcreds"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Endpoints of the node.
const (
	endpointRoot       matter.EndpointID = 0
	endpointAggregator matter.EndpointID = 1
)

// caseSessionsPerFabric is how many CASE sessions each fabric can count on.
const caseSessionsPerFabric = 3

// maxPathsPerInvoke is how many commands one request may have. More take the
// data model test feature of General Diagnostics (section 11.12.4.1).
const maxPathsPerInvoke = 1

// eventBlock is how many event numbers are reserved in the store at once.
const eventBlock = 1 << 16

// model is what the node is.
type model struct {
	engine  *im.Engine
	basic   *basicinformation.Cluster
	general *generalcommissioning.Cluster
	access  *accesscontrol.Cluster
	resets  []interface{ Reset() } // clusters with a state that is in no store
	host    *host.Host
	links   []interface{ LinksChanged() } // clusters that tell of the host's links
	lines   *logs.Ring                    // of the log
}

// buildModel makes the endpoints.
func (s *Server) buildModel(now time.Time) error {
	s.model.engine = im.New(im.Options{
		ACL:      s.trust.acl,
		Rand:     s.opt.Rand,
		Log:      s.log,
		Boot:     now,
		Sessions: reporter{s},
		Observe:  s.observe,
		Keep:     func() { s.keep.settle() },
		Self:     s.nodeID,

		MaxPathsPerInvoke: maxPathsPerInvoke,
		Events: func() (first, count uint64, err error) {
			first, err = s.trust.store.Reserve("events", eventBlock)
			return first, eventBlock, err
		},
	})
	root, err := s.rootClusters(now)
	if err != nil {
		return err
	}
	s.addEndpoint(endpointRoot, []descriptor.DeviceType{{ID: deviceTypeRootNode, Revision: 3}}, s.otherEndpoints, root)
	s.addEndpoint(endpointAggregator, []descriptor.DeviceType{{ID: deviceTypeAggregator, Revision: 2}}, s.bridgedEndpoints, nil)
	return nil
}

func (s *Server) addEndpoint(id matter.EndpointID, types []descriptor.DeviceType, parts func() []matter.EndpointID, clusters []im.Cluster) {
	d := descriptor.New(descriptor.Options{
		DeviceTypes: types,
		Servers:     func() []matter.ClusterID { return s.servers(id) },
		Parts:       parts,
	})
	// The state of the node's own endpoints is changed by others as well.
	ep := im.Endpoint{ID: id, Clusters: append([]im.Cluster{d}, clusters...), Polled: id <= endpointAggregator}
	for _, t := range types {
		ep.DeviceTypes = append(ep.DeviceTypes, t.ID)
	}
	s.model.engine.AddEndpoint(ep)
}

func (s *Server) rootClusters(now time.Time) ([]im.Cluster, error) {
	p, t, h := &s.opt.Product, &s.trust, s.newHost()
	s.model.host = h
	var err error
	s.model.basic, err = basicinformation.New(basicinformation.Options{
		Store:                  t.store,
		VendorName:             p.VendorName,
		VendorID:               p.VendorID,
		ProductName:            p.ProductName,
		ProductID:              p.ProductID,
		HardwareVersion:        p.HardwareVersion,
		HardwareVersionString:  "1.0",
		SoftwareVersion:        softwareVersion(s.opt.Version),
		SoftwareVersionString:  s.opt.Version,
		SerialNumber:           p.SerialNumber,
		CaseSessionsPerFabric:  caseSessionsPerFabric,
		SubscriptionsPerFabric: im.SubscriptionsPerFabric,
		MaxPathsPerInvoke:      maxPathsPerInvoke,
	})
	if err != nil {
		return nil, err
	}
	s.model.access = accesscontrol.New(t.fabrics)
	networks := networkcommissioning.New(func() networkcommissioning.Network { return network(h) })
	ethernet := ethernetdiagnostics.New(now, func() ethernetdiagnostics.Link { return link(h) })
	diagnostics := generaldiagnostics.New(generaldiagnostics.Options{
		Started:          now,
		RebootCount:      t.identity.RebootCount,
		BootReason:       s.trust.bootReason,
		Interfaces:       func() []generaldiagnostics.Interface { return interfaces(h) },
		OperationalHours: s.operationalHours,
	})
	s.model.links = []interface{ LinksChanged() }{networks, ethernet, diagnostics}
	s.model.general = generalcommissioning.New(generalcommissioning.Options{
		FailSafe:    t.failsafe,
		Window:      t.window,
		SetLocation: func(_ *im.Request, country string) error { return s.model.basic.SetLocation(country) },
	})
	s.model.resets = []interface{ Reset() }{s.model.general, diagnostics}
	return []im.Cluster{
		s.model.access,
		s.model.basic,
		s.model.general,
		networks,
		diagnosticlogs.New(diagnosticlogs.Options{Logs: s.model.lines.Newest, Started: now, ClockTrusted: s.clockTrusted}),
		diagnostics,
		ethernet,
		administratorcommissioning.New(t.window, t.failsafe, t.fabrics),
		opcreds.New(opcreds.Options{
			Table:       t.fabrics,
			FailSafe:    t.failsafe,
			Attestation: t.device,
			Rand:        s.opt.Rand,
			EntryAdded:  s.model.access.EntryAdded,
			Executed:    s.executed,
		}),
		groupkeymanagement.New(t.fabrics, s.hasGroups),
	}, nil
}

// executed follows the commands of the Operational Credentials cluster.
func (s *Server) executed(command, status string, cause error) {
	s.count.commands[metrics.CommandKey{Command: command, Status: status}]++
	if cause != nil {
		s.log.Warn("command refused", "command", command, "status", status, "cause", cause)
	}
}

// started emits the events of a start, the first ones of the process.
func (s *Server) started(now time.Time) {
	close(s.loop.begun)
	e := s.model.engine
	e.Emit(now, endpointRoot, basicinformation.ID, basicinformation.EventStartUp, matter.NoFabric, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(softwareVersion(s.opt.Version)))
	})
	e.Emit(now, endpointRoot, generaldiagnostics.ID, generaldiagnostics.EventBootReason, matter.NoFabric, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(s.trust.bootReason))
	})
}

// softwareVersion makes the number of a version such as 1.12.3, which grows from
// one release to the next: 1012003. What is not a release is 1.
func softwareVersion(version string) uint32 {
	release, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(release, ".")
	if len(parts) != 3 {
		return 1
	}
	var v uint32
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil || n > 999 {
			return 1
		}
		v = v*1000 + uint32(n)
	}
	return max(v, 1)
}

// nodeID returns the node's id in a fabric, 0 for no fabric.
func (s *Server) nodeID(i matter.FabricIndex) matter.NodeID {
	if f := s.trust.fabrics.Get(i); f != nil {
		return f.NodeID
	}
	return 0
}

// deviceTypes tells access control what an endpoint is.
func (s *Server) deviceTypes(id matter.EndpointID) []matter.DeviceTypeID {
	ep, _ := s.model.engine.Endpoint(id)
	return ep.DeviceTypes
}

func (s *Server) servers(id matter.EndpointID) (ids []matter.ClusterID) {
	ep, _ := s.model.engine.Endpoint(id)
	for _, c := range ep.Clusters {
		ids = append(ids, c.Spec().ID)
	}
	slices.Sort(ids)
	return ids
}

// bridgedEndpoints are the parts of the aggregator: the full family (section 9.2.4).
func (s *Server) bridgedEndpoints() (ids []matter.EndpointID) {
	for _, ep := range s.model.engine.Endpoints() {
		if bridged(ep.Clusters) {
			ids = append(ids, ep.ID)
		}
	}
	return ids
}

// otherEndpoints are the parts of the root: the full family (section 9.2.4).
func (s *Server) otherEndpoints() (ids []matter.EndpointID) {
	for _, ep := range s.model.engine.Endpoints() {
		if ep.ID != endpointRoot {
			ids = append(ids, ep.ID)
		}
	}
	return ids
}

// operationalHours returns how long the node has run since it was made.
func (s *Server) operationalHours(now time.Time) uint32 {
	return s.trust.identity.OperationalHours + uint32(max(0, now.Sub(s.count.since))/time.Hour)
}

// keepHours writes the hours down, once an hour and when the node has stopped in
// order, which it notes: a power cut costs less than an hour.
func (s *Server) keepHours(now time.Time, stopped bool) error {
	hours := s.operationalHours(now)
	if hours == s.count.hours && !stopped {
		return nil
	}
	err := s.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.OperationalHours, n.Stopped = hours, stopped
			return nil
		})
	})
	if err == nil {
		s.count.hours = hours
	}
	return err
}
