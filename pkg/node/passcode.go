package node

import (
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// ShowCodes returns the node's own codes for display. It removes the passcode if
// the options keep only its verifier.
func (n *Node) ShowCodes() (onboarding.Payload, error) {
	p, err := provision.Codes(&n.trust.identity, n.opt.Product.VendorID, n.opt.Product.ProductID)
	if err == nil {
		n.forgetPasscode("the codes were shown")
	}
	return p, err
}

// forgetPasscode removes the passcode, but not its verifier, if the options keep
// only the verifier.
func (n *Node) forgetPasscode(why string) {
	if !n.opt.PasscodeVerifierOnly || n.trust.identity.Passcode == 0 {
		return
	}
	err := n.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(r *store.Node) error {
			r.Passcode = 0
			return nil
		})
	})
	if err != nil {
		n.log.Warn("the passcode is still in the store", "error", err)
		return
	}
	n.trust.identity.Passcode = 0
	n.overwrite()
	n.log.Info("the passcode is forgotten, its verifier is kept", "because", why)
}
