// Package bridgeddevicebasicinformation is the Bridged Device Basic Information
// cluster, 0x0039 revision 5 (section 9.13): what there is to say of a device
// that speaks no Matter and that the node bridges.
package bridgeddevicebasicinformation

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID matter.ClusterID = 0x0039

// reachableChanged has the field Reachable, 0.
const reachableChanged matter.EventID = 3

const (
	vendorName            matter.AttributeID = 0x01
	vendorID              matter.AttributeID = 0x02
	productName           matter.AttributeID = 0x03
	nodeLabel             matter.AttributeID = 0x05
	hardwareVersion       matter.AttributeID = 0x07
	hardwareVersionString matter.AttributeID = 0x08
	softwareVersion       matter.AttributeID = 0x09
	softwareVersionString matter.AttributeID = 0x0A
	serialNumber          matter.AttributeID = 0x0F
	reachable             matter.AttributeID = 0x11
	uniqueID              matter.AttributeID = 0x12
)

// MaxText is how many octets of UTF-8 a name, a label or an id may have.
const MaxText = 32

const maxVersionString = 64

// Options say what is known of the device. What is not known, the zero value, has
// no attribute.
type Options struct {
	VendorName            string // up to 32 octets
	VendorID              matter.VendorID
	ProductName           string  // up to 32 octets
	HardwareVersion       *uint16 // nil: not known
	HardwareVersionString string  // up to 64 octets
	SoftwareVersion       *uint32 // nil: not known
	SoftwareVersionString string  // up to 64 octets
	SerialNumber          string  // up to 32 octets

	// UniqueID tells the device from all others, in up to 32 octets; it is another
	// one after a factory reset of the node, see Server.UniqueID. Required.
	UniqueID func() string

	// NodeLabel is the name that a user gave the device, as it was kept; up to 32
	// octets.
	NodeLabel string
	// KeepNodeLabel keeps the name that a user gives the device; an error keeps the
	// old one. nil: there is no such attribute.
	KeepNodeLabel func(label string) error

	Unreachable bool // at the beginning
}

// Cluster serves the cluster on one endpoint.
type Cluster struct {
	opt       Options
	spec      im.Spec
	reachable bool
	told      bool // what was told of reachable last
}

// New returns the cluster of one device. The error names what does not fit.
func New(opt Options) (*Cluster, error) {
	if opt.UniqueID == nil {
		return nil, errors.New("bridged device: no UniqueID")
	}
	for _, s := range []struct {
		name, value string
		max         int
	}{
		{"VendorName", opt.VendorName, MaxText}, {"ProductName", opt.ProductName, MaxText},
		{"SerialNumber", opt.SerialNumber, MaxText}, {"NodeLabel", opt.NodeLabel, MaxText}, {"UniqueID", opt.UniqueID(), MaxText},
		{"HardwareVersionString", opt.HardwareVersionString, maxVersionString}, {"SoftwareVersionString", opt.SoftwareVersionString, maxVersionString},
	} {
		if len(s.value) > s.max || !utf8.ValidString(s.value) {
			return nil, fmt.Errorf("bridged device: %s %q is not text of up to %d octets", s.name, s.value, s.max)
		}
	}
	c := &Cluster{opt: opt, reachable: !opt.Unreachable, told: !opt.Unreachable}
	c.spec = im.Spec{
		ID: ID, Name: "BridgedDeviceBasicInformation", Revision: 5,
		Events: []im.Event{{ID: reachableChanged, Name: "ReachableChanged", Priority: im.Info, Read: matter.PrivilegeView}},
	}
	for _, a := range []struct {
		im.Attribute
		known bool
	}{
		{im.Attribute{ID: vendorName, Name: "VendorName", Quality: im.Fixed}, opt.VendorName != ""},
		{im.Attribute{ID: vendorID, Name: "VendorID", Quality: im.Fixed}, opt.VendorID != 0},
		{im.Attribute{ID: productName, Name: "ProductName", Quality: im.Fixed}, opt.ProductName != ""},
		{im.Attribute{ID: nodeLabel, Name: "NodeLabel", Write: matter.PrivilegeManage, Quality: im.NonVolatile}, opt.KeepNodeLabel != nil},
		{im.Attribute{ID: hardwareVersion, Name: "HardwareVersion", Quality: im.Fixed}, opt.HardwareVersion != nil},
		{im.Attribute{ID: hardwareVersionString, Name: "HardwareVersionString", Quality: im.Fixed}, opt.HardwareVersionString != ""},
		{im.Attribute{ID: softwareVersion, Name: "SoftwareVersion", Quality: im.Fixed}, opt.SoftwareVersion != nil},
		{im.Attribute{ID: softwareVersionString, Name: "SoftwareVersionString", Quality: im.Fixed}, opt.SoftwareVersionString != ""},
		{im.Attribute{ID: serialNumber, Name: "SerialNumber", Quality: im.Fixed}, opt.SerialNumber != ""},
		{im.Attribute{ID: reachable, Name: "Reachable"}, true},
		{im.Attribute{ID: uniqueID, Name: "UniqueID", Quality: im.Fixed}, true},
	} {
		if a.known {
			a.Read = matter.PrivilegeView
			c.spec.Attributes = append(c.spec.Attributes, a.Attribute)
		}
	}
	return c, nil
}

// SetReachable says whether the node can reach the device. Subscribers hear of a
// change, by the attribute and by an event.
func (c *Cluster) SetReachable(yes bool) { c.reachable = yes }

// NodeLabel returns the name that a user gave the device.
func (c *Cluster) NodeLabel() string { return c.opt.NodeLabel }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return &c.spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	o := &c.opt
	switch id {
	case vendorName:
		w.Text(t, o.VendorName)
	case vendorID:
		w.Uint(t, uint64(o.VendorID))
	case productName:
		w.Text(t, o.ProductName)
	case nodeLabel:
		w.Text(t, o.NodeLabel)
	case hardwareVersion:
		w.Uint(t, uint64(*o.HardwareVersion))
	case hardwareVersionString:
		w.Text(t, o.HardwareVersionString)
	case softwareVersion:
		w.Uint(t, uint64(*o.SoftwareVersion))
	case softwareVersionString:
		w.Text(t, o.SoftwareVersionString)
	case serialNumber:
		w.Text(t, o.SerialNumber)
	case reachable:
		w.Bool(t, c.reachable)
	case uniqueID:
		w.Text(t, o.UniqueID())
	}
	return nil
}

// Write takes the NodeLabel.
func (c *Cluster) Write(_ *im.Request, _ matter.AttributeID, v tlv.Element) error {
	r := v.Reader()
	label := r.Text()
	if err := r.End(); err != nil {
		return im.WriteError(err)
	}
	if len(label) > MaxText {
		return matter.StatusConstraintError
	}
	if err := c.opt.KeepNodeLabel(label); err != nil {
		return fmt.Errorf("keeping the label of a bridged device: %w", err)
	}
	c.opt.NodeLabel = label
	return nil
}

// Invoke answers UNSUPPORTED_COMMAND.
func (c *Cluster) Invoke(*im.Request, matter.CommandID, tlv.Element, *tlv.Writer) error {
	return matter.StatusUnsupportedCommand
}

// Changes reports that the device is reachable, or is not any more.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.reachable != c.told {
		changed(reachable)
	}
}

// Events tells of the same.
func (c *Cluster) Events(tell func(matter.EventID, func(*tlv.Writer))) {
	if c.reachable != c.told {
		c.told = c.reachable
		tell(reachableChanged, func(w *tlv.Writer) { w.Bool(tlv.Context(0), c.reachable) })
	}
}
