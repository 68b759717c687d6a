package cert

import (
	"bytes"
	"errors"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Limits.
const (
	MaxSize   = 400 // octets of the TLV form (section 6.1.3)
	MaxRDNs   = 5   // attributes of a distinguished name (section 6.1.1)
	MaxCATs   = 3   // CASE authenticated tags of a NOC
	KeyIDSize = 20  // octets of a key identifier (section 6.1.2)

	// maxSerial is the number of octets of a serial number. RFC 5280 says 20, but
	// some issuers draw 20 octets and add a sign octet.
	maxSerial = 21
)

// Errors that a caller may branch on. They are wrapped with the reason.
var (
	// ErrMalformed is returned for octets that are not a Matter certificate, or not a
	// signing request.
	ErrMalformed = errors.New("malformed certificate")
	// ErrInvalid is returned for a certificate that breaks a rule of its kind or
	// does not belong to the chain, signature included.
	ErrInvalid = errors.New("invalid certificate")
	// ErrValidity is returned when a certificate has expired or is not valid yet.
	ErrValidity = errors.New("certificate is not valid at this time")
	// ErrNodeID is returned when the NOC's node id is not operational and the chain has
	// no other fault.
	ErrNodeID = errors.New("node id of the certificate is not operational")
)

// Kind is the purpose of a certificate, according to its subject (section 6.5.6).
type Kind uint8

// The kinds. KindUnknown is a subject that names none of the others, or several.
const (
	KindUnknown Kind = iota
	KindRoot         // RCAC
	KindICA          // ICAC
	KindNode         // NOC
	KindVVS          // VVSC, vendor verification signer
)

func (k Kind) String() string {
	switch k {
	case KindRoot:
		return "RCAC"
	case KindICA:
		return "ICAC"
	case KindNode:
		return "NOC"
	case KindVVS:
		return "VVSC"
	}
	return "certificate of unknown kind"
}

// Certificate is a Matter operational certificate. Do not change one that Parse or
// FromDER has returned: its fields and Raw belong together.
type Certificate struct {
	Serial     []byte // 1 to 21 octets: the content of the X.509 INTEGER
	Issuer     DN
	Subject    DN
	NotBefore  uint32 // seconds since 2000-01-01T00:00:00Z
	NotAfter   uint32 // the same; 0: does not expire
	PublicKey  [mcrypto.PublicKeySize]byte
	Extensions []Extension // in the order in which they are signed
	Signature  [mcrypto.SignatureSize]byte

	raw []byte
}

// Raw returns the TLV form that Parse got, or that FromDER or Issue made. The caller
// must not change it.
func (c *Certificate) Raw() []byte { return c.raw }

// Equal reports whether c and d are the same certificate, octet by octet.
func (c *Certificate) Equal(d *Certificate) bool { return bytes.Equal(c.raw, d.raw) }

// Kind returns the purpose of the certificate.
func (c *Certificate) Kind() Kind {
	kind := KindUnknown
	for _, a := range c.Subject {
		var k Kind
		switch a.Type {
		case AttributeNodeID:
			k = KindNode
		case AttributeICACID:
			k = KindICA
		case AttributeRCACID:
			k = KindRoot
		case AttributeVVSID:
			k = KindVVS
		default:
			continue
		}
		if kind != KindUnknown && kind != k {
			return KindUnknown
		}
		kind = k
	}
	return kind
}

// NodeID returns the subject's node id, 0 if it has none.
func (c *Certificate) NodeID() matter.NodeID {
	id, _ := c.Subject.Find(AttributeNodeID)
	return matter.NodeID(id)
}

// FabricID returns the subject's fabric id, 0 if it has none.
func (c *Certificate) FabricID() matter.FabricID {
	id, _ := c.Subject.Find(AttributeFabricID)
	return matter.FabricID(id)
}

// CATs returns the first three CASE authenticated tags of the subject in their order; the
// rest of the array is 0. VerifyChain returns an error if there are more.
func (c *Certificate) CATs() [MaxCATs]matter.CAT {
	var cats [MaxCATs]matter.CAT
	i := 0
	for _, a := range c.Subject {
		if a.Type == AttributeCAT && i < MaxCATs {
			cats[i] = matter.CAT(a.ID)
			i++
		}
	}
	return cats
}

// extension returns the extension of type t, nil if there is none. Parse allows only one
// of each type, except for future extensions.
func (c *Certificate) extension(t ExtensionType) *Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Type == t {
			return &c.Extensions[i]
		}
	}
	return nil
}

// SubjectKeyID returns the subject key identifier, 20 octets, nil if there is none.
func (c *Certificate) SubjectKeyID() []byte { return c.keyID(SubjectKeyID) }

// AuthorityKeyID returns the authority key identifier, 20 octets, nil if there
// is none.
func (c *Certificate) AuthorityKeyID() []byte { return c.keyID(AuthorityKeyID) }

func (c *Certificate) keyID(t ExtensionType) []byte {
	if e := c.extension(t); e != nil {
		return e.KeyID
	}
	return nil
}
