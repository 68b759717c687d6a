package groupkeymanagement

import (
	"cmp"
	"math"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	ipkSetID     = 0
	epochKeySize = 16
	maxEpochKeys = 3

	policyCacheAndSync = 1
	multicastAllNodes  = 1
)

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	switch id {
	case cmdKeySetWrite:
		return c.keySetWrite(r.Subject.Fabric, fields)
	case cmdKeySetRead:
		return c.keySetRead(r.Subject.Fabric, fields, w)
	case cmdKeySetRemove:
		return c.keySetRemove(r.Subject.Fabric, fields)
	default:
		return c.keySetReadAllIndices(r.Subject.Fabric, w)
	}
}

func (c *Cluster) keySetWrite(i matter.FabricIndex, fields tlv.Element) error {
	s, err := readKeySet(fields)
	if err != nil {
		return err
	}
	own := c.fabrics.Get(i)
	if own == nil {
		return fabric.ErrNotFound
	}
	set, err := s.derive(own.CompressedID)
	if err != nil {
		return err
	}
	return c.fabrics.Mutate(i, func(f *store.Fabric) error {
		at, found := findSet(f.KeySets, set.ID)
		if found {
			f.KeySets[at] = set
			return nil
		}
		if len(f.KeySets) >= MaxGroupKeys {
			return matter.StatusResourceExhausted
		}
		f.KeySets = slices.Insert(f.KeySets, at, set)
		return nil
	})
}

func findSet(sets []store.GroupKeySet, id uint16) (at int, found bool) {
	return slices.BinarySearchFunc(sets, id, func(s store.GroupKeySet, id uint16) int { return cmp.Compare(s.ID, id) })
}

// keySetFields are the members of a GroupKeySetStruct as received.
type keySetFields struct {
	id        uint16
	policy    uint8
	keys      [maxEpochKeys][]byte // nil: null
	starts    [maxEpochKeys]uint64
	started   [maxEpochKeys]bool // not null
	present   [8]bool
	multicast uint8
	badKey    bool
}

// readKeySet decodes and checks the field of KeySetWrite in the order of section 11.2.7.1.
func readKeySet(fields tlv.Element) (s keySetFields, err error) {
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			s.read(&r)
		}
	}
	if err := r.End(); err != nil {
		return s, im.CommandError(err)
	}
	return s, s.check()
}

// derive returns the record of the key set for the fabric with this compressed id.
func (s *keySetFields) derive(compressed [8]byte) (store.GroupKeySet, error) {
	set := store.GroupKeySet{ID: s.id, Policy: s.policy}
	for i, k := range s.keys {
		if k == nil {
			continue
		}
		key, err := fabric.GroupKey(compressed, k, s.starts[i])
		if err != nil {
			return set, err
		}
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}

func (s *keySetFields) read(r *tlv.Reader) {
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		if tag < 0 || tag > 8 {
			continue
		}
		if tag < len(s.present) {
			s.present[tag] = true
		}
		switch {
		case tag == 0:
			s.id = r.Uint16()
		case tag == 1:
			s.policy = r.Uint8()
		case tag == 8:
			s.multicast = r.Uint8()
		case r.Null():
		case tag%2 == 0:
			k := r.Octets()
			s.keys[tag/2-1] = k
			s.badKey = s.badKey || len(k) != epochKeySize
		default:
			s.starts[tag/2-1] = r.Uint()
			s.started[tag/2-1] = true
		}
	}
	r.Exit()
	s.disable()
}

// disable removes epoch keys with the largest possible start time, which marks a slot as
// unused (section 4.17.3).
func (s *keySetFields) disable() {
	for i := range s.keys {
		if s.keys[i] != nil && s.started[i] && s.starts[i] == math.MaxUint64 {
			s.keys[i], s.started[i] = nil, false
		}
	}
}

func (s *keySetFields) check() error {
	for _, p := range s.present {
		if !p {
			return matter.StatusInvalidCommand
		}
	}
	switch {
	case s.keys[0] == nil || !s.started[0] || s.starts[0] == 0:
		return matter.StatusInvalidCommand
	case s.badKey:
		return matter.StatusConstraintError
	}
	for i := 1; i < maxEpochKeys; i++ {
		switch {
		case (s.keys[i] != nil) != s.started[i]:
			return matter.StatusInvalidCommand
		case s.keys[i] == nil:
		case s.keys[i-1] == nil || s.starts[i] <= s.starts[i-1]:
			return matter.StatusInvalidCommand
		}
	}
	switch {
	case s.policy > policyCacheAndSync || s.multicast > multicastAllNodes:
		return matter.StatusConstraintError
	// One needs a feature that this node does not have, the other is provisional.
	case s.policy == policyCacheAndSync || s.multicast == multicastAllNodes:
		return matter.StatusInvalidCommand
	}
	return nil
}

// keySetRead answers with the start times of the set. Keys are never returned.
func (c *Cluster) keySetRead(i matter.FabricIndex, fields tlv.Element, w *tlv.Writer) error {
	id, err := im.SingleUint16(fields)
	if err != nil {
		return err
	}
	f := c.fabrics.Get(i)
	if f == nil {
		return matter.StatusNotFound
	}
	at, found := findSet(f.KeySets, id)
	if !found {
		return matter.StatusNotFound
	}
	set := f.KeySets[at]
	w.StartStruct(tlv.Context(0))
	w.Uint(tlv.Context(0), uint64(set.ID))
	w.Uint(tlv.Context(1), uint64(set.Policy))
	for k := range maxEpochKeys {
		w.Null(tlv.Context(uint8(2 + 2*k)))
		if k < len(set.Keys) {
			w.Uint(tlv.Context(uint8(3+2*k)), set.Keys[k].Start)
		} else {
			w.Null(tlv.Context(uint8(3 + 2*k)))
		}
	}
	w.End()
	return nil
}

func (c *Cluster) keySetRemove(i matter.FabricIndex, fields tlv.Element) error {
	id, err := im.SingleUint16(fields)
	if err != nil {
		return err
	}
	if id == ipkSetID {
		return matter.StatusInvalidCommand
	}
	return c.fabrics.Mutate(i, func(f *store.Fabric) error {
		at, found := findSet(f.KeySets, id)
		if !found {
			return matter.StatusNotFound
		}
		f.KeySets = slices.Delete(f.KeySets, at, at+1)
		f.GroupKeyMap = slices.DeleteFunc(f.GroupKeyMap, func(m store.GroupKeyMapping) bool { return m.KeySet == id })
		return nil
	})
}

func (c *Cluster) keySetReadAllIndices(i matter.FabricIndex, w *tlv.Writer) error {
	w.StartArray(tlv.Context(0))
	if f := c.fabrics.Get(i); f != nil {
		for _, s := range f.KeySets {
			w.Uint(tlv.Anonymous, uint64(s.ID))
		}
	}
	w.End()
	return nil
}
