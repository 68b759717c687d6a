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

// readDevices handles bridge/devices, which always lists all devices.
func (r *Reader) readDevices(now time.Time, m link.Message) {
	if len(m.Payload) == 0 {
		return // a missing list does not remove anything
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
		r.sink.Ignore(key, []device.Ignored{reader.Unreadable("they cannot be read, or are too many").Ignored(Source, key, fmt.Sprintf("%d entries of %s", bad, m.Topic))})
		r.listed = nil // a device that was skipped may still exist
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

// take describes a device of the list, if its entry has changed.
func (r *Reader) take(id string, d *bridgeDevice) {
	if reason := unfit(d); reason.Text != "" {
		r.sink.Ignore(id, []device.Ignored{reason.Ignored(Source, id, reader.Text(d.FriendlyName))})
		return
	}
	t, ignored := build(d)
	if len(t.device.Parts) == 0 {
		ignored = append(ignored, reader.Nothing.Ignored(Source, id, reader.Text(d.FriendlyName)))
	}
	r.sink.Ignore(id, ignored)
	r.put(t)
}

// unfit returns why a device cannot be shown.
func unfit(d *bridgeDevice) reader.Reason {
	switch {
	case !reader.PublishableTopic(d.FriendlyName):
		return reader.Unreadable("its name cannot be a topic")
	case d.Definition == nil && (d.InterviewState == "IN_PROGRESS" || d.InterviewState == "PENDING" || d.Completed != nil && !*d.Completed):
		return reader.Other("its interview is not complete")
	case d.Definition == nil:
		return reader.NoType("zigbee2mqtt does not know this model")
	}
	return reader.Reason{}
}

// put replaces a thing. It keeps the known state, and reports the description if it
// differs.
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
			r.release(old)
		}
		t.memory = old.memory
		if old.name != t.name {
			t.available = nil // reported again under the new name
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
		clear(t.known) // so that the next state is reported completely
	}
}

// describable returns a description without the values that are reported
// separately.
func describable(d device.Device) device.Device {
	d.Reachable = false
	if d.Battery != nil {
		d.Battery = &device.Battery{}
	}
	return d
}

// drop removes a thing.
func (r *Reader) drop(t *thing) {
	delete(r.things, t.id)
	if t.available != nil && len(r.early) < reader.MaxDevices {
		// When the device joins again, zigbee2mqtt sends its availability only if
		// it has changed.
		r.early[t.name] = *t.available
	}
	r.release(t)
}

// release gives up the topic of a thing, unless another thing has its name now.
func (r *Reader) release(t *thing) {
	if r.byTopic[t.name] == t {
		delete(r.byTopic, t.name)
		r.unsubscribe(t.name)
	}
}

// subscribe subscribes to the topics of a name that no wildcard matches.
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

// forget removes devices that are in no list, and reports the list. It does nothing
// while zigbee2mqtt is offline, since its list is old.
func (r *Reader) forget() {
	if r.listed == nil || !r.groups.complete {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		if !r.listed[id] && !r.groups.listed[id] {
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

// list reports the devices. It does not report an empty list, which would remove
// all devices.
func (r *Reader) list() {
	if !r.isOnline() || len(r.listed) == 0 || !r.groups.complete {
		return
	}
	ids := slices.Sorted(maps.Keys(r.listed))
	ids = append(ids, slices.Sorted(maps.Keys(r.groups.listed))...)
	r.sink.Listed(r.base, ids)
}
