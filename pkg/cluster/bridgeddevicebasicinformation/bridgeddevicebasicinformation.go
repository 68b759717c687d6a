// Package bridgeddevicebasicinformation implements the Bridged Device Basic
// Information cluster, 0x0039 (section 9.13), which describes a bridged device.
package bridgeddevicebasicinformation

import (
	"errors"
	"fmt"
	"sync"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.BridgedDeviceBasicInformationID

const (
	nodeLabel            = datamodel.BridgedDeviceBasicInformationAttrNodeLabel
	reachable            = datamodel.BridgedDeviceBasicInformationAttrReachable
	uniqueID             = datamodel.BridgedDeviceBasicInformationAttrUniqueID
	configurationVersion = datamodel.BridgedDeviceBasicInformationAttrConfigurationVersion

	eventLeave            = datamodel.BridgedDeviceBasicInformationEventLeave
	eventReachableChanged = datamodel.BridgedDeviceBasicInformationEventReachableChanged
)

// MaxText is the maximum length of a name, a label or an id in octets of UTF-8.
const MaxText = 32

// Options are the initial values of the cluster of one device.
type Options struct {
	Info Info

	// UniqueID returns an id that no other device has, up to 32 octets. It changes
	// with a factory reset of the node, see Server.UniqueID. Required.
	UniqueID func() string

	// NodeLabel is the stored name that a user gave the device; up to 32 octets.
	NodeLabel string
	// KeepNodeLabel stores the name that a user gives the device. If it returns an
	// error, the old name stays. nil: there is no such attribute.
	KeepNodeLabel func(label string) error

	// ConfigurationVersion grows when functions of the device are added or removed.
	// 0: there is no such attribute.
	ConfigurationVersion uint32

	Unreachable bool // at the beginning
}

// Cluster serves the cluster on one endpoint.
type Cluster struct {
	opt       Options
	spec      *im.Spec
	reachable bool

	reported bool   // the last reported value of reachable
	changed  uint32 // a bit for each attribute with an unreported change
	left     bool   // Leave is unreported
}

// New returns the cluster of one device. The error names an invalid option.
func New(opt Options) (*Cluster, error) {
	if opt.UniqueID == nil {
		return nil, errors.New("bridged device: no UniqueID")
	}
	if err := errors.Join(opt.Info.check(), checkText(nodeLabel, opt.NodeLabel), checkText(uniqueID, opt.UniqueID())); err != nil {
		return nil, err
	}
	return &Cluster{opt: opt, spec: specOf(&opt), reachable: !opt.Unreachable, reported: !opt.Unreachable}, nil
}

// specs caches the metadata by the bits of the attributes. All nodes of a process
// share it.
var specs sync.Map // uint32 → *im.Spec

func specOf(o *Options) *im.Spec {
	sel := cluster.Selection{Events: []matter.EventID{eventLeave}}
	for _, a := range attributes {
		if a.known(&o.Info) {
			sel.Attributes = append(sel.Attributes, a.id)
		}
	}
	if o.KeepNodeLabel != nil {
		sel.Attributes = append(sel.Attributes, nodeLabel)
	}
	if o.ConfigurationVersion != 0 {
		sel.Attributes = append(sel.Attributes, configurationVersion)
	}
	key := uint32(0)
	for _, id := range sel.Attributes {
		key |= 1 << id
	}
	s, ok := specs.Load(key)
	if !ok {
		s, _ = specs.LoadOrStore(key, cluster.NewSpec(datamodel.BridgedDeviceBasicInformation, sel))
	}
	return s.(*im.Spec)
}

// Update sets what is known of the device; subscribers are notified of changes. A
// value that is no longer known stays as it was. all is false if a value is known
// for the first time: it has no attribute until the endpoint is added again. If
// Update returns an error, it has changed nothing.
func (c *Cluster) Update(info Info) (all bool, err error) {
	if err := info.check(); err != nil {
		return false, err
	}
	was := c.opt.Info
	c.opt.Info = info
	all = true
	for _, a := range attributes {
		switch {
		case !a.known(&was):
			all = all && !a.known(&info)
		case !a.known(&info):
			a.copy(&c.opt.Info, &was)
		case !a.same(&was, &info):
			c.change(a.id)
		}
	}
	return all, nil
}

func (c *Cluster) change(id matter.AttributeID) { c.changed |= 1 << id }

// SetReachable sets whether the node can reach the device. A change is reported to
// subscribers by the attribute and by an event.
func (c *Cluster) SetReachable(yes bool) { c.reachable = yes }

// Reachable returns the value set by SetReachable.
func (c *Cluster) Reachable() bool { return c.reachable }

// SetNodeLabel sets the name of the device, up to 32 octets, from its source or the
// operator. It does not call KeepNodeLabel.
func (c *Cluster) SetNodeLabel(label string) error {
	if err := checkText(nodeLabel, label); err != nil {
		return err
	}
	if label != c.opt.NodeLabel {
		c.opt.NodeLabel = label
		c.change(nodeLabel)
	}
	return nil
}

// NodeLabel returns the name of the device.
func (c *Cluster) NodeLabel() string { return c.opt.NodeLabel }

// SetConfigurationVersion sets the version of the device's configuration, higher than
// before. It has no effect if the cluster began without one.
func (c *Cluster) SetConfigurationVersion(v uint32) {
	if c.opt.ConfigurationVersion != 0 && v != c.opt.ConfigurationVersion {
		c.opt.ConfigurationVersion = v
		c.change(configurationVersion)
	}
}

// Leave reports that the device has left its network for good.
func (c *Cluster) Leave() { c.left = true }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return c.spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case nodeLabel:
		w.Text(t, c.opt.NodeLabel)
	case reachable:
		w.Bool(t, c.reachable)
	case uniqueID:
		w.Text(t, c.opt.UniqueID())
	case configurationVersion:
		w.Uint(t, uint64(c.opt.ConfigurationVersion))
	}
	for i := range attributes {
		if attributes[i].id == id {
			attributes[i].write(&c.opt.Info, w, t)
		}
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

// Changes reports what the source has changed.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.reachable != c.reported {
		changed(reachable)
	}
	if c.changed == 0 {
		return
	}
	for i := range c.spec.Attributes {
		if id := c.spec.Attributes[i].ID; c.changed&(1<<id) != 0 {
			changed(id)
		}
	}
	c.changed = 0
}

// Events reports that the device became reachable or unreachable, or left.
func (c *Cluster) Events(report func(matter.EventID, func(*tlv.Writer))) {
	if c.reachable != c.reported {
		c.reported = c.reachable
		report(eventReachableChanged, func(w *tlv.Writer) { w.Bool(tlv.Context(0), c.reachable) })
	}
	if c.left {
		c.left = false
		report(eventLeave, func(*tlv.Writer) {})
	}
}
