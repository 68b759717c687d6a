package clustertest

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Composition is the description of an endpoint and what it serves, for a check
// against the data model.
type Composition struct {
	Types []matter.DeviceTypeID
	Specs []*im.Spec
	// Others are further clusters of the endpoint, whose elements are not checked.
	Others []matter.ClusterID
	// Conditions are true for the endpoint, such as "Duplicate".
	Conditions []string
}

// Problems returns what does not conform: elements, the requirements of the device
// types, and clusters that no device type lists.
func (c *Composition) Problems() (problems []string) {
	types := []*datamodel.DeviceType{datamodel.BaseDeviceType}
	for _, id := range c.Types {
		d := datamodel.DeviceTypeByID(id)
		if d == nil {
			problems = append(problems, fmt.Sprintf("no device type 0x%04X", uint32(id)))
			continue
		}
		types = append(types, d)
	}
	problems = append(problems, applicationTypes(types)...)
	for _, d := range types {
		problems = append(problems, c.requirements(d)...)
	}
	for _, s := range c.Specs {
		problems = append(problems, c.cluster(s, types)...)
	}
	for _, id := range c.served() {
		if !slices.ContainsFunc(types, func(d *datamodel.DeviceType) bool { return requirement(d, id) != nil }) {
			problems = append(problems, fmt.Sprintf("cluster 0x%04X is named by none of the device types", uint32(id)))
		}
	}
	return problems
}

func (c *Composition) served() (ids []matter.ClusterID) {
	for _, s := range c.Specs {
		ids = append(ids, s.ID)
	}
	return append(ids, c.Others...)
}

func (c *Composition) condition(name string) bool { return slices.Contains(c.Conditions, name) }

func requirement(d *datamodel.DeviceType, id matter.ClusterID) *datamodel.ClusterRequirement {
	for i := range d.Clusters {
		if r := &d.Clusters[i]; r.ID == id && r.Server {
			return r
		}
	}
	return nil
}

// applicationTypes returns a problem if there are two application device types and
// neither is a superset of the other (section 9.2.3 of the core specification).
func applicationTypes(types []*datamodel.DeviceType) (problems []string) {
	var last *datamodel.DeviceType
	for _, d := range types {
		if d.Class != datamodel.ClassSimple {
			continue
		}
		if last != nil && !superset(last, d) && !superset(d, last) {
			problems = append(problems, fmt.Sprintf("%s and %s are on one endpoint", last.Name, d.Name))
		}
		last = d
	}
	return problems
}

// superset reports whether a is a superset of b.
func superset(a, b *datamodel.DeviceType) bool {
	for ; a != nil; a = datamodel.DeviceTypeByID(a.Superset) {
		if a == b {
			return true
		}
	}
	return false
}

// requirements returns the clusters of a device type that are missing, or not
// allowed.
func (c *Composition) requirements(d *datamodel.DeviceType) []string {
	env := datamodel.Env{Revision: d.Revision, Has: c.condition}
	v := verdicts{env: env, of: d.Name}
	for i := range d.Clusters {
		// The predecessor of Power Source is deprecated, and no script requires it.
		if r := &d.Clusters[i]; r.Server && r.ID != datamodel.PowerSourceConfigurationID {
			v.add("cluster "+r.Name, slices.Contains(c.served(), r.ID), []said{{Conformance: r.Conformance}})
		}
	}
	return v.end()
}

// cluster checks the elements of one cluster. A device type's conformance replaces
// that of the cluster.
func (c *Composition) cluster(s *im.Spec, types []*datamodel.DeviceType) (problems []string) {
	f := datamodel.ClusterByID(s.ID)
	if f == nil {
		return []string{fmt.Sprintf("no cluster 0x%04X", uint32(s.ID))}
	}
	if s.Revision != f.Revision {
		problems = append(problems, fmt.Sprintf("%s has revision %d, want %d", f.Name, s.Revision, f.Revision))
	}
	var own []*datamodel.ClusterRequirement
	revision := uint16(0)
	for _, d := range types {
		if r := requirement(d, s.ID); r != nil {
			own = append(own, r)
			revision = max(revision, d.Revision)
		}
	}
	env := datamodel.Env{Cluster: f, Features: s.Features, Revision: f.Revision, Has: func(name string) bool {
		return c.condition(name) || hasElement(s, name)
	}}
	if f.Conformance.Evaluate(env) == datamodel.Provisional {
		problems = append(problems, f.Name+" is provisional")
	}
	v := verdicts{env: env, overriding: env, of: f.Name}
	v.overriding.Revision = revision // "rev" is that of the device type there
	features := uint32(0)
	for _, x := range f.Features {
		features |= 1 << x.Bit
		v.add("feature "+x.Code, s.Features&(1<<x.Bit) != 0, overrides(own, x.Conformance, func(r *datamodel.ClusterRequirement) datamodel.Conformance {
			for _, o := range r.Features {
				if o.Code == x.Code {
					return o.Conformance
				}
			}
			return ""
		}))
	}
	if s.Features&^features != 0 {
		problems = append(problems, fmt.Sprintf("%s has the unknown features 0x%X", f.Name, s.Features&^features))
	}
	problems = append(problems, v.end()...)
	problems = append(problems, elements(&v, s, f, own)...)
	return problems
}

func hasElement(s *im.Spec, name string) bool {
	return slices.ContainsFunc(s.Attributes, func(a im.Attribute) bool { return a.Name == name }) ||
		slices.ContainsFunc(s.Commands, func(c im.Command) bool { return c.Name == name }) ||
		slices.ContainsFunc(s.Events, func(e im.Event) bool { return e.Name == name })
}

// overrides returns the conformance of an element from device types, or else from
// its cluster.
func overrides(own []*datamodel.ClusterRequirement, otherwise datamodel.Conformance, find func(*datamodel.ClusterRequirement) datamodel.Conformance) []said {
	var list []said
	for _, r := range own {
		if c := find(r); c != "" {
			list = append(list, said{c, true})
		}
	}
	if list == nil {
		list = append(list, said{Conformance: otherwise})
	}
	return list
}

// elements checks attributes, commands and events.
func elements(v *verdicts, s *im.Spec, f *datamodel.Cluster, own []*datamodel.ClusterRequirement) (problems []string) {
	for i := range f.Attributes {
		x := &f.Attributes[i]
		has := slices.ContainsFunc(s.Attributes, func(a im.Attribute) bool { return a.ID == x.ID })
		v.add("attribute "+x.Name, has, overrides(own, x.Conformance, func(r *datamodel.ClusterRequirement) datamodel.Conformance {
			for _, o := range r.Attributes {
				if o.ID == x.ID {
					return o.Conformance
				}
			}
			return ""
		}))
	}
	for i := range f.Commands {
		x := &f.Commands[i]
		has := slices.ContainsFunc(s.Commands, func(c im.Command) bool { return c.ID == x.ID })
		v.add("command "+x.Name, has, overrides(own, x.Conformance, func(r *datamodel.ClusterRequirement) datamodel.Conformance {
			for _, o := range r.Commands {
				if o.ID == x.ID {
					return o.Conformance
				}
			}
			return ""
		}))
	}
	for i := range f.Events {
		x := &f.Events[i]
		has := slices.ContainsFunc(s.Events, func(e im.Event) bool { return e.ID == x.ID })
		v.add("event "+x.Name, has, overrides(own, x.Conformance, func(r *datamodel.ClusterRequirement) datamodel.Conformance {
			for _, o := range r.Events {
				if o.ID == x.ID {
					return o.Conformance
				}
			}
			return ""
		}))
	}
	problems = v.end()
	for _, a := range s.Attributes {
		if !slices.ContainsFunc(f.Attributes, func(x datamodel.Attribute) bool { return x.ID == a.ID }) {
			problems = append(problems, fmt.Sprintf("%s has no attribute 0x%04X", f.Name, uint32(a.ID)))
		}
	}
	for _, x := range s.Commands {
		if !slices.ContainsFunc(f.Commands, func(c datamodel.Command) bool { return c.ID == x.ID }) {
			problems = append(problems, fmt.Sprintf("%s has no command 0x%02X", f.Name, uint32(x.ID)))
		}
	}
	for _, x := range s.Events {
		if !slices.ContainsFunc(f.Events, func(e datamodel.Event) bool { return e.ID == x.ID }) {
			problems = append(problems, fmt.Sprintf("%s has no event 0x%02X", f.Name, uint32(x.ID)))
		}
	}
	return problems
}
