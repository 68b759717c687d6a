package node

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
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Endpoints of the node.
const (
	endpointRoot       matter.EndpointID = 0
	endpointAggregator matter.EndpointID = 1
)

// CASESessionsPerFabric is the number of CASE sessions guaranteed to each fabric.
const CASESessionsPerFabric = 3

// eventBlock is the number of event numbers that are reserved in the store at once.
const eventBlock = 1 << 16

// model holds the endpoints of the node.
type model struct {
	engine      *im.Engine
	added       map[matter.EndpointID]*added // by the program
	retired     map[matter.EndpointID]bool   // numbers of endpoints that were removed
	basic       *basicinformation.Cluster
	general     *generalcommissioning.Cluster
	access      *accesscontrol.Cluster
	boot        generaldiagnostics.BootReason
	composition *composition
}

func (m *model) init() {
	m.added = map[matter.EndpointID]*added{}
	m.retired = map[matter.EndpointID]bool{}
}

// buildModel creates the node's own endpoints.
func (n *Node) buildModel(now time.Time) error {
	n.model.engine = im.New(im.Options{
		ACL:                  n.trust.acl,
		Rand:                 n.opt.Rand,
		Log:                  n.log,
		Boot:                 now,
		Sessions:             reporter{n},
		Observe:              n.observe,
		PersistSubscriptions: func() { n.keeper.settle() },
		NodeID:               n.nodeID,

		MaxPathsPerInvoke: matter.MaxPathsPerInvoke,
		Background:        n.Background,
		Events: func() (first, count uint64, err error) {
			first, err = n.trust.store.Reserve("events", eventBlock)
			return first, eventBlock, err
		},
	})
	n.model.init()
	n.model.boot = generaldiagnostics.BootSoftwareReset
	if n.opt.Start.Booted {
		n.model.boot = generaldiagnostics.BootPowerOn
	}
	var err error
	if n.model.composition, err = newComposition(n.trust.store, n.log); err != nil {
		return err
	}
	root, err := n.rootClusters(now)
	if err != nil {
		return err
	}
	if err := n.addOwn(endpointRoot, datamodel.DeviceTypeRootNode, n.otherEndpoints, root); err != nil {
		return err
	}
	return n.addOwn(endpointAggregator, datamodel.DeviceTypeAggregator, n.bridgedEndpoints, nil)
}

// addOwn adds one of the node's own endpoints.
func (n *Node) addOwn(id matter.EndpointID, kind matter.DeviceTypeID, parts func() []matter.EndpointID, clusters []im.Cluster) error {
	ep, err := n.endpoint(id, descriptor.Options{DeviceTypes: []DeviceType{deviceType(kind)}, Parts: parts}, clusters)
	if err != nil {
		return err
	}
	ep.Polled = true // other parts change the state of its clusters
	n.addEndpoint(ep)
	return nil
}

// deviceType returns a device type with the revision that the node conforms to.
func deviceType(id matter.DeviceTypeID) DeviceType {
	return DeviceType{ID: id, Revision: datamodel.DeviceTypeByID(id).Revision}
}

// endpoint returns an endpoint with its descriptor.
func (n *Node) endpoint(id matter.EndpointID, opt descriptor.Options, clusters []im.Cluster) (im.Endpoint, error) {
	opt.Servers = func() []matter.ClusterID { return n.servers(id) }
	d, err := descriptor.New(opt)
	if err != nil {
		return im.Endpoint{}, err
	}
	ep := im.Endpoint{ID: id, Clusters: append([]im.Cluster{d}, clusters...)}
	for _, t := range opt.DeviceTypes {
		ep.DeviceTypes = append(ep.DeviceTypes, t.ID)
	}
	return ep, nil
}

func (n *Node) addEndpoint(ep im.Endpoint) {
	n.model.engine.AddEndpoint(ep)
	n.model.composition.add(ep)
}

func (n *Node) basicInformation() (*basicinformation.Cluster, error) {
	p := &n.opt.Product
	return basicinformation.New(basicinformation.Options{
		Store:                 n.trust.store,
		VendorName:            p.VendorName,
		VendorID:              p.VendorID,
		ProductName:           p.ProductName,
		ProductID:             p.ProductID,
		HardwareVersion:       p.HardwareVersion,
		HardwareVersionString: "1.0",
		SoftwareVersion:       softwareVersion(n.opt.Version),
		SoftwareVersionString: n.opt.Version,
		SerialNumber:          p.SerialNumber,
		Minima: basicinformation.CapabilityMinima{
			CaseSessionsPerFabric:            CASESessionsPerFabric,
			SubscriptionsPerFabric:           im.SubscriptionsPerFabric,
			SimultaneousInvocationsSupported: exchange.Guaranteed,
			SimultaneousWritesSupported:      exchange.Guaranteed,
			ReadPathsSupported:               im.MaxPaths,
			SubscribePathsSupported:          im.MaxPaths,
		},
		MaxPathsPerInvoke:    matter.MaxPathsPerInvoke,
		ConfigurationVersion: n.model.composition.version(),
	})
}

func (n *Node) rootClusters(now time.Time) ([]im.Cluster, error) {
	t, h := &n.trust, n.opt.Host
	var err error
	if n.model.basic, err = n.basicInformation(); err != nil {
		return nil, err
	}
	n.model.composition.raise = n.model.basic.SetConfigurationVersion
	n.model.access = accesscontrol.New(t.fabrics)
	networks := networkcommissioning.New(func() networkcommissioning.Network { return network(h) })
	ethernet := ethernetdiagnostics.New(now, func() ethernetdiagnostics.Link { return link(h) })
	diagnostics := generaldiagnostics.New(generaldiagnostics.Options{
		Started:          now,
		RebootCount:      t.identity.RebootCount,
		BootReason:       n.model.boot,
		Interfaces:       func() []generaldiagnostics.Interface { return interfaces(h) },
		OperationalHours: n.operationalHours,
		Load:             n.model.engine.Load,
	})
	n.model.general = generalcommissioning.New(generalcommissioning.Options{
		FailSafe:    t.failsafe,
		Window:      t.window,
		SetLocation: func(_ *im.Request, country string) error { return n.model.basic.SetLocation(country) },
	})
	return []im.Cluster{
		n.model.access,
		n.model.basic,
		n.model.general,
		networks,
		diagnosticlogs.New(diagnosticlogs.Options{Logs: n.opt.Lines.Newest, Started: now, ClockTrusted: n.clockTrusted}),
		diagnostics,
		ethernet,
		administratorcommissioning.New(t.window, t.failsafe, t.fabrics),
		opcreds.New(opcreds.Options{
			Table:       t.fabrics,
			FailSafe:    t.failsafe,
			Attestation: t.device,
			Rand:        n.opt.Rand,
			EntryAdded:  n.model.access.EntryAdded,
			Executed:    n.executed,
		}),
		groupkeymanagement.New(t.fabrics, n.hasGroups),
	}, nil
}

// started emits the events of a start.
func (n *Node) started(now time.Time) {
	e := n.model.engine
	e.Emit(now, endpointRoot, basicinformation.ID, basicinformation.EventStartUp, matter.NoFabric, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(softwareVersion(n.opt.Version)))
	})
	e.Emit(now, endpointRoot, generaldiagnostics.ID, generaldiagnostics.EventBootReason, matter.NoFabric, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(n.model.boot))
	})
}

// softwareVersion returns a number for a version: 1012003 for 1.12.3. It grows from
// release to release. It is 1 for a version that is not a release.
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

// nodeID returns the node's id in a fabric, or 0.
func (n *Node) nodeID(i matter.FabricIndex) matter.NodeID {
	if f := n.trust.fabrics.Get(i); f != nil {
		return f.NodeID
	}
	return 0
}

// deviceTypes returns the device types of an endpoint for access control.
func (n *Node) deviceTypes(id matter.EndpointID) []matter.DeviceTypeID {
	ep, _ := n.model.engine.Endpoint(id)
	return ep.DeviceTypes
}

func (n *Node) servers(id matter.EndpointID) (ids []matter.ClusterID) {
	ep, _ := n.model.engine.Endpoint(id)
	for _, c := range ep.Clusters {
		ids = append(ids, c.Spec().ID)
	}
	slices.Sort(ids)
	return ids
}

// bridgedEndpoints returns the parts of the aggregator, with their parts (section 9.2.4).
func (n *Node) bridgedEndpoints() (ids []matter.EndpointID) {
	for _, ep := range n.model.engine.Endpoints() {
		if x := n.model.added[ep.ID]; x != nil && x.bridged {
			ids = append(ids, ep.ID)
		}
	}
	return ids
}

// otherEndpoints returns all endpoints but the root (section 9.2.4).
func (n *Node) otherEndpoints() (ids []matter.EndpointID) {
	for _, ep := range n.model.engine.Endpoints() {
		if ep.ID != endpointRoot {
			ids = append(ids, ep.ID)
		}
	}
	return ids
}

// operationalHours returns how many hours the node has run since its first start.
func (n *Node) operationalHours(now time.Time) uint32 {
	return n.trust.identity.OperationalHours + uint32(max(0, now.Sub(n.count.since))/time.Hour)
}

// keepHours stores the hours of operation once an hour, so that a power cut loses less
// than an hour, and at an orderly stop. It also records that the stop was orderly.
func (n *Node) keepHours(now time.Time, stopped bool) error {
	hours := n.operationalHours(now)
	if hours == n.count.hours && !stopped {
		return nil
	}
	n.dateFabrics(now)
	err := n.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.OperationalHours, n.Stopped = hours, stopped
			return nil
		})
	})
	if err == nil {
		n.count.hours = hours
	}
	return err
}
