package cert

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Tags of the TLV form (section 6.5.2).
const (
	tagSerial = iota + 1
	tagSignatureAlgorithm
	tagIssuer
	tagNotBefore
	tagNotAfter
	tagSubject
	tagPublicKeyAlgorithm
	tagCurve
	tagPublicKey
	tagExtensions
	tagSignature
)

// The only values of the three algorithm elements: ecdsa-with-SHA256,
// id-ecPublicKey, prime256v1.
const onlyAlgorithm = 1

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Parse reads the TLV form, at most 400 octets. Each element must occur once and in
// order. Errors are ErrMalformed. The Certificate does not share memory with b.
func Parse(b []byte) (*Certificate, error) {
	if len(b) > MaxSize {
		return nil, malformed("%d octets of at most %d", len(b), MaxSize)
	}
	c := &Certificate{raw: bytes.Clone(b)}
	r := tlv.NewReader(c.raw)
	r.EnterStruct()
	field(&r, tagSerial)
	c.Serial = readOctets(&r)
	if n := len(c.Serial); r.Err() == nil && (n == 0 || n > maxSerial) {
		r.Fail(malformed("serial number of %d octets", n))
	}
	readAlgorithm(&r, tagSignatureAlgorithm, "signature algorithm")
	field(&r, tagIssuer)
	c.Issuer = readDN(&r)
	field(&r, tagNotBefore)
	c.NotBefore = r.Uint32()
	field(&r, tagNotAfter)
	c.NotAfter = r.Uint32()
	field(&r, tagSubject)
	c.Subject = readDN(&r)
	readAlgorithm(&r, tagPublicKeyAlgorithm, "public key algorithm")
	readAlgorithm(&r, tagCurve, "elliptic curve")
	field(&r, tagPublicKey)
	copy(c.PublicKey[:], readOctetsN(&r, mcrypto.PublicKeySize))
	field(&r, tagExtensions)
	c.Extensions = readExtensions(&r)
	field(&r, tagSignature)
	copy(c.Signature[:], readOctetsN(&r, mcrypto.SignatureSize))
	if r.Next() {
		r.Fail(malformed("element %v after the signature", r.Tag()))
	}
	r.Exit()
	if err := r.End(); err != nil {
		return nil, wrapMalformed(err)
	}
	return c, nil
}

// wrapMalformed wraps an error of package tlv in ErrMalformed.
func wrapMalformed(err error) error {
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// field moves to the next element, which must have the context tag n.
func field(r *tlv.Reader, n int) {
	if !r.Next() {
		r.Fail(malformed("element %d is missing", n))
	} else if r.ContextTag() != n {
		r.Fail(malformed("element %v where %d belongs", r.Tag(), n))
	}
}

func readAlgorithm(r *tlv.Reader, n int, what string) {
	field(r, n)
	if a := r.Uint8(); r.Err() == nil && a != onlyAlgorithm {
		r.Fail(malformed("unknown %s %d", what, a))
	}
}

// readOctets reads an octet string whose length has the shortest encoding.
func readOctets(r *tlv.Reader) []byte {
	b := r.Octets()
	checkPrefix(r, len(b))
	return b
}

func readOctetsN(r *tlv.Reader, n int) []byte {
	b := readOctets(r)
	if r.Err() == nil && len(b) != n {
		r.Fail(malformed("%d octets in element %v, which has %d", len(b), r.Tag(), n))
	}
	return b
}

// readText reads a string. A Reader's text ends at U+001F. X.509 cannot represent the
// rest, so the string is malformed if its length is different.
func readText(r *tlv.Reader) string {
	s := r.Text()
	checkPrefix(r, len(s))
	return s
}

func checkPrefix(r *tlv.Reader, n int) {
	if r.Err() != nil {
		return
	}
	shortest := 1
	if n > 0xFF {
		shortest = 2
	}
	// The control octet, the length, the string.
	if r.Element().Len() != 1+shortest+n {
		r.Fail(malformed("length of element %v does not fit, or is not in its shortest form", r.Tag()))
	}
}

// Encode returns the TLV form: the elements in order, integers in their shortest
// width.
func (c *Certificate) Encode() []byte {
	w := tlv.NewWriter(make([]byte, 0, MaxSize))
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(tagSerial), c.Serial)
	w.Uint(tlv.Context(tagSignatureAlgorithm), onlyAlgorithm)
	c.Issuer.write(w, tlv.Context(tagIssuer))
	w.Uint(tlv.Context(tagNotBefore), uint64(c.NotBefore))
	w.Uint(tlv.Context(tagNotAfter), uint64(c.NotAfter))
	c.Subject.write(w, tlv.Context(tagSubject))
	w.Uint(tlv.Context(tagPublicKeyAlgorithm), onlyAlgorithm)
	w.Uint(tlv.Context(tagCurve), onlyAlgorithm)
	w.Octets(tlv.Context(tagPublicKey), c.PublicKey[:])
	w.StartList(tlv.Context(tagExtensions))
	for i := range c.Extensions {
		c.Extensions[i].write(w)
	}
	w.End()
	w.Octets(tlv.Context(tagSignature), c.Signature[:])
	w.End()
	return w.Bytes()
}
