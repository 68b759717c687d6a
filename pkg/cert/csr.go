package cert

import (
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// MaxCSR is the largest number of octets that ParseCSR accepts. The request has to fit
// into NOCSR elements of 900 octets (section 11.18.4.9).
const MaxCSR = 900

// The parts of a request that nobody evaluates: the subject O=CSA and an empty
// extensionRequest attribute, as in the specification's example (appendix F.3).
const (
	csrSubject    = "\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x0a\x0c\x03CSA"
	csrAttributes = "\xa0\x11\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e\x31\x02\x30\x00"
)

var tagCSRAttributes = asn1.Tag(0).Constructed().ContextSpecific()

// NewCSR returns the PKCS#10 certificate signing request for key, about 220
// octets of DER (section 6.4.7). The signature proves possession of the key.
func NewCSR(rand io.Reader, key *mcrypto.PrivateKey) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0) // v1
		b.AddBytes([]byte(csrSubject))
		addPublicKey(b, key.Public())
		b.AddBytes([]byte(csrAttributes))
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding a signing request: %w", err)
	}
	sig, err := key.Sign(rand, info)
	if err != nil {
		return nil, err
	}
	b = cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		addSignature(b, sig)
	})
	return b.Bytes()
}

// ParseCSR checks a PKCS#10 request and its signature and returns the public key. It
// ignores subject and attributes. Errors are ErrMalformed, or ErrInvalid if the
// signature does not verify.
func ParseCSR(der []byte) (pub [mcrypto.PublicKeySize]byte, err error) {
	if len(der) > MaxCSR {
		return pub, malformed("signing request of %d octets", len(der))
	}
	s := cryptobyte.String(der)
	var csr, element, info, key, subject cryptobyte.String
	var version uint64
	var sig [mcrypto.SignatureSize]byte
	if !s.ReadASN1(&csr, asn1.SEQUENCE) || !s.Empty() || !csr.ReadASN1Element(&element, asn1.SEQUENCE) {
		return pub, malformed("no signing request")
	}
	in := element
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1Integer(&version) || version != 0 ||
		!info.ReadASN1(&subject, asn1.SEQUENCE) ||
		!info.ReadASN1(&key, asn1.SEQUENCE) || !parsePublicKey(key, &pub) ||
		!info.SkipASN1(tagCSRAttributes) || !info.Empty() ||
		!parseSignature(csr, &sig) {
		return [mcrypto.PublicKeySize]byte{}, malformed("signing request")
	}
	if err := mcrypto.Verify(pub[:], element, sig[:]); err != nil {
		return [mcrypto.PublicKeySize]byte{}, fmt.Errorf("%w: signing request: %w", ErrInvalid, err)
	}
	return pub, nil
}
