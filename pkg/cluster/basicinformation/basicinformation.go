// Package basicinformation implements the Basic Information cluster, 0x0028
// (section 11.1).
package basicinformation

import (
	"fmt"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.BasicInformationID

// The events.
const (
	EventStartUp  = datamodel.BasicInformationEventStartUp
	EventShutDown = datamodel.BasicInformationEventShutDown
	EventLeave    = datamodel.BasicInformationEventLeave
)

const (
	dataModelRevision     = datamodel.BasicInformationAttrDataModelRevision
	vendorName            = datamodel.BasicInformationAttrVendorName
	vendorID              = datamodel.BasicInformationAttrVendorID
	productName           = datamodel.BasicInformationAttrProductName
	productID             = datamodel.BasicInformationAttrProductID
	nodeLabel             = datamodel.BasicInformationAttrNodeLabel
	location              = datamodel.BasicInformationAttrLocation
	hardwareVersion       = datamodel.BasicInformationAttrHardwareVersion
	hardwareVersionString = datamodel.BasicInformationAttrHardwareVersionString
	softwareVersion       = datamodel.BasicInformationAttrSoftwareVersion
	softwareVersionString = datamodel.BasicInformationAttrSoftwareVersionString
	serialNumber          = datamodel.BasicInformationAttrSerialNumber
	localConfigDisabled   = datamodel.BasicInformationAttrLocalConfigDisabled
	uniqueID              = datamodel.BasicInformationAttrUniqueID
	capabilityMinima      = datamodel.BasicInformationAttrCapabilityMinima
	specificationVersion  = datamodel.BasicInformationAttrSpecificationVersion
	maxPathsPerInvoke     = datamodel.BasicInformationAttrMaxPathsPerInvoke
	configurationVersion  = datamodel.BasicInformationAttrConfigurationVersion
)

// Longest strings, octets.
const (
	maxNodeLabelLen = 32
	locationLen     = 2
)

// specOf returns the metadata for a product with a serial number, or without one.
func specOf(numbered bool) *im.Spec {
	sel := cluster.Selection{
		Attributes: []matter.AttributeID{localConfigDisabled},
		Events:     []matter.EventID{EventShutDown, EventLeave},
	}
	if numbered {
		sel.Attributes = append(sel.Attributes, serialNumber)
	}
	return cluster.NewSpec(datamodel.BasicInformation, sel)
}

// Options describe the product and the node.
type Options struct {
	Store *store.Store

	VendorName            string // up to 32 octets
	VendorID              matter.VendorID
	ProductName           string // up to 32 octets
	ProductID             matter.ProductID
	HardwareVersion       uint16
	HardwareVersionString string // 1 to 64 octets
	SoftwareVersion       uint32
	SoftwareVersionString string // 1 to 64 octets
	SerialNumber          string // up to 32 octets; "": no such attribute

	Minima            CapabilityMinima
	MaxPathsPerInvoke uint16 // at least 1

	// ConfigurationVersion is the node's version at the start, at least 1.
	ConfigurationVersion uint32
}

// CapabilityMinima are the capabilities that each fabric can rely on, all at most
// 10000 (section 11.1.4.4).
type CapabilityMinima struct {
	CaseSessionsPerFabric            uint16 // at least 3
	SubscriptionsPerFabric           uint16 // at least 3
	SimultaneousInvocationsSupported uint16 // at least 1
	SimultaneousWritesSupported      uint16 // at least 1
	ReadPathsSupported               uint16 // in one request, at least 9
	SubscribePathsSupported          uint16 // in one request, at least 3
}

// Cluster serves the cluster. It stores what controllers write in the store's node
// record. No other code writes those fields.
type Cluster struct {
	im.ReadOnly
	opt     Options
	spec    *im.Spec
	node    store.Node
	changed []matter.AttributeID // changed, but not by a write
}

// New returns the cluster with the stored values.
func New(opt Options) (*Cluster, error) {
	c := &Cluster{opt: opt, spec: specOf(opt.SerialNumber != "")}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) reload() error {
	err := c.opt.Store.View(func(tx *store.Tx) (err error) {
		c.node, _, err = tx.Node()
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the node record: %w", err)
	}
	return nil
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return c.spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case dataModelRevision:
		w.Uint(t, matter.DataModelRevision)
	case vendorName:
		w.Text(t, c.opt.VendorName)
	case vendorID:
		w.Uint(t, uint64(c.opt.VendorID))
	case productName:
		w.Text(t, c.opt.ProductName)
	case productID:
		w.Uint(t, uint64(c.opt.ProductID))
	case nodeLabel:
		w.Text(t, c.node.NodeLabel)
	case location:
		w.Text(t, c.node.Location)
	case hardwareVersion:
		w.Uint(t, uint64(c.opt.HardwareVersion))
	case hardwareVersionString:
		w.Text(t, c.opt.HardwareVersionString)
	case softwareVersion:
		w.Uint(t, uint64(c.opt.SoftwareVersion))
	case softwareVersionString:
		w.Text(t, c.opt.SoftwareVersionString)
	case serialNumber:
		w.Text(t, c.opt.SerialNumber)
	case localConfigDisabled:
		w.Bool(t, c.node.LocalConfigDisabled)
	case uniqueID:
		w.Text(t, c.node.UniqueID)
	case capabilityMinima:
		m := &c.opt.Minima
		w.StartStruct(t)
		for i, v := range [...]uint16{
			m.CaseSessionsPerFabric, m.SubscriptionsPerFabric, m.SimultaneousInvocationsSupported,
			m.SimultaneousWritesSupported, m.ReadPathsSupported, m.SubscribePathsSupported,
		} {
			w.Uint(tlv.Context(uint8(i)), uint64(v))
		}
		w.End()
	case specificationVersion:
		w.Uint(t, matter.SpecificationVersion)
	case maxPathsPerInvoke:
		w.Uint(t, uint64(c.opt.MaxPathsPerInvoke))
	case configurationVersion:
		w.Uint(t, uint64(c.opt.ConfigurationVersion))
	}
	return nil
}

// Write replaces NodeLabel, Location or LocalConfigDisabled.
func (c *Cluster) Write(_ *im.Request, id matter.AttributeID, v tlv.Element) error {
	r := v.Reader()
	var text string
	var flag bool
	if id == localConfigDisabled {
		flag = r.Bool()
	} else {
		text = r.Text()
	}
	if err := r.End(); err != nil {
		return im.WriteError(err)
	}
	switch id {
	case nodeLabel:
		if len(text) > maxNodeLabelLen {
			return matter.StatusConstraintError
		}
		return c.update(func(n *store.Node) { n.NodeLabel = text })
	case location:
		if !validLocation(text) {
			return matter.StatusConstraintError
		}
		return c.update(func(n *store.Node) { n.Location = text })
	}
	return c.update(func(n *store.Node) { n.LocalConfigDisabled = flag })
}

func validLocation(s string) bool { return len(s) == locationLen && utf8.ValidString(s) }

// SetLocation sets Location for SetRegulatoryConfig: two letters of ISO 3166-1, or
// "XX". It returns CONSTRAINT_ERROR for another length.
func (c *Cluster) SetLocation(s string) error {
	if !validLocation(s) {
		return matter.StatusConstraintError
	}
	if s == c.node.Location {
		return nil
	}
	if err := c.update(func(n *store.Node) { n.Location = s }); err != nil {
		return err
	}
	c.changed = append(c.changed, location)
	return nil
}

// SetConfigurationVersion sets the version of the node's configuration. Call it
// with a higher version after the node's services have changed (section 11.1.5.24).
func (c *Cluster) SetConfigurationVersion(v uint32) {
	if v != c.opt.ConfigurationVersion {
		c.opt.ConfigurationVersion = v
		c.changed = append(c.changed, configurationVersion)
	}
}

// Changes reports attributes that have changed, but not by a write.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	for _, id := range c.changed {
		changed(id)
	}
	c.changed = c.changed[:0]
}

func (c *Cluster) update(f func(*store.Node)) error {
	err := c.opt.Store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			f(n)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("keeping the node record: %w", err)
	}
	f(&c.node)
	return nil
}

// NodeLabel returns the label that an administrator has set.
func (c *Cluster) NodeLabel() string { return c.node.NodeLabel }

// Reset reads the store again after a factory reset.
func (c *Cluster) Reset() error {
	c.changed = append(c.changed, nodeLabel, location, localConfigDisabled, uniqueID)
	return c.reload()
}
