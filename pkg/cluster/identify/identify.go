// Package identify is the Identify cluster, 0x0003 revision 5 (Application Cluster
// Specification 1.4.2, section 1.2): a device makes itself known to somebody who
// stands before several and looks for the one.
package identify

import (
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID matter.ClusterID = 0x0003

const (
	identifyTime matter.AttributeID = 0
	identifyType matter.AttributeID = 1

	cmdIdentify matter.CommandID = 0
)

// Type is how a device makes itself known (IdentifyTypeEnum).
type Type uint8

// The types of section 1.2.4.1. None is for a device that has none of the others.
const (
	None Type = iota
	LightOutput
	VisibleIndicator
	AudibleBeep
	Display
	Actuator
)

var spec = im.Spec{
	ID: ID, Name: "Identify", Revision: 5,
	Attributes: []im.Attribute{
		{ID: identifyTime, Name: "IdentifyTime", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate},
		{ID: identifyType, Name: "IdentifyType", Read: matter.PrivilegeView},
	},
	Commands: []im.Command{
		{ID: cmdIdentify, Name: "Identify", Response: im.NoResponse, Privilege: matter.PrivilegeManage},
	},
}

// Options are what the cluster of one endpoint works with.
type Options struct {
	Type Type
	// Show begins and ends what somebody before the device sees or hears, say a light
	// that blinks. It is called with true and false in turns, by whom the cluster is
	// called, and must not wait. nil: there is nothing.
	Show func(on bool)
}

// Cluster is the cluster of one endpoint.
type Cluster struct {
	opt   Options
	until time.Time // zero: the device does not identify itself
	ended bool      // by itself, which nobody was told yet
}

// New returns the cluster of one endpoint. The error says that the type is none.
func New(opt Options) (*Cluster, error) {
	if opt.Type > Actuator {
		return nil, fmt.Errorf("identify: %d is no type of identification", opt.Type)
	}
	if opt.Show == nil {
		opt.Show = func(bool) {}
	}
	return &Cluster{opt: opt}, nil
}

// Identifying reports whether the device identifies itself.
func (c *Cluster) Identifying() bool { return !c.until.IsZero() }

// Deadline returns when Advance is next to be called, and whether it is.
func (c *Cluster) Deadline() (time.Time, bool) { return c.until, c.Identifying() }

// Advance ends the identification when its time is up.
func (c *Cluster) Advance(now time.Time) {
	if c.Identifying() && !now.Before(c.until) {
		c.ended = true
		c.set(now, 0)
	}
}

// Reset ends the identification.
func (c *Cluster) Reset() { c.set(time.Time{}, 0) }

func (c *Cluster) set(now time.Time, seconds uint16) {
	was := c.Identifying()
	c.until = time.Time{}
	if seconds > 0 {
		c.until = now.Add(time.Duration(seconds) * time.Second)
	}
	if c.Identifying() != was {
		c.opt.Show(!was)
	}
}

// left returns the seconds that are left, a part of one as a whole one.
func (c *Cluster) left(now time.Time) uint64 {
	if !c.Identifying() {
		return 0
	}
	return uint64(max(0, c.until.Sub(now)+time.Second-1) / time.Second)
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return &spec }

// Read writes an attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case identifyTime:
		w.Uint(t, c.left(r.Now))
	case identifyType:
		w.Uint(t, uint64(c.opt.Type))
	}
	return nil
}

// Write sets IdentifyTime.
func (c *Cluster) Write(r *im.Request, _ matter.AttributeID, v tlv.Element) error {
	rd := v.Reader()
	seconds := rd.Uint16()
	if err := rd.End(); err != nil {
		return im.WriteError(err)
	}
	c.set(r.Now, seconds)
	return nil
}

// Invoke executes Identify.
func (c *Cluster) Invoke(r *im.Request, _ matter.CommandID, fields tlv.Element, _ *tlv.Writer) error {
	seconds, err := im.OnlyUint16(fields)
	if err != nil {
		return err
	}
	c.set(r.Now, seconds)
	r.Changed(identifyTime)
	return nil
}

// Changes tells of an identification that has ended by itself. That its time runs is
// not told (section 1.2.5.1).
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.ended {
		c.ended = false
		changed(identifyTime)
	}
}
