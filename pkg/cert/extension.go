package cert

import (
	"bytes"
	"math/bits"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ExtensionType is the TLV tag of a certificate extension (section 6.5.11).
type ExtensionType uint8

// The extension types.
const (
	BasicConstraints ExtensionType = 1 // IsCA, PathLen
	KeyUsage         ExtensionType = 2 // Usage
	ExtendedKeyUsage ExtensionType = 3 // Purposes
	SubjectKeyID     ExtensionType = 4 // KeyID
	AuthorityKeyID   ExtensionType = 5 // KeyID
	FutureExtension  ExtensionType = 6 // DER; may repeat
)

// Usage is the bit set of the key usage extension.
type Usage uint16

// The key usages.
const (
	UsageDigitalSignature Usage = 1 << iota
	UsageNonRepudiation
	UsageKeyEncipherment
	UsageDataEncipherment
	UsageKeyAgreement
	UsageKeyCertSign
	UsageCRLSign
	UsageEncipherOnly
	UsageDecipherOnly

	usageMask = UsageDecipherOnly<<1 - 1
)

// Purpose is one key purpose of the extended key usage extension.
type Purpose uint8

// The key purposes.
const (
	PurposeServerAuth Purpose = iota + 1
	PurposeClientAuth
	PurposeCodeSigning
	PurposeEmailProtection
	PurposeTimeStamping
	PurposeOCSPSigning

	lastPurpose = PurposeOCSPSigning
)

// Extension is one certificate extension. Type determines which of the other fields are
// its value.
type Extension struct {
	Type       ExtensionType
	IsCA       bool
	HasPathLen bool
	PathLen    uint8
	Usage      Usage
	Purposes   []Purpose
	KeyID      []byte // 20 octets
	DER        []byte // the whole X.509 Extension, of a type unknown here, not critical
}

// Content octets of object identifiers: id-ce, whose arcs these all are, and
// id-kp, whose arcs the key purposes are.
const (
	oidCE = "\x55\x1d"
	oidKP = "\x2b\x06\x01\x05\x05\x07\x03"
)

// extensionArcs are the arcs below id-ce.
var extensionArcs = [...]byte{BasicConstraints: 19, KeyUsage: 15, ExtendedKeyUsage: 37, SubjectKeyID: 14, AuthorityKeyID: 35}

// purposeArcs are the arcs below id-kp.
var purposeArcs = [...]byte{PurposeServerAuth: 1, PurposeClientAuth: 2, PurposeCodeSigning: 3, PurposeEmailProtection: 4, PurposeTimeStamping: 8, PurposeOCSPSigning: 9}

func (t ExtensionType) oid() string { return oidCE + string(extensionArcs[t]) }

// critical reports whether the X.509 form marks the extension as critical: all but the
// key identifiers.
func (t ExtensionType) critical() bool { return t <= ExtendedKeyUsage }

// readExtensions reads the list that is r's current element.
func readExtensions(r *tlv.Reader) []Extension {
	var list []Extension
	for r.EnterList(); r.Next(); {
		e := readExtension(r)
		if r.Err() != nil {
			break
		}
		if err := checkNew(list, &e); err != nil {
			r.Fail(err)
			break
		}
		list = append(list, e)
	}
	r.Exit()
	return list
}

// checkNew returns an error if list has the extension already. Future extensions differ
// by their object identifiers.
func checkNew(list []Extension, e *Extension) error {
	for i := range list {
		if list[i].Type == e.Type && (e.Type != FutureExtension || bytes.Equal(futureOID(list[i].DER), futureOID(e.DER))) {
			return malformed("extension %d twice", e.Type)
		}
	}
	return nil
}

func readExtension(r *tlv.Reader) Extension {
	e := Extension{Type: ExtensionType(r.ContextTag())}
	switch r.ContextTag() {
	case int(BasicConstraints):
		readBasicConstraints(r, &e)
	case int(KeyUsage):
		e.Usage = Usage(r.Uint16())
		if e.Usage == 0 || e.Usage&^usageMask != 0 {
			r.Fail(malformed("key usage 0x%04X", uint16(e.Usage)))
		}
	case int(ExtendedKeyUsage):
		for r.EnterArray(); r.Next(); {
			p := Purpose(r.Uint8())
			if p == 0 || p > lastPurpose || slices.Contains(e.Purposes, p) {
				r.Fail(malformed("extended key usage %d", p))
				break
			}
			e.Purposes = append(e.Purposes, p)
		}
		r.Exit()
		if len(e.Purposes) == 0 {
			r.Fail(malformed("empty extended key usage"))
		}
	case int(SubjectKeyID), int(AuthorityKeyID):
		e.KeyID = bytes.Clone(readOctets(r))
		if len(e.KeyID) != KeyIDSize {
			r.Fail(malformed("key identifier of %d octets", len(e.KeyID)))
		}
	case int(FutureExtension):
		e.DER = bytes.Clone(readOctets(r))
		if r.Err() != nil {
			break
		}
		if err := checkFuture(e.DER); err != nil {
			r.Fail(err)
		}
	default:
		r.Fail(malformed("unknown element %v among the extensions", r.Tag()))
	}
	return e
}

func readBasicConstraints(r *tlv.Reader, e *Extension) {
	r.EnterStruct()
	field(r, 1)
	e.IsCA = r.Bool()
	if r.Next() {
		e.HasPathLen = true
		if r.ContextTag() != 2 {
			r.Fail(malformed("element %v in the basic constraints", r.Tag()))
		}
		e.PathLen = r.Uint8()
		if r.Next() {
			r.Fail(malformed("element %v in the basic constraints", r.Tag()))
		}
	}
	r.Exit()
}

func (e *Extension) write(w *tlv.Writer) {
	t := tlv.Context(uint8(e.Type))
	switch e.Type {
	case BasicConstraints:
		w.StartStruct(t)
		w.Bool(tlv.Context(1), e.IsCA)
		if e.HasPathLen {
			w.Uint(tlv.Context(2), uint64(e.PathLen))
		}
		w.End()
	case KeyUsage:
		w.Uint(t, uint64(e.Usage))
	case ExtendedKeyUsage:
		w.StartArray(t)
		for _, p := range e.Purposes {
			w.Uint(tlv.Anonymous, uint64(p))
		}
		w.End()
	case SubjectKeyID, AuthorityKeyID:
		w.Octets(t, e.KeyID)
	case FutureExtension:
		w.Octets(t, e.DER)
	}
}

// addDER appends the X.509 Extension.
func (e *Extension) addDER(b *cryptobyte.Builder) {
	if e.Type == FutureExtension {
		b.AddBytes(e.DER)
		return
	}
	if e.Type < BasicConstraints || e.Type > FutureExtension {
		b.SetError(malformed("unknown extension %d", e.Type))
		return
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, e.Type.oid())
		if e.Type.critical() {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(asn1.OCTET_STRING, e.addValue)
	})
}

// addValue appends the content of an Extension's octet string.
func (e *Extension) addValue(b *cryptobyte.Builder) {
	switch e.Type {
	case BasicConstraints:
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if e.IsCA {
				b.AddASN1Boolean(true)
			}
			if e.HasPathLen {
				b.AddASN1Uint64(uint64(e.PathLen))
			}
		})
	case KeyUsage:
		b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(e.Usage.bitString()) })
	case ExtendedKeyUsage:
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, p := range e.Purposes {
				if p == 0 || p > lastPurpose {
					b.SetError(malformed("extended key usage %d", p))
					return
				}
				addOID(b, oidKP+string(purposeArcs[p]))
			}
		})
	case SubjectKeyID:
		b.AddASN1OctetString(e.KeyID)
	case AuthorityKeyID:
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(e.KeyID) })
		})
	}
}

// bitString returns the content of the DER BIT STRING, with bit 0 first and without zero
// bits at the end.
func (u Usage) bitString() []byte {
	lo, hi := bits.Reverse8(uint8(u)), bits.Reverse8(uint8(u>>8))
	if hi != 0 {
		return []byte{uint8(bits.TrailingZeros8(hi)), lo, hi}
	}
	if lo != 0 {
		return []byte{uint8(bits.TrailingZeros8(lo)), lo}
	}
	return []byte{0}
}

// parseExtensions reads the content of the X.509 Extensions sequence.
func parseExtensions(s cryptobyte.String) ([]Extension, error) {
	var list []Extension
	for !s.Empty() {
		var der cryptobyte.String
		if !s.ReadASN1Element(&der, asn1.SEQUENCE) {
			return nil, malformed("an extension")
		}
		e, err := parseExtension(der)
		if err != nil {
			return nil, err
		}
		if err := checkNew(list, &e); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// splitExtension splits an X.509 Extension into its parts.
func splitExtension(der cryptobyte.String) (oid, value cryptobyte.String, critical, ok bool) {
	var seq cryptobyte.String
	ok = der.ReadASN1(&seq, asn1.SEQUENCE) && der.Empty() && seq.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER)
	if ok && seq.PeekASN1Tag(asn1.BOOLEAN) {
		// DER omits the default, false.
		ok = seq.ReadASN1Boolean(&critical) && critical
	}
	ok = ok && seq.ReadASN1(&value, asn1.OCTET_STRING) && seq.Empty()
	return oid, value, critical, ok
}

// knownExtension returns the type with an object identifier, FutureExtension if there is
// none.
func knownExtension(oid []byte) ExtensionType {
	for t := BasicConstraints; t < FutureExtension; t++ {
		if string(oid) == t.oid() {
			return t
		}
	}
	return FutureExtension
}

// checkFuture returns an error if a future extension is not an X.509 Extension, if it has
// an element of its own in the list, or if it is critical and so would have to be
// understood.
func checkFuture(der []byte) error {
	oid, _, critical, ok := splitExtension(der)
	switch {
	case !ok || len(oid) == 0:
		return malformed("a future extension")
	case knownExtension(oid) != FutureExtension:
		return malformed("extension %x among the future ones", []byte(oid))
	case critical:
		return malformed("unknown critical extension %x", []byte(oid))
	}
	return nil
}

func futureOID(der []byte) []byte {
	oid, _, _, _ := splitExtension(der)
	return oid
}

// parseExtension reads an X.509 Extension. It does not check the encoding strictly, as
// FromDER compares the X.509 form of the result with its input.
func parseExtension(der cryptobyte.String) (Extension, error) {
	oid, s, _, ok := splitExtension(der)
	if !ok {
		return Extension{}, malformed("an extension")
	}
	e := Extension{Type: knownExtension(oid)}
	var in cryptobyte.String
	switch e.Type {
	case BasicConstraints:
		ok = s.ReadASN1(&in, asn1.SEQUENCE) && (!in.PeekASN1Tag(asn1.BOOLEAN) || in.ReadASN1Boolean(&e.IsCA))
		if e.HasPathLen = ok && !in.Empty(); e.HasPathLen {
			var n uint64
			ok = in.ReadASN1Integer(&n) && n <= 0xFF && in.Empty()
			e.PathLen = uint8(n)
		}
	case KeyUsage:
		ok = s.ReadASN1(&in, asn1.BIT_STRING) && len(in) >= 2 && len(in) <= 3
		if ok {
			e.Usage = Usage(bits.Reverse8(in[1]))
			if len(in) == 3 {
				e.Usage |= Usage(bits.Reverse8(in[2])) << 8
			}
			ok = e.Usage != 0 && e.Usage&^usageMask == 0
		}
	case ExtendedKeyUsage:
		ok = s.ReadASN1(&in, asn1.SEQUENCE) && parsePurposes(in, &e)
	case SubjectKeyID:
		ok = s.ReadASN1((*cryptobyte.String)(&e.KeyID), asn1.OCTET_STRING) && len(e.KeyID) == KeyIDSize
	case AuthorityKeyID:
		ok = s.ReadASN1(&in, asn1.SEQUENCE) && in.ReadASN1((*cryptobyte.String)(&e.KeyID), asn1.Tag(0).ContextSpecific()) && len(e.KeyID) == KeyIDSize
	case FutureExtension:
		e.DER = bytes.Clone(der)
		return e, checkFuture(der)
	}
	if !ok {
		return e, malformed("extension %d", e.Type)
	}
	e.KeyID = bytes.Clone(e.KeyID)
	return e, nil
}

func parsePurposes(s cryptobyte.String, e *Extension) bool {
	for !s.Empty() {
		var oid cryptobyte.String
		if !s.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
			return false
		}
		p := PurposeServerAuth
		for p <= lastPurpose && string(oid) != oidKP+string(purposeArcs[p]) {
			p++
		}
		if p > lastPurpose || slices.Contains(e.Purposes, p) {
			return false
		}
		e.Purposes = append(e.Purposes, p)
	}
	return len(e.Purposes) > 0
}
