package commissioner

import (
	"crypto/rand"
	"errors"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// SavedAuthority is the stored form of an Authority, for use with a store that
// contains its fabric.
type SavedAuthority struct {
	FabricID matter.FabricID `json:"fabric_id"`
	NodeID   matter.NodeID   `json:"node_id"`
	EpochKey []byte          `json:"epoch_key"`
	Root     []byte          `json:"root"` // certificates: Matter TLV
	RootKey  []byte          `json:"root_key"`
	ICAC     []byte          `json:"icac,omitempty"`
	ICAKey   []byte          `json:"ica_key,omitempty"`
}

// Save returns the stored form of the authority.
func (a *Authority) Save() SavedAuthority {
	s := SavedAuthority{
		FabricID: a.FabricID, NodeID: a.NodeID, EpochKey: a.EpochKey[:],
		Root: a.Root(), RootKey: a.rootKey.Scalar(),
	}
	if a.ica != nil {
		s.ICAC, s.ICAKey = a.ICAC(), a.icaKey.Scalar()
	}
	return s
}

// Authority returns the administrator, with a new key.
func (s *SavedAuthority) Authority() (*Authority, error) {
	a := &Authority{FabricID: s.FabricID, NodeID: s.NodeID, VendorID: 0xFFF1}
	if copy(a.EpochKey[:], s.EpochKey) != len(a.EpochKey) {
		return nil, errors.New("no epoch key")
	}
	var err error
	if a.rootKey, err = mcrypto.ParsePrivateKey(s.RootKey); err != nil {
		return nil, err
	}
	if a.root, err = cert.NewRoot(rand.Reader, a.rootKey, 1, 0, cert.Validity{NotBefore: 1}); err != nil {
		return nil, err
	}
	if a.root.Certificate, err = cert.Parse(s.Root); err != nil {
		return nil, err
	}
	if len(s.ICAC) > 0 {
		if a.icaKey, err = mcrypto.ParsePrivateKey(s.ICAKey); err != nil {
			return nil, err
		}
		if a.ica, err = a.root.IssueICAC(a.icaKey, 1, a.FabricID); err != nil {
			return nil, err
		}
		if a.ica.Certificate, err = cert.Parse(s.ICAC); err != nil {
			return nil, err
		}
	}
	return a, a.identify()
}
