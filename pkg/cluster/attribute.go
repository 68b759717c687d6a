package cluster

import (
	"math"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Attribute connects an attribute with the state S.
type Attribute[S comparable] struct {
	id    matter.AttributeID
	facts *datamodel.Attribute

	read   func(s *S, w *tlv.Writer, t tlv.Tag)
	same   func(a, b *S) bool
	decode func(s *S, r *tlv.Reader, f *datamodel.Attribute) error // nil: read-only
	number func(s *S) Number                                       // nil: not a number
	assign func(s *S, n Number)

	reported func(s *S) Number // number for quieter reporting; nil: number

	check func(c *Context, was, is *S) error
	quiet Quiet
	event *eventOf[S]
	keep  bool
}

// eventOf is an event that is emitted together with the report of an attribute.
type eventOf[S comparable] struct {
	id   matter.EventID
	data func(s *S, w *tlv.Writer)
}

// Number is the value of a numeric attribute.
type Number struct {
	V    int64
	Null bool
}

// Check adds a rule for writes by controllers. f may change the state further. An
// error, a [matter.Status], rejects the write.
func (a Attribute[S]) Check(f func(c *Context, was, is *S) error) Attribute[S] {
	a.check = f
	return a
}

// Quiet limits how often a change is reported; see [Quiet].
func (a Attribute[S]) Quiet(q Quiet) Attribute[S] {
	a.quiet = q
	return a
}

// ReportBy sets the number by which a change and its size are detected, in place of
// the attribute's value. It is for attributes that change with time, such as a
// remaining time.
func (a Attribute[S]) ReportBy(n func(s *S) Number) Attribute[S] {
	a.same, a.reported = func(x, y *S) bool { return n(x) == n(y) }, n
	return a
}

// compared returns the number for quieter reporting.
func (a *Attribute[S]) compared(s *S) Number {
	if a.reported != nil {
		return a.reported(s)
	}
	return a.number(s)
}

// Keep makes the attribute survive a restart although the specification does not
// call it non-volatile.
func (a Attribute[S]) Keep() Attribute[S] {
	a.keep = true
	return a
}

// WithEvent emits an event with each report of the attribute. data writes its fields.
// Attributes of one cluster that are reported together emit the same event once.
func (a Attribute[S]) WithEvent(ev matter.EventID, data func(s *S, w *tlv.Writer)) Attribute[S] {
	a.event = &eventOf[S]{ev, data}
	return a
}

type unsigned interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

type signed interface {
	~int8 | ~int16 | ~int32 | ~int64
}

// Bool returns an attribute of type bool.
func Bool[S comparable](id matter.AttributeID, at func(*S) *bool) Attribute[S] {
	return Attribute[S]{
		id:   id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) { w.Bool(t, *at(s)) },
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, _ *datamodel.Attribute) error {
			*at(s) = r.Bool()
			return r.Err()
		},
		number: func(s *S) Number {
			if *at(s) {
				return Number{V: 1}
			}
			return Number{}
		},
		assign: func(s *S, n Number) { *at(s) = n.V != 0 },
	}
}

// Uint returns an attribute of an unsigned type, an enum or a bitmap.
func Uint[S comparable, T unsigned](id matter.AttributeID, at func(*S) *T) Attribute[S] {
	return Attribute[S]{
		id:   id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) { w.Uint(t, uint64(*at(s))) },
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, f *datamodel.Attribute) error {
			v, err := readUint(r, f.Type, &f.Limit)
			*at(s) = T(v)
			return err
		},
		number: func(s *S) Number { return Number{V: int64(*at(s))} },
		assign: func(s *S, n Number) { *at(s) = T(n.V) },
	}
}

// Int returns an attribute of a signed type.
func Int[S comparable, T signed](id matter.AttributeID, at func(*S) *T) Attribute[S] {
	return Attribute[S]{
		id:   id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) { w.Int(t, int64(*at(s))) },
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, f *datamodel.Attribute) error {
			v, err := readInt(r, f.Type, &f.Limit)
			*at(s) = T(v)
			return err
		},
		number: func(s *S) Number { return Number{V: int64(*at(s))} },
		assign: func(s *S, n Number) { *at(s) = T(n.V) },
	}
}

// NullUint is like Uint, for a nullable attribute.
func NullUint[S comparable, T unsigned](id matter.AttributeID, at func(*S) *Null[T]) Attribute[S] {
	return Attribute[S]{
		id: id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) {
			if v := at(s); v.Valid {
				w.Uint(t, uint64(v.V))
			} else {
				w.Null(t)
			}
		},
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, f *datamodel.Attribute) error {
			if r.Null() {
				*at(s) = Null[T]{}
				return nil
			}
			v, err := readUint(r, f.Type, &f.Limit)
			if err == nil && v == f.Type.Kind.MaxUint() {
				err = errNull
			}
			*at(s) = Some(T(v))
			return err
		},
		number: func(s *S) Number { return Number{int64(at(s).V), !at(s).Valid} },
		assign: func(s *S, n Number) { *at(s) = nullOf[T](n) },
	}
}

// NullInt is like Int, for a nullable attribute.
func NullInt[S comparable, T signed](id matter.AttributeID, at func(*S) *Null[T]) Attribute[S] {
	return Attribute[S]{
		id: id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) {
			if v := at(s); v.Valid {
				w.Int(t, int64(v.V))
			} else {
				w.Null(t)
			}
		},
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, f *datamodel.Attribute) error {
			if r.Null() {
				*at(s) = Null[T]{}
				return nil
			}
			v, err := readInt(r, f.Type, &f.Limit)
			if err == nil && v == -f.Type.Kind.MaxInt()-1 {
				err = errNull
			}
			*at(s) = Some(T(v))
			return err
		},
		number: func(s *S) Number { return Number{int64(at(s).V), !at(s).Valid} },
		assign: func(s *S, n Number) { *at(s) = nullOf[T](n) },
	}
}

func nullOf[T unsigned | signed](n Number) Null[T] {
	if n.Null {
		return Null[T]{}
	}
	return Some(T(n.V))
}

// Millionth is the number of units of the [Number] of a [NullFloat] in one.
const Millionth = 1_000_000

// NullFloat returns a nullable attribute of type single.
func NullFloat[S comparable](id matter.AttributeID, at func(*S) *Null[float32]) Attribute[S] {
	return Attribute[S]{
		id: id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) {
			if v := at(s); v.Valid {
				w.Float32(t, v.V)
			} else {
				w.Null(t)
			}
		},
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		// Only for quieter reporting, in millionths.
		number: func(s *S) Number { return Number{int64(math.Round(Millionth * float64(at(s).V))), !at(s).Valid} },
	}
}

// Text returns an attribute of type string.
func Text[S comparable](id matter.AttributeID, at func(*S) *string) Attribute[S] {
	return Attribute[S]{
		id:   id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) { w.Text(t, *at(s)) },
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, f *datamodel.Attribute) error {
			v, err := readText(r, &f.Limit)
			*at(s) = v
			return err
		},
	}
}

// Computed returns a read-only attribute that read writes from the state: a list, a
// structure, or a value that follows from others. same reports whether the
// attribute is equal in two states; nil means that it never changes.
func Computed[S comparable](id matter.AttributeID, read func(s *S, w *tlv.Writer, t tlv.Tag), same func(a, b *S) bool) Attribute[S] {
	if same == nil {
		same = func(a, b *S) bool { return true }
	}
	return Attribute[S]{id: id, read: read, same: same}
}

// Counted is like Computed, for a number, so that its reports can be limited.
func Counted[S comparable](id matter.AttributeID, number func(s *S) Number) Attribute[S] {
	return Attribute[S]{
		id: id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) {
			if n := number(s); n.Null {
				w.Null(t)
			} else {
				w.Uint(t, uint64(n.V))
			}
		},
		same:   func(a, b *S) bool { return number(a) == number(b) },
		number: number,
	}
}

// Constant returns an attribute whose value is the same on every endpoint.
func Constant[S comparable](id matter.AttributeID, v uint64) Attribute[S] {
	return Computed(id, func(_ *S, w *tlv.Writer, t tlv.Tag) { w.Uint(t, v) }, nil)
}

// Encoded returns a list or structure that the state contains as TLV, one element
// without a tag, so that states can be compared. If it is empty, the list is. take
// reads a value that a controller writes, and writes the part of it that is stored.
func Encoded[S comparable](id matter.AttributeID, at func(*S) *string, take func(r *tlv.Reader, w *tlv.Writer) error) Attribute[S] {
	return Attribute[S]{
		id: id,
		read: func(s *S, w *tlv.Writer, t tlv.Tag) {
			if *at(s) == "" {
				w.StartArray(t)
				w.End()
				return
			}
			r := tlv.NewReader([]byte(*at(s)))
			w.Element(t, r.Element())
		},
		same: func(a, b *S) bool { return *at(a) == *at(b) },
		decode: func(s *S, r *tlv.Reader, _ *datamodel.Attribute) error {
			var w tlv.Writer
			if err := take(r, &w); err != nil {
				return err
			}
			*at(s) = string(w.Bytes())
			return nil
		},
	}
}
