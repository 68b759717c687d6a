// Package conformance compares what a node serves with the data model: ids, names,
// revisions, access, qualities, and which elements features, clusters and device
// types make mandatory, optional or disallowed.
package conformance

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Cluster returns the differences between a cluster's metadata and the data model.
func Cluster(s *im.Spec) []error {
	facts := datamodel.ClusterByID(s.ID)
	if facts == nil {
		return []error{fmt.Errorf("there are no facts of cluster 0x%04X", uint32(s.ID))}
	}
	c := &comparison{spec: s, facts: facts}
	c.env = datamodel.Env{Cluster: facts, Features: s.Features, Revision: s.Revision, Has: c.has}
	if s.Name != facts.Name || s.Revision != facts.Revision {
		c.errorf("served as %s revision %d, want revision %d", s.Name, s.Revision, facts.Revision)
	}
	if facts.Conformance.Evaluate(c.env) == datamodel.Provisional {
		c.errorf("the cluster is provisional")
	}
	c.features()
	c.attributes()
	c.commands()
	c.events()
	return c.errs
}

// comparison compares a cluster's metadata with the data model.
type comparison struct {
	spec  *im.Spec
	facts *datamodel.Cluster
	env   datamodel.Env
	errs  []error
}

func (c *comparison) errorf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{c.facts.Name}, args...)...))
}

// has reports whether an attribute, a command or an event with the name is served.
func (c *comparison) has(name string) bool {
	return slices.ContainsFunc(c.spec.Attributes, func(a im.Attribute) bool { return a.Name == name }) ||
		slices.ContainsFunc(c.spec.Commands, func(x im.Command) bool { return x.Name == name }) ||
		slices.ContainsFunc(c.spec.Events, func(e im.Event) bool { return e.Name == name })
}

// conforms checks that a mandatory element exists, and that a disallowed one does
// not.
func (c *comparison) conforms(what, name string, conformance datamodel.Conformance, there bool) {
	switch v := conformance.Evaluate(c.env); {
	case v == datamodel.Mandatory && !there:
		c.errorf("%s %s is missing, conformance %s", what, name, conformance)
	case (v == datamodel.Disallowed || v == datamodel.Provisional) && there:
		c.errorf("%s %s is %v, conformance %s", what, name, v, conformance)
	}
}

func (c *comparison) features() {
	known, groups := uint32(0), map[datamodel.Choice]int{}
	for _, f := range c.facts.Features {
		there := c.spec.Features&(1<<f.Bit) != 0
		known |= 1 << f.Bit
		c.conforms("feature", f.Code, f.Conformance, there)
		if ch := f.Conformance.Choice(c.env); ch.Group != "" {
			if groups[ch] += 0; there {
				groups[ch]++
			}
		}
	}
	for ch, n := range groups {
		if n < ch.Min || n > ch.Min && !ch.More {
			c.errorf("%d features of the choice %+v", n, ch)
		}
	}
	if other := c.spec.Features &^ known; other != 0 {
		c.errorf("features 0x%X are not known", other)
	}
}

func (c *comparison) attributes() {
	served := map[matter.AttributeID]*im.Attribute{}
	for i := range c.spec.Attributes {
		served[c.spec.Attributes[i].ID] = &c.spec.Attributes[i]
	}
	for i := range c.facts.Attributes {
		f := &c.facts.Attributes[i]
		a := served[f.ID]
		if c.conforms("attribute", f.Name, f.Conformance, a != nil); a == nil {
			continue
		}
		delete(served, f.ID)
		write := a.Write == f.Write || a.Write == 0 && f.Access.Has(datamodel.OptionalWrite)
		if a.Name != f.Name || a.Read != f.Read || !write {
			c.errorf("attribute %s, read %d, write %d; want %s, %d, %d", a.Name, a.Read, a.Write, f.Name, f.Read, f.Write)
		}
		for _, q := range []struct {
			quality im.Quality
			want    bool
		}{
			{im.Nullable, f.Quality.Has(datamodel.Nullable)},
			{im.NonVolatile, f.Quality.Has(datamodel.NonVolatile)},
			{im.ChangesOmitted, f.Quality.Has(datamodel.ChangesOmitted)},
			{im.Fixed, f.Quality.Has(datamodel.Fixed)},
			{im.FabricScoped, f.Access.Has(datamodel.FabricScoped)},
			{im.Timed, f.Access.Has(datamodel.Timed)},
			{im.List, f.Type.Kind == datamodel.List},
		} {
			if a.Quality.Has(q.quality) != q.want {
				c.errorf("attribute %s: quality 0x%X is %v", a.Name, q.quality, !q.want)
			}
		}
	}
	for id := range served {
		c.errorf("attribute 0x%04X is not known", uint32(id))
	}
}

func (c *comparison) commands() {
	served := map[matter.CommandID]*im.Command{}
	for i := range c.spec.Commands {
		served[c.spec.Commands[i].ID] = &c.spec.Commands[i]
	}
	for i := range c.facts.Commands {
		f := &c.facts.Commands[i]
		x := served[f.ID]
		if c.conforms("command", f.Name, f.Conformance, x != nil); x == nil {
			continue
		}
		delete(served, f.ID)
		if x.Name != f.Name || x.Privilege != f.Privilege || x.Response != f.Response {
			c.errorf("command %s, privilege %d, response %d; want %s, %d, %d", x.Name, x.Privilege, x.Response, f.Name, f.Privilege, f.Response)
		}
		if scoped, timed := f.Access.Has(datamodel.FabricScoped), f.Access.Has(datamodel.Timed); x.Quality.Has(im.FabricScoped) != scoped || x.Quality.Has(im.Timed) != timed {
			c.errorf("command %s: quality 0x%X; want fabric-scoped %v, timed %v", x.Name, x.Quality, scoped, timed)
		}
	}
	for id := range served {
		c.errorf("command 0x%02X is not known", uint32(id))
	}
}

func (c *comparison) events() {
	served := map[matter.EventID]*im.Event{}
	for i := range c.spec.Events {
		served[c.spec.Events[i].ID] = &c.spec.Events[i]
	}
	for i := range c.facts.Events {
		f := &c.facts.Events[i]
		e := served[f.ID]
		if c.conforms("event", f.Name, f.Conformance, e != nil); e == nil {
			continue
		}
		delete(served, f.ID)
		if e.Name != f.Name || e.Read != f.Read || uint8(e.Priority) != f.Priority || e.Quality.Has(im.FabricSensitive) != f.Access.Has(datamodel.FabricSensitive) {
			c.errorf("event %s, privilege %d, priority %d, quality 0x%X; want %s, %d, %d, 0x%X", e.Name, e.Read, e.Priority, e.Quality, f.Name, f.Read, f.Priority, f.Access)
		}
	}
	for id := range served {
		c.errorf("event 0x%02X is not known", uint32(id))
	}
}
