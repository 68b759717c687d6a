package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// readUint reads an unsigned integer, enum or bitmap and checks its type and limit.
// The error is that of the reader, or CONSTRAINT_ERROR.
func readUint(r *tlv.Reader, t *datamodel.Type, l *datamodel.Limit) (uint64, error) {
	v := r.Uint()
	if err := r.Err(); err != nil {
		return 0, err
	}
	if v > t.Kind.MaxUint() || outside(l, v) {
		return 0, matter.StatusConstraintError
	}
	switch t.Kind {
	case datamodel.Enum8, datamodel.Enum16:
		if len(t.Values) > 0 && !slices.ContainsFunc(t.Values, func(x datamodel.Value) bool { return uint64(x.Value) == v }) {
			return 0, matter.StatusConstraintError
		}
	case datamodel.Bitmap8, datamodel.Bitmap16, datamodel.Bitmap32, datamodel.Bitmap64:
		if t.Bits != 0 && v&^t.Bits != 0 {
			return 0, matter.StatusConstraintError
		}
	}
	return v, nil
}

func outside(l *datamodel.Limit, v uint64) bool {
	return l.HasMin && l.Min > 0 && v < uint64(l.Min) || l.HasMax && (l.Max < 0 || v > uint64(l.Max))
}

func readInt(r *tlv.Reader, t *datamodel.Type, l *datamodel.Limit) (int64, error) {
	v := r.Int()
	if err := r.Err(); err != nil {
		return 0, err
	}
	if limit := t.Kind.MaxInt(); v > limit || v < -limit-1 || l.HasMin && v < l.Min || l.HasMax && v > l.Max {
		return 0, matter.StatusConstraintError
	}
	return v, nil
}

// errNull is the error for the number that represents null in a nullable type
// (section 7.19.1). In other types it is out of range.
const errNull = matter.StatusConstraintError

// reserved reports whether the number at r represents null.
func reserved(r tlv.Reader, k datamodel.Kind) bool {
	switch {
	case r.Type() == tlv.TypeUint && !k.Signed():
		return k >= datamodel.Uint8 && k <= datamodel.Bitmap64 && r.Uint() == k.MaxUint()
	case r.Type() == tlv.TypeInt && k.Signed():
		return r.Int() == -k.MaxInt()-1
	}
	return false
}

func readText(r *tlv.Reader, l *datamodel.Limit) (string, error) {
	s := r.Text()
	if err := r.Err(); err != nil {
		return "", err
	}
	if outside(l, uint64(len(s))) {
		return "", matter.StatusConstraintError
	}
	return s, nil
}

// fieldsPlan describes how the fields of a command are decoded into a struct.
type fieldsPlan struct {
	facts  []datamodel.Field
	fields []fieldPlan
}

type fieldPlan struct {
	index     []int // for reflect.Value.FieldByIndex
	facts     *datamodel.Field
	shape     shape
	unchecked bool
}

// shape describes how a Go type wraps the type of a field.
type shape struct{ optional, nullable, element bool }

func shapeOf(t reflect.Type) (s shape) {
	if _, s.optional = reflect.Zero(t).Interface().(interface{ optional() }); s.optional {
		t = t.Field(0).Type
	}
	if _, s.nullable = reflect.Zero(t).Interface().(interface{ null() }); s.nullable {
		t = t.Field(0).Type
	}
	s.element = t == reflect.TypeFor[tlv.Element]()
	return s
}

// newFieldsPlan returns the plan for a struct type whose fields, including those of
// embedded structs, have the names of the data model. It panics if they do not
// match.
func newFieldsPlan(t reflect.Type, facts []datamodel.Field) *fieldsPlan {
	p := &fieldsPlan{facts: facts}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		n := slices.IndexFunc(facts, func(x datamodel.Field) bool { return strings.EqualFold(x.Name, f.Name) })
		if n < 0 {
			panic(fmt.Sprintf("BUG: cluster: %s has no field %s in the data model", t, f.Name))
		}
		p.fields = append(p.fields, fieldPlan{
			index: f.Index, facts: &facts[n], shape: shapeOf(f.Type), unchecked: f.Tag.Get("cluster") == "unchecked",
		})
	}
	return p
}

var errMissing = errors.New("a mandatory field is missing")

// decode decodes fields into the struct v. The error is a status.
func (p *fieldsPlan) decode(fields tlv.Element, v reflect.Value) error {
	var seen uint64
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		for i := range p.fields {
			f := &p.fields[i]
			if int(f.facts.ID) != tag {
				continue
			}
			if err := decodeField(&r, v.FieldByIndex(f.index), f.facts, f.shape, f.unchecked); err != nil {
				return commandError(err)
			}
			seen |= 1 << i
		}
	}
	if err := r.End(); err != nil {
		return commandError(err)
	}
	for i := range p.fields {
		if seen&(1<<i) == 0 && !p.fields[i].shape.optional {
			return commandError(errMissing)
		}
	}
	return nil
}

// writeError converts an error in an attribute's new value (section 8.7).
func writeError(err error) error {
	var st matter.Status
	if errors.As(err, &st) {
		return st
	}
	return im.WriteError(err)
}

// commandError converts an error in a command's fields: CONSTRAINT_ERROR for a
// value that violates its constraint, and otherwise INVALID_COMMAND (section 8.8).
func commandError(err error) error {
	if err == error(matter.StatusConstraintError) || errors.Is(err, tlv.ErrRange) {
		return matter.StatusConstraintError
	}
	return matter.StatusInvalidCommand
}

func decodeField(r *tlv.Reader, v reflect.Value, f *datamodel.Field, s shape, unchecked bool) error {
	if s.optional {
		v.Field(1).SetBool(true)
		v = v.Field(0)
	}
	if s.nullable {
		if r.Null() {
			return nil
		}
		v.Field(1).SetBool(true)
		v = v.Field(0)
	}
	if s.nullable && reserved(*r, f.Type.Kind) {
		return errNull
	}
	if s.element {
		v.Set(reflect.ValueOf(r.Element()))
		return r.Err()
	}
	return decodeValue(r, v, f.Type, &f.Limit, unchecked)
}

func decodeValue(r *tlv.Reader, v reflect.Value, t *datamodel.Type, l *datamodel.Limit, unchecked bool) error {
	if unchecked {
		t, l = &datamodel.Type{Kind: t.Kind}, &datamodel.Limit{}
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.Bool())
		return r.Err()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := readUint(r, t, l)
		if err == nil && v.OverflowUint(n) {
			err = matter.StatusConstraintError
		}
		v.SetUint(n)
		return err
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := readInt(r, t, l)
		if err == nil && v.OverflowInt(n) {
			err = matter.StatusConstraintError
		}
		v.SetInt(n)
		return err
	case reflect.String:
		s, err := readText(r, l)
		v.SetString(s)
		return err
	case reflect.Slice:
		return decodeSlice(r, v, t, l)
	case reflect.Struct:
		return decodeStruct(r, v, t)
	}
	panic(fmt.Sprintf("BUG: cluster: a field of type %s", v.Type()))
}

func decodeSlice(r *tlv.Reader, v reflect.Value, t *datamodel.Type, l *datamodel.Limit) error {
	if v.Type().Elem().Kind() == reflect.Uint8 && t.Kind == datamodel.Octets {
		b := r.Octets()
		if err := r.Err(); err != nil {
			return err
		}
		if outside(l, uint64(len(b))) {
			return matter.StatusConstraintError
		}
		v.SetBytes(b)
		return nil
	}
	entry, limit := t.Entry, l.Entry
	if entry == nil {
		entry = &datamodel.Type{}
	}
	if limit == nil {
		limit = &datamodel.Limit{}
	}
	for r.EnterArray(); r.Next(); {
		if l.HasMax && v.Len() >= int(l.Max) || v.Len() >= maxEntries {
			return matter.StatusConstraintError
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := decodeValue(r, e, entry, limit, false); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	r.Exit()
	if l.HasMin && v.Len() < int(l.Min) {
		return matter.StatusConstraintError
	}
	return r.Err()
}

// maxEntries limits lists without a limit in the data model.
const maxEntries = 256

func decodeStruct(r *tlv.Reader, v reflect.Value, t *datamodel.Type) error {
	var seen uint64
	for r.EnterStruct(); r.Next(); {
		for i := range v.NumField() {
			f := structField(v.Type().Field(i).Name, t)
			if int(f.ID) == r.ContextTag() {
				if err := decodeField(r, v.Field(i), f, shapeOf(v.Field(i).Type()), false); err != nil {
					return err
				}
				seen |= 1 << i
			}
		}
	}
	r.Exit()
	if err := r.Err(); err != nil {
		return err
	}
	for i := range v.NumField() {
		if seen&(1<<i) == 0 && !shapeOf(v.Field(i).Type()).optional {
			return errMissing
		}
	}
	return nil
}

func structField(name string, t *datamodel.Type) *datamodel.Field {
	for i := range t.Fields {
		if strings.EqualFold(t.Fields[i].Name, name) {
			return &t.Fields[i]
		}
	}
	panic(fmt.Sprintf("BUG: cluster: %s has no field %s in the data model", t.Name, name))
}
