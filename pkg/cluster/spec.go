package cluster

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// NewSpec returns the metadata of a cluster from its facts: the elements that its
// features make mandatory, and the selected optional ones.
func NewSpec(f *datamodel.Cluster, sel Selection) *im.Spec {
	env := datamodel.Env{Cluster: f, Features: sel.Features, Revision: f.Revision, Has: func(name string) bool {
		return slices.ContainsFunc(f.Attributes, func(a datamodel.Attribute) bool {
			return a.Name == name && slices.Contains(sel.Attributes, a.ID)
		})
	}}
	s := &im.Spec{ID: f.ID, Name: f.Name, Revision: f.Revision, Features: sel.Features}
	for _, a := range f.Attributes {
		if a.Conformance.Evaluate(env) == datamodel.Mandatory || slices.Contains(sel.Attributes, a.ID) {
			s.Attributes = append(s.Attributes, im.Attribute{
				ID: a.ID, Name: a.Name, Read: a.Read, Write: writable(a), Quality: quality(a.Quality, a.Access, a.Type.Kind),
			})
		}
	}
	for _, c := range f.Commands {
		if c.Conformance.Evaluate(env) == datamodel.Mandatory || slices.Contains(sel.Commands, c.ID) {
			s.Commands = append(s.Commands, im.Command{
				ID: c.ID, Name: c.Name, Response: c.Response, Privilege: c.Privilege, Quality: quality(0, c.Access, 0),
			})
		}
	}
	for _, e := range f.Events {
		if e.Conformance.Evaluate(env) == datamodel.Mandatory || slices.Contains(sel.Events, e.ID) {
			s.Events = append(s.Events, im.Event{
				ID: e.ID, Name: e.Name, Priority: im.Priority(e.Priority), Read: e.Read, Quality: quality(0, e.Access, 0),
			})
		}
	}
	return s
}

// writable returns the privilege to write an attribute. Optional writing is not
// offered.
func writable(a datamodel.Attribute) matter.Privilege {
	if a.Access.Has(datamodel.OptionalWrite) {
		return 0
	}
	return a.Write
}

// quality maps the qualities and modifiers of the facts to those of the engine.
func quality(q datamodel.Quality, a datamodel.Access, k datamodel.Kind) (out im.Quality) {
	for _, p := range [...]struct {
		has bool
		is  im.Quality
	}{
		{q.Has(datamodel.Nullable), im.Nullable},
		{q.Has(datamodel.NonVolatile), im.NonVolatile},
		{q.Has(datamodel.Fixed), im.Fixed},
		{q.Has(datamodel.ChangesOmitted), im.ChangesOmitted},
		{a.Has(datamodel.FabricScoped), im.FabricScoped},
		{a.Has(datamodel.FabricSensitive), im.FabricSensitive},
		{a.Has(datamodel.Timed), im.Timed},
		{k == datamodel.List, im.List},
	} {
		if p.has {
			out |= p.is
		}
	}
	return out
}
