// Package groupkeymanagement implements the Group Key Management cluster, 0x003F (section
// 11.2).
package groupkeymanagement

import (
	"reflect"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.GroupKeyManagementID

// Limits of each fabric. Key set 0, the IPK, counts as a key set. If an endpoint has the
// Groups cluster, a node must support at least 3 key sets and 4 groups (section 2.11.1.2).
const (
	MaxGroupKeys = 5
	MaxGroups    = 16
)

const (
	attrGroupKeyMap = datamodel.GroupKeyManagementAttrGroupKeyMap
	attrGroupTable  = datamodel.GroupKeyManagementAttrGroupTable
	attrMaxGroups   = datamodel.GroupKeyManagementAttrMaxGroupsPerFabric
	attrMaxKeys     = datamodel.GroupKeyManagementAttrMaxGroupKeysPerFabric

	cmdKeySetWrite          = datamodel.GroupKeyManagementCmdKeySetWrite
	cmdKeySetRead           = datamodel.GroupKeyManagementCmdKeySetRead
	cmdKeySetRemove         = datamodel.GroupKeyManagementCmdKeySetRemove
	cmdKeySetReadAllIndices = datamodel.GroupKeyManagementCmdKeySetReadAllIndices

	tagFabricIndex = 0xFE
)

var spec = cluster.NewSpec(datamodel.GroupKeyManagement, cluster.Selection{})

// Cluster serves the cluster over the fabric table.
type Cluster struct {
	fabrics *fabric.Table
	groups  func() bool
	seen    []*fabric.Fabric // at the last Changes
}

// New returns the cluster. groups reports whether an endpoint of the node has the Groups
// cluster. Otherwise no endpoint can belong to a group, and the node supports no groups.
func New(t *fabric.Table, groups func() bool) *Cluster {
	return &Cluster{fabrics: t, groups: groups, seen: t.All()}
}

// maxGroups returns the number of groups that each fabric may have.
func (c *Cluster) maxGroups() int {
	if c.groups() {
		return MaxGroups
	}
	return 0
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Changes calls mark for each list that has changed since the last call.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	now := c.fabrics.All()
	if fabric.Differ(c.seen, now, func(x, y *fabric.Fabric) bool { return slices.Equal(x.GroupKeyMap, y.GroupKeyMap) }) {
		changed(attrGroupKeyMap)
	}
	if fabric.Differ(c.seen, now, func(x, y *fabric.Fabric) bool { return reflect.DeepEqual(x.Groups, y.Groups) }) {
		changed(attrGroupTable)
	}
	c.seen = now
}

// Read writes one attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case attrMaxGroups:
		w.Uint(t, uint64(c.maxGroups()))
		return nil
	case attrMaxKeys:
		w.Uint(t, MaxGroupKeys)
		return nil
	}
	w.StartArray(t)
	for _, f := range c.fabrics.All() {
		if r.FabricFiltered && f.Index != r.Subject.Fabric {
			continue
		}
		if id == attrGroupKeyMap {
			for _, m := range f.GroupKeyMap {
				writeMapping(w, m, f.Index)
			}
		} else {
			for _, g := range f.Groups {
				writeGroup(w, g, f.Index)
			}
		}
	}
	w.End()
	return nil
}

func writeMapping(w *tlv.Writer, m store.GroupKeyMapping, i matter.FabricIndex) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(1), uint64(m.Group))
	w.Uint(tlv.Context(2), uint64(m.KeySet))
	w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	w.End()
}

func writeGroup(w *tlv.Writer, g store.Group, i matter.FabricIndex) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(1), uint64(g.ID))
	w.StartArray(tlv.Context(2))
	for _, e := range g.Endpoints {
		w.Uint(tlv.Anonymous, uint64(e))
	}
	w.End()
	w.Text(tlv.Context(3), g.Name)
	w.Uint(tlv.Context(tagFabricIndex), uint64(i))
	w.End()
}

// mapped reports whether a group is in the list already. It may have one key set only.
func mapped(list []store.GroupKeyMapping, g matter.GroupID) bool {
	return slices.ContainsFunc(list, func(m store.GroupKeyMapping) bool { return m.Group == g })
}

// Write replaces the accessing fabric's part of GroupKeyMap.
func (c *Cluster) Write(r *im.Request, _ matter.AttributeID, v tlv.Element) error {
	defer func() { c.seen = c.fabrics.All() }() // the engine reports a write itself
	var list []store.GroupKeyMapping
	rd := v.Reader()
	for rd.EnterArray(); rd.Next(); {
		if len(list) == c.maxGroups() {
			return matter.StatusResourceExhausted
		}
		var m store.GroupKeyMapping
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				m.Group = matter.GroupID(rd.Uint16())
			case 2:
				m.KeySet = rd.Uint16()
			}
		}
		rd.Exit()
		if rd.Err() == nil && (m.Group == 0 || m.KeySet == 0 || mapped(list, m.Group)) {
			return matter.StatusConstraintError
		}
		list = append(list, m)
	}
	if err := rd.End(); err != nil {
		return im.WriteError(err)
	}
	err := c.fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		f.GroupKeyMap = list
		return nil
	})
	c.seen = c.fabrics.All() // the engine reports a write itself
	return err
}
