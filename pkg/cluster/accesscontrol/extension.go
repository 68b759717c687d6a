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

// writeExtension replaces the accessing fabric's extension: a list of at most
// one entry (section 9.10.6.4).
func (c *Cluster) writeExtension(r *im.Request, v tlv.Element) error {
	data, err := readExtension(v)
	if err != nil {
		return err
	}
	var old []byte
	err = c.fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		old, f.Extension = f.Extension, data
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case bytes.Equal(old, data):
	case len(old) == 0:
		extensionChanged(r, added, data)
	case len(data) == 0:
		extensionChanged(r, removed, old)
	default:
		extensionChanged(r, changed, data)
	}
	return nil
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

func readExtension(v tlv.Element) (data []byte, err error) {
	n := 0
	r := v.Reader()
	for r.EnterArray(); r.Next(); n++ {
		data = nil
		for r.EnterStruct(); r.Next(); {
			if r.ContextTag() == 1 {
				data = r.Octets()
			}
		}
		r.Exit()
		if r.Err() == nil && data == nil {
			return nil, matter.StatusInvalidDataType
		}
	}
	if err := r.End(); err != nil {
		return nil, im.WriteError(err)
	}
	switch {
	case n > 1:
		return nil, matter.StatusConstraintError
	case n == 1 && !validExtension(data):
		return nil, matter.StatusConstraintError
	}
	return slices.Clone(data), nil
}

// validExtension reports whether data is a TLV list of profile-specific
// elements of at most 128 octets (section 9.10.5.7).
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
