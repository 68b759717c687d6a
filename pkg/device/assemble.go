package device

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Assembly is a device as endpoints of the node, with parents before their
// children.
type Assembly struct {
	Nodes []*Node  // none if the profile shows nothing of the device
	Notes []string // what is shown as a simpler type or not at all, and why
	flat  bool     // several parts, each a bridged device of its own
}

// Node is one endpoint of an assembly.
type Node struct {
	*Endpoint

	Key    string // the part's id; "" for the parent of a composed device
	Part   *Part  // nil for Key ""
	Parent string // Key of the node that it is below, if Child
	Child  bool   // part of a composed device; otherwise a bridged device of its own
	Label  string // name of a bridged device, if the description has one
	Tags   []Tag  // distinguish siblings of one type
	// Shape is equal for endpoints of the same kind. An endpoint with another shape
	// needs another number, as controllers assume that an endpoint never changes.
	Shape string
}

// Tag is a semantic tag.
type Tag struct {
	Namespace uint8
	Tag       uint8
	Label     string
}

// PartError is an error about one part of a device.
type PartError struct {
	Index int
	Err   error
}

func (e *PartError) Error() string { return fmt.Sprintf("parts[%d].%s", e.Index, e.Err) }

// Unwrap returns the error without the part.
func (e *PartError) Unwrap() error { return e.Err }

// Assemble returns the endpoints of a device as the profile shows it. send receives
// the commands of controllers. Assemble adds to the parts' options what their
// states imply. An error about a part is a *PartError.
//
// A composed device is a parent, with what its parts have in common, and its parts
// below it in their order: controllers number buttons in that order, and none of
// them looks for deeper levels.
func Assemble(d *Device, profile Profile, send Send) (*Assembly, error) {
	single := len(d.Parts) == 1
	a := &Assembly{flat: !single && profile.layout(d) == Flat}
	composed := !single && !a.flat
	if composed {
		common := &Endpoint{send: send, command: Command{Device: d.ID}}
		a.Nodes = append(a.Nodes, &Node{Endpoint: common, Shape: "composed"})
	}
	for i := range d.Parts {
		p := &d.Parts[i]
		e, err := newEndpoint(d.ID, p, profile, send)
		if err != nil {
			return nil, &PartError{i, err}
		}
		n := &Node{Endpoint: e, Key: p.ID, Part: p, Child: composed, Shape: shape(p, composed)}
		switch other := profile.plainer[p.Type]; {
		case slices.Contains(profile.hidden, p.Type):
			a.Notes = append(a.Notes, fmt.Sprintf("%s knows no %s", profile.Name, p.Type))
			continue
		case slices.Contains(profile.alone, p.Type):
			a.Notes = append(a.Notes, fmt.Sprintf("%s takes a %s on a node of its own alone", profile.Name, p.Type))
			continue
		case other != nil:
			n.Shape += "/as " + other.as
			a.Notes = append(a.Notes, fmt.Sprintf("shown as %s, as %s knows no %s", other.as, profile.Name, p.Type))
		}
		a.Nodes = append(a.Nodes, n)
	}
	if len(a.Nodes) == 0 || composed && len(a.Nodes) == 1 {
		a.Nodes = nil
		return a, nil
	}
	a.Relabel(d)
	for _, n := range a.Nodes {
		if !n.Child {
			n.addType(datamodel.DeviceTypeBridgedNode)
			n.addPower(d)
			n.addLabels(d)
		}
	}
	if composed {
		tag(a.Nodes[1:])
	}
	return a, nil
}

// Relabel sets the names of the bridged nodes from a description with the same
// parts.
func (a *Assembly) Relabel(d *Device) {
	for _, n := range a.Nodes {
		n.Label = d.Name
		if n.setRoom != nil {
			n.setRoom(d.Room)
		}
		for i := range d.Parts {
			if a.flat && d.Parts[i].ID == n.Key {
				n.Label = flatLabel(d, &d.Parts[i])
			}
		}
	}
}

// flatLabel returns the name of a part that is shown as a separate device.
func flatLabel(d *Device, p *Part) string {
	switch {
	case p.Name == "" || p.Name == d.Name:
		return strings.TrimSpace(d.Name + " " + p.ID)
	case strings.HasPrefix(p.Name, d.Name):
		return p.Name
	}
	return strings.TrimSpace(d.Name + " " + p.Name)
}

// shape returns a text with everything that the clusters of a part and its place in
// the tree depend on.
func shape(p *Part, child bool) string {
	s := []string{p.Type}
	add := func(name string, is bool) {
		if is {
			s = append(s, name)
		}
	}
	o := &p.Options
	add("child", child)
	add("meter", p.Meter)
	add(o.Technology, o.Technology != "pir" && o.Technology != "")
	add("smoke", o.Smoke)
	add("carbon_monoxide", o.CarbonMonoxide)
	add("gas", o.Gas)
	add("self_test", o.SelfTest)
	add("no position", o.Position != nil && !*o.Position)
	add("tilt", o.Tilt)
	add("level", o.Level)
	_, door := p.State["door"]
	add("door", door && p.Type == "door_lock")
	add("hold time", o.MaxHoldSeconds > 0)
	add(fmt.Sprintf("%d levels of sensitivity", o.SensitivityLevels), o.SensitivityLevels > 0)
	add(fmt.Sprintf("%d positions", o.Positions), o.Positions > 0)
	for _, list := range [][]string{o.ColorModes, o.Properties, o.Gestures, o.Modes, o.CleanModes, o.Areas} {
		sorted := slices.Sorted(slices.Values(list))
		s = append(s, strings.Join(sorted, "+"))
	}
	return strings.TrimRight(strings.Join(s, "/"), "/")
}
