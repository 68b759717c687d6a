package zigbee2mqtt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// groupList is the state of the groups.
type groupList struct {
	all      []bridgeGroup
	complete bool                // bridge/groups has arrived and was valid
	listed   map[string]bool     // their ids
	leads    map[string][]*thing // by device id: groups with this member that follow their members
}

// readGroups handles bridge/groups.
func (r *Reader) readGroups(m link.Message) {
	if len(m.Payload) == 0 {
		return
	}
	entries, bad, err := list[bridgeGroup](m.Payload, reader.MaxDevices)
	if err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	r.groups.all, r.groups.complete = entries, bad == 0
	r.readAll()
	r.judgeAll()
	r.forget()
}

// readAll describes all groups again, since a group depends on its members.
func (r *Reader) readAll() {
	listed := map[string]bool{}
	for i := range r.groups.all {
		g := &r.groups.all[i]
		if g.ID == nil {
			continue
		}
		id := r.groupID(*g.ID)
		if listed[id] {
			continue
		}
		listed[id] = true
		r.takeGroup(id, g)
	}
	r.groups.listed = listed
	r.followMembers()
}

// groupID returns the id of a group. It contains the base topic, since group
// numbers are not unique across networks.
func (r *Reader) groupID(n int64) string {
	if r.base == DefaultBase {
		return reader.ID(Source, fmt.Sprintf("group_%d", n))
	}
	return reader.ID(Source, fmt.Sprintf("%s_group_%d", r.base, n))
}

// DefaultBase is zigbee2mqtt's default base topic.
const DefaultBase = "zigbee2mqtt"

// takeGroup describes a group by what all its members support.
func (r *Reader) takeGroup(id string, g *bridgeGroup) {
	ignore := func(reason reader.Reason) {
		// The last description stays, since the missing member may be announced
		// shortly.
		r.sink.Ignore(id, []device.Ignored{reason.Ignored(Source, id, "group "+reader.Text(g.FriendlyName))})
	}
	if !reader.PublishableTopic(g.FriendlyName) {
		ignore(reader.Unreadable("its name cannot be a topic"))
		return
	}
	if len(g.Members) == 0 {
		ignore(reader.NoType("it has no members"))
		return
	}
	members := r.members(g)
	e := common(members)
	if e == nil {
		ignore(reader.NoType("its members have nothing in common that Matter has a type for"))
		return
	}
	b := newBuilder(id, g.FriendlyName)
	b.t.device.Vendor, b.t.device.Product = "zigbee2mqtt", "Group"
	b.specific([]expose{*e})
	t, _ := b.finish()
	t.members = members
	r.sink.Ignore(id, nil)
	r.put(t)
}

// members returns the members of a group, or nil if one of them has nothing that a
// group can command.
func (r *Reader) members(g *bridgeGroup) (all []groupMember) {
	for _, m := range g.Members {
		id := reader.ID(Source, m.IEEEAddress)
		d := r.devices[id]
		if d == nil || d.Definition == nil {
			return nil
		}
		load := mainOf(d.Definition.Exposes)
		if load == nil {
			return nil
		}
		all = append(all, groupMember{id, load})
	}
	return all
}

// common returns what a group supports: a light with the features that all lights
// share, if all members are lights; a switch if all members can be switched;
// otherwise nil.
func common(members []groupMember) *expose {
	if len(members) == 0 {
		return nil
	}
	first := members[0].load
	out := *first
	out.Endpoint = ""
	out.Features = nil
	for _, f := range first.Features {
		shared := true
		for _, m := range members[1:] {
			other := m.load
			shared = shared && other.feature(f.Name) != nil
			if other.Type != out.Type && (other.Type == "light" || other.Type == "switch") && (out.Type == "light" || out.Type == "switch") {
				out.Type = "switch"
			} else if other.Type != out.Type {
				return nil
			}
		}
		if shared && slices.Contains([]string{"state", "brightness", "color_temp", "color_xy", "color_hs", "position", "tilt"}, f.Name) {
			f.Property = groupProperty(f.Name)
			f.Endpoint = ""
			out.Features = append(out.Features, f)
		}
	}
	if out.Type == "switch" {
		out.Features = slices.DeleteFunc(out.Features, func(f expose) bool { return f.Name != "state" })
	}
	return &out
}

func groupProperty(name string) string {
	if name == "color_xy" || name == "color_hs" {
		return "color"
	}
	return name
}

// mainOf returns the load of a device that groups command.
func mainOf(exposes []expose) *expose {
	for _, want := range []string{"light", "switch", "cover"} {
		for i := range exposes {
			if e := &exposes[i]; e.Type == want && e.feature("state") != nil && (want != "switch" || e.Endpoint == "" && e.feature("state").Property == "state" || loads.MatchString(e.Endpoint)) {
				return e
			}
		}
	}
	return nil
}

// followMembers lets groups without a state follow their members. zigbee2mqtt
// publishes the state of a group only when it changes, which may take weeks.
func (r *Reader) followMembers() {
	r.groups.leads = map[string][]*thing{}
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		t := r.things[id]
		if t.follows = t.members != nil && len(t.known) == 0; t.follows {
			for _, m := range t.members {
				r.groups.leads[m.id] = append(r.groups.leads[m.id], t)
			}
			r.follow(t)
		}
	}
}

// follow derives the state of a group from its members, if all of their states are
// known.
func (r *Reader) follow(t *thing) {
	if !t.follows || r.things[t.id] != t {
		return
	}
	if state := r.together(t); state != nil {
		t.follows = false
		maps.Copy(t.known, state)
		r.report(t, slices.Sorted(maps.Keys(state)))
	}
}

// together returns the common state of a group's members, as zigbee2mqtt computes
// it: on if one of them is on, with the values of the first such member. It is nil
// if a member's state is unknown.
func (r *Reader) together(group *thing) map[string]any {
	var first map[string]any
	on := false
	for _, m := range group.members {
		t := r.things[m.id]
		if t == nil {
			return nil
		}
		state := map[string]any{}
		for i := range m.load.Features {
			f := &m.load.Features[i]
			name := groupProperty(f.Name)
			if v, ok := t.known[f.Property]; ok && group.bindings[name] != nil {
				state[name] = v
			}
		}
		is := state["state"]
		if is == nil {
			return nil
		}
		active, _ := m.load.feature("state").isOn(is)
		active = active || is == "OPEN"
		if first == nil || active && !on {
			first, on = state, active
		}
	}
	return first
}
