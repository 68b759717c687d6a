package clustertest

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// CheckValue returns an error if the attribute cannot have a value: it is of another
// type, null where it may not be, or outside of its limit.
func CheckValue(a *datamodel.Attribute, e tlv.Element) error {
	r := e.Reader()
	return checkValue(&r, a.Type, a.Quality, &a.Limit)
}

func checkValue(r *tlv.Reader, t *datamodel.Type, q datamodel.Quality, l *datamodel.Limit) error {
	if r.Null() {
		if !q.Has(datamodel.Nullable) {
			return fmt.Errorf("null")
		}
		return nil
	}
	length := func(n int) error {
		if l.HasMin && int64(n) < l.Min || l.HasMax && int64(n) > l.Max {
			return fmt.Errorf("length %d is not in %s", n, l.Rule)
		}
		return r.Err()
	}
	switch k := t.Kind; {
	case k == datamodel.Bool:
		r.Bool()
	case k.Signed():
		v := r.Int()
		if most := k.MaxInt(); v > most || v < -most-1 || l.HasMin && v < l.Min || l.HasMax && v > l.Max {
			return fmt.Errorf("%d is not in %q", v, l.Rule)
		}
	case k == datamodel.Text:
		return length(len(r.Text()))
	case k == datamodel.Octets:
		return length(len(r.Octets()))
	case k == datamodel.Float32:
		r.Float32()
	case k == datamodel.Float64:
		r.Float64()
	case k == datamodel.Struct:
		return checkStruct(r, t)
	case k == datamodel.List:
		return checkList(r, t, l, length)
	default:
		return checkUint(r, t, l)
	}
	return r.Err()
}

// checkUint checks unsigned numbers, enums and bitmaps.
func checkUint(r *tlv.Reader, t *datamodel.Type, l *datamodel.Limit) error {
	v := r.Uint()
	switch {
	case r.Err() != nil:
		return r.Err()
	case v > t.Kind.MaxUint() || l.HasMin && l.Min > 0 && v < uint64(l.Min) || l.HasMax && l.Max > 0 && v > uint64(l.Max):
		return fmt.Errorf("%d is not in %q", v, l.Rule)
	case t.Bits != 0 && v&^t.Bits != 0:
		return fmt.Errorf("0x%X has unknown bits", v)
	case len(t.Values) > 0 && !slices.ContainsFunc(t.Values, func(x datamodel.Value) bool { return uint64(x.Value) == v }):
		return fmt.Errorf("%d is no value of %s", v, t.Name)
	}
	return nil
}

func checkStruct(r *tlv.Reader, t *datamodel.Type) error {
	seen := map[int]bool{}
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		seen[tag] = true
		i := slices.IndexFunc(t.Fields, func(f datamodel.Field) bool { return int(f.ID) == tag })
		if i < 0 {
			return fmt.Errorf("%s has no field %d", t.Name, tag)
		}
		f := &t.Fields[i]
		if err := checkValue(r, f.Type, f.Quality, &f.Limit); err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
		}
	}
	r.Exit()
	for i := range t.Fields {
		if f := &t.Fields[i]; (f.Conformance == "" || f.Conformance == "M") && !seen[int(f.ID)] {
			return fmt.Errorf("%s lacks %s", t.Name, f.Name)
		}
	}
	return r.Err()
}

func checkList(r *tlv.Reader, t *datamodel.Type, l *datamodel.Limit, length func(int) error) error {
	n := 0
	for r.EnterArray(); r.Next(); n++ {
		limit := l.Entry
		if limit == nil {
			limit = &datamodel.Limit{}
		}
		if t.Entry != nil {
			if err := checkValue(r, t.Entry, 0, limit); err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
		}
	}
	r.Exit()
	return length(n)
}
