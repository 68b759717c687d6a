package tlv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Reader is a cursor over one encoded element. Enter enters a container, Next moves
// to its first and to each following element, and Exit leaves it.
//
//	r := tlv.NewReader(b)
//	for r.EnterStruct(); r.Next(); {
//		switch r.Tag() {
//		case tlv.Context(0):
//			id = r.Uint16()
//		}
//	}
//	r.Exit()
//	return r.End()
//
// A copy of a Reader is an independent cursor.
type Reader struct {
	b     []byte
	start int // first octet of the current element
	value int // first octet after its tag: length or value
	pos   int // first octet after its head: string or first member
	next  int // first octet of the next element; -1 if not known yet
	typ   Type
	ctl   byte
	tag   Tag
	num   uint64 // value of scalars, length of strings
	depth int
	open  [MaxDepth]byte // control types of the open containers
	err   error
}

// NewReader returns a Reader at the one element that b contains. b is checked while
// it is read; call [Reader.End] at the end.
func NewReader(b []byte) Reader {
	r := Reader{b: b}
	r.head(0)
	if r.err == nil && r.tag != Anonymous {
		r.fail(ErrMalformed, "the top element has a tag")
	}
	return r
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Fail sets the Reader's error to err if it has none. err must not be nil.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) fail(err error, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at octet %d", err, what, r.start)
	}
}

// Tag returns the current element's tag.
func (r *Reader) Tag() Tag { return r.tag }

// ContextTag returns the number of the current element's context tag, or -1 if it
// has another kind of tag.
func (r *Reader) ContextTag() int {
	if r.tag.form != formContext {
		return -1
	}
	return int(r.tag.number)
}

// Type returns the current element's type.
func (r *Reader) Type() Type { return r.typ }

// head decodes the element that begins at i.
func (r *Reader) head(i int) {
	r.typ, r.start = TypeNone, i
	if i >= len(r.b) {
		r.fail(ErrTruncated, "no element")
		return
	}
	c := r.b[i]
	i++
	r.ctl = c & ctlTypeMask
	i = r.readTag(c>>ctlFormShift, i)
	if r.err == nil {
		r.afterTag(i)
	}
}

// afterTag decodes what follows the control octet and the tag.
func (r *Reader) afterTag(i int) {
	r.value, r.next = i, -1
	size := 0
	typ := TypeNone
	switch ctl := r.ctl; {
	case ctl < ctlUint8:
		typ, size = TypeInt, 1<<ctl
	case ctl < ctlFalse:
		typ, size = TypeUint, 1<<(ctl-ctlUint8)
	case ctl <= ctlTrue:
		typ = TypeBool
	case ctl == ctlFloat32:
		typ, size = TypeFloat32, 4
	case ctl == ctlFloat64:
		typ, size = TypeFloat64, 8
	case ctl < ctlBytes1:
		typ, size = TypeString, 1<<(ctl-ctlString1)
	case ctl < ctlNull:
		typ, size = TypeBytes, 1<<(ctl-ctlBytes1)
	case ctl == ctlNull:
		typ = TypeNull
	case ctl <= ctlList:
		typ = TypeStruct + Type(ctl-ctlStruct)
	case ctl == ctlEnd:
		r.fail(ErrMalformed, "unexpected end of container")
		return
	default:
		r.fail(ErrMalformed, "reserved element type")
		return
	}
	if size > len(r.b)-i {
		r.fail(ErrTruncated, "value or length")
		return
	}
	switch size {
	case 0:
		r.num = 0
	case 1:
		r.num = uint64(r.b[i])
	case 2:
		r.num = uint64(binary.LittleEndian.Uint16(r.b[i:]))
	case 4:
		r.num = uint64(binary.LittleEndian.Uint32(r.b[i:]))
	case 8:
		r.num = binary.LittleEndian.Uint64(r.b[i:])
	}
	i += size
	r.pos = i
	switch {
	case typ == TypeString || typ == TypeBytes:
		if r.num > uint64(len(r.b)-i) {
			r.fail(ErrTruncated, "string")
			return
		}
		r.next = i + int(r.num)
	case !typ.Container():
		r.next = i
	}
	r.typ = typ
}

// readTag decodes a tag of the given form at i and returns the octet after it.
func (r *Reader) readTag(form uint8, i int) int {
	size := [8]int{0, 1, 2, 4, 2, 4, 6, 8}[form]
	if size > len(r.b)-i {
		r.fail(ErrTruncated, "tag")
		return i
	}
	t := r.b[i : i+size]
	switch form {
	case formAnonymous:
		r.tag = Tag{}
	case formContext:
		r.tag = Tag{form: formContext, number: uint32(t[0])}
	case formCommon, formImplicit:
		r.tag = Tag{form: form, number: uint32(binary.LittleEndian.Uint16(t))}
	case formCommon + 1, formImplicit + 1:
		r.tag = Tag{form: form - 1, number: binary.LittleEndian.Uint32(t)}
	default:
		r.tag = Tag{form: formQualified, vendor: binary.LittleEndian.Uint16(t), profile: binary.LittleEndian.Uint16(t[2:])}
		if size == 6 {
			r.tag.number = uint32(binary.LittleEndian.Uint16(t[4:]))
		} else {
			r.tag.number = binary.LittleEndian.Uint32(t[4:])
		}
	}
	return i + size
}

// Next moves to the next element of the innermost container that was entered, and
// reports whether there is one. Members of an array must be anonymous, those of a
// structure tagged.
func (r *Reader) Next() bool {
	if r.err != nil {
		return false
	}
	if r.depth == 0 {
		r.fail(ErrMalformed, "Next outside a container")
		return false
	}
	i := r.pos
	if r.typ != TypeNone {
		i = r.skip()
		if r.err != nil {
			return false
		}
	}
	if i < len(r.b) && r.b[i] == ctlEnd {
		r.typ, r.start, r.pos = TypeNone, i, i
		return false
	}
	r.head(i)
	if r.err != nil {
		return false
	}
	switch r.open[r.depth-1] {
	case ctlStruct:
		if r.tag == Anonymous {
			r.fail(ErrMalformed, "anonymous member of a structure")
		}
	case ctlArray:
		if r.tag != Anonymous {
			r.fail(ErrMalformed, "tagged member of an array")
		}
	}
	return r.err == nil
}

// skip returns the octet after the current element.
func (r *Reader) skip() int {
	if r.next >= 0 {
		return r.next
	}
	// Walk over a container that was not entered with a copy of the Reader.
	in := *r
	in.Enter()
	for in.Next() {
	}
	in.Exit()
	if in.err != nil {
		r.Fail(in.err)
		return 0
	}
	r.next = in.next
	return r.next
}

// Enter enters the current element, which must be a container. Next then moves to
// its first member.
func (r *Reader) Enter() {
	switch {
	case r.err != nil:
	case !r.typ.Container():
		r.fail(ErrType, "want a container, have "+r.typ.String())
	case r.depth == MaxDepth:
		r.fail(ErrTooDeep, "container")
	default:
		r.open[r.depth] = r.ctl
		r.depth++
		r.typ = TypeNone
	}
}

func (r *Reader) enter(t Type) {
	if r.err == nil && r.typ != t {
		r.fail(ErrType, "want "+t.String()+", have "+r.typ.String())
		return
	}
	r.Enter()
}

// EnterStruct enters the current element, which must be a structure.
func (r *Reader) EnterStruct() { r.enter(TypeStruct) }

// EnterArray enters the current element, which must be an array.
func (r *Reader) EnterArray() { r.enter(TypeArray) }

// EnterList enters the current element, which must be a list.
func (r *Reader) EnterList() { r.enter(TypeList) }

// Exit leaves the innermost container and skips members that were not read. There
// is no current element until Next moves to the one after the container.
func (r *Reader) Exit() {
	for r.Next() {
	}
	if r.err != nil {
		return
	}
	r.depth--
	r.tag = Anonymous
	r.pos++
	r.next = r.pos
}

// End returns the Reader's error, or an error if there is input after the top
// element.
func (r *Reader) End() error {
	for r.err == nil && r.depth > 0 {
		r.Exit()
	}
	if r.err == nil {
		if i := r.skip(); r.err == nil && i != len(r.b) {
			r.start = i
			r.fail(ErrTrailing, "octets after the top element")
		}
	}
	return r.err
}

// Uint returns the value of the current element, an unsigned integer.
func (r *Reader) Uint() uint64 { return r.uint(math.MaxUint64) }

// Uint8 returns the value of the current element, an unsigned integer of at most 8
// bits.
func (r *Reader) Uint8() uint8 { return uint8(r.uint(math.MaxUint8)) }

// Uint16 returns the value of the current element, an unsigned integer of at most
// 16 bits.
func (r *Reader) Uint16() uint16 { return uint16(r.uint(math.MaxUint16)) }

// Uint32 returns the value of the current element, an unsigned integer of at most
// 32 bits.
func (r *Reader) Uint32() uint32 { return uint32(r.uint(math.MaxUint32)) }

func (r *Reader) uint(max uint64) uint64 {
	if !r.want(TypeUint) {
		return 0
	}
	if r.num > max {
		r.fail(ErrRange, "integer")
		return 0
	}
	return r.num
}

// Int returns the value of the current element, a signed integer.
func (r *Reader) Int() int64 {
	if !r.want(TypeInt) {
		return 0
	}
	shift := 64 - 8<<r.ctl
	return int64(r.num<<shift) >> shift
}

// Bool returns the value of the current element, a boolean.
func (r *Reader) Bool() bool { return r.want(TypeBool) && r.ctl == ctlTrue }

// Float32 returns the value of the current element, a single-precision number.
func (r *Reader) Float32() float32 {
	if !r.want(TypeFloat32) {
		return 0
	}
	return math.Float32frombits(uint32(r.num))
}

// Float64 returns the value of the current element, a number of either precision.
func (r *Reader) Float64() float64 {
	if r.typ == TypeFloat32 {
		return float64(r.Float32())
	}
	if !r.want(TypeFloat64) {
		return 0
	}
	return math.Float64frombits(r.num)
}

// Octets returns the value of the current element, an octet string. It points into
// the Reader's input.
func (r *Reader) Octets() []byte {
	if !r.want(TypeBytes) {
		return nil
	}
	return r.b[r.pos:r.next:r.next]
}

// OctetsN is like Octets, but the string must have n octets.
func (r *Reader) OctetsN(n int) []byte {
	b := r.Octets()
	if r.err == nil && len(b) != n {
		r.fail(ErrRange, "octet string length")
		return nil
	}
	return b
}

// Text returns the value of the current element, a UTF-8 string, up to the first
// U+001F. The rest is the identifier of a localised string.
func (r *Reader) Text() string {
	if !r.want(TypeString) {
		return ""
	}
	b := r.b[r.pos:r.next]
	if !utf8.Valid(b) {
		r.fail(ErrMalformed, "string is not UTF-8")
		return ""
	}
	b, _, _ = bytes.Cut(b, localised)
	return string(b)
}

var localised = []byte{0x1F}

// Null reports whether the current element is a null.
func (r *Reader) Null() bool { return r.err == nil && r.typ == TypeNull }

func (r *Reader) want(t Type) bool {
	if r.err == nil && r.typ != t {
		r.fail(ErrType, "want "+t.String()+", have "+r.typ.String())
	}
	return r.err == nil
}

// Element is a complete element without its tag. It points into the input of its
// Reader.
type Element struct {
	ctl  byte
	body []byte
}

// Element returns the current element, including the contents of a container.
func (r *Reader) Element() Element {
	if r.err != nil || r.typ == TypeNone {
		r.fail(ErrMalformed, "no element")
		return Element{}
	}
	end := r.skip()
	if r.err != nil {
		return Element{}
	}
	return Element{ctl: r.ctl, body: r.b[r.value:end:end]}
}

// Sub returns an independent Reader at the current element, which has the tag
// Anonymous there.
func (r *Reader) Sub() Reader {
	e := r.Element()
	if r.err != nil {
		return Reader{err: r.err}
	}
	return e.Reader()
}

// Reader returns a Reader at e.
func (e Element) Reader() Reader {
	r := Reader{b: e.body, ctl: e.ctl}
	r.afterTag(0)
	return r
}

// Len returns the size of e in octets with an anonymous tag.
func (e Element) Len() int { return 1 + len(e.body) }

// Type returns e's type.
func (e Element) Type() Type { return e.Reader().typ }

// AppendTo appends e with an anonymous tag to b.
func (e Element) AppendTo(b []byte) []byte { return append(append(b, e.ctl), e.body...) }

// Validate returns an error unless b is exactly one well-formed anonymous element.
func Validate(b []byte) error {
	r := NewReader(b)
	return r.End()
}
