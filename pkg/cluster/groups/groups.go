// Package groups implements the Groups cluster, 0x0004 with feature GN ("Matter
// Application Cluster Specification", section 1.3), which makes an endpoint a
// member of a fabric's groups. The groups are stored in the fabric table, where
// Group Key Management and group messages find them.
package groups

import (
	"cmp"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.GroupsID

const (
	attrNameSupport = datamodel.GroupsAttrNameSupport
	namesSupported  = 1 << 7

	cmdAddGroup      = datamodel.GroupsCmdAddGroup
	cmdGetMembership = datamodel.GroupsCmdGetGroupMembership
	cmdRemoveGroup   = datamodel.GroupsCmdRemoveGroup
	cmdRemoveAll     = datamodel.GroupsCmdRemoveAllGroups
	cmdAddIfIdentify = datamodel.GroupsCmdAddGroupIfIdentifying

	// The responses have the same ids as their requests.

	maxNameLen  = 16
	maxCapacity = 0xFE // at least as many
)

var spec = cluster.NewSpec(datamodel.Groups, cluster.Selection{Features: datamodel.GroupsFeatureGroupNames})

// Options are the dependencies of the cluster of one endpoint. All are required
// except Left.
type Options struct {
	Fabrics *fabric.Table
	// Max is the maximum number of groups per fabric on the node.
	Max int
	// Identifying reports whether the endpoint currently identifies itself.
	Identifying func() bool
	// Left, if set, is called when the endpoint has left a group, or every group if
	// all is true. It removes the scenes of the group (section 1.3.7.4).
	Left func(f matter.FabricIndex, g matter.GroupID, all bool) error
}

// Cluster serves the cluster on one endpoint.
type Cluster struct {
	opt Options
}

// New returns the cluster of one endpoint.
func New(opt Options) *Cluster { return &Cluster{opt: opt} }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes NameSupport.
func (c *Cluster) Read(_ *im.Request, _ matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	w.Uint(t, namesSupported)
	return nil
}

// Write answers UNSUPPORTED_WRITE.
func (c *Cluster) Write(*im.Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	switch id {
	case cmdRemoveAll:
		return c.removeAll(r, fields)
	case cmdGetMembership:
		return c.membership(r, fields, w)
	}
	q, err := decode(fields, id == cmdAddGroup || id == cmdAddIfIdentify)
	if err != nil {
		return err
	}
	switch id {
	case cmdAddIfIdentify:
		if !c.opt.Identifying() {
			return nil
		}
		return c.add(r, q)
	case cmdAddGroup:
		return answer(w, q.id, c.add(r, q))
	case cmdRemoveGroup:
		return answer(w, q.id, c.remove(r, q))
	}
	return c.view(r, q, w)
}

// request are the fields of a command that names a group.
type request struct {
	id   matter.GroupID
	name string
}

// valid reports whether the fields are within their constraints.
func (q *request) valid() bool {
	return q.id != 0 && len(q.name) <= maxNameLen && utf8.ValidString(q.name)
}

func decode(fields tlv.Element, named bool) (q request, err error) {
	var have [2]bool
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		switch tag := r.ContextTag(); {
		case tag == 0:
			q.id, have[0] = matter.GroupID(r.Uint16()), true
		case tag == 1 && named:
			q.name, have[1] = r.Text(), true
		}
	}
	if err := r.End(); err != nil {
		return q, im.CommandError(err)
	}
	if !have[0] || named && !have[1] {
		return q, matter.StatusInvalidCommand
	}
	return q, nil
}

// answer writes the status and the group of a response. Only a malformed command or
// a failure of the store returns a status of the Interaction Model.
func answer(w *tlv.Writer, id matter.GroupID, err error) error {
	st := matter.StatusSuccess
	if err != nil && !errors.As(err, &st) {
		return err
	}
	w.Uint(tlv.Context(0), uint64(st))
	w.Uint(tlv.Context(1), uint64(id))
	return nil
}

// find returns the index of a group in the list, which is in ascending order.
func find(list []store.Group, id matter.GroupID) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(g store.Group, id matter.GroupID) int { return cmp.Compare(g.ID, id) })
}

// add makes the endpoint a member (section 1.3.7.1.3). The group must have a key.
// Its name is the last one that was written on any endpoint.
func (c *Cluster) add(r *im.Request, q request) error {
	f := c.opt.Fabrics.Get(r.Subject.Fabric)
	switch {
	case !q.valid():
		return matter.StatusConstraintError
	case f == nil || !hasKeys(&f.Fabric, q.id):
		return matter.StatusUnsupportedAccess
	}
	at, found := find(f.Groups, q.id)
	if !found && len(f.Groups) >= c.opt.Max {
		return matter.StatusResourceExhausted
	}
	return c.opt.Fabrics.Mutate(f.Index, func(f *store.Fabric) error {
		if !found {
			f.Groups = slices.Insert(f.Groups, at, store.Group{ID: q.id})
		}
		g := &f.Groups[at]
		g.Name = q.name
		if i, member := slices.BinarySearch(g.Endpoints, r.Endpoint); !member {
			g.Endpoints = slices.Insert(g.Endpoints, i, r.Endpoint)
		}
		return nil
	})
}

// hasKeys reports whether a fabric has mapped a group to a key set that exists.
func hasKeys(f *store.Fabric, id matter.GroupID) bool {
	return slices.ContainsFunc(f.GroupKeyMap, func(m store.GroupKeyMapping) bool {
		return m.Group == id && slices.ContainsFunc(f.KeySets, func(k store.GroupKeySet) bool { return k.ID == m.KeySet })
	})
}

// group returns the group, or nil if the endpoint is not a member.
func (c *Cluster) group(r *im.Request, id matter.GroupID) *store.Group {
	f := c.opt.Fabrics.Get(r.Subject.Fabric)
	if f == nil {
		return nil
	}
	at, found := find(f.Groups, id)
	if !found || !slices.Contains(f.Groups[at].Endpoints, r.Endpoint) {
		return nil
	}
	return &f.Groups[at]
}

func (c *Cluster) view(r *im.Request, q request, w *tlv.Writer) error {
	g := c.group(r, q.id)
	var err error
	name := ""
	switch {
	case !q.valid():
		err = matter.StatusConstraintError
	case g == nil:
		err = matter.StatusNotFound
	default:
		name = g.Name
	}
	if err := answer(w, q.id, err); err != nil {
		return err
	}
	w.Text(tlv.Context(2), name)
	return nil
}

func (c *Cluster) remove(r *im.Request, q request) error {
	switch {
	case !q.valid():
		return matter.StatusConstraintError
	case c.group(r, q.id) == nil:
		return matter.StatusNotFound
	}
	err := c.opt.Fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		leave(f, r.Endpoint, func(id matter.GroupID) bool { return id == q.id })
		return nil
	})
	return c.left(r, q.id, false, err)
}

// left reports what the endpoint has left, unless there was an error.
func (c *Cluster) left(r *im.Request, g matter.GroupID, all bool, err error) error {
	if err != nil || c.opt.Left == nil {
		return err
	}
	return c.opt.Left(r.Subject.Fabric, g, all)
}

func (c *Cluster) removeAll(r *im.Request, fields tlv.Element) error {
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	err := c.opt.Fabrics.Mutate(r.Subject.Fabric, func(f *store.Fabric) error {
		leave(f, r.Endpoint, func(matter.GroupID) bool { return true })
		return nil
	})
	return c.left(r, 0, true, err)
}

// leave removes an endpoint from groups. It also removes groups without members.
func leave(f *store.Fabric, ep matter.EndpointID, which func(matter.GroupID) bool) {
	for i := range f.Groups {
		g := &f.Groups[i]
		if which(g.ID) {
			g.Endpoints = slices.DeleteFunc(g.Endpoints, func(e matter.EndpointID) bool { return e == ep })
		}
	}
	f.Groups = slices.DeleteFunc(f.Groups, func(g store.Group) bool { return len(g.Endpoints) == 0 })
}

// membership answers with the requested groups that the endpoint belongs to (all
// for an empty list), and with the number of groups that the node has room for.
func (c *Cluster) membership(r *im.Request, fields tlv.Element, w *tlv.Writer) error {
	asked := make(map[matter.GroupID]bool)
	have := false
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() != 0 {
			continue
		}
		have = true
		for rd.EnterArray(); rd.Next(); {
			asked[matter.GroupID(rd.Uint16())] = true
		}
		rd.Exit()
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	if !have {
		return matter.StatusInvalidCommand
	}
	if asked[0] {
		return matter.StatusConstraintError
	}
	var list []store.Group
	if f := c.opt.Fabrics.Get(r.Subject.Fabric); f != nil {
		list = f.Groups
	}
	w.Uint(tlv.Context(0), uint64(min(max(0, c.opt.Max-len(list)), maxCapacity)))
	w.StartArray(tlv.Context(1))
	for _, g := range list {
		if (len(asked) == 0 || asked[g.ID]) && slices.Contains(g.Endpoints, r.Endpoint) {
			w.Uint(tlv.Anonymous, uint64(g.ID))
		}
	}
	w.End()
	return nil
}
