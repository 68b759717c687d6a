// Package generalcommissioning implements the General Commissioning cluster, 0x0030
// (section 11.10), which arms the fail-safe and completes a commissioning.
package generalcommissioning

import (
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// ID is the cluster's id.
const ID = datamodel.GeneralCommissioningID

const (
	attrBreadcrumb                   = datamodel.GeneralCommissioningAttrBreadcrumb
	attrBasicCommissioningInfo       = datamodel.GeneralCommissioningAttrBasicCommissioningInfo
	attrRegulatoryConfig             = datamodel.GeneralCommissioningAttrRegulatoryConfig
	attrLocationCapability           = datamodel.GeneralCommissioningAttrLocationCapability
	attrSupportsConcurrentConnection = datamodel.GeneralCommissioningAttrSupportsConcurrentConnection
)

const (
	cmdArmFailSafe           = datamodel.GeneralCommissioningCmdArmFailSafe
	cmdSetRegulatoryConfig   = datamodel.GeneralCommissioningCmdSetRegulatoryConfig
	cmdCommissioningComplete = datamodel.GeneralCommissioningCmdCommissioningComplete
)

var spec = cluster.NewSpec(datamodel.GeneralCommissioning, cluster.Selection{})

// commissioningError is CommissioningErrorEnum (section 11.10.5.1).
type commissioningError uint8

const (
	errorOK                    commissioningError = 0
	errorValueOutsideRange     commissioningError = 1
	errorInvalidAuthentication commissioningError = 2
	errorNoFailSafe            commissioningError = 3
	errorBusyWithOtherAdmin    commissioningError = 4
)

// indoorOutdoor is the largest value of RegulatoryLocationTypeEnum, and the
// location capability of every node without a radio (section 11.10.6.4).
const indoorOutdoor = 2

// countryCodeSize is the length of a country code, ISO 3166-1 alpha-2.
const countryCodeSize = 2

// Options are the parts of the node that the cluster uses. All are required.
type Options struct {
	FailSafe *failsafe.FailSafe
	Window   *window.Window

	// SetLocation stores the country code, 2 octets, which is Location of Basic
	// Information.
	SetLocation func(r *im.Request, country string) error
}

// Cluster serves the cluster.
type Cluster struct {
	opt        Options
	regulatory uint8
	seen       state // at the last Changes
}

// state holds the values of the attributes that can change.
type state struct {
	breadcrumb uint64
	regulatory uint8
}

// New returns the cluster.
func New(opt Options) *Cluster {
	c := &Cluster{opt: opt, regulatory: indoorOutdoor}
	c.seen = c.state()
	return c
}

func (c *Cluster) state() state {
	return state{breadcrumb: c.opt.FailSafe.Breadcrumb(), regulatory: c.regulatory}
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case attrBreadcrumb:
		w.Uint(t, c.opt.FailSafe.Breadcrumb())
	case attrBasicCommissioningInfo:
		w.StartStruct(t)
		w.Uint(tlv.Context(0), uint64(failsafe.ExpiryLength/time.Second))
		w.Uint(tlv.Context(1), uint64(failsafe.MaxCumulative/time.Second))
		w.End()
	case attrRegulatoryConfig:
		w.Uint(t, uint64(c.regulatory))
	case attrLocationCapability:
		w.Uint(t, indoorOutdoor)
	case attrSupportsConcurrentConnection:
		w.Bool(t, true)
	default:
		return matter.StatusUnsupportedAttribute
	}
	return nil
}

// Write sets Breadcrumb.
func (c *Cluster) Write(_ *im.Request, id matter.AttributeID, v tlv.Element) error {
	if id != attrBreadcrumb {
		return matter.StatusUnsupportedWrite
	}
	rd := v.Reader()
	crumb := rd.Uint()
	if err := rd.End(); err != nil {
		return im.WriteError(err)
	}
	c.opt.FailSafe.SetBreadcrumb(crumb)
	c.seen.breadcrumb = crumb // the engine reports a write itself
	return nil
}

// Reset sets the attributes to their defaults, after the last fabric has been removed.
func (c *Cluster) Reset() {
	c.regulatory = indoorOutdoor
	c.opt.FailSafe.SetBreadcrumb(0)
}

// Follow resets the cluster at a factory reset.
func (c *Cluster) Follow(e im.NodeEvent) {
	if e == im.FactoryReset {
		c.Reset()
	}
}

// Changes calls changed for each attribute that has changed since the last call. The
// end of a fail-safe also resets Breadcrumb.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	old := c.seen
	c.seen = c.state()
	if c.seen.breadcrumb != old.breadcrumb {
		changed(attrBreadcrumb)
	}
	if c.seen.regulatory != old.regulatory {
		changed(attrRegulatoryConfig)
	}
}

// Invoke executes a command. Each has a response with an error code and an empty text.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	var code commissioningError
	var err error
	switch id {
	case cmdArmFailSafe:
		code, err = c.armFailSafe(r, fields)
	case cmdSetRegulatoryConfig:
		code, err = c.setRegulatoryConfig(r, fields)
	case cmdCommissioningComplete:
		code, err = c.commissioningComplete(r)
	default:
		err = matter.StatusUnsupportedCommand
	}
	if err != nil {
		return err
	}
	w.Uint(tlv.Context(0), uint64(code))
	w.Text(tlv.Context(1), "")
	return nil
}

// armFailSafe handles ArmFailSafe (section 11.10.7.2). If it expires the
// fail-safe, sessions end after the answer.
func (c *Cluster) armFailSafe(r *im.Request, fields tlv.Element) (commissioningError, error) {
	var seconds uint16
	var crumb uint64
	var haveSeconds, haveCrumb bool
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			seconds, haveSeconds = rd.Uint16(), true
		case 1:
			crumb, haveCrumb = rd.Uint(), true
		}
	}
	if err := rd.End(); err != nil {
		return 0, im.CommandError(err)
	}
	if !haveSeconds || !haveCrumb {
		return 0, matter.StatusInvalidCommand
	}
	fs := c.opt.FailSafe
	switch {
	case fs.Ending(), fs.Armed() && !fs.ArmedFor(r.Subject.Fabric):
		return errorBusyWithOtherAdmin, nil
	case !fs.Armed() && r.Subject.AuthMode == matter.AuthModeCASE && c.opt.Window.Open():
		// While a window is open, only a commissioner over PASE may arm it.
		return errorBusyWithOtherAdmin, nil
	case seconds > 0:
		if !fs.Arm(r.Now, r.Subject.Fabric, time.Duration(seconds)*time.Second, r.Session.Serial) {
			panic("BUG: generalcommissioning: the fail-safe is armed for another fabric")
		}
		fs.SetBreadcrumb(crumb)
	case fs.Armed():
		fs.Expire(failsafe.Disarmed)
	default:
		fs.SetBreadcrumb(crumb)
	}
	return errorOK, nil
}

// setRegulatoryConfig handles SetRegulatoryConfig (section 11.10.7.4). On Ethernet
// every location and country is valid.
func (c *Cluster) setRegulatoryConfig(r *im.Request, fields tlv.Element) (commissioningError, error) {
	var config uint8
	var country string
	var crumb uint64
	var haveConfig, haveCountry, haveCrumb bool
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			config, haveConfig = rd.Uint8(), true
		case 1:
			country, haveCountry = rd.Text(), true
		case 2:
			crumb, haveCrumb = rd.Uint(), true
		}
	}
	if err := rd.End(); err != nil {
		return 0, im.CommandError(err)
	}
	if !haveConfig || !haveCountry || !haveCrumb {
		return 0, matter.StatusInvalidCommand
	}
	if len(country) != countryCodeSize {
		return 0, fmt.Errorf("country code of %d octets: %w", len(country), matter.StatusConstraintError)
	}
	if config > indoorOutdoor {
		return errorValueOutsideRange, nil
	}
	if err := c.opt.SetLocation(r, country); err != nil {
		return 0, err
	}
	c.regulatory = config
	c.opt.FailSafe.SetBreadcrumb(crumb)
	return errorOK, nil
}

// commissioningComplete handles CommissioningComplete (section 11.10.7.6).
func (c *Cluster) commissioningComplete(r *im.Request) (commissioningError, error) {
	fs := c.opt.FailSafe
	switch {
	case !fs.Armed():
		return errorNoFailSafe, nil
	case r.Subject.AuthMode != matter.AuthModeCASE || !fs.ArmedFor(r.Subject.Fabric):
		return errorInvalidAuthentication, nil
	}
	if err := fs.Complete(); err != nil {
		return 0, err
	}
	c.opt.Window.Close()
	return errorOK, nil
}
