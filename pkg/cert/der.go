package cert

import (
	"bytes"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// maxDER is the largest number of octets that FromDER accepts. A certificate of 400
// octets in TLV has fewer in DER.
const maxDER = 1024

// AlgorithmIdentifiers, complete.
const (
	// ecdsa-with-SHA256, 1.2.840.10045.4.3.2, without parameters.
	derECDSAWithSHA256 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
	// id-ecPublicKey, 1.2.840.10045.2.1, on prime256v1, 1.2.840.10045.3.1.7.
	derP256 = "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
)

var (
	tagVersion    = asn1.Tag(0).Constructed().ContextSpecific()
	tagExtension3 = asn1.Tag(3).Constructed().ContextSpecific()
)

// noExpiry is the X.509 form of "no well-defined expiration date" (RFC 5280, section
// 4.1.2.5). The TLV form is 0, in either of the two times.
const noExpiry = "99991231235959Z"

const (
	utcLayout         = "060102150405Z"
	generalizedLayout = "20060102150405Z"
)

// TBS returns the X.509 TBSCertificate, which the issuer signs.
func (c *Certificate) TBS() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 640))
	c.addTBS(b)
	return b.Bytes()
}

// DER returns the X.509 form.
func (c *Certificate) DER() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 768))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		c.addTBS(b)
		addSignature(b, c.Signature)
	})
	return b.Bytes()
}

func (c *Certificate) addTBS(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tagVersion, func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // v3
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(c.Serial) })
		b.AddBytes([]byte(derECDSAWithSHA256))
		c.Issuer.addDER(b)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, c.NotBefore)
			addTime(b, c.NotAfter)
		})
		c.Subject.addDER(b)
		addPublicKey(b, c.PublicKey)
		b.AddASN1(tagExtension3, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for i := range c.Extensions {
					c.Extensions[i].addDER(b)
				}
			})
		})
	})
}

// addTime appends a Time: UTCTime up to the year 2049, then GeneralizedTime.
func addTime(b *cryptobyte.Builder, epoch uint32) {
	tag, text := asn1.GeneralizedTime, noExpiry
	if epoch != 0 {
		t := time.Unix(matter.EpochOffset+int64(epoch), 0).UTC()
		layout := generalizedLayout
		if t.Year() < 2050 {
			tag, layout = asn1.UTCTime, utcLayout
		}
		text = t.Format(layout)
	}
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

// addPublicKey appends the SubjectPublicKeyInfo of a P-256 key.
func addPublicKey(b *cryptobyte.Builder, key [mcrypto.PublicKeySize]byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte(derP256))
		b.AddASN1BitString(key[:])
	})
}

// addSignature appends the algorithm and the signature, as X.509 and PKCS#10 have them
// after the signed part.
func addSignature(b *cryptobyte.Builder, sig [mcrypto.SignatureSize]byte) {
	b.AddBytes([]byte(derECDSAWithSHA256))
	b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(0) // unused bits
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addInteger(b, sig[:mcrypto.ScalarSize])
			addInteger(b, sig[mcrypto.ScalarSize:])
		})
	})
}

// addInteger appends a non-negative INTEGER with the magnitude v.
func addInteger(b *cryptobyte.Builder, v []byte) {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
		if v[0] >= 0x80 {
			b.AddUint8(0)
		}
		b.AddBytes(v)
	})
}

// FromDER reads the X.509 form. It returns ErrMalformed for a certificate with parts that
// the TLV form does not have, and for one that would convert back to other octets.
func FromDER(der []byte) (*Certificate, error) {
	if len(der) > maxDER {
		return nil, malformed("%d octets of X.509", len(der))
	}
	c, err := parseDER(der)
	if err != nil {
		return nil, err
	}
	if back, err := c.DER(); err != nil || !bytes.Equal(back, der) {
		return nil, malformed("X.509 form that cannot be converted and back")
	}
	// Both forms have the limits of Parse.
	return Parse(c.Encode())
}

func parseDER(der []byte) (*Certificate, error) {
	s := cryptobyte.String(der)
	var cert, tbs, version, key, extensions, list cryptobyte.String
	if !s.ReadASN1(&cert, asn1.SEQUENCE) || !cert.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, malformed("no X.509 certificate")
	}
	c := new(Certificate)
	var err error
	if !tbs.ReadASN1(&version, tagVersion) || !tbs.ReadASN1Bytes(&c.Serial, asn1.INTEGER) || !skip(&tbs, derECDSAWithSHA256) {
		return nil, malformed("version, serial number or signature algorithm")
	}
	if c.Issuer, err = parseDN(&tbs); err != nil {
		return nil, err
	}
	if c.NotBefore, c.NotAfter, err = parseValidity(&tbs); err != nil {
		return nil, err
	}
	if c.Subject, err = parseDN(&tbs); err != nil {
		return nil, err
	}
	if !tbs.ReadASN1(&key, asn1.SEQUENCE) || !parsePublicKey(key, &c.PublicKey) {
		return nil, malformed("public key")
	}
	if !tbs.ReadASN1(&extensions, tagExtension3) || !extensions.ReadASN1(&list, asn1.SEQUENCE) {
		return nil, malformed("extensions")
	}
	if c.Extensions, err = parseExtensions(list); err != nil {
		return nil, err
	}
	if !parseSignature(cert, &c.Signature) {
		return nil, malformed("signature")
	}
	return c, nil
}

// skip reads the octets that must follow.
func skip(s *cryptobyte.String, want string) bool {
	if len(*s) < len(want) || string((*s)[:len(want)]) != want {
		return false
	}
	return s.Skip(len(want))
}

func parseValidity(s *cryptobyte.String) (notBefore, notAfter uint32, err error) {
	var in cryptobyte.String
	if !s.ReadASN1(&in, asn1.SEQUENCE) {
		return 0, 0, malformed("validity")
	}
	notBefore, ok := parseTime(&in)
	if !ok {
		return 0, 0, malformed("not-before time")
	}
	notAfter, ok = parseTime(&in)
	if !ok {
		return 0, 0, malformed("not-after time")
	}
	return notBefore, notAfter, nil
}

func parseTime(s *cryptobyte.String) (uint32, bool) {
	var text cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&text, &tag) {
		return 0, false
	}
	layout := generalizedLayout
	switch {
	case tag == asn1.GeneralizedTime && string(text) == noExpiry:
		return 0, true
	case tag == asn1.UTCTime:
		layout = utcLayout
	case tag != asn1.GeneralizedTime:
		return 0, false
	}
	t, err := time.Parse(layout, string(text))
	if err != nil {
		return 0, false
	}
	epoch := t.Unix() - matter.EpochOffset
	return uint32(epoch), epoch > 0 && epoch <= math.MaxUint32
}

func parsePublicKey(s cryptobyte.String, key *[mcrypto.PublicKeySize]byte) bool {
	var b []byte
	if !skip(&s, derP256) || !s.ReadASN1BitStringAsBytes(&b) || !s.Empty() || len(b) != len(key) {
		return false
	}
	copy(key[:], b)
	return true
}

// parseSignature reads the form that addSignature writes. Nothing may follow it.
func parseSignature(s cryptobyte.String, sig *[mcrypto.SignatureSize]byte) bool {
	var b []byte
	if !skip(&s, derECDSAWithSHA256) || !s.ReadASN1BitStringAsBytes(&b) || !s.Empty() {
		return false
	}
	in := cryptobyte.String(b)
	var seq cryptobyte.String
	return in.ReadASN1(&seq, asn1.SEQUENCE) && in.Empty() &&
		parseInteger(&seq, sig[:mcrypto.ScalarSize]) && parseInteger(&seq, sig[mcrypto.ScalarSize:]) && seq.Empty()
}

// parseInteger reads a non-negative INTEGER into dst, padded on the left.
func parseInteger(s *cryptobyte.String, dst []byte) bool {
	var v []byte
	if !s.ReadASN1Integer(&v) || len(v) > len(dst) {
		return false
	}
	copy(dst[len(dst)-len(v):], v)
	return true
}
