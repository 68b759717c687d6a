package server

import (
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// showCodes returns the node's own codes to show them, and forgets the passcode
// where only its verifier is to be kept. It belongs to the loop.
func (s *Server) showCodes() (admin.Pairing, error) {
	p, err := provision.Codes(&s.trust.identity, s.opt.Product.VendorID, s.opt.Product.ProductID)
	if err == nil {
		s.forgetPasscode("the codes were shown")
	}
	return pairing(p), err
}

// forgetPasscode keeps only the verifier, if the options say so.
func (s *Server) forgetPasscode(why string) {
	if !s.opt.PasscodeVerifierOnly || s.trust.identity.Passcode == 0 {
		return
	}
	err := s.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.Passcode = 0
			return nil
		})
	})
	if err != nil {
		s.log.Warn("the passcode is still in the store", "error", err)
		return
	}
	s.trust.identity.Passcode = 0
	s.overwrite()
	s.log.Info("the passcode is forgotten, its verifier is kept", "because", why)
}
