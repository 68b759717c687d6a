package tlv

import (
	"errors"
	"fmt"
)

// MaxDepth is the number of nested containers that a Reader or Writer accepts.
// Messages of the Interaction Model need fewer than ten.
const MaxDepth = 16

// Errors of a Reader. They are wrapped with the position.
var (
	ErrTruncated = errors.New("tlv: element runs past the end")
	ErrMalformed = errors.New("tlv: malformed element")
	ErrTooDeep   = errors.New("tlv: nested too deeply")
	ErrTrailing  = errors.New("tlv: bytes after the top element")
	ErrType      = errors.New("tlv: element has another type")
	ErrRange     = errors.New("tlv: value out of range")
)

// Tag is an element's tag: anonymous, context-specific or profile-specific.
// Tags are comparable.
type Tag struct {
	form    uint8 // the upper three bits of the control octet, normalised
	vendor  uint16
	profile uint16
	number  uint32
}

const (
	formAnonymous = 0
	formContext   = 1
	formCommon    = 2 // written with 2 or 4 bytes
	formImplicit  = 4
	formQualified = 6
)

// Anonymous is the tag of the members of an array and of a top element.
var Anonymous = Tag{}

// Context returns the context-specific tag n.
func Context(n uint8) Tag { return Tag{form: formContext, number: uint32(n)} }

// CommonProfile returns the tag n of the Matter common profile.
func CommonProfile(n uint32) Tag { return Tag{form: formCommon, number: n} }

// Qualified returns a fully qualified tag.
func Qualified(vendor, profile uint16, n uint32) Tag {
	return Tag{form: formQualified, vendor: vendor, profile: profile, number: n}
}

// IsContext returns the number of a context-specific tag, and whether t is one.
func (t Tag) IsContext() (n uint8, ok bool) { return uint8(t.number), t.form == formContext }

// IsCommon returns the number of a common profile tag, and whether t is one.
func (t Tag) IsCommon() (n uint32, ok bool) { return t.number, t.form == formCommon }

func (t Tag) String() string {
	switch t.form {
	case formAnonymous:
		return "anonymous"
	case formContext:
		return fmt.Sprint(t.number)
	case formCommon:
		return fmt.Sprintf("common:%d", t.number)
	case formImplicit:
		return fmt.Sprintf("implicit:%d", t.number)
	}
	return fmt.Sprintf("%04X:%04X:%d", t.vendor, t.profile, t.number)
}

// Type is an element's type. It does not include the width of an integer or of a
// length.
type Type uint8

// The element types. A Reader without a current element returns TypeNone.
const (
	TypeNone Type = iota
	TypeInt
	TypeUint
	TypeBool
	TypeFloat32
	TypeFloat64
	TypeString
	TypeBytes
	TypeNull
	TypeStruct
	TypeArray
	TypeList
)

var typeNames = [...]string{"none", "int", "uint", "bool", "float32", "float64", "string", "octets", "null", "structure", "array", "list"}

func (t Type) String() string { return typeNames[t] }

// Container reports whether elements of this type contain others.
func (t Type) Container() bool { return t >= TypeStruct }

// Control octet, lower five bits.
const (
	ctlInt8      = 0x00
	ctlUint8     = 0x04
	ctlFalse     = 0x08
	ctlTrue      = 0x09
	ctlFloat32   = 0x0A
	ctlFloat64   = 0x0B
	ctlString1   = 0x0C
	ctlBytes1    = 0x10
	ctlNull      = 0x14
	ctlStruct    = 0x15
	ctlArray     = 0x16
	ctlList      = 0x17
	ctlEnd       = 0x18
	ctlTypeMask  = 0x1F
	ctlFormShift = 5
)
