// Package administratorcommissioning implements the Administrator Commissioning cluster,
// 0x003C with feature BC (section 11.19), with which an administrator opens the node to
// another one.
package administratorcommissioning

import (
	"bytes"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// ID is the cluster's id.
const ID = datamodel.AdministratorCommissioningID

const (
	attrWindowStatus     = datamodel.AdministratorCommissioningAttrWindowStatus
	attrAdminFabricIndex = datamodel.AdministratorCommissioningAttrAdminFabricIndex
	attrAdminVendorID    = datamodel.AdministratorCommissioningAttrAdminVendorID
)

const (
	cmdOpenCommissioningWindow      = datamodel.AdministratorCommissioningCmdOpenCommissioningWindow
	cmdOpenBasicCommissioningWindow = datamodel.AdministratorCommissioningCmdOpenBasicCommissioningWindow
	cmdRevokeCommissioning          = datamodel.AdministratorCommissioningCmdRevokeCommissioning
)

var spec = cluster.NewSpec(datamodel.AdministratorCommissioning, cluster.Selection{Features: datamodel.AdministratorCommissioningFeatureBasic})

// The cluster's status codes, StatusCodeEnum (section 11.19.6).
var (
	errBusy          = matter.ClusterStatus{Status: matter.StatusFailure, Code: 2}
	errPAKEParameter = matter.ClusterStatus{Status: matter.StatusFailure, Code: 3}
	errWindowNotOpen = matter.ClusterStatus{Status: matter.StatusFailure, Code: 4}
)

// CommissioningWindowStatusEnum (section 11.19.5.1).
const (
	windowNotOpen      = 0
	enhancedWindowOpen = 1
	basicWindowOpen    = 2
)

// Cluster serves the cluster.
type Cluster struct {
	window   *window.Window
	failSafe *failsafe.FailSafe
	fabrics  *fabric.Table
	seen     state // at the last Changes
}

// state holds the values of the attributes.
type state struct {
	status uint8
	fabric matter.FabricIndex // NoFabric is null
	vendor matter.VendorID
	known  bool // false: vendor is null too
}

// New returns the cluster over the node's window.
func New(w *window.Window, f *failsafe.FailSafe, t *fabric.Table) *Cluster {
	c := &Cluster{window: w, failSafe: f, fabrics: t}
	c.seen = c.state()
	return c
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// state returns the values of the attributes. The initial window does not count, as it
// was not opened by an administrator (section 11.19.7.1).
func (c *Cluster) state() state {
	var s state
	switch c.window.Kind() {
	case window.Basic:
		s.status = basicWindowOpen
	case window.Enhanced:
		s.status = enhancedWindowOpen
	default:
		return state{status: windowNotOpen}
	}
	s.fabric, s.vendor, s.known = c.window.Admin()
	return s
}

// Read writes one attribute.
func (c *Cluster) Read(_ *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	s := c.state()
	switch id {
	case attrWindowStatus:
		w.Uint(t, uint64(s.status))
	case attrAdminFabricIndex:
		if s.fabric == matter.NoFabric {
			w.Null(t)
		} else {
			w.Uint(t, uint64(s.fabric))
		}
	case attrAdminVendorID:
		if !s.known {
			w.Null(t)
		} else {
			w.Uint(t, uint64(s.vendor))
		}
	default:
		return matter.StatusUnsupportedAttribute
	}
	return nil
}

// Write refuses: no attribute can be written.
func (c *Cluster) Write(*im.Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Changes calls changed for each attribute that has changed since the last call.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	old := c.seen
	c.seen = c.state()
	if c.seen.status != old.status {
		changed(attrWindowStatus)
	}
	if c.seen.fabric != old.fabric {
		changed(attrAdminFabricIndex)
	}
	if c.seen.vendor != old.vendor || c.seen.known != old.known {
		changed(attrAdminVendorID)
	}
}

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, _ *tlv.Writer) error {
	switch id {
	case cmdOpenCommissioningWindow:
		return c.openCommissioningWindow(r, fields)
	case cmdOpenBasicCommissioningWindow:
		return c.openBasicCommissioningWindow(r, fields)
	case cmdRevokeCommissioning:
		return c.revokeCommissioning()
	}
	return matter.StatusUnsupportedCommand
}

// mayOpen returns the accessing fabric, or an error if it may not open a window.
func (c *Cluster) mayOpen(r *im.Request) (*fabric.Fabric, error) {
	f := c.fabrics.Get(r.Subject.Fabric)
	switch {
	case f == nil:
		return nil, fmt.Errorf("no accessing fabric: %w", errPAKEParameter)
	case c.failSafe.Armed(), c.failSafe.Ending():
		return nil, fmt.Errorf("the fail-safe is armed: %w", errBusy)
	case c.window.Open():
		return nil, fmt.Errorf("%w: %w", window.ErrOpen, errBusy)
	}
	return f, nil
}

// checkTimeout returns the duration of a window, or an error if it is out of range.
func checkTimeout(seconds uint16) (time.Duration, error) {
	d := time.Duration(seconds) * time.Second
	if d < window.MinTimeout || d > window.MaxTimeout {
		return 0, fmt.Errorf("a window of %v: %w", d, matter.StatusInvalidCommand)
	}
	return d, nil
}

// openFields are the fields of OpenCommissioningWindow.
type openFields struct {
	timeout        uint16
	verifier, salt []byte
	discriminator  uint16
	iterations     uint32
}

func readOpen(fields tlv.Element) (openFields, error) {
	var f openFields
	var seen uint8
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		tag := rd.ContextTag()
		switch tag {
		case 0:
			f.timeout = rd.Uint16()
		case 1:
			f.verifier = rd.Octets()
		case 2:
			f.discriminator = rd.Uint16()
		case 3:
			f.iterations = rd.Uint32()
		case 4:
			f.salt = rd.Octets()
		default:
			continue
		}
		seen |= 1 << tag
	}
	if err := rd.End(); err != nil {
		return f, im.CommandError(err)
	}
	if seen != 1<<5-1 {
		return f, fmt.Errorf("a field is missing: %w", matter.StatusInvalidCommand)
	}
	return f, nil
}

// openCommissioningWindow handles OpenCommissioningWindow (section 11.19.8.1). The
// checks have the order of the official SDK.
func (c *Cluster) openCommissioningWindow(r *im.Request, fields tlv.Element) error {
	f, err := readOpen(fields)
	if err != nil {
		return err
	}
	admin, err := c.mayOpen(r)
	if err != nil {
		return err
	}
	if f.iterations < mcrypto.MinIterations || f.iterations > mcrypto.MaxIterations ||
		len(f.salt) < mcrypto.MinSaltSize || len(f.salt) > mcrypto.MaxSaltSize {
		return fmt.Errorf("%d iterations, salt of %d octets: %w", f.iterations, len(f.salt), errPAKEParameter)
	}
	d, err := checkTimeout(f.timeout)
	if err != nil {
		return err
	}
	if f.discriminator > window.MaxDiscriminator {
		return fmt.Errorf("discriminator %d: %w", f.discriminator, matter.StatusInvalidCommand)
	}
	v, err := mcrypto.ParseVerifier(f.verifier)
	if err != nil {
		return fmt.Errorf("%w: %w", errPAKEParameter, err)
	}
	defer v.Wipe()
	p := window.Passcode{Verifier: v, Salt: bytes.Clone(f.salt), Iterations: f.iterations, Discriminator: f.discriminator}
	defer p.Verifier.Wipe()
	return c.window.OpenEnhanced(r.Now, d, p, admin.Index, admin.VendorID)
}

// openBasicCommissioningWindow handles OpenBasicCommissioningWindow (section 11.19.8.2).
func (c *Cluster) openBasicCommissioningWindow(r *im.Request, fields tlv.Element) error {
	seconds, err := im.SingleUint16(fields)
	if err != nil {
		return err
	}
	admin, err := c.mayOpen(r)
	if err != nil {
		return err
	}
	d, err := checkTimeout(seconds)
	if err != nil {
		return err
	}
	return c.window.OpenBasic(r.Now, d, admin.Index, admin.VendorID)
}

// revokeCommissioning handles RevokeCommissioning (section 11.19.8.3). It also ends a
// commissioning that has begun: its fail-safe expires, and its session ends. The
// initial window cannot be revoked, as no command has opened it and a node without
// fabrics needs it.
func (c *Cluster) revokeCommissioning() error {
	if c.state().status == windowNotOpen {
		return errWindowNotOpen
	}
	c.window.Close()
	c.failSafe.Expire(failsafe.Revoked)
	return nil
}
