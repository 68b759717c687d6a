package attestation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Attributes of subjects (section 6.2.2.2).
var (
	oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidVendorID   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37244, 2, 1}
	oidProductID  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37244, 2, 2}
)

// Prefixes of the identifiers in a common name, for subjects without the
// dedicated attributes.
const (
	fallbackVendor  = "Mvid:"
	fallbackProduct = "Mpid:"
	idDigits        = 4
)

// ids are the identifiers in a subject.
type ids struct {
	vendor                matter.VendorID
	product               matter.ProductID
	hasVendor, hasProduct bool
}

// subjectIDs returns the vendor and product id that c's subject carries.
func subjectIDs(c *x509.Certificate) (ids, error) {
	var id ids
	var common string
	for _, a := range c.Subject.Names {
		text, _ := a.Value.(string)
		switch {
		case a.Type.Equal(oidVendorID):
			if err := id.setVendor(text); err != nil {
				return ids{}, err
			}
		case a.Type.Equal(oidProductID):
			if err := id.setProduct(text); err != nil {
				return ids{}, err
			}
		case a.Type.Equal(oidCommonName):
			common = text
		}
	}
	if id.hasVendor || id.hasProduct {
		return id, nil
	}
	if text, ok := fallback(common, fallbackVendor); ok {
		if err := id.setVendor(text); err != nil {
			return ids{}, err
		}
	}
	if text, ok := fallback(common, fallbackProduct); ok {
		if err := id.setProduct(text); err != nil {
			return ids{}, err
		}
	}
	return id, nil
}

func (id *ids) setVendor(text string) error {
	v, err := parseID(text)
	if err != nil || id.hasVendor || v == 0 {
		return errors.New("vendor id: want 4 upper-case hexadecimal digits, once, not 0000")
	}
	id.vendor, id.hasVendor = matter.VendorID(v), true
	return nil
}

func (id *ids) setProduct(text string) error {
	v, err := parseID(text)
	if err != nil || id.hasProduct || v == 0 {
		return errors.New("product id: want 4 upper-case hexadecimal digits, once, not 0000")
	}
	id.product, id.hasProduct = matter.ProductID(v), true
	return nil
}

func parseID(text string) (uint16, error) {
	if len(text) != idDigits || strings.ToUpper(text) != text {
		return 0, strconv.ErrSyntax
	}
	v, err := strconv.ParseUint(text, 16, 16)
	return uint16(v), err
}

// fallback returns the 4 characters after prefix in a common name.
func fallback(common, prefix string) (string, bool) {
	_, rest, ok := strings.Cut(common, prefix)
	return rest[:min(len(rest), idDigits)], ok
}

// subject returns a name in DER: a common name, a vendor id, and a product id if that is
// not 0. Each is a UTF8String in an RDN of its own.
func subject(common string, vendor matter.VendorID, product matter.ProductID) ([]byte, error) {
	name := pkix.RDNSequence{{attribute(oidCommonName, common)}}
	name = append(name, []pkix.AttributeTypeAndValue{attribute(oidVendorID, fmt.Sprintf("%04X", uint16(vendor)))})
	if product != 0 {
		name = append(name, []pkix.AttributeTypeAndValue{attribute(oidProductID, fmt.Sprintf("%04X", uint16(product)))})
	}
	return asn1.Marshal(name)
}

func attribute(oid asn1.ObjectIdentifier, text string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)}}
}

// publicKey returns c's public key of 65 octets, or nil if it is not a P-256 key.
func publicKey(c *x509.Certificate) []byte {
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil
	}
	b, err := k.Bytes()
	if err != nil {
		return nil
	}
	return b
}
