package node

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// Commissioned reports whether the node belongs to a fabric.
func (n *Node) Commissioned() bool { return n.trust.fabrics.Len() > 0 }

// IDs returns the vendor and product ids that Basic Information reports. They do not
// change while the node runs. It may be called from any goroutine.
func (n *Node) IDs() provision.IDs {
	return provision.IDs{Vendor: n.opt.Product.VendorID, Product: n.opt.Product.ProductID}
}

// Fabrics returns how many fabrics the node belongs to.
func (n *Node) Fabrics() int { return n.trust.fabrics.Len() }

// RemoveFabric removes a fabric for the operator. The error is fabric.ErrNotFound if there
// is no fabric with the index.
func (n *Node) RemoveFabric(i matter.FabricIndex) error { return n.trust.fabrics.Remove(i) }

// ErrCommissioning is returned by [Node.OpenWindow] while the fail-safe is armed.
var ErrCommissioning = errors.New("a commissioner is at work")

// OpenWindow opens a window for the duration d at the operator's request. It is an
// enhanced window with the passcode once or, if once is nil, a basic one with the
// node's own passcode. The error is ErrCommissioning, or one of package window.
func (n *Node) OpenWindow(now time.Time, d time.Duration, once *window.Passcode) error {
	w := n.trust.window
	switch {
	case n.trust.failsafe.Armed():
		return ErrCommissioning
	case once != nil:
		return w.OpenEnhanced(now, d, *once, matter.NoFabric, 0)
	}
	return w.OpenBasic(now, d, matter.NoFabric, 0)
}

// CloseWindow closes the commissioning window, and reports whether one was open.
func (n *Node) CloseWindow() bool {
	open := n.trust.window.Open()
	n.trust.window.Close()
	return open
}

// Material returns the attestation material, and the signer if the DAC's key is not in
// the store.
func (n *Node) Material() (store.Attestation, attestation.Signer) {
	return n.trust.material, n.trust.signer
}

// ReplaceMaterial stores other attestation material in one transaction. The node uses it
// from then on.
func (n *Node) ReplaceMaterial(a store.Attestation, device *attestation.Credentials, signer attestation.Signer) error {
	t := &n.trust
	if err := t.store.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) }); err != nil {
		return err
	}
	n.overwrite()
	t.material, t.signer = a, signer
	t.device.Replace(device)
	return nil
}

// FactoryReset removes all fabrics and all settings of controllers, in one
// transaction, in which it also calls the functions in also. Attestation, passcode
// and discriminator stay.
func (n *Node) FactoryReset(now time.Time, also ...func(*store.Tx) error) error {
	t := &n.trust
	var node store.Node
	err := t.fabrics.RemoveAll(func(tx *store.Tx) error {
		for _, f := range also {
			if err := f(tx); err != nil {
				return err
			}
		}
		return tx.MutateNode(func(r *store.Node) error {
			err := provision.Reset(r, n.opt.Rand)
			node = *r
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := t.store.RemoveCopies(); err != nil {
		n.log.Warn("copies of the old store are not all removed", "error", err)
	}
	t.failsafe.Expire(failsafe.FabricRemoved)
	t.identity = node
	t.window.Close()
	n.openInitialWindow(now)
	n.count.hours, n.count.since, n.settled.reset = 0, now, true
	n.model.engine.Notify(im.FactoryReset)
	return n.model.basic.Reset()
}

// LinksChanged reports that links or addresses of the host have changed.
func (n *Node) LinksChanged(now time.Time) {
	if n.opt.Host.Changed() {
		n.resubscriber.networkCame(now)
	}
	n.model.engine.Notify(im.LinksChanged)
	n.talk.groups.generation = 0
}
