package accesscontrol

import (
	"bytes"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func writeExtension(w *tlv.Writer, t tlv.Tag, data []byte, i matter.FabricIndex) {
	w.StartStruct(t)
	w.Octets(tlv.Context(1), data)
	w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	w.End()
}

// writeExtension replaces the accessing fabric's extension, a list of at most one entry
// (section 9.10.6.4). Nothing depends on it, so that, unlike with access control entries, an
// appended entry that is refused does not undo the one before it.
func (c *Cluster) writeExtension(r *im.Request, v tlv.Element) error {
	list, err := readExtension(v)
	if err != nil {
		return err
	}
	n := len(list) - r.Appended
	if n > 1 || n == 1 && !validExtension(list[0]) {
		return matter.StatusConstraintError
	}
	steps := [][]byte{nil}
	if n == 1 {
		steps[0] = list[0]
	}
	var refused error
	for _, data := range list[n:] {
		if steps[len(steps)-1] != nil || !validExtension(data) {
			refused = matter.StatusConstraintError
			break
		}
		steps = append(steps, data)
	}
	var old []byte
	err = c.fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		old, f.Extension = f.Extension, steps[len(steps)-1]
		return nil
	})
	if err != nil {
		return err
	}
	for _, data := range steps {
		emitExtension(r, old, data)
		old = data
	}
	if refused != nil {
		r.Changed(attrExtension) // the engine does not report a refused write
	}
	return refused
}

// emitExtension emits the event for an extension that replaces old. nil means none.
func emitExtension(r *im.Request, old, data []byte) {
	switch {
	case bytes.Equal(old, data):
	case len(old) == 0:
		extensionChanged(r, added, data)
	case len(data) == 0:
		extensionChanged(r, removed, old)
	default:
		extensionChanged(r, changed, data)
	}
}

func extensionChanged(r *im.Request, ct changeType, data []byte) {
	i := r.Subject.Fabric
	r.Emit(eventExtChanged, i, func(w *tlv.Writer) {
		writeAdmin(w, r)
		w.Uint(tlv.Context(3), uint64(ct))
		writeExtension(w, tlv.Context(4), data, i)
		w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	})
}

// readExtension reads the data of the entries.
func readExtension(v tlv.Element) (list [][]byte, err error) {
	r := v.Reader()
	for r.EnterArray(); r.Next(); {
		var data []byte
		for r.EnterStruct(); r.Next(); {
			if r.ContextTag() == 1 {
				data = r.Octets()
			}
		}
		r.Exit()
		if r.Err() == nil && data == nil {
			return nil, matter.StatusInvalidDataType
		}
		list = append(list, slices.Clone(data))
	}
	if err := r.End(); err != nil {
		return nil, im.WriteError(err)
	}
	return list, nil
}

// validExtension reports whether data is a TLV list of profile-specific
// elements of at most 128 octets (section 9.10.5.8).
func validExtension(data []byte) bool {
	if len(data) > maxExtensionLen {
		return false
	}
	r := tlv.NewReader(data)
	for r.EnterList(); r.Next(); {
		if r.Tag() == tlv.Anonymous || r.ContextTag() >= 0 {
			return false
		}
	}
	return r.End() == nil
}
