// Package networkcommissioning implements the Network Commissioning cluster,
// 0x0031, of a node on Ethernet (section 11.9, feature ET). It shows the
// commissioner that there is no network to set up.
package networkcommissioning

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.NetworkCommissioningID

const (
	maxNetworks           = datamodel.NetworkCommissioningAttrMaxNetworks
	networks              = datamodel.NetworkCommissioningAttrNetworks
	interfaceEnabled      = datamodel.NetworkCommissioningAttrInterfaceEnabled
	lastNetworkingStatus  = datamodel.NetworkCommissioningAttrLastNetworkingStatus
	lastNetworkID         = datamodel.NetworkCommissioningAttrLastNetworkID
	lastConnectErrorValue = datamodel.NetworkCommissioningAttrLastConnectErrorValue
)

// statusSuccess is the only NetworkCommissioningStatusEnum that is used.
const statusSuccess = 0

// maxNetworkIDLen is the maximum length of NetworkID in octets.
const maxNetworkIDLen = 32

var spec = cluster.NewSpec(datamodel.NetworkCommissioning, cluster.Selection{Features: datamodel.NetworkCommissioningFeatureEthernetNetworkInterface})

// Network is the interface that carries the node's traffic.
type Network struct {
	Name      string // 1 octet or more
	Connected bool
}

// Cluster serves the cluster.
type Cluster struct {
	im.ReadOnly
	network  func() Network
	seen     Network // the last observed state
	joined   string  // the network that was connected last; "": none
	reported string  // the last reported value of joined
	look     bool
}

// New returns the cluster of a node. network returns its interface, which always
// exists, even if it is unplugged.
func New(network func() Network) *Cluster {
	c := &Cluster{network: network}
	c.seen = c.current()
	c.reported = c.joined
	return c
}

// current returns the current state of the interface.
func (c *Cluster) current() Network {
	n := c.network()
	n.Name = n.Name[:min(len(n.Name), maxNetworkIDLen)]
	if n.Connected {
		c.joined = n.Name
	}
	return n
}

// Follow schedules a look at the interface when the host's links have changed.
func (c *Cluster) Follow(e im.NodeEvent) { c.look = c.look || e == im.LinksChanged }

// Changes reports the attributes that have changed.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if !c.look {
		return
	}
	c.look = false
	if now := c.current(); now != c.seen {
		c.seen = now
		changed(networks)
	}
	if c.joined != c.reported {
		c.reported = c.joined
		changed(lastNetworkingStatus)
		changed(lastNetworkID)
	}
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case maxNetworks:
		w.Uint(t, 1)
	case networks:
		n := c.current()
		w.StartArray(t)
		w.StartStruct(tlv.Anonymous)
		w.Octets(tlv.Context(0), []byte(n.Name))
		w.Bool(tlv.Context(1), n.Connected)
		w.End()
		w.End()
	case interfaceEnabled:
		w.Bool(t, true)
	case lastNetworkingStatus, lastNetworkID:
		c.last(id, w, t)
	default:
		w.Null(t) // no attempt has failed
	}
	return nil
}

// last writes the result of the last connection. An Ethernet interface connects by
// itself, so that is always success (sections 11.9.6.6 and 11.9.6.7).
func (c *Cluster) last(id matter.AttributeID, w *tlv.Writer, t tlv.Tag) {
	c.current()
	switch {
	case c.joined == "":
		w.Null(t)
	case id == lastNetworkID:
		w.Octets(t, []byte(c.joined))
	default:
		w.Uint(t, statusSuccess)
	}
}

// Write sets InterfaceEnabled. Only true is accepted, which is its value. false
// would disconnect the node from its only network, and returns INVALID_ACTION
// (section 11.9.6.5).
func (c *Cluster) Write(_ *im.Request, _ matter.AttributeID, v tlv.Element) error {
	r := v.Reader()
	enabled := r.Bool()
	if err := r.End(); err != nil {
		return im.WriteError(err)
	}
	if !enabled {
		return matter.StatusInvalidAction
	}
	return nil
}
