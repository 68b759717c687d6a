package reader

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// Record is a Sink that keeps what a reader reports, for dry runs and tests.
type Record struct {
	Devices   map[string]device.Device // with the values that were reported
	Ignored   map[string][]device.Ignored
	Lists     map[string][]string
	Failures  map[string]int // messages that could not be read, by topic and reason
	Published []link.Publish
	Filters   map[string]link.Subscription
	Log       []string // one line per call that changes something
}

// NewRecord returns an empty record.
func NewRecord() *Record {
	return &Record{
		Devices: map[string]device.Device{}, Ignored: map[string][]device.Ignored{}, Lists: map[string][]string{},
		Failures: map[string]int{}, Filters: map[string]link.Subscription{},
	}
}

func (r *Record) log(format string, args ...any) { r.Log = append(r.Log, fmt.Sprintf(format, args...)) }

// Take returns the lines that were added since the last call.
func (r *Record) Take() []string {
	l := r.Log
	r.Log = nil
	return l
}

// Describe keeps a description. Values of parts that the device still has stay.
func (r *Record) Describe(d device.Device) {
	old := r.Devices[d.ID]
	d.Parts = slices.Clone(d.Parts)
	var parts []string
	for i := range d.Parts {
		p := &d.Parts[i]
		p.State = maps.Clone(p.State)
		for _, o := range old.Parts {
			if o.ID == p.ID && o.Type == p.Type {
				state := maps.Clone(o.State)
				maps.Copy(state, p.State)
				p.State = state
			}
		}
		if p.State == nil {
			p.State = device.Values{}
		}
		parts = append(parts, p.ID+":"+p.Type)
	}
	r.Devices[d.ID] = d
	r.log("describe %s %q %s", d.ID, d.Name, strings.Join(parts, " "))
}

// Listed keeps a list.
func (r *Record) Listed(scope string, ids []string) {
	r.Lists[scope] = ids
	r.log("listed %s %d", scope, len(ids))
}

// Remove forgets a device.
func (r *Record) Remove(id string) {
	delete(r.Devices, id)
	r.log("remove %s", id)
}

// Report keeps values.
func (r *Record) Report(id, part string, v device.Values) {
	for i := range r.Devices[id].Parts {
		if p := &r.Devices[id].Parts[i]; p.ID == part {
			maps.Copy(p.State, v)
		}
	}
	r.log("report %s/%s %s", id, part, Format(v))
}

// Format formats values in one line, sorted by name.
func Format(v device.Values) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		out = append(out, name+"="+v[name].String())
	}
	return strings.Join(out, " ")
}

// Battery keeps the state of a battery.
func (r *Record) Battery(id string, b device.Battery) {
	if d, ok := r.Devices[id]; ok {
		d.Battery = &b
		r.Devices[id] = d
	}
	charging := ""
	if !b.Charging.IsNull() {
		charging = " charging=" + b.Charging.String()
	}
	r.log("battery %s percent=%s low=%s%s", id, b.Percent, b.Low, charging)
}

// Reachable keeps whether a device is reachable.
func (r *Record) Reachable(id string, reachable bool) {
	if d, ok := r.Devices[id]; ok {
		d.Reachable = reachable
		r.Devices[id] = d
	}
	r.log("reachable %s %v", id, reachable)
}

// Away is Reachable with false, by another name in the log.
func (r *Record) Away(id string) {
	if d, ok := r.Devices[id]; ok {
		d.Reachable = false
		r.Devices[id] = d
	}
	r.log("away %s", id)
}

// Event adds a line to the log.
func (r *Record) Event(id, part string, g device.Gesture) { r.log("event %s/%s %s", id, part, g) }

// Ignore keeps what is not shown.
func (r *Record) Ignore(key string, list []device.Ignored) {
	if len(list) == 0 {
		delete(r.Ignored, key)
	} else {
		r.Ignored[key] = list
	}
}

// Failed counts a message.
func (r *Record) Failed(topic, reason string) {
	r.Failures[topic+": "+reason]++
	r.log("failed %s %s", topic, reason)
}

// Publish keeps a message.
func (r *Record) Publish(p link.Publish) {
	r.Published = append(r.Published, p)
	r.log("publish %s %s", p.Topic, p.Payload)
}

// Subscribe adds subscriptions.
func (r *Record) Subscribe(list ...link.Subscription) {
	for _, s := range list {
		r.Filters[s.Filter] = s
		r.log("subscribe %s", s.Filter)
	}
}

// Unsubscribe removes subscriptions.
func (r *Record) Unsubscribe(filters ...string) {
	for _, f := range filters {
		delete(r.Filters, f)
		r.log("unsubscribe %s", f)
	}
}
