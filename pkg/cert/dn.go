package cert

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// AttributeType is the TLV tag of an attribute of a distinguished name, without the bit
// for PrintableString (section 6.5.6.2).
type AttributeType uint8

// The attribute types.
const (
	AttributeCommonName AttributeType = iota + 1
	AttributeSurname
	AttributeSerialNumber
	AttributeCountry
	AttributeLocality
	AttributeState
	AttributeOrganization
	AttributeOrganizationalUnit
	AttributeTitle
	AttributeName
	AttributeGivenName
	AttributeInitials
	AttributeGenerationQualifier
	AttributeDNQualifier
	AttributePseudonym
	AttributeDomainComponent
	AttributeNodeID
	AttributeFirmwareSigningID
	AttributeICACID
	AttributeRCACID
	AttributeFabricID
	AttributeCAT
	AttributeVVSID
)

const (
	printableBit  = 0x80
	lastAttribute = AttributeVVSID
)

// number reports whether the attribute is one of Matter's own, with an integer instead of
// text.
func (t AttributeType) number() bool { return t >= AttributeNodeID }

// digits is the number of hexadecimal digits of a numeric attribute's X.509 form.
func (t AttributeType) digits() int {
	if t == AttributeCAT {
		return 8
	}
	return 16
}

// oids holds the content octets of the attribute types' object identifiers.
var oids = [lastAttribute + 1]string{
	AttributeCommonName:          "\x55\x04\x03",
	AttributeSurname:             "\x55\x04\x04",
	AttributeSerialNumber:        "\x55\x04\x05",
	AttributeCountry:             "\x55\x04\x06",
	AttributeLocality:            "\x55\x04\x07",
	AttributeState:               "\x55\x04\x08",
	AttributeOrganization:        "\x55\x04\x0a",
	AttributeOrganizationalUnit:  "\x55\x04\x0b",
	AttributeTitle:               "\x55\x04\x0c",
	AttributeName:                "\x55\x04\x29",
	AttributeGivenName:           "\x55\x04\x2a",
	AttributeInitials:            "\x55\x04\x2b",
	AttributeGenerationQualifier: "\x55\x04\x2c",
	AttributeDNQualifier:         "\x55\x04\x2e",
	AttributePseudonym:           "\x55\x04\x41",
	AttributeDomainComponent:     "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19",
	AttributeNodeID:              "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x01",
	AttributeFirmwareSigningID:   "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x02",
	AttributeICACID:              "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x03",
	AttributeRCACID:              "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x04",
	AttributeFabricID:            "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x05",
	AttributeCAT:                 "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x06",
	AttributeVVSID:               "\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x07",
}

// Attribute is one attribute of a distinguished name, in an RDN of its own. Attributes
// are comparable.
type Attribute struct {
	Type      AttributeType
	Printable bool   // the X.509 form of the text is PrintableString instead of UTF8String
	Text      string // of the X.520 attributes, up to AttributeDomainComponent
	ID        uint64 // of Matter's own attributes
}

// DN is a distinguished name; the order of its attributes matters.
type DN []Attribute

// Find returns the first value of a numeric attribute and how many there are.
func (d DN) Find(t AttributeType) (id uint64, count int) {
	for _, a := range d {
		if a.Type != t {
			continue
		}
		if count == 0 {
			id = a.ID
		}
		count++
	}
	return id, count
}

// Equal reports whether two names are the same: attributes, their order and
// their string types.
func (d DN) Equal(e DN) bool {
	if len(d) != len(e) {
		return false
	}
	for i := range d {
		if d[i] != e[i] {
			return false
		}
	}
	return true
}

var errRDNs = malformed("a name of more than %d attributes", MaxRDNs)

// readDN reads the list that is r's current element.
func readDN(r *tlv.Reader) DN {
	var d DN
	for r.EnterList(); r.Next(); {
		if len(d) == MaxRDNs {
			r.Fail(errRDNs)
			break
		}
		d = append(d, readAttribute(r))
	}
	r.Exit()
	return d
}

func readAttribute(r *tlv.Reader) Attribute {
	n := r.ContextTag()
	if n < 0 {
		r.Fail(malformed("a name's attribute without a context tag"))
		return Attribute{}
	}
	a := Attribute{Type: AttributeType(n &^ printableBit), Printable: n&printableBit != 0}
	switch {
	case a.Type == 0 || a.Type > lastAttribute || a.Printable && a.Type >= AttributeDomainComponent:
		r.Fail(malformed("unknown attribute %d of a name", n))
	case a.Type == AttributeCAT:
		a.ID = uint64(r.Uint32())
	case a.Type.number():
		a.ID = r.Uint()
	default:
		a.Text = readText(r)
		if a.ascii() && !isASCII(a.Text) {
			r.Fail(malformed("attribute %d of a name is not ASCII", n))
		}
	}
	return a
}

// ascii reports whether the X.509 form is an ASCII string type.
func (a Attribute) ascii() bool { return a.Printable || a.Type == AttributeDomainComponent }

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
}

func (d DN) write(w *tlv.Writer, t tlv.Tag) {
	w.StartList(t)
	for _, a := range d {
		n := uint8(a.Type)
		switch {
		case a.Type.number():
			w.Uint(tlv.Context(n), a.ID)
		case a.Printable:
			w.Text(tlv.Context(n|printableBit), a.Text)
		default:
			w.Text(tlv.Context(n), a.Text)
		}
	}
	w.End()
}

// addDER appends the X.509 Name.
func (d DN) addDER(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range d {
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, a.addDER) })
		}
	})
}

func (a Attribute) addDER(b *cryptobyte.Builder) {
	if a.Type == 0 || a.Type > lastAttribute {
		b.SetError(malformed("unknown attribute %d of a name", a.Type))
		return
	}
	addOID(b, oids[a.Type])
	tag, value := asn1.UTF8String, []byte(a.Text)
	switch {
	case a.Type.number():
		value = fmt.Appendf(nil, "%0*X", a.Type.digits(), a.ID)
	case a.Type == AttributeDomainComponent:
		tag = asn1.IA5String
	case a.Printable:
		tag = asn1.PrintableString
	}
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

func addOID(b *cryptobyte.Builder, content string) {
	b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(content)) })
}

// parseDN reads an X.509 Name of single-valued RDNs.
func parseDN(s *cryptobyte.String) (DN, error) {
	var name cryptobyte.String
	if !s.ReadASN1(&name, asn1.SEQUENCE) {
		return nil, malformed("a name")
	}
	var d DN
	for !name.Empty() {
		var set, attribute, oid, value cryptobyte.String
		var tag asn1.Tag
		if !name.ReadASN1(&set, asn1.SET) || !set.ReadASN1(&attribute, asn1.SEQUENCE) || !set.Empty() ||
			!attribute.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !attribute.ReadAnyASN1(&value, &tag) || !attribute.Empty() {
			return nil, malformed("a name's attribute")
		}
		a, err := parseAttribute(oid, tag, value)
		if err != nil {
			return nil, err
		}
		if len(d) == MaxRDNs {
			return nil, errRDNs
		}
		d = append(d, a)
	}
	return d, nil
}

func parseAttribute(oid []byte, tag asn1.Tag, value []byte) (Attribute, error) {
	var a Attribute
	for t := AttributeCommonName; t <= lastAttribute; t++ {
		if string(oid) == oids[t] {
			a.Type = t
		}
	}
	switch {
	case a.Type == 0:
		return a, malformed("unknown attribute %x of a name", oid)
	case a.Type.number():
		if tag != asn1.UTF8String || len(value) != a.Type.digits() || !bytes.Equal(value, bytes.ToUpper(value)) {
			return a, malformed("identifier %q in a name", value)
		}
		var id [8]byte
		if _, err := hex.Decode(id[8-len(value)/2:], value); err != nil {
			return a, malformed("identifier %q in a name", value)
		}
		for _, x := range id {
			a.ID = a.ID<<8 | uint64(x)
		}
		return a, nil
	case a.Type == AttributeDomainComponent && tag == asn1.IA5String:
	case tag == asn1.PrintableString && a.Type != AttributeDomainComponent:
		a.Printable = true
	case tag == asn1.UTF8String && a.Type != AttributeDomainComponent:
	default:
		return a, malformed("string type %d in a name", tag)
	}
	a.Text = string(value)
	if !utf8.ValidString(a.Text) || a.ascii() && !isASCII(a.Text) {
		return a, malformed("string in a name")
	}
	return a, nil
}
