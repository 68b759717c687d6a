package datamodel

import "math"

// width holds the octets of the integer kinds.
var width = [...]uint8{
	Uint8: 1, Uint16: 2, Uint24: 3, Uint32: 4, Uint40: 5, Uint48: 6, Uint56: 7, Uint64: 8,
	Int8: 1, Int16: 2, Int24: 3, Int32: 4, Int40: 5, Int48: 6, Int56: 7, Int64: 8,
	Enum8: 1, Enum16: 2, Bitmap8: 1, Bitmap16: 2, Bitmap32: 4, Bitmap64: 8,
	List: 0,
}

// MaxUint returns the greatest value of an unsigned kind, an enum or a bitmap; for
// Unknown that of 64 bits.
func (k Kind) MaxUint() uint64 {
	if w := width[k]; w > 0 && w < 8 {
		return 1<<(8*w) - 1
	}
	return math.MaxUint64
}

// MaxInt returns the greatest value of a signed kind; the least is -MaxInt-1.
func (k Kind) MaxInt() int64 {
	if w := width[k]; w > 0 && w < 8 {
		return 1<<(8*w-1) - 1
	}
	return math.MaxInt64
}

// Signed reports whether k is a signed integer.
func (k Kind) Signed() bool { return k >= Int8 && k <= Int64 }
