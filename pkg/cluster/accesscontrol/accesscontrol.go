// Package accesscontrol implements the Access Control cluster, 0x001F with feature EXTS
// (section 9.10).
package accesscontrol

import (
	"bytes"
	"reflect"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.AccessControlID

const (
	attrACL           = datamodel.AccessControlAttrACL
	attrExtension     = datamodel.AccessControlAttrExtension
	attrSubjects      = datamodel.AccessControlAttrSubjectsPerAccessControlEntry
	attrTargets       = datamodel.AccessControlAttrTargetsPerAccessControlEntry
	attrEntries       = datamodel.AccessControlAttrAccessControlEntriesPerFabric
	eventEntryChanged = datamodel.AccessControlEventAccessControlEntryChanged
	eventExtChanged   = datamodel.AccessControlEventAccessControlExtensionChanged
	maxExtensionLen   = 128
	tagAuxiliaryType  = 5
	tagFabricIndex    = 0xFE
)

var spec = cluster.NewSpec(datamodel.AccessControl, cluster.Selection{Features: datamodel.AccessControlFeatureExtension})

// ChangeType of the events (section 9.10.5.1).
type changeType uint8

const (
	changed changeType = 0
	added   changeType = 1
	removed changeType = 2
)

// Cluster serves the cluster over the fabric table.
type Cluster struct {
	im.ReadOnly
	fabrics *fabric.Table
	seen    []*fabric.Fabric // at the last Changes
}

// New returns the cluster.
func New(t *fabric.Table) *Cluster { return &Cluster{fabrics: t, seen: t.All()} }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Changes calls mark for each list that has changed since the last call: by a write, or
// because a fabric was added, removed or rolled back.
func (c *Cluster) Changes(mark func(matter.AttributeID)) {
	now := c.fabrics.All()
	if fabric.Differ(c.seen, now, func(x, y *fabric.Fabric) bool { return reflect.DeepEqual(x.ACL, y.ACL) }) {
		mark(attrACL)
	}
	if fabric.Differ(c.seen, now, func(x, y *fabric.Fabric) bool { return bytes.Equal(x.Extension, y.Extension) }) {
		mark(attrExtension)
	}
	c.seen = now
}

// Read writes one attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case attrACL:
		w.StartArray(t)
		for _, f := range c.fabrics.All() {
			for i := range f.ACL {
				if f.Index == r.Subject.Fabric {
					writeEntry(w, tlv.Anonymous, &f.ACL[i], f.Index)
				} else if !r.FabricFiltered {
					writeForeign(w, f.Index)
				}
			}
		}
		w.End()
	case attrExtension:
		w.StartArray(t)
		for _, f := range c.fabrics.All() {
			if len(f.Extension) == 0 {
				continue
			}
			if f.Index == r.Subject.Fabric {
				writeExtension(w, tlv.Anonymous, f.Extension, f.Index)
			} else if !r.FabricFiltered {
				writeForeign(w, f.Index)
			}
		}
		w.End()
	case attrSubjects:
		w.Uint(t, acl.MaxSubjects)
	case attrTargets:
		w.Uint(t, acl.MaxTargets)
	case attrEntries:
		w.Uint(t, acl.EntriesPerFabric)
	}
	return nil
}

// writeForeign writes an entry as other fabrics see it. All of its fields are
// fabric-sensitive.
func writeForeign(w *tlv.Writer, i matter.FabricIndex) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	w.End()
}

// Write replaces the accessing fabric's entries or extension.
func (c *Cluster) Write(r *im.Request, id matter.AttributeID, v tlv.Element) error {
	write := c.writeACL
	if id == attrExtension {
		write = c.writeExtension
	}
	if err := write(r, v); err != nil {
		return err
	}
	c.seen = c.fabrics.All() // the engine reports a write itself
	return nil
}

// writeACL replaces all entries or none. Half of a list could leave the fabric without an
// administrator.
func (c *Cluster) writeACL(r *im.Request, v tlv.Element) error {
	entries, err := readEntries(v)
	if err != nil {
		return err
	}
	var old []store.ACLEntry
	err = c.fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		old, f.ACL = f.ACL, entries
		return nil
	})
	if err != nil {
		return err
	}
	// The entries of the first item replace the old ones in place, changed or not. The
	// rest of the old ones is removed, from the end. Then the appended ones are added.
	n := min(len(old), len(entries)-r.Appended)
	for i := range n {
		entryChanged(r, r.Subject.Fabric, changed, &entries[i])
	}
	for i := len(old) - 1; i >= n; i-- {
		entryChanged(r, r.Subject.Fabric, removed, &old[i])
	}
	for i := n; i < len(entries); i++ {
		entryChanged(r, r.Subject.Fabric, added, &entries[i])
	}
	return nil
}

// EntryAdded emits the event for an entry that AddNOC has added. r is the request of
// AddNOC.
func (c *Cluster) EntryAdded(r *im.Request, i matter.FabricIndex, e store.ACLEntry) {
	own := *r
	own.Cluster = ID
	entryChanged(&own, i, added, &e)
}

func entryChanged(r *im.Request, i matter.FabricIndex, ct changeType, e *store.ACLEntry) {
	r.Emit(eventEntryChanged, i, func(w *tlv.Writer) {
		writeAdmin(w, r)
		w.Uint(tlv.Context(3), uint64(ct))
		writeEntry(w, tlv.Context(4), e, i)
		w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	})
}

// writeAdmin writes the administrator who made a change. Either AdminNodeID or
// AdminPasscodeID is null.
func writeAdmin(w *tlv.Writer, r *im.Request) {
	if r.Subject.AuthMode == matter.AuthModePASE {
		w.Null(tlv.Context(1))
		w.Uint(tlv.Context(2), 0)
		return
	}
	w.Uint(tlv.Context(1), uint64(r.Subject.Node))
	w.Null(tlv.Context(2))
}

func writeEntry(w *tlv.Writer, t tlv.Tag, e *store.ACLEntry, i matter.FabricIndex) {
	w.StartStruct(t)
	w.Uint(tlv.Context(1), uint64(e.Privilege))
	w.Uint(tlv.Context(2), uint64(e.AuthMode))
	if e.Subjects == nil {
		w.Null(tlv.Context(3))
	} else {
		w.StartArray(tlv.Context(3))
		for _, s := range e.Subjects {
			w.Uint(tlv.Anonymous, uint64(s))
		}
		w.End()
	}
	if e.Targets == nil {
		w.Null(tlv.Context(4))
	} else {
		w.StartArray(tlv.Context(4))
		for _, t := range e.Targets {
			writeTarget(w, t)
		}
		w.End()
	}
	w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	w.End()
}

func writeTarget(w *tlv.Writer, t store.ACLTarget) {
	w.StartStruct(tlv.Anonymous)
	if t.Cluster != nil {
		w.Uint(tlv.Context(0), uint64(*t.Cluster))
	} else {
		w.Null(tlv.Context(0))
	}
	if t.Endpoint != nil {
		w.Uint(tlv.Context(1), uint64(*t.Endpoint))
	} else {
		w.Null(tlv.Context(1))
	}
	if t.DeviceType != nil {
		w.Uint(tlv.Context(2), uint64(*t.DeviceType))
	} else {
		w.Null(tlv.Context(2))
	}
	w.End()
}

// readEntries decodes and checks a whole list.
func readEntries(v tlv.Element) ([]store.ACLEntry, error) {
	entries := []store.ACLEntry{}
	r := v.Reader()
	for r.EnterArray(); r.Next(); {
		if len(entries) == acl.EntriesPerFabric {
			return nil, matter.StatusResourceExhausted
		}
		e, err := readEntry(&r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := r.End(); err != nil {
		return nil, im.WriteError(err)
	}
	return entries, acl.ValidateList(entries)
}

func readEntry(r *tlv.Reader) (e store.ACLEntry, err error) {
	var have [5]bool
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		switch tag {
		case 1:
			e.Privilege = matter.Privilege(r.Uint8())
		case 2:
			e.AuthMode = matter.AuthMode(r.Uint8())
		case 3:
			e.Subjects, err = readSubjects(r)
		case 4:
			e.Targets, err = readTargets(r)
		case tagAuxiliaryType: // only the node makes such entries (section 9.10.5.7.5)
			return e, matter.StatusConstraintError
		default:
			continue
		}
		if err != nil {
			return e, err
		}
		have[tag] = true
	}
	r.Exit()
	if err := r.Err(); err != nil {
		return e, im.WriteError(err)
	}
	for _, h := range have[1:] {
		if !h {
			return e, matter.StatusInvalidDataType
		}
	}
	return e, nil
}

// readSubjects reads a nullable list. An empty list means the same as null.
func readSubjects(r *tlv.Reader) (list []matter.NodeID, err error) {
	if r.Null() {
		return nil, nil
	}
	for r.EnterArray(); r.Next(); {
		if len(list) == acl.MaxSubjects {
			return nil, matter.StatusResourceExhausted
		}
		list = append(list, matter.NodeID(r.Uint()))
	}
	r.Exit()
	return list, im.WriteError(r.Err())
}

func readTargets(r *tlv.Reader) (list []store.ACLTarget, err error) {
	if r.Null() {
		return nil, nil
	}
	for r.EnterArray(); r.Next(); {
		if len(list) == acl.MaxTargets {
			return nil, matter.StatusResourceExhausted
		}
		list = append(list, readTarget(r))
	}
	r.Exit()
	return list, im.WriteError(r.Err())
}

func readTarget(r *tlv.Reader) (t store.ACLTarget) {
	for r.EnterStruct(); r.Next(); {
		if r.Null() {
			continue
		}
		switch r.ContextTag() {
		case 0:
			v := matter.ClusterID(r.Uint32())
			t.Cluster = &v
		case 1:
			v := matter.EndpointID(r.Uint16())
			t.Endpoint = &v
		case 2:
			v := matter.DeviceTypeID(r.Uint32())
			t.DeviceType = &v
		}
	}
	r.Exit()
	return t
}
