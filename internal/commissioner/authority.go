package commissioner

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Authority is the administrator of one fabric: its certificate authority and
// its own node.
type Authority struct {
	FabricID matter.FabricID
	NodeID   matter.NodeID // the administrator's
	VendorID matter.VendorID
	CATs     []matter.CAT // of the administrator
	EpochKey [16]byte     // of the IPK

	root, ica       *cert.Authority // ica is nil for a chain without ICAC
	rootKey, icaKey *mcrypto.PrivateKey
	key             *mcrypto.PrivateKey
	noc             *cert.Certificate
	ipk             [16]byte // operational
}

// AuthorityOptions configure an Authority. The zero value creates one with random
// ids, without ICAC and tags.
type AuthorityOptions struct {
	FabricID matter.FabricID
	NodeID   matter.NodeID
	ICAC     bool
	CATs     []matter.CAT
	Validity cert.Validity
}

// NewAuthority creates the keys and certificates of a new fabric.
func NewAuthority(opt AuthorityOptions) (*Authority, error) {
	a := &Authority{FabricID: opt.FabricID, NodeID: opt.NodeID, VendorID: 0xFFF1, CATs: opt.CATs}
	if a.FabricID == 0 {
		a.FabricID = matter.FabricID(random64()>>1 | 1)
	}
	if a.NodeID == 0 {
		a.NodeID = RandomNodeID()
	}
	if opt.Validity.NotBefore == 0 {
		opt.Validity = cert.Validity{NotBefore: 1}
	}
	if _, err := io.ReadFull(rand.Reader, a.EpochKey[:]); err != nil {
		return nil, err
	}
	var err error
	if a.rootKey, err = mcrypto.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if a.root, err = cert.NewRoot(rand.Reader, a.rootKey, random64()>>1, 0, opt.Validity); err != nil {
		return nil, err
	}
	if opt.ICAC {
		if a.icaKey, err = mcrypto.GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
		if a.ica, err = a.root.IssueICAC(a.icaKey, random64()>>1, a.FabricID); err != nil {
			return nil, err
		}
	}
	return a, a.identify()
}

// Fabric returns the administrator of another fabric under the same root, with its
// own key and IPK and without ICAC.
func (a *Authority) Fabric(id matter.FabricID) (*Authority, error) {
	b := *a
	b.FabricID, b.NodeID, b.ica, b.icaKey = id, RandomNodeID(), nil, nil
	if _, err := io.ReadFull(rand.Reader, b.EpochKey[:]); err != nil {
		return nil, err
	}
	return &b, b.identify()
}

// WithoutICAC returns the same administrator with NOCs that the root issues.
func (a *Authority) WithoutICAC() (*Authority, error) {
	b := *a
	b.ica, b.icaKey = nil, nil
	return &b, b.identify()
}

// WithEpochKey returns the same administrator with another IPK.
func (a *Authority) WithEpochKey(key [16]byte) (*Authority, error) {
	b := *a
	b.EpochKey = key
	return &b, b.identify()
}

// Reissue changes a copy of one of the authority's certificates and signs it with
// the key that signed the original: the root's for the root and the ICAC, the
// ICAC's, if there is one, for a NOC. It does not check the rules for certificates.
func (a *Authority) Reissue(c *cert.Certificate, change func(*cert.Certificate)) (*cert.Certificate, error) {
	key := a.rootKey
	if a.icaKey != nil && c.Kind() == cert.KindNode {
		key = a.icaKey
	}
	d := *c
	d.Issuer, d.Subject, d.Extensions = slices.Clone(c.Issuer), slices.Clone(c.Subject), slices.Clone(c.Extensions)
	change(&d)
	return cert.Issue(rand.Reader, &d, key)
}

// identify creates the administrator's key and NOC.
func (a *Authority) identify() (err error) {
	if a.key, err = mcrypto.GenerateKey(rand.Reader); err != nil {
		return err
	}
	if a.noc, err = a.IssueNOC(a.key.Public(), a.NodeID, a.CATs...); err != nil {
		return err
	}
	root := a.root.Certificate.PublicKey
	compressed, err := mcrypto.CompressedFabricID(root[:], a.FabricID)
	if err != nil {
		return err
	}
	a.ipk, err = mcrypto.OperationalGroupKey(a.EpochKey[:], compressed)
	return err
}

// Admin returns another administrator of the same fabric, with its own node id and
// tags.
func (a *Authority) Admin(node matter.NodeID, cats ...matter.CAT) (*Authority, error) {
	b := *a
	b.NodeID, b.CATs = node, cats
	return &b, b.identify()
}

// IssueNOC returns a NOC of the fabric for a public key.
func (a *Authority) IssueNOC(pub [65]byte, node matter.NodeID, cats ...matter.CAT) (*cert.Certificate, error) {
	from := a.root
	if a.ica != nil {
		from = a.ica
	}
	return from.IssueNOC(pub, node, a.FabricID, cats...)
}

// initiator returns the administrator's side of a CASE handshake.
func (a *Authority) initiator(c *Client, id uint16, node matter.NodeID, resume *casesession.Record) casesession.InitiatorConfig {
	cfg := casesession.InitiatorConfig{
		Rand: c.rand, Fabric: 1, Root: a.root.Certificate, NOC: a.noc, Key: a.key, IPK: a.ipk,
		PeerNode: node, Resume: resume, SessionID: id, Params: c.params,
	}
	if a.ica != nil {
		cfg.ICAC = a.ica.Certificate
	}
	return cfg
}

// IPK returns the operational IPK.
func (a *Authority) IPK() []byte { return a.ipk[:] }

// RootCert returns the root certificate.
func (a *Authority) RootCert() *cert.Certificate { return a.root.Certificate }

// ICACert returns the intermediate certificate, or nil.
func (a *Authority) ICACert() *cert.Certificate {
	if a.ica == nil {
		return nil
	}
	return a.ica.Certificate
}

// Root returns the root certificate, Matter TLV.
func (a *Authority) Root() []byte { return a.root.Certificate.Raw() }

// ICAC returns the intermediate certificate, Matter TLV, or nil.
func (a *Authority) ICAC() []byte {
	if a.ica == nil {
		return nil
	}
	return a.ica.Certificate.Raw()
}

// CompressedFabricID returns the fabric's compressed id.
func (a *Authority) CompressedFabricID() [8]byte {
	root := a.root.Certificate.PublicKey
	c, err := mcrypto.CompressedFabricID(root[:], a.FabricID)
	if err != nil {
		panic(fmt.Sprintf("BUG: commissioner: own root: %v", err))
	}
	return c
}

// RandomNodeID returns a random operational node id.
func RandomNodeID() matter.NodeID { return matter.NodeID(random64()>>1 | 1) }

func random64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
