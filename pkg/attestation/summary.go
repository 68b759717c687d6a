package attestation

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// Summary describes credentials to the operator. They need not be verified.
type Summary struct {
	DAC, PAI CertificateSummary
	CD       Declaration
}

// CertificateSummary describes a certificate.
type CertificateSummary struct {
	Subject             string // common name, vendor and product
	Serial              string // hexadecimal
	KeyID               string // subject key identifier, hexadecimal
	NotBefore, NotAfter time.Time
}

// Summarize reads the credentials of a record.
func Summarize(a store.Attestation) (s Summary, err error) {
	for _, c := range []struct {
		name string
		der  []byte
		out  *CertificateSummary
	}{{"DAC", a.DAC, &s.DAC}, {"PAI", a.PAI, &s.PAI}} {
		x, err := parseCertificate(c.name, c.der)
		if err != nil {
			return s, err
		}
		*c.out = CertificateSummary{
			Subject: describe(x), Serial: fmt.Sprintf("%X", x.SerialNumber), KeyID: fmt.Sprintf("%X", x.SubjectKeyId),
			NotBefore: x.NotBefore, NotAfter: x.NotAfter,
		}
	}
	cd, err := ParseDeclaration(a.CD)
	if err != nil {
		return s, err
	}
	s.CD = cd.Declaration
	return s, nil
}

// describe describes the subject of a certificate to the operator. It escapes characters
// of the common name that are not printable.
func describe(c *x509.Certificate) string {
	text := fmt.Sprintf("%q", c.Subject.CommonName)
	if id, err := subjectIDs(c); err == nil {
		if id.hasVendor {
			text += fmt.Sprintf(" vendor %04X", uint16(id.vendor))
		}
		if id.hasProduct {
			text += fmt.Sprintf(" product %04X", uint16(id.product))
		}
	}
	return text
}

// String returns the name of the type.
func (t CertificationType) String() string {
	switch t {
	case CertificationTest:
		return "test"
	case CertificationProvisional:
		return "provisional"
	case CertificationOfficial:
		return "official"
	}
	return fmt.Sprintf("unknown (%d)", uint8(t))
}
