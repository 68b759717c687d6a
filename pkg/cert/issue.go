package cert

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// KeyID returns the identifier that this package's authorities give a public
// key: its SHA-1 (RFC 5280, section 4.2.1.2, method 1). Verifiers only compare identifiers.
func KeyID(pub [mcrypto.PublicKeySize]byte) []byte {
	id := sha1.Sum(pub[:])
	return id[:]
}

// Issue returns a copy of template that is signed with the issuer's key. It draws a
// serial number if template has none. It does not check the rules for the certificate's
// kind; an Authority follows them.
func Issue(rand io.Reader, template *Certificate, issuer *mcrypto.PrivateKey) (*Certificate, error) {
	c := &Certificate{
		Serial: bytes.Clone(template.Serial),
		Issuer: slices.Clone(template.Issuer), Subject: slices.Clone(template.Subject),
		NotBefore: template.NotBefore, NotAfter: template.NotAfter,
		PublicKey: template.PublicKey,
	}
	for _, e := range template.Extensions {
		e.Purposes, e.KeyID, e.DER = slices.Clone(e.Purposes), bytes.Clone(e.KeyID), bytes.Clone(e.DER)
		c.Extensions = append(c.Extensions, e)
	}
	if len(c.Serial) == 0 {
		c.Serial = make([]byte, 8)
		if _, err := io.ReadFull(rand, c.Serial); err != nil {
			return nil, fmt.Errorf("drawing a serial number: %w", err)
		}
		c.Serial[0] = c.Serial[0]&0x3F | 0x40 // positive, and of eight octets
	}
	tbs, err := c.TBS()
	if err != nil {
		return nil, err
	}
	if c.Signature, err = issuer.Sign(rand, tbs); err != nil {
		return nil, err
	}
	c.raw = c.Encode()
	return c, nil
}

// Authority issues certificates that follow the rules. Its fields do not change after
// NewRoot or IssueICAC.
type Authority struct {
	Certificate *Certificate
	rand        io.Reader
	key         *mcrypto.PrivateKey
	validity    Validity
}

// Validity is a validity period in seconds since 2000-01-01T00:00:00Z. A NotAfter of 0
// means no end. NotBefore must not be 0.
type Validity struct {
	NotBefore, NotAfter uint32
}

// NewRoot makes a root authority with a certificate for its key. It uses rand and
// validity for all certificates that it issues. fabric is 0 for a root without a fabric
// id.
func NewRoot(rand io.Reader, key *mcrypto.PrivateKey, id uint64, fabric matter.FabricID, v Validity) (*Authority, error) {
	if v.NotBefore == 0 {
		// The X.509 form of 0 is the year 9999.
		return nil, fmt.Errorf("%w: not-before of 0", ErrInvalid)
	}
	a := &Authority{rand: rand, key: key, validity: v}
	name := caName(AttributeRCACID, id, fabric)
	var err error
	a.Certificate, err = a.issue(key.Public(), name, name, KeyID(key.Public()), caExtensions())
	return a, err
}

// IssueICAC returns an intermediate authority with its own key.
func (a *Authority) IssueICAC(key *mcrypto.PrivateKey, id uint64, fabric matter.FabricID) (*Authority, error) {
	sub := &Authority{rand: a.rand, key: key, validity: a.validity}
	var err error
	sub.Certificate, err = a.issue(key.Public(), a.Certificate.Subject, caName(AttributeICACID, id, fabric), a.Certificate.SubjectKeyID(), caExtensions())
	return sub, err
}

// IssueNOC returns a node operational certificate for pub.
func (a *Authority) IssueNOC(pub [mcrypto.PublicKeySize]byte, node matter.NodeID, fabric matter.FabricID, cats ...matter.CAT) (*Certificate, error) {
	subject := DN{{Type: AttributeNodeID, ID: uint64(node)}, {Type: AttributeFabricID, ID: uint64(fabric)}}
	for _, c := range cats {
		subject = append(subject, Attribute{Type: AttributeCAT, ID: uint64(c)})
	}
	return a.issue(pub, a.Certificate.Subject, subject, a.Certificate.SubjectKeyID(), []Extension{
		{Type: BasicConstraints},
		{Type: KeyUsage, Usage: UsageDigitalSignature},
		{Type: ExtendedKeyUsage, Purposes: []Purpose{PurposeClientAuth, PurposeServerAuth}},
	})
}

func (a *Authority) issue(pub [mcrypto.PublicKeySize]byte, issuer, subject DN, issuerKeyID []byte, ext []Extension) (*Certificate, error) {
	return Issue(a.rand, &Certificate{
		Issuer: issuer, Subject: subject,
		NotBefore: a.validity.NotBefore, NotAfter: a.validity.NotAfter,
		PublicKey: pub,
		Extensions: append(ext,
			Extension{Type: SubjectKeyID, KeyID: KeyID(pub)},
			Extension{Type: AuthorityKeyID, KeyID: issuerKeyID}),
	}, a.key)
}

func caName(t AttributeType, id uint64, fabric matter.FabricID) DN {
	name := DN{{Type: t, ID: id}}
	if fabric != 0 {
		name = append(name, Attribute{Type: AttributeFabricID, ID: uint64(fabric)})
	}
	return name
}

func caExtensions() []Extension {
	return []Extension{
		{Type: BasicConstraints, IsCA: true},
		{Type: KeyUsage, Usage: UsageKeyCertSign | UsageCRLSign},
	}
}
