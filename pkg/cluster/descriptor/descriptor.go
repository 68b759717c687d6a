// Package descriptor is the Descriptor cluster, 0x001D revision 3 (section
// 9.5).
package descriptor

import (
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID matter.ClusterID = 0x001D

// PartsList is the only attribute that changes.
const PartsList matter.AttributeID = 3

const (
	deviceTypeList matter.AttributeID = 0
	serverList     matter.AttributeID = 1
	clientList     matter.AttributeID = 2
)

var spec = im.Spec{
	ID: ID, Name: "Descriptor", Revision: 3,
	Attributes: []im.Attribute{
		{ID: deviceTypeList, Name: "DeviceTypeList", Read: matter.PrivilegeView, Quality: im.Fixed | im.List},
		{ID: serverList, Name: "ServerList", Read: matter.PrivilegeView, Quality: im.Fixed | im.List},
		{ID: clientList, Name: "ClientList", Read: matter.PrivilegeView, Quality: im.Fixed | im.List},
		{ID: PartsList, Name: "PartsList", Read: matter.PrivilegeView, Quality: im.List},
	},
}

// DeviceType is a device type with the revision that the endpoint conforms to.
type DeviceType struct {
	ID       matter.DeviceTypeID
	Revision uint16
}

// Options describe the endpoint.
type Options struct {
	DeviceTypes []DeviceType
	Servers     func() []matter.ClusterID  // ascending
	Parts       func() []matter.EndpointID // ascending; nil for a leaf
}

// Cluster serves one endpoint's descriptor.
type Cluster struct {
	im.ReadOnly
	opt Options
}

// New returns the descriptor of one endpoint.
func New(opt Options) *Cluster { return &Cluster{opt: opt} }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return &spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	w.StartArray(t)
	switch id {
	case deviceTypeList:
		for _, d := range c.opt.DeviceTypes {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(0), uint64(d.ID))
			w.Uint(tlv.Context(1), uint64(d.Revision))
			w.End()
		}
	case serverList:
		for _, s := range c.opt.Servers() {
			w.Uint(tlv.Anonymous, uint64(s))
		}
	case PartsList:
		if c.opt.Parts != nil {
			for _, p := range c.opt.Parts() {
				w.Uint(tlv.Anonymous, uint64(p))
			}
		}
	}
	w.End()
	return nil
}
