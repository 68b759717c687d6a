package im

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// metadata is a Spec and what is derived from it: the global attributes and the
// commands that the cluster generates. Instances with the same Spec share it.
type metadata struct {
	spec       *Spec
	attributes []Attribute // own and global ones, ascending
	generated  []matter.CommandID
	instances  int // number of instances that share it
}

// globals are the attributes of every cluster (section 7.13).
var globals = []Attribute{
	{ID: matter.AttributeGeneratedCommandList, Name: "GeneratedCommandList", Read: matter.PrivilegeView, Quality: Fixed | List},
	{ID: matter.AttributeAcceptedCommandList, Name: "AcceptedCommandList", Read: matter.PrivilegeView, Quality: Fixed | List},
	{ID: matter.AttributeAttributeList, Name: "AttributeList", Read: matter.PrivilegeView, Quality: Fixed | List},
	{ID: matter.AttributeFeatureMap, Name: "FeatureMap", Read: matter.PrivilegeView, Quality: Fixed},
	{ID: matter.AttributeClusterRevision, Name: "ClusterRevision", Read: matter.PrivilegeView, Quality: Fixed},
}

func newMetadata(s *Spec) *metadata {
	m := &metadata{spec: s, attributes: slices.Concat(s.Attributes, globals)}
	slices.SortFunc(m.attributes, func(a, b Attribute) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range s.Commands {
		if c.Response != NoResponse {
			m.generated = append(m.generated, c.Response)
		}
	}
	slices.Sort(m.generated)
	m.generated = slices.Compact(m.generated)
	if err := s.Check(); err != nil {
		panic("BUG: im: " + err.Error())
	}
	return m
}

// Check returns an error unless the elements of s are in ascending order without
// duplicates and without global attributes, and its events have valid priorities.
func (s *Spec) Check() error {
	global := func(a Attribute) bool {
		return slices.ContainsFunc(globals, func(g Attribute) bool { return g.ID == a.ID })
	}
	if !ascend(s.Attributes, func(a Attribute) uint32 { return uint32(a.ID) }) || slices.ContainsFunc(s.Attributes, global) ||
		!ascend(s.Commands, func(c Command) uint32 { return uint32(c.ID) }) ||
		!ascend(s.Events, func(e Event) uint32 { return uint32(e.ID) }) {
		return fmt.Errorf("elements of %s are not in ascending order, or include duplicates or global attributes", s.Name)
	}
	for _, ev := range s.Events {
		if ev.Priority > Critical {
			return fmt.Errorf("%s of %s has priority %d", ev.Name, s.Name, ev.Priority)
		}
	}
	return nil
}

func ascend[T any](items []T, id func(T) uint32) bool {
	for i := 1; i < len(items); i++ {
		if id(items[i-1]) >= id(items[i]) {
			return false
		}
	}
	return true
}

// attribute returns the index of an attribute, or -1.
func (m *metadata) attribute(id matter.AttributeID) int {
	i, ok := slices.BinarySearchFunc(m.attributes, id, func(a Attribute, id matter.AttributeID) int { return cmp.Compare(a.ID, id) })
	if !ok {
		return -1
	}
	return i
}

// command returns a command's metadata, or nil.
func (m *metadata) command(id matter.CommandID) *Command {
	i, ok := slices.BinarySearchFunc(m.spec.Commands, id, func(c Command, id matter.CommandID) int { return cmp.Compare(c.ID, id) })
	if !ok {
		return nil
	}
	return &m.spec.Commands[i]
}

// event returns an event's metadata, or nil.
func (m *metadata) event(id matter.EventID) *Event {
	i, ok := slices.BinarySearchFunc(m.spec.Events, id, func(e Event, id matter.EventID) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return nil
	}
	return &m.spec.Events[i]
}

// instance is one cluster on one endpoint.
type instance struct {
	ep      *endpoint
	id      matter.ClusterID
	cluster Cluster
	meta    *metadata
	version matter.DataVersion // section 7.10.3

	// changed holds, for each of meta's attributes, the number of its last change
	// that subscribers get a report of. last is the highest of them. A subscription
	// remembers the number up to which it has reported.
	changed []uint64
	last    uint64
	altered uint64 // number of the last change of version

	newer, older *instance // list of clusters by their last change, see pending.newest

	watcher Watcher // or nil
}

// compare orders instances by endpoint, then cluster.
func (in *instance) compare(x *instance) int {
	return cmp.Or(cmp.Compare(in.ep.id, x.ep.id), cmp.Compare(in.id, x.id))
}

// read writes the value of attribute number i with tag t.
func (in *instance) read(r *Request, i int, w *tlv.Writer, t tlv.Tag) error {
	a := &in.meta.attributes[i]
	if globalAttribute(a.ID) {
		in.readGlobal(a.ID, w, t)
		return nil
	}
	m := w.Guard()
	err := in.cluster.Read(r, a.ID, w, t)
	if !w.Unguard(m) || err == nil && !tlv.Single(w.Written(m), t) {
		w.Rewind(m)
		return cmp.Or(err, errValue)
	}
	return err
}

// Errors in what a cluster has written. They are logged, and the peer gets FAILURE
// for the path.
var (
	errValue    = errors.New("cluster did not write exactly one well-formed value with the given tag")
	errResponse = errors.New("cluster did not write well-formed members of its response")
	errEvent    = errors.New("cluster did not write well-formed members of its event")
)

func (in *instance) readGlobal(id matter.AttributeID, w *tlv.Writer, t tlv.Tag) {
	switch id {
	case matter.AttributeFeatureMap:
		w.Uint(t, uint64(in.meta.spec.Features))
		return
	case matter.AttributeClusterRevision:
		w.Uint(t, uint64(in.meta.spec.Revision))
		return
	}
	w.StartArray(t)
	switch id {
	case matter.AttributeAttributeList:
		for i := range in.meta.attributes {
			w.Uint(tlv.Anonymous, uint64(in.meta.attributes[i].ID))
		}
	case matter.AttributeAcceptedCommandList:
		for i := range in.meta.spec.Commands {
			w.Uint(tlv.Anonymous, uint64(in.meta.spec.Commands[i].ID))
		}
	case matter.AttributeGeneratedCommandList:
		for _, c := range in.meta.generated {
			w.Uint(tlv.Anonymous, uint64(c))
		}
	}
	w.End()
}
