package cluster

import (
	"math"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Attribute is the way from an attribute to the state S.
type Attribute[S comparable] struct {
	id    matter.AttributeID
	facts *datamodel.Attribute

	read   func(s *S, w *tlv.Writer, t tlv.Tag)
	same   func(a, b *S) bool
	decode func(s *S, r *tlv.Reader, f *datamodel.Attribute) error // nil: it cannot be set
	number func(s *S) Number                                       // nil: it is no number
	assign func(s *S, n Number)

	reported func(s *S) Number // what quieter reporting compares; nil: number

	check func(c *Context, was, is *S) error
	quiet Quiet
	event *eventOf[S]
	keep  bool
}

// eventOf is an event that goes with the reports of an attribute.
type eventOf[S comparable] struct {
	id   matter.EventID
	data func(s *S, w *tlv.Writer)
}

// Number is the value of a numeric attribute.
type Number struct {
	V    int64
	Null bool
}

// Check adds a rule for writes by controllers. It may change the state further; an
// error, a [matter.Status], refuses the write.
func (a Attribute[S]) Check(f func(c *Context, was, is *S) error) Attribute[S] {
	a.check = f
	return a
}

// Quiet limits how often a change is reported; see [Quiet].
func (a Attribute[S]) Quiet(q Quiet) Attribute[S] {
	a.quiet = q
	return a
}

// ReportBy makes n tell whether the attribute has changed, and how much, in place of its
// value: for one that runs by itself, such as a time that is left.
func (a Attribute[S]) ReportBy(n func(s *S) Number) Attribute[S] {
	a.same, a.reported = func(x, y *S) bool { return n(x) == n(y) }, n
	return a
}

// compared returns the number that quieter reporting goes by.
func (a *Attribute[S]) compared(s *S) Number {
	if a.reported != nil {
		return a.reported(s)
	}
	return a.number(s)
}

// Keep makes the attribute survive a restart, though the specification does not call
// it non-volatile.
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

// Bool is an attribute of type bool.
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

// Uint is an attribute of an unsigned type, an enum or a bitmap.
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

// Int is an attribute of a signed type.
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

// NullUint is Uint for a nullable attribute.
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

// NullInt is Int for a nullable attribute.
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

// Millionth is how often the unit of a [NullFloat] holds that of its [Number].
const Millionth = 1_000_000

// NullFloat is a nullable attribute of type single.
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
		// For quieter reporting alone: millionths.
		number: func(s *S) Number { return Number{int64(math.Round(Millionth * float64(at(s).V))), !at(s).Valid} },
	}
}

// Text is an attribute of type string.
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

// Computed is an attribute that read writes from the state, read-only: a list, a
// structure, or what follows from others. same reports whether two states show the same;
// nil means that it never changes.
func Computed[S comparable](id matter.AttributeID, read func(s *S, w *tlv.Writer, t tlv.Tag), same func(a, b *S) bool) Attribute[S] {
	if same == nil {
		same = func(a, b *S) bool { return true }
	}
	return Attribute[S]{id: id, read: read, same: same}
}

// Counted is Computed for a number, so that it can be quiet.
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

// Constant is an attribute whose value is the same on every endpoint.
func Constant[S comparable](id matter.AttributeID, v uint64) Attribute[S] {
	return Computed(id, func(_ *S, w *tlv.Writer, t tlv.Tag) { w.Uint(t, v) }, nil)
}

// Encoded is a list or structure that the state holds as TLV, one element without a tag,
// so that states can be compared. Where it is empty, the list is. take reads a value that
// a controller writes, and writes what is kept of it.
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
