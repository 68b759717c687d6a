package scenes

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// fieldSet is an ExtensionFieldSetStruct.
type fieldSet struct {
	ClusterID          matter.ClusterID
	AttributeValueList []valuePair
}

// valuePair is an AttributeValuePairStruct, with exactly one of the values.
type valuePair struct {
	AttributeID     matter.AttributeID
	ValueUnsigned8  cluster.Opt[uint8]
	ValueSigned8    cluster.Opt[int8]
	ValueUnsigned16 cluster.Opt[uint16]
	ValueSigned16   cluster.Opt[int16]
	ValueUnsigned32 cluster.Opt[uint32]
	ValueSigned32   cluster.Opt[int32]
	ValueUnsigned64 cluster.Opt[uint64]
	ValueSigned64   cluster.Opt[int64]
}

// value returns the value with the number of its field, 0 if there is none or more
// than one.
func (p *valuePair) value() (v int64, field int) {
	n := 0
	for i, x := range [...]cluster.Opt[int64]{
		widen(p.ValueUnsigned8), widen(p.ValueSigned8), widen(p.ValueUnsigned16), widen(p.ValueSigned16),
		widen(p.ValueUnsigned32), widen(p.ValueSigned32), widen(p.ValueUnsigned64), p.ValueSigned64,
	} {
		if x.Valid {
			v, field = x.V, i+1
			n++
		}
	}
	if n != 1 {
		return 0, 0
	}
	return v, field
}

func widen[T uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64](v cluster.Opt[T]) cluster.Opt[int64] {
	return cluster.Opt[int64]{V: int64(v.V), Valid: v.Valid}
}

// fieldOf returns the field for values of a kind (section 1.4.7.3), 0 if there is
// none.
func fieldOf(k datamodel.Kind) int {
	switch k {
	case datamodel.Bool, datamodel.Uint8, datamodel.Enum8, datamodel.Bitmap8:
		return 1
	case datamodel.Int8:
		return 2
	case datamodel.Uint16, datamodel.Enum16, datamodel.Bitmap16:
		return 3
	case datamodel.Int16:
		return 4
	case datamodel.Uint24, datamodel.Uint32, datamodel.Bitmap32:
		return 5
	case datamodel.Int24, datamodel.Int32:
		return 6
	case datamodel.Uint40, datamodel.Uint48, datamodel.Uint56, datamodel.Uint64, datamodel.Bitmap64:
		return 7
	case datamodel.Int40, datamodel.Int48, datamodel.Int56, datamodel.Int64:
		return 8
	}
	return 0
}

// values returns the values of a scene to add. It skips clusters that the endpoint
// does not have.
func (c *Cluster) values(sets []fieldSet) (s cluster.Scene, err error) {
	var clusters []matter.ClusterID
	for i := range sets {
		id := sets[i].ClusterID
		if slices.Contains(clusters, id) {
			return nil, matter.StatusInvalidCommand
		}
		clusters = append(clusters, id)
		for j := range sets[i].AttributeValueList {
			p := &sets[i].AttributeValueList[j]
			a, has := c.opt.Endpoint.SceneAttribute(id, p.AttributeID)
			if !has {
				break
			}
			v, field := p.value()
			twice := slices.ContainsFunc(s, func(x cluster.SceneValue) bool { return x.Cluster == id && x.Attribute == p.AttributeID })
			if a == nil || twice || field == 0 || field != fieldOf(a.Type.Kind) {
				return nil, matter.StatusInvalidCommand
			}
			s = append(s, cluster.SceneValue{Cluster: id, Attribute: p.AttributeID, Value: fit(a, v)})
		}
	}
	return s, nil
}

// fit returns a valid value for an attribute (section 1.4.7.3.2). An invalid v
// becomes null if the attribute is nullable, otherwise the nearest valid value, or
// the lower of two.
func fit(a *datamodel.Attribute, v int64) cluster.Number {
	low, high := bounds(a)
	nearest := min(max(v, low), high)
	if values := a.Type.Values; len(values) > 0 && (a.Type.Kind == datamodel.Enum8 || a.Type.Kind == datamodel.Enum16) {
		nearest = int64(values[0].Value)
		for _, x := range values {
			if distance(int64(x.Value), v) < distance(nearest, v) {
				nearest = int64(x.Value)
			}
		}
	}
	if nearest != v && a.Quality.Has(datamodel.Nullable) {
		return cluster.Number{Null: true}
	}
	return cluster.Number{V: nearest}
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// bounds returns the range of an attribute.
func bounds(a *datamodel.Attribute) (low, high int64) {
	switch k := a.Type.Kind; {
	case k == datamodel.Bool:
		return 0, 1
	case k.Signed():
		high = k.MaxInt()
		low = -high
		if !a.Quality.Has(datamodel.Nullable) {
			low--
		}
	default:
		high = int64(min(k.MaxUint(), 1<<63-1))
		if a.Quality.Has(datamodel.Nullable) {
			high--
		}
	}
	if a.Limit.HasMin {
		low = max(low, a.Limit.Min)
	}
	if a.Limit.HasMax {
		high = min(high, a.Limit.Max)
	}
	return low, high
}

// writeFieldSets writes values as a list of ExtensionFieldSetStructs.
func (c *Cluster) writeFieldSets(w *tlv.Writer, t tlv.Tag, s cluster.Scene) {
	w.StartArray(t)
	for len(s) > 0 {
		n := slices.IndexFunc(s, func(x cluster.SceneValue) bool { return x.Cluster != s[0].Cluster })
		if n < 0 {
			n = len(s)
		}
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(0), uint64(s[0].Cluster))
		w.StartArray(tlv.Context(1))
		for _, v := range s[:n] {
			if a, _ := c.opt.Endpoint.SceneAttribute(v.Cluster, v.Attribute); a != nil {
				writeValue(w, a, v)
			}
		}
		w.End()
		w.End()
		s = s[n:]
	}
	w.End()
}

// writeValue writes an AttributeValuePairStruct. Null is written as a value outside
// the attribute's range.
func writeValue(w *tlv.Writer, a *datamodel.Attribute, v cluster.SceneValue) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), uint64(v.Attribute))
	switch k := a.Type.Kind; {
	case k.Signed() && v.Value.Null:
		w.Int(tlv.Context(uint8(fieldOf(k))), -k.MaxInt()-1)
	case k.Signed():
		w.Int(tlv.Context(uint8(fieldOf(k))), v.Value.V)
	case v.Value.Null:
		w.Uint(tlv.Context(uint8(fieldOf(k))), k.MaxUint())
	default:
		w.Uint(tlv.Context(uint8(fieldOf(k))), uint64(v.Value.V))
	}
	w.End()
}
