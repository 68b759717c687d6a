// Package basicinformation is the Basic Information cluster, 0x0028 revision 5
// (section 11.1).
package basicinformation

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID matter.ClusterID = 0x0028

// The events.
const (
	EventStartUp  matter.EventID = 0
	EventShutDown matter.EventID = 1
	EventLeave    matter.EventID = 2
)

const (
	dataModelRevision     matter.AttributeID = 0x00
	vendorName            matter.AttributeID = 0x01
	vendorID              matter.AttributeID = 0x02
	productName           matter.AttributeID = 0x03
	productID             matter.AttributeID = 0x04
	nodeLabel             matter.AttributeID = 0x05
	location              matter.AttributeID = 0x06
	hardwareVersion       matter.AttributeID = 0x07
	hardwareVersionString matter.AttributeID = 0x08
	softwareVersion       matter.AttributeID = 0x09
	softwareVersionString matter.AttributeID = 0x0A
	serialNumber          matter.AttributeID = 0x0F
	localConfigDisabled   matter.AttributeID = 0x10
	uniqueID              matter.AttributeID = 0x12
	capabilityMinima      matter.AttributeID = 0x13
	specificationVersion  matter.AttributeID = 0x15
	maxPathsPerInvoke     matter.AttributeID = 0x16
)

// Longest strings, octets.
const (
	maxNodeLabelLen = 32
	locationLen     = 2
)

var spec = im.Spec{
	ID: ID, Name: "BasicInformation", Revision: 5,
	Attributes: []im.Attribute{
		{ID: dataModelRevision, Name: "DataModelRevision", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: vendorName, Name: "VendorName", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: vendorID, Name: "VendorID", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: productName, Name: "ProductName", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: productID, Name: "ProductID", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: nodeLabel, Name: "NodeLabel", Read: matter.PrivilegeView, Write: matter.PrivilegeManage, Quality: im.NonVolatile},
		{ID: location, Name: "Location", Read: matter.PrivilegeView, Write: matter.PrivilegeAdminister, Quality: im.NonVolatile},
		{ID: hardwareVersion, Name: "HardwareVersion", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: hardwareVersionString, Name: "HardwareVersionString", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: softwareVersion, Name: "SoftwareVersion", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: softwareVersionString, Name: "SoftwareVersionString", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: serialNumber, Name: "SerialNumber", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: localConfigDisabled, Name: "LocalConfigDisabled", Read: matter.PrivilegeView, Write: matter.PrivilegeManage, Quality: im.NonVolatile},
		{ID: uniqueID, Name: "UniqueID", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: capabilityMinima, Name: "CapabilityMinima", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: specificationVersion, Name: "SpecificationVersion", Read: matter.PrivilegeView, Quality: im.Fixed},
		{ID: maxPathsPerInvoke, Name: "MaxPathsPerInvoke", Read: matter.PrivilegeView, Quality: im.Fixed},
	},
	Events: []im.Event{
		{ID: EventStartUp, Name: "StartUp", Priority: im.Critical, Read: matter.PrivilegeView},
		{ID: EventShutDown, Name: "ShutDown", Priority: im.Critical, Read: matter.PrivilegeView},
		{ID: EventLeave, Name: "Leave", Priority: im.Info, Read: matter.PrivilegeView},
	},
}

// specUnnumbered is the metadata of a product without a serial number.
var specUnnumbered = func() im.Spec {
	s := spec
	s.Attributes = slices.DeleteFunc(slices.Clone(spec.Attributes), func(a im.Attribute) bool { return a.ID == serialNumber })
	return s
}()

// Options are the facts about the product and the node.
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
	SerialNumber          string // up to 32 octets; "": there is no such attribute

	CaseSessionsPerFabric  uint16 // at least 3
	SubscriptionsPerFabric uint16 // at least 3
	MaxPathsPerInvoke      uint16 // at least 1
}

// Cluster serves the cluster. What controllers write is kept in the store's
// node record; the cluster is the only writer of those fields.
type Cluster struct {
	im.ReadOnly
	opt     Options
	node    store.Node
	changed []matter.AttributeID // otherwise than by a write
}

// New returns the cluster with what the store keeps.
func New(opt Options) (*Cluster, error) {
	c := &Cluster{opt: opt}
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
func (c *Cluster) Spec() *im.Spec {
	if c.opt.SerialNumber == "" {
		return &specUnnumbered
	}
	return &spec
}

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
		w.StartStruct(t)
		w.Uint(tlv.Context(0), uint64(c.opt.CaseSessionsPerFabric))
		w.Uint(tlv.Context(1), uint64(c.opt.SubscriptionsPerFabric))
		w.End()
	case specificationVersion:
		w.Uint(t, matter.SpecificationVersion)
	case maxPathsPerInvoke:
		w.Uint(t, uint64(c.opt.MaxPathsPerInvoke))
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

// SetLocation is what SetRegulatoryConfig does to Location: two letters of ISO
// 3166-1, or "XX"; CONSTRAINT_ERROR for another length.
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

// Changes tells what SetLocation and Reset have changed.
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

// NodeLabel returns the label that an administrator gave the node.
func (c *Cluster) NodeLabel() string { return c.node.NodeLabel }

// Reset reads the store again, after a factory reset.
func (c *Cluster) Reset() error {
	c.changed = append(c.changed, nodeLabel, location, localConfigDisabled, uniqueID)
	return c.reload()
}
