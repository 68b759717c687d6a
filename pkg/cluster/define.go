package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Def defines a cluster over the state S.
type Def[S comparable] struct {
	Facts      *datamodel.Cluster
	Attributes []Attribute[S]
	Commands   []Command[S]
	Kept       []Kept[S]
}

// Kept is a part of the state that survives a restart and is not an attribute.
type Kept[S comparable] struct {
	id matter.AttributeID
	at func(*S) *int64
}

// Keep returns a Kept that is stored with the number n. The cluster must never use
// n for anything else.
func Keep[S comparable](n uint16, at func(*S) *int64) Kept[S] {
	return Kept[S]{matter.AttributeID(firstKept) + matter.AttributeID(n), at}
}

// firstKept is larger than the ids of attributes (section 7.18.2 of the core
// specification).
const firstKept = 0xFFFF_0000

func (k *Kept[S]) same(a, b *S) bool { return *k.at(a) == *k.at(b) }

// Command connects a command with a function on the state.
type Command[S comparable] struct {
	id     matter.CommandID
	fields reflect.Type // nil: none
	plan   *fieldsPlan
	run    func(c *Context, s *S, f reflect.Value, w *tlv.Writer) error
}

// Do returns a command without fields.
func Do[S comparable](id matter.CommandID, f func(c *Context, s *S) error) Command[S] {
	return Command[S]{id: id, run: func(c *Context, s *S, _ reflect.Value, _ *tlv.Writer) error { return f(c, s) }}
}

// DoWith returns a command whose fields are decoded into F. F is a struct whose
// fields have the names of the data model. They have the type [Null] if they are
// nullable and [Opt] if they are optional. Values that violate their type or
// constraint are rejected before f is called. For a field with the tag
// `cluster:"unchecked"` only the type is checked.
func DoWith[S comparable, F any](id matter.CommandID, f func(c *Context, s *S, fields *F) error) Command[S] {
	return Reply(id, func(c *Context, s *S, fields *F, _ *tlv.Writer) error { return f(c, s, fields) })
}

// Reply is like DoWith, for a command with a response. f writes the response's
// fields into w.
func Reply[S comparable, F any](id matter.CommandID, f func(c *Context, s *S, fields *F, w *tlv.Writer) error) Command[S] {
	return Command[S]{
		id:     id,
		fields: reflect.TypeFor[F](),
		run: func(c *Context, s *S, fields reflect.Value, w *tlv.Writer) error {
			return f(c, s, fields.Interface().(*F), w)
		},
	}
}

// Decoder returns a function that decodes the fields of a command as [DoWith] does,
// for a cluster without a unit. The error is the status of the command.
func Decoder[F any](facts *datamodel.Cluster, id matter.CommandID) func(fields tlv.Element) (F, error) {
	n := slices.IndexFunc(facts.Commands, func(c datamodel.Command) bool { return c.ID == id })
	if n < 0 {
		panic(fmt.Sprintf("BUG: cluster: %s has no command 0x%02X", facts.Name, uint32(id)))
	}
	plan := newFieldsPlan(reflect.TypeFor[F](), facts.Commands[n].Fields)
	return func(fields tlv.Element) (f F, err error) {
		err = plan.decode(fields, reflect.ValueOf(&f).Elem())
		return f, err
	}
}

// Cluster is a cluster over the state S, for any number of endpoints.
type Cluster[S comparable] struct {
	facts      *datamodel.Cluster
	attributes []Attribute[S]
	commands   []Command[S]
	kept       []Kept[S]

	mu      sync.Mutex // layouts are shared by the nodes of one process
	layouts map[string]*layout[S]
}

// Define returns a cluster. It panics if d does not match the facts.
func Define[S comparable](d Def[S]) *Cluster[S] {
	c := &Cluster[S]{facts: d.Facts, attributes: d.Attributes, commands: d.Commands, kept: d.Kept, layouts: map[string]*layout[S]{}}
	for i := range c.attributes {
		a := &c.attributes[i]
		n := slices.IndexFunc(d.Facts.Attributes, func(f datamodel.Attribute) bool { return f.ID == a.id })
		if n < 0 {
			panic(fmt.Sprintf("BUG: cluster: %s has no attribute 0x%04X", d.Facts.Name, uint32(a.id)))
		}
		a.facts = &d.Facts.Attributes[n]
		a.keep = a.keep || a.facts.Quality.Has(datamodel.NonVolatile) && a.decode != nil
	}
	// Not slices.SortFunc, of which every cluster would have a copy of 14 KB.
	sort.Slice(c.attributes, func(i, j int) bool { return c.attributes[i].id < c.attributes[j].id })
	for i := range c.commands {
		cmd := &c.commands[i]
		n := slices.IndexFunc(d.Facts.Commands, func(f datamodel.Command) bool { return f.ID == cmd.id })
		if n < 0 {
			panic(fmt.Sprintf("BUG: cluster: %s has no command 0x%02X", d.Facts.Name, uint32(cmd.id)))
		}
		if cmd.fields != nil {
			cmd.plan = newFieldsPlan(cmd.fields, d.Facts.Commands[n].Fields)
		}
	}
	sort.Slice(c.commands, func(i, j int) bool { return c.commands[i].id < c.commands[j].id })
	return c
}

func (c *Cluster[S]) attribute(id matter.AttributeID) *Attribute[S] {
	lo, hi := 0, len(c.attributes)
	for lo < hi {
		if mid := (lo + hi) / 2; c.attributes[mid].id < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.attributes) && c.attributes[lo].id == id {
		return &c.attributes[lo]
	}
	return nil
}

func (c *Cluster[S]) command(id matter.CommandID) *Command[S] {
	for i := range c.commands {
		if c.commands[i].id == id {
			return &c.commands[i]
		}
	}
	return nil
}

// Selection selects what an endpoint serves of a cluster: features, and elements
// that are optional with these features.
type Selection struct {
	Features   uint32
	Attributes []matter.AttributeID
	Commands   []matter.CommandID
	Events     []matter.EventID
}

// layout returns the layout of a selection. It is shared by equal selections.
func (c *Cluster[S]) layout(sel Selection) *layout[S] {
	key := fmt.Sprint(sel)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.layouts[key]
	if l == nil {
		l = c.newLayout(NewSpec(c.facts, sel))
		c.layouts[key] = l
	}
	return l
}

// newLayout panics if the cluster does not implement everything in s.
func (c *Cluster[S]) newLayout(s *im.Spec) *layout[S] {
	l := &layout[S]{spec: s}
	var missing []string
	for _, x := range s.Attributes {
		a := c.attribute(x.ID)
		if a == nil || x.Write != 0 && a.decode == nil {
			missing = append(missing, x.Name)
		}
		l.attributes = append(l.attributes, a)
	}
	for _, x := range s.Commands {
		cmd := c.command(x.ID)
		if cmd == nil {
			missing = append(missing, x.Name)
		}
	}
	if missing != nil {
		panic(fmt.Sprintf("BUG: cluster: %s with features 0x%X lacks %s", s.Name, s.Features, strings.Join(missing, ", ")))
	}
	return l
}
