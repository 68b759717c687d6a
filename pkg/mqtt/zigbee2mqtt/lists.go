package zigbee2mqtt

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// readDevices takes bridge/devices, which is always complete.
func (r *Reader) readDevices(now time.Time, m link.Message) {
	if len(m.Payload) == 0 {
		return // silence removes nothing
	}
	entries, bad, err := list[bridgeDevice](m.Payload, reader.MaxDevices)
	if err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	listed := map[string]bool{}
	for i := range entries {
		d := &entries[i]
		if d.Type == "Coordinator" || d.IEEEAddress == "" {
			continue
		}
		id := reader.ID(Source, d.IEEEAddress)
		if listed[id] {
			continue
		}
		listed[id] = true
		r.devices[id] = d
		r.take(id, d)
	}
	r.listed = listed
	key := Source + ":" + r.base
	if bad > 0 {
		r.sink.Failed(m.Topic, "entry")
		r.sink.Ignore(key, []device.Ignored{{ID: key, Source: Source, What: fmt.Sprintf("%d entries of %s", bad, m.Topic), Reason: "they cannot be read, or are too many"}})
		r.listed = nil // what is missing may be there
	} else {
		r.sink.Ignore(key, nil)
	}
	r.forget()
	r.readAll()
	r.judgeAll()
	if r.settled {
		r.askAt = now.Add(askAfter)
	}
}

// take describes a device of the list, if it has changed.
func (r *Reader) take(id string, d *bridgeDevice) {
	if reason := unfit(d); reason != "" {
		r.sink.Ignore(id, []device.Ignored{{ID: id, Source: Source, What: reader.Text(d.FriendlyName), Reason: reason}})
		return
	}
	t, ignored := build(Source, d)
	if len(t.device.Parts) == 0 {
		ignored = append(ignored, device.Ignored{ID: id, What: reader.Text(d.FriendlyName), Reason: "nothing of it has a type in Matter"})
	}
	for i := range ignored {
		ignored[i].Source = Source
	}
	r.sink.Ignore(id, ignored)
	r.put(t)
}

// unfit says why a device cannot be shown.
func unfit(d *bridgeDevice) string {
	switch {
	case !reader.PublishableTopic(d.FriendlyName):
		return "its name cannot be a topic"
	case d.Definition == nil && (d.InterviewState == "IN_PROGRESS" || d.InterviewState == "PENDING" || d.Completed != nil && !*d.Completed):
		return "its interview is not complete"
	case d.Definition == nil:
		return "zigbee2mqtt does not know this model"
	}
	return ""
}

// put replaces a thing. What is known of its state stays, and what it is is told if that
// is something else.
func (r *Reader) put(t *thing) {
	old := r.things[t.id]
	if len(t.device.Parts) == 0 {
		if old != nil {
			r.drop(old)
			r.sink.Remove(t.id)
		}
		return
	}
	if old != nil {
		if old.name != t.name {
			r.unsubscribe(old.name)
			delete(r.byTopic, old.name)
		}
		t.memory = old.memory
		if old.name != t.name {
			t.available = nil // told again under the new name
		}
	}
	if t.device.Battery != nil {
		battery := t.battery
		t.device.Battery = &battery
	}
	if available, ok := r.early[t.name]; ok {
		t.available = &available
		delete(r.early, t.name)
	}
	r.things[t.id] = t
	r.byTopic[t.name] = t
	r.subscribe(t.name)
	t.device.Reachable = t.reachable
	if old == nil || !reflect.DeepEqual(describable(old.device), describable(t.device)) {
		r.sink.Describe(t.device)
		clear(t.known) // the next state is told in full
	}
}

// describable is a description without what is told by itself.
func describable(d device.Device) device.Device {
	d.Reachable = false
	if d.Battery != nil {
		d.Battery = &device.Battery{}
	}
	return d
}

// drop forgets a thing.
func (r *Reader) drop(t *thing) {
	delete(r.things, t.id)
	if r.byTopic[t.name] == t {
		delete(r.byTopic, t.name)
		r.unsubscribe(t.name)
	}
}

// subscribe asks for the topics of a name that no wildcard takes.
func (r *Reader) subscribe(name string) {
	if strings.Contains(name, "/") && !r.extra[name] {
		r.extra[name] = true
		r.sink.Subscribe(link.Subscription{Filter: r.base + "/" + name}, link.Subscription{Filter: r.base + "/" + name + "/availability", Keep: true})
	}
}

func (r *Reader) unsubscribe(name string) {
	if r.extra[name] {
		delete(r.extra, name)
		r.sink.Unsubscribe(r.base+"/"+name, r.base+"/"+name+"/availability")
	}
}

// forget drops what is in no list any more, and tells which devices there are. While
// zigbee2mqtt is not there its list is an old one.
func (r *Reader) forget() {
	if r.listed == nil || !r.hasGroups {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		if !r.listed[id] && !r.groupsListed[id] {
			r.drop(r.things[id])
			r.sink.Ignore(id, nil)
		}
	}
	for id := range r.devices {
		if !r.listed[id] {
			delete(r.devices, id)
			r.sink.Ignore(id, nil)
		}
	}
	r.list()
}

// list tells which devices there are. A list without any is no reason to remove all.
func (r *Reader) list() {
	if !r.isOnline() || len(r.listed) == 0 || !r.hasGroups {
		return
	}
	ids := slices.Sorted(maps.Keys(r.listed))
	ids = append(ids, slices.Sorted(maps.Keys(r.groupsListed))...)
	r.sink.Listed(r.base, ids)
}

// readGroups takes bridge/groups.
func (r *Reader) readGroups(m link.Message) {
	if len(m.Payload) == 0 {
		return
	}
	entries, bad, err := list[bridgeGroup](m.Payload, reader.MaxDevices)
	if err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	r.groups, r.hasGroups = entries, bad == 0
	r.readAll()
	r.judgeAll()
	r.forget()
}

// readAll describes the groups anew: what they are depends on their members.
func (r *Reader) readAll() {
	listed := map[string]bool{}
	for i := range r.groups {
		g := &r.groups[i]
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
	r.groupsListed = listed
}

// groupID makes the id of a group. Numbers of groups are the same in other networks.
func (r *Reader) groupID(n int64) string {
	if r.base == DefaultBase {
		return reader.ID(Source, fmt.Sprintf("group_%d", n))
	}
	return reader.ID(Source, fmt.Sprintf("%s_group_%d", r.base, n))
}

// DefaultBase is zigbee2mqtt's base topic where none is configured.
const DefaultBase = "zigbee2mqtt"

// takeGroup describes a group: as what all its members can do.
func (r *Reader) takeGroup(id string, g *bridgeGroup) {
	ignore := func(reason string) {
		// What it was stays: a member may be known again in a moment.
		r.sink.Ignore(id, []device.Ignored{{ID: id, Source: Source, What: "group " + reader.Text(g.FriendlyName), Reason: reason}})
	}
	if !reader.PublishableTopic(g.FriendlyName) {
		ignore("its name cannot be a topic")
		return
	}
	if len(g.Members) == 0 {
		ignore("it has no members")
		return
	}
	e := r.common(g)
	if e == nil {
		ignore("its members have nothing in common that Matter has a type for")
		return
	}
	b := newBuilder(id, g.FriendlyName)
	b.t.device.Vendor, b.t.device.Product = "zigbee2mqtt", "Group"
	b.specific([]expose{*e})
	t, _ := b.finish()
	r.sink.Ignore(id, nil)
	r.put(t)
}

// common returns what a group has in common: a light with the features that all lights
// of it have, if all members are lights; a switch if they can all be switched.
func (r *Reader) common(g *bridgeGroup) *expose {
	var all []*expose
	for _, m := range g.Members {
		d := r.devices[reader.ID(Source, m.IEEEAddress)]
		if d == nil || d.Definition == nil {
			return nil
		}
		main := mainOf(d.Definition.Exposes)
		if main == nil {
			return nil
		}
		all = append(all, main)
	}
	out := *all[0]
	out.Endpoint = ""
	out.Features = nil
	for _, f := range all[0].Features {
		shared := true
		for _, other := range all[1:] {
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
