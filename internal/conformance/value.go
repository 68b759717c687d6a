package conformance

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Attribute returns an error if v is not a value that the attribute may have on a
// cluster with the metadata s: its type, its limits, the values of its enums, and the
// fields of its structures.
func Attribute(s *im.Spec, id matter.AttributeID, v tlv.Reader) error {
	facts := datamodel.ClusterByID(s.ID)
	if facts == nil || facts.Attribute(id) == nil {
		return fmt.Errorf("there are no facts of attribute 0x%04X of cluster 0x%04X", uint32(id), uint32(s.ID))
	}
	a := facts.Attribute(id)
	c := &checker{env: datamodel.Env{Cluster: facts, Features: s.Features, Revision: s.Revision}}
	if s.ID == datamodel.DoorLockID && id == datamodel.DoorLockAttrSupportedOperatingModes {
		// In this one bitmap a cleared bit means supported (section 5.2.9.25), so
		// undefined bits must be set.
		if n := v.Uint16(); ^uint64(n)&0xFFFF&^a.Type.Bits != 0 {
			return fmt.Errorf("%s of %s is 0x%X", a.Name, facts.Name, n)
		}
		return v.End()
	}
	if err := c.value(&v, a.Type, a.Quality, &a.Limit); err != nil {
		return fmt.Errorf("%s of %s: %w", a.Name, facts.Name, err)
	}
	return v.End()
}

// checker checks values of one cluster.
type checker struct{ env datamodel.Env }

func (c *checker) value(v *tlv.Reader, t *datamodel.Type, q datamodel.Quality, l *datamodel.Limit) error {
	if v.Null() {
		if !q.Has(datamodel.Nullable) {
			return fmt.Errorf("null")
		}
		return v.Err()
	}
	switch k := t.Kind; k {
	case datamodel.Bool:
		v.Bool()
	case datamodel.Float32:
		v.Float32()
	case datamodel.Float64:
		v.Float64()
	case datamodel.Text:
		return within(int64(len(v.Text())), l, v)
	case datamodel.Octets:
		return within(int64(len(v.Octets())), l, v)
	case datamodel.List:
		return c.list(v, t, l)
	case datamodel.Struct:
		return c.structure(v, t)
	default:
		return number(v, t, q, l)
	}
	return v.Err()
}

// number checks integers, enums and bitmaps. In nullable types the maximum value
// (the minimum of signed ones) encodes null elsewhere and is not valid.
func number(v *tlv.Reader, t *datamodel.Type, q datamodel.Quality, l *datamodel.Limit) error {
	if t.Kind.Signed() {
		n := v.Int()
		least := -t.Kind.MaxInt() - 1
		if n > t.Kind.MaxInt() || n < least || n == least && q.Has(datamodel.Nullable) {
			return fmt.Errorf("%d is not of type %s", n, t.Name)
		}
		return within(n, l, v)
	}
	n := v.Uint()
	if n > t.Kind.MaxUint() || n == t.Kind.MaxUint() && q.Has(datamodel.Nullable) || !t.Has(n) {
		return fmt.Errorf("%d is not of type %s", n, t.Name)
	}
	return within(int64(n), l, v)
}

func within(n int64, l *datamodel.Limit, v *tlv.Reader) error {
	if err := v.Err(); err != nil {
		return err
	}
	if l.HasMin && n < l.Min || l.HasMax && n > l.Max {
		return fmt.Errorf("%d is not within %q", n, l.Rule)
	}
	return nil
}

func (c *checker) list(v *tlv.Reader, t *datamodel.Type, l *datamodel.Limit) error {
	entry := l.Entry
	if entry == nil {
		entry = &datamodel.Limit{}
	}
	n := int64(0)
	for v.EnterArray(); v.Next(); n++ {
		if err := c.value(v, t.Entry, 0, entry); err != nil {
			return fmt.Errorf("[%d]: %w", n, err)
		}
	}
	v.Exit()
	return within(n, l, v)
}

// structure checks the fields that are present, and that the mandatory ones are.
func (c *checker) structure(v *tlv.Reader, t *datamodel.Type) error {
	const fabricIndex = 0xFE
	have := map[int]bool{}
	for v.EnterStruct(); v.Next(); {
		tag := v.ContextTag()
		have[tag] = true
		if tag == fabricIndex && t.FabricScoped {
			continue
		}
		f := field(t, tag)
		if f == nil {
			return fmt.Errorf("%s has no field %d", t.Name, tag)
		}
		if err := c.value(v, f.Type, f.Quality, &f.Limit); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	v.Exit()
	env := c.env
	env.Has = func(name string) bool {
		for _, f := range t.Fields {
			if f.Name == name {
				return have[int(f.ID)]
			}
		}
		return false
	}
	for _, f := range t.Fields {
		switch verdict := f.Conformance.Evaluate(env); {
		case verdict == datamodel.Mandatory && !have[int(f.ID)]:
			return fmt.Errorf("%s has no %s, conformance %s", t.Name, f.Name, f.Conformance)
		case (verdict == datamodel.Disallowed || verdict == datamodel.Provisional) && have[int(f.ID)]:
			return fmt.Errorf("%s has %s, which is %v, conformance %s", t.Name, f.Name, verdict, f.Conformance)
		}
	}
	if t.FabricScoped && !have[fabricIndex] {
		return fmt.Errorf("%s has no FabricIndex", t.Name)
	}
	return v.Err()
}

func field(t *datamodel.Type, tag int) *datamodel.Field {
	for i := range t.Fields {
		if int(t.Fields[i].ID) == tag {
			return &t.Fields[i]
		}
	}
	return nil
}
