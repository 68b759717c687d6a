// Package networkcommissioning is the Network Commissioning cluster, 0x0031
// , of a node on Ethernet (section 11.9, feature ET): it tells the
// commissioner that there is nothing to set up.
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

// statusSuccess is the only NetworkCommissioningStatusEnum that is told.
const statusSuccess = 0

// maxNetworkIDLen is the longest NetworkID, octets.
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
	network func() Network
	seen    Network // at the last look
	joined  string  // the network that was connected last; "": none was
	told    string  // what subscribers know of joined
	look    bool
}

// New returns the cluster of a node whose interface network tells. There is
// always one, be it unplugged.
func New(network func() Network) *Cluster {
	c := &Cluster{network: network}
	c.seen = c.current()
	c.told = c.joined
	return c
}

// current is the interface as it is now.
func (c *Cluster) current() Network {
	n := c.network()
	n.Name = n.Name[:min(len(n.Name), maxNetworkIDLen)]
	if n.Connected {
		c.joined = n.Name
	}
	return n
}

// Follow looks at the interface again when the host's links have changed.
func (c *Cluster) Follow(e im.NodeEvent) { c.look = c.look || e == im.LinksChanged }

// Changes reports one that is.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if !c.look {
		return
	}
	c.look = false
	if now := c.current(); now != c.seen {
		c.seen = now
		changed(networks)
	}
	if c.joined != c.told {
		c.told = c.joined
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

// last tells of the last connection, which nobody asked for: it comes about by
// itself, and then it has succeeded (sections 11.9.6.6 and 11.9.6.7).
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

// Write takes InterfaceEnabled: true is what it is; false would cut the node off
// from the only network it has, and is refused with INVALID_ACTION (section
// 11.9.6.5).
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
