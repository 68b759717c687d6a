// Package identify implements the Identify cluster, 0x0003 ("Matter Application
// Cluster Specification", section 1.2): a device identifies itself, for example by
// blinking, to a person who looks for it.
package identify

import (
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.IdentifyID

var spec = cluster.NewSpec(datamodel.Identify, cluster.Selection{
	Commands: []matter.CommandID{datamodel.IdentifyCmdTriggerEffect},
})

// Effects that end another effect.
const (
	finish = datamodel.IdentifyEffectIdentifierFinishEffect
	stop   = datamodel.IdentifyEffectIdentifierStopEffect
)

// effects holds how long Show shows an effect (section 1.2.6.2.1): a breath takes a
// second and is repeated 15 times, and channel change takes 8 seconds.
var effects = map[datamodel.IdentifyEffectIdentifier]time.Duration{
	datamodel.IdentifyEffectIdentifierBlink:         time.Second,
	datamodel.IdentifyEffectIdentifierBreathe:       15 * time.Second,
	datamodel.IdentifyEffectIdentifierOkay:          time.Second,
	datamodel.IdentifyEffectIdentifierChannelChange: 8 * time.Second,
	finish: 0,
	stop:   0,
}

// Options are the dependencies of the cluster of one endpoint.
type Options struct {
	Type datamodel.IdentifyIdentifyType

	// Show starts or stops a visible or audible indication, such as a blinking
	// light. It is called alternately with true and false on the engine's
	// goroutine, and must not block. It may be nil.
	Show func(on bool)

	// ShowUntil is for a device that stops by itself. It is called with the time to
	// stop, and again if that changes; with the zero time to stop now. It may be
	// nil.
	ShowUntil func(end time.Time)

	// Effect starts an effect of TriggerEffect, or ends the current one. It is
	// called as Show is. nil: Show is used for all effects.
	Effect func(e datamodel.IdentifyEffectIdentifier)
}

// Cluster is the cluster of one endpoint.
type Cluster struct {
	opt    Options
	until  time.Time // zero: the device does not identify itself
	effect time.Time // until when Show shows an effect; zero: none
	shown  bool
	end    time.Time // the last argument of ShowUntil
	ended  bool      // ended by itself, not reported so far
}

// New returns the cluster of one endpoint. It returns an error for an unknown type
// of identification.
func New(opt Options) (*Cluster, error) {
	if opt.Type > datamodel.IdentifyIdentifyTypeActuator {
		return nil, fmt.Errorf("identify: there is no type of identification %d", opt.Type)
	}
	if opt.Show == nil {
		opt.Show = func(bool) {}
	}
	return &Cluster{opt: opt}, nil
}

// Identifying reports whether the device identifies itself. Effects do not count.
func (c *Cluster) Identifying() bool { return !c.until.IsZero() }

// Deadline returns when to call Advance next, and whether to call it.
func (c *Cluster) Deadline() (time.Time, bool) {
	if first := c.until; c.effect.IsZero() || !first.IsZero() && first.Before(c.effect) {
		return first, !first.IsZero()
	}
	return c.effect, true
}

// Advance ends an identification or an effect that is over.
func (c *Cluster) Advance(now time.Time) {
	if c.Identifying() && !now.Before(c.until) {
		c.until, c.ended = time.Time{}, true
	}
	if !c.effect.IsZero() && !now.Before(c.effect) {
		c.effect = time.Time{}
	}
	c.show()
}

// Follow ends the identification and the effect at a factory reset.
func (c *Cluster) Follow(e im.NodeEvent) {
	if e == im.FactoryReset {
		c.until, c.effect = time.Time{}, time.Time{}
		c.show()
	}
}

// set makes the device identify itself for a number of seconds.
func (c *Cluster) set(now time.Time, seconds uint16) {
	c.until = time.Time{}
	if seconds > 0 {
		c.until = now.Add(time.Duration(seconds) * time.Second)
	}
	c.show()
}

// show calls Show if its argument has changed.
func (c *Cluster) show() {
	if on := c.Identifying() || !c.effect.IsZero(); on != c.shown {
		c.shown = on
		c.opt.Show(on)
	}
	end := c.until
	if c.effect.After(end) {
		end = c.effect
	}
	if !end.Equal(c.end) {
		c.end = end
		if c.opt.ShowUntil != nil {
			c.opt.ShowUntil(end)
		}
	}
}

// left returns the remaining seconds, rounded up.
func (c *Cluster) left(now time.Time) uint64 {
	if !c.Identifying() {
		return 0
	}
	return uint64(max(0, c.until.Sub(now)+time.Second-1) / time.Second)
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes an attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case datamodel.IdentifyAttrIdentifyTime:
		w.Uint(t, c.left(r.Now))
	case datamodel.IdentifyAttrIdentifyType:
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

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, _ *tlv.Writer) error {
	if id == datamodel.IdentifyCmdTriggerEffect {
		return c.trigger(r, fields)
	}
	seconds, err := im.SingleUint16(fields)
	if err != nil {
		return err
	}
	c.set(r.Now, seconds)
	r.Changed(datamodel.IdentifyAttrIdentifyTime)
	return nil
}

// trigger executes TriggerEffect. It ignores the variant: unknown variants mean the
// default one, which is the only one.
func (c *Cluster) trigger(r *im.Request, fields tlv.Element) error {
	e, err := decodeEffect(fields)
	if err != nil {
		return err
	}
	length, known := effects[e]
	if !known {
		return matter.StatusConstraintError
	}
	if c.Identifying() {
		// An identification ends like an effect: after the current second, or at
		// once. Any other effect replaces it.
		if e != finish {
			c.set(r.Now, 0)
		} else if c.left(r.Now) > 1 {
			c.set(r.Now, 1)
		}
		r.Changed(datamodel.IdentifyAttrIdentifyTime)
	}
	if c.opt.Effect != nil {
		c.opt.Effect(e)
		return nil
	}
	switch second := r.Now.Add(time.Second); {
	case e == stop:
		c.effect = time.Time{}
	case e != finish:
		c.effect = r.Now.Add(length)
	case c.effect.After(second):
		c.effect = second
	}
	c.show()
	return nil
}

func decodeEffect(fields tlv.Element) (e datamodel.IdentifyEffectIdentifier, err error) {
	var have [2]bool
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			e, have[0] = datamodel.IdentifyEffectIdentifier(r.Uint8()), true
		case 1:
			_, have[1] = r.Uint8(), true
		}
	}
	if err := r.End(); err != nil {
		return 0, im.CommandError(err)
	}
	if have != [2]bool{true, true} {
		return 0, matter.StatusInvalidCommand
	}
	return e, nil
}

// Changes reports an identification that has ended by itself. The countdown is not
// reported (section 1.2.5.1).
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.ended {
		c.ended = false
		changed(datamodel.IdentifyAttrIdentifyTime)
	}
}
