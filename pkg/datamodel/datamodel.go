package datamodel

import (
	"cmp"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Cluster holds the facts of one cluster.
type Cluster struct {
	ID          matter.ClusterID
	Name        string
	Revision    uint16
	Conformance Conformance // "P" if the whole cluster is provisional, else empty
	Diagnostics bool        // quality K: SkipDiagnosticsClusters leaves it out of wildcard reads
	Features    []Feature
	Attributes  []Attribute // ascending by ID, without the global attributes
	Commands    []Command   // requests, ascending by ID
	Responses   []Command   // responses, ascending by ID
	Events      []Event     // ascending by ID
}

// Attribute returns the facts of an attribute, or nil.
func (c *Cluster) Attribute(id matter.AttributeID) *Attribute {
	i, ok := slices.BinarySearchFunc(c.Attributes, id, func(a Attribute, id matter.AttributeID) int { return cmp.Compare(a.ID, id) })
	if !ok {
		return nil
	}
	return &c.Attributes[i]
}

// Feature is one bit of the feature map.
type Feature struct {
	Bit         uint8
	Code        string // as conformance expressions write it, such as "LT"
	Name        string
	Conformance Conformance
}

// Attribute holds the facts of one attribute. A privilege of 0 means that the
// operation does not exist.
type Attribute struct {
	ID          matter.AttributeID
	Name        string
	Type        *Type // never nil
	Read, Write matter.Privilege
	Access      Access
	Quality     Quality
	Limit       Limit
	Conformance Conformance
}

// Command holds the facts of one command of either direction.
type Command struct {
	ID          matter.CommandID
	Name        string
	Response    matter.CommandID // of a request; NoResponse if a status alone answers it
	Privilege   matter.Privilege // of a request
	Access      Access
	Fields      []Field // ascending by ID
	Conformance Conformance
}

// NoResponse is the Response of a command that a status alone answers.
const NoResponse matter.CommandID = 0xFFFF_FFFF

// Event holds the facts of one event.
type Event struct {
	ID          matter.EventID
	Name        string
	Priority    uint8 // 0 debug, 1 info, 2 critical
	Read        matter.Privilege
	Access      Access
	Fields      []Field
	Conformance Conformance
}

// Field is one field of a command, event or structure.
type Field struct {
	ID          uint8
	Name        string
	Type        *Type // never nil
	Quality     Quality
	Access      Access // FabricSensitive, of structures
	Limit       Limit
	Conformance Conformance
}

// Type is a data type. Enums, bitmaps and structures carry what they are made of.
type Type struct {
	Kind         Kind
	Name         string  // as the specification writes it, such as "StartUpOnOffEnum"
	Values       []Value // of an enum: the values defined, ascending; none if any is allowed
	Bits         uint64  // of a bitmap: the bits defined; 0 if all are
	Fields       []Field // of a structure, ascending by ID
	FabricScoped bool    // of a structure: FabricIndex (0xFE) is a field as well, not among Fields
	Entry        *Type   // of a list
}

// Has reports whether v is a value that the enum, or bits that the bitmap, defines. If
// nothing is defined, everything is.
func (t *Type) Has(v uint64) bool {
	switch {
	case len(t.Values) > 0:
		return slices.ContainsFunc(t.Values, func(x Value) bool { return uint64(x.Value) == v })
	case t.Bits != 0:
		return v&^t.Bits == 0
	}
	return true
}

// Value is one value of an enum. An empty Conformance means mandatory.
type Value struct {
	Value       uint16
	Name        string
	Conformance Conformance
}

// Kind is the base type that a value is encoded as.
type Kind uint8

// The kinds. Enums and bitmaps say how many bits they have.
const (
	Unknown Kind = iota
	Bool
	Uint8
	Uint16
	Uint24
	Uint32
	Uint40
	Uint48
	Uint56
	Uint64
	Int8
	Int16
	Int24
	Int32
	Int40
	Int48
	Int56
	Int64
	Float32
	Float64
	Enum8
	Enum16
	Bitmap8
	Bitmap16
	Bitmap32
	Bitmap64
	Text
	Octets
	Struct
	List
)

// Quality is a set of qualities (section 7.7).
type Quality uint16

// The qualities, with the letters of the specification.
const (
	Nullable       Quality = 1 << iota // X
	NonVolatile                        // N
	Fixed                              // F
	Scene                              // S
	Quieter                            // Q: quieter reporting
	ChangesOmitted                     // C
	Atomic                             // T: written in an atomic write
)

// Has reports whether all of want are in q.
func (q Quality) Has(want Quality) bool { return q&want == want }

// Access is a set of access modifiers (section 7.6).
type Access uint8

// The modifiers.
const (
	FabricScoped    Access = 1 << iota // F
	FabricSensitive                    // S
	Timed                              // T: needs a timed interaction
	OptionalWrite                      // [W]: writing need not be supported
)

// Has reports whether all of want are in a.
func (a Access) Has(want Access) bool { return a&want == want }

// Limit bounds a value: a number itself, the length of a string in octets, or the
// entries of a list. Bounds that depend on another attribute or on the device are
// not set; Rule keeps the expression as the specification writes it.
type Limit struct {
	Rule     string
	HasMin   bool
	HasMax   bool
	Min, Max int64
	Entry    *Limit // of a list's entries
}
