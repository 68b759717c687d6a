package scenes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// key identifies a scene.
type key struct {
	fabric matter.FabricIndex
	group  matter.GroupID
	scene  uint8
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.fabric, other.fabric), cmp.Compare(k.group, other.group), cmp.Compare(k.scene, other.scene))
}

// entry is one scene of the table. It is immutable.
type entry struct {
	key
	identity   [8]byte // compressed id of the fabric
	name       string
	transition uint32 // in milliseconds
	values     cluster.Scene
}

func (c *Cluster) find(k key) (int, bool) {
	return slices.BinarySearchFunc(c.table, k, func(e entry, k key) int { return e.key.compare(k) })
}

func (c *Cluster) count(f matter.FabricIndex) (n int) {
	for i := range c.table {
		if c.table[i].fabric == f {
			n++
		}
	}
	return n
}

// room returns the number of scenes that a fabric may add.
func (c *Cluster) room(f matter.FabricIndex) int {
	return max(0, min(MaxPerFabric-c.count(f), MaxScenes-len(c.table)))
}

// put adds entries of one fabric to the table, all or none. The error is
// RESOURCE_EXHAUSTED, or that of the store.
func (c *Cluster) put(list ...entry) error {
	table := slices.Clone(c.table)
	for _, e := range list {
		f := c.opt.Fabrics.Get(e.fabric)
		if f == nil {
			return matter.StatusUnsupportedAccess
		}
		e.identity = f.CompressedID
		i, found := slices.BinarySearchFunc(table, e.key, func(e entry, k key) int { return e.key.compare(k) })
		if found {
			table[i] = e
		} else {
			table = slices.Insert(table, i, e)
		}
	}
	if was := c.table; len(table) > len(was) {
		if added := len(table) - len(was); added > c.room(list[0].fabric) {
			return matter.StatusResourceExhausted
		}
	}
	if err := c.keep(table); err != nil {
		return err
	}
	for i := range list {
		k := list[i].key
		if last := &c.last[k.fabric]; last.known && last.group == k.group && last.scene == k.scene {
			last.valid = false // the current scene was replaced
		}
	}
	return nil
}

// remove removes a fabric's scenes from the table.
func (c *Cluster) remove(f matter.FabricIndex, which func(key) bool) error {
	c.purge()
	gone := func(e entry) bool { return e.fabric == f && which(e.key) }
	if last := &c.last[f]; last.known && which(key{f, last.group, last.scene}) {
		last.valid = false
		c.changes++
	}
	if !slices.ContainsFunc(c.table, gone) {
		return nil
	}
	return c.keep(slices.DeleteFunc(slices.Clone(c.table), gone))
}

// keep stores a table, and then uses it.
func (c *Cluster) keep(table []entry) error {
	if err := c.opt.Endpoint.KeepExtra(ID, encodeTable(table)); err != nil {
		return err
	}
	c.table = table
	c.changes++
	return nil
}

// encodeTable encodes a table for decodeTable; nil for an empty table.
func encodeTable(table []entry) []byte {
	if len(table) == 0 {
		return nil
	}
	w := tlv.NewWriter(nil)
	w.StartArray(tlv.Anonymous)
	for i := range table {
		e := &table[i]
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(0), uint64(e.fabric))
		w.Octets(tlv.Context(1), e.identity[:])
		w.Uint(tlv.Context(2), uint64(e.group))
		w.Uint(tlv.Context(3), uint64(e.scene))
		w.Text(tlv.Context(4), e.name)
		w.Uint(tlv.Context(5), uint64(e.transition))
		w.StartArray(tlv.Context(6))
		for _, v := range e.values {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(0), uint64(v.Cluster))
			w.Uint(tlv.Context(1), uint64(v.Attribute))
			if !v.Value.Null {
				w.Int(tlv.Context(2), v.Value.V)
			}
			w.End()
		}
		w.End()
		w.End()
	}
	w.End()
	return w.Bytes()
}

// decodeTable decodes a table. Its size is bounded as that of an encoded one.
func decodeTable(b []byte) (table []entry, err error) {
	r := tlv.NewReader(b)
	for r.EnterArray(); r.Next(); {
		if len(table) == MaxScenes {
			r.Fail(errors.New("too many scenes"))
			break
		}
		table = append(table, decodeEntry(&r))
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	for i := range table {
		if i > 0 && table[i-1].compare(table[i].key) >= 0 {
			return nil, fmt.Errorf("scene %d is not in its place", i)
		}
	}
	if !bytes.Equal(encodeTable(table), b) {
		return nil, errors.New("not in the form in which scenes are kept")
	}
	return table, nil
}

func decodeEntry(r *tlv.Reader) (e entry) {
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			e.fabric = matter.FabricIndex(r.Uint8())
		case 1:
			copy(e.identity[:], r.Octets())
		case 2:
			e.group = matter.GroupID(r.Uint16())
		case 3:
			e.scene = r.Uint8()
		case 4:
			e.name = r.Text()
		case 5:
			e.transition = r.Uint32()
		case 6:
			for r.EnterArray(); r.Next(); {
				e.values = append(e.values, decodeSceneValue(r))
			}
			r.Exit()
		}
	}
	r.Exit()
	return e
}

func decodeSceneValue(r *tlv.Reader) cluster.SceneValue {
	v := cluster.SceneValue{Value: cluster.Number{Null: true}}
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			v.Cluster = matter.ClusterID(r.Uint32())
		case 1:
			v.Attribute = matter.AttributeID(r.Uint32())
		case 2:
			v.Value = cluster.Number{V: r.Int()}
		}
	}
	r.Exit()
	return v
}
