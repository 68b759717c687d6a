// Package descriptor implements the Descriptor cluster, 0x001D (section 9.5).
package descriptor

import (
	"fmt"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.DescriptorID

// PartsList is the only attribute that changes.
const PartsList = datamodel.DescriptorAttrPartsList

// MaxTags is the maximum number of semantic tags of an endpoint. MaxUniqueID is the
// maximum length of its unique id in octets.
const (
	MaxTags     = 6
	MaxUniqueID = 32
	maxLabel    = 64
)

// DeviceType is a device type with the revision that the endpoint implements.
type DeviceType struct {
	ID       matter.DeviceTypeID
	Revision uint16
}

// Tag is a semantic tag of one of the standard namespaces.
type Tag struct {
	Namespace uint8
	Tag       uint8
	Label     string // up to 64 octets; "" for none
}

// Options describe the endpoint.
type Options struct {
	DeviceTypes []DeviceType
	Servers     func() []matter.ClusterID  // ascending
	Parts       func() []matter.EndpointID // ascending; nil for a leaf

	// Tags distinguish the endpoint from its siblings of the same device type
	// (section 9.5.6.5); at most MaxTags. The attribute exists only if there are
	// tags.
	Tags []Tag
	// UniqueID is unique within the device, up to MaxUniqueID octets. The attribute
	// exists only if it is not "".
	UniqueID string
}

// Cluster serves one endpoint's descriptor.
type Cluster struct {
	im.ReadOnly
	opt  Options
	spec *im.Spec
}

// specs holds the metadata of endpoints with tags, with a unique id, or both.
var specs = map[[2]bool]*im.Spec{
	{false, false}: newSpec(false, false),
	{true, false}:  newSpec(true, false),
	{false, true}:  newSpec(false, true),
	{true, true}:   newSpec(true, true),
}

func newSpec(tags, unique bool) *im.Spec {
	var sel cluster.Selection
	if tags {
		sel.Features = datamodel.DescriptorFeatureTagList
	}
	if unique {
		sel.Attributes = []matter.AttributeID{datamodel.DescriptorAttrEndpointUniqueID}
	}
	return cluster.NewSpec(datamodel.Descriptor, sel)
}

// New returns the descriptor of one endpoint. The error names an invalid option.
func New(opt Options) (*Cluster, error) {
	if len(opt.Tags) > MaxTags {
		return nil, fmt.Errorf("descriptor: %d tags, where there may be %d", len(opt.Tags), MaxTags)
	}
	for _, t := range opt.Tags {
		if len(t.Label) > maxLabel || !utf8.ValidString(t.Label) {
			return nil, fmt.Errorf("descriptor: the label %q of a tag is not text of up to %d octets", t.Label, maxLabel)
		}
	}
	if len(opt.UniqueID) > MaxUniqueID || !utf8.ValidString(opt.UniqueID) {
		return nil, fmt.Errorf("descriptor: the unique id %q is not text of up to %d octets", opt.UniqueID, MaxUniqueID)
	}
	return &Cluster{opt: opt, spec: specs[[2]bool{len(opt.Tags) > 0, opt.UniqueID != ""}]}, nil
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return c.spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	if id == datamodel.DescriptorAttrEndpointUniqueID {
		w.Text(t, c.opt.UniqueID)
		return nil
	}
	w.StartArray(t)
	switch id {
	case datamodel.DescriptorAttrDeviceTypeList:
		for _, d := range c.opt.DeviceTypes {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(0), uint64(d.ID))
			w.Uint(tlv.Context(1), uint64(d.Revision))
			w.End()
		}
	case datamodel.DescriptorAttrServerList:
		for _, s := range c.opt.Servers() {
			w.Uint(tlv.Anonymous, uint64(s))
		}
	case PartsList:
		if c.opt.Parts != nil {
			for _, p := range c.opt.Parts() {
				w.Uint(tlv.Anonymous, uint64(p))
			}
		}
	case datamodel.DescriptorAttrTagList:
		for _, x := range c.opt.Tags {
			x.write(w)
		}
	}
	w.End()
	return nil
}

// write writes a SemanticTagStruct. Tags of manufacturers are not supported.
func (x *Tag) write(w *tlv.Writer) {
	w.StartStruct(tlv.Anonymous)
	w.Null(tlv.Context(0)) // MfgCode
	w.Uint(tlv.Context(1), uint64(x.Namespace))
	w.Uint(tlv.Context(2), uint64(x.Tag))
	if x.Label != "" {
		w.Text(tlv.Context(3), x.Label)
	}
	w.End()
}
