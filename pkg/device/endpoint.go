package device

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/powersource"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// TypeID is a Matter device type with its revision.
type TypeID struct {
	ID       matter.DeviceTypeID
	Revision uint16
}

// Endpoint is a part of a device, or the parent of a device with several parts, as
// an endpoint of the node. It belongs to the goroutine that calls the node's
// clusters.
type Endpoint struct {
	cluster.Endpoint

	// Types are the device types, with the application's first.
	Types []TypeID
	// Other are the clusters without a unit.
	Other []im.Cluster
	// Groups means that the endpoint serves the Groups cluster, Scenes that it
	// serves Scenes Management.
	Groups, Scenes bool
	// Identify means that the endpoint serves the Identify cluster. IdentifyType is
	// how the device identifies itself (section 1.2.5.2 of the application
	// clusters).
	Identify     bool
	IdentifyType uint8

	units   []properties
	gesture func(now time.Time, g Gesture) error
	send    Send
	command Command // for commands: has Device and Part

	location  *location
	batteries []func(now time.Time, ch powersource.Charge)
	setRoom   func(room string)

	setPowered func(now time.Time, is datamodel.PowerSourcePowerSourceStatus) // nil: there is no power source
}

// Send passes a command of a controller to a part's source. An error is returned to
// the controller, and nothing has changed then.
type Send func(now time.Time, c Command) error

// properties are the properties of one unit.
type properties interface {
	find(name string) *Property
	list() []*Property
	values(now time.Time, into Values)
	report(now time.Time, v Values) error
	waiting() []string
}

// unitOf is a unit with its properties.
type unitOf[S comparable] struct {
	endpoint *Endpoint
	unit     *cluster.Unit[S]
	props    []property[S]
	known    uint64 // bits by index of props that have had a value
}

// addUnit adds a unit to e. Its device gets commands through its properties.
func addUnit[S comparable](e *Endpoint, initial S, rules cluster.Rules[S], props []property[S]) *cluster.Unit[S] {
	u := &unitOf[S]{endpoint: e, props: props}
	rules.Apply = u.apply
	u.unit = cluster.NewUnit(&e.Endpoint, initial, rules)
	e.units = append(e.units, u)
	return u.unit
}

func (u *unitOf[S]) find(name string) *Property {
	for i := range u.props {
		if u.props[i].Name == name {
			return &u.props[i].Property
		}
	}
	return nil
}

func (u *unitOf[S]) list() (all []*Property) {
	for i := range u.props {
		all = append(all, &u.props[i].Property)
	}
	return all
}

func (u *unitOf[S]) values(now time.Time, into Values) {
	s := u.unit.State(now)
	for i := range u.props {
		v := Null
		if u.known&(1<<i) != 0 || !u.props[i].Needed {
			v = u.props[i].get(&s)
		}
		into[u.props[i].Name] = v
	}
}

func (u *unitOf[S]) waiting() (names []string) {
	for i := range u.props {
		if u.props[i].Needed && u.known&(1<<i) == 0 {
			names = append(names, u.props[i].Name)
		}
	}
	return names
}

// report applies the values in v that belong to the unit, in the order of its
// properties.
func (u *unitOf[S]) report(now time.Time, v Values) error {
	if !slices.ContainsFunc(u.props, func(p property[S]) bool { _, ok := v[p.Name]; return ok }) {
		return nil
	}
	known := u.known
	err := u.unit.Report(now, func(c *cluster.Context, s *S) error {
		for i := range u.props {
			if x, ok := v[u.props[i].Name]; ok && u.props[i].report != nil {
				u.props[i].report(c, s, x)
				if !x.IsNull() {
					known |= 1 << i
				}
			}
		}
		return nil
	})
	if err == nil {
		u.known = known
	}
	return err
}

// apply sends the device a command.
func (u *unitOf[S]) apply(c *cluster.Context, was, is *S) error {
	wanted := c.WantedBits()
	// An action replaces the values that it changes.
	compare := c.FromController() && len(c.Actions()) == 0
	for i := range u.props {
		if p := &u.props[i]; p.Settable && !p.asked && compare && p.wished(was) != p.wished(is) {
			wanted |= p.want
		}
	}
	cmd := u.endpoint.command
	if r := c.Request; r != nil {
		cmd.Fabric, cmd.Node = uint8(r.Subject.Fabric), uint64(r.Subject.Node)
	}
	for i := range u.props {
		p := &u.props[i]
		if !p.Settable || p.want&wanted == 0 {
			continue
		}
		if v := p.wished(is); !v.IsNull() {
			if cmd.Set == nil {
				cmd.Set = Values{}
			}
			cmd.Set[p.Name] = v
			u.known |= 1 << i
		}
	}
	if cmd.Set != nil {
		if d, ok := c.Transition(); ok {
			cmd.Transition = &d
		}
		if err := u.endpoint.send(c.Now, cmd); err != nil {
			return err
		}
	}
	for _, a := range c.Actions() {
		do := u.endpoint.command
		do.Fabric, do.Node = cmd.Fabric, cmd.Node
		do.Do, do.Seconds, do.PIN = Action(a.Name), int(a.Seconds), a.PIN
		if err := u.endpoint.send(c.Now, do); err != nil {
			return err
		}
	}
	return nil
}

// Properties returns the properties of the endpoint.
func (e *Endpoint) Properties() (all []*Property) {
	for _, u := range e.units {
		all = append(all, u.list()...)
	}
	return all
}

// Waiting returns the names of the needed properties that have no value yet.
// Ecosystems do not show an endpoint properly without them. The result is empty
// when the source has reported each of them once, even before a restart.
func (e *Endpoint) Waiting() (names []string) {
	for _, u := range e.units {
		names = append(names, u.waiting()...)
	}
	return names
}

// State returns the values of all properties at now.
func (e *Endpoint) State(now time.Time) Values {
	v := Values{}
	for _, u := range e.units {
		u.values(now, v)
	}
	return v
}

// Check returns an error, a *ValueError or *UnknownError, if the source of the part may
// not report v.
func (e *Endpoint) Check(v Values) error {
	for name, x := range v {
		p := e.Property(name)
		if p == nil {
			return &UnknownError{Property: name, Have: e.names()}
		}
		if err := p.Check(x); err != nil {
			return err
		}
	}
	return nil
}

// Property returns the property with the name, or nil.
func (e *Endpoint) Property(name string) *Property {
	for _, u := range e.units {
		if p := u.find(name); p != nil {
			return p
		}
	}
	return nil
}

func (e *Endpoint) names() (names []string) {
	for _, p := range e.Properties() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// Report applies values from the source. An error is one of Check's, and nothing
// has changed then.
func (e *Endpoint) Report(now time.Time, v Values) error {
	if err := e.Check(v); err != nil {
		return err
	}
	for _, u := range e.units {
		if err := u.report(now, v); err != nil {
			return err
		}
	}
	return nil
}

// Event reports a gesture on a button. If the part does not have the gesture, the
// error is an *EventError and nothing happens.
func (e *Endpoint) Event(now time.Time, g Gesture) error {
	if e.gesture == nil {
		return &EventError{Event: g}
	}
	return e.gesture(now, g)
}
