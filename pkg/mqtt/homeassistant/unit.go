package homeassistant

import (
	"cmp"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// info is the part of a message that describes the device.
type info struct {
	origin      string
	identifiers []string // identifiers, and connections as type and value
	device      device.Device
}

func newInfo(c config) info {
	var i info
	if o, ok := c["origin"].(map[string]any); ok {
		i.origin = config(o).text("name", "")
	}
	m, ok := c["device"].(map[string]any)
	if !ok {
		return i
	}
	d := config(m)
	i.identifiers = d.texts("identifiers")
	list, _ := d["connections"].([]any)
	for _, x := range list {
		if pair, ok := x.([]any); ok && len(pair) == 2 {
			i.identifiers = append(i.identifiers, template.Text(pair[0])+"_"+template.Text(pair[1]))
		}
	}
	const most = 16
	i.identifiers = i.identifiers[:min(len(i.identifiers), most)]
	text := func(key string) string { return reader.Text(d.text(key, "")) }
	i.device = device.Device{
		Name: text("name"), Room: text("suggested_area"), Vendor: text("manufacturer"), Product: cmp.Or(text("model"), text("model_id")),
		Serial: text("serial_number"), HardwareVersion: text("hw_version"), SoftwareVersion: text("sw_version"),
	}
	return i
}

// unit is a device with its entities.
type unit struct {
	id       string
	idents   []string
	device   device.Device // from all messages so far
	entities map[string]*entity

	parts     map[string]*entity // the parts of the last description, with the entities for their commands
	described device.Device      // the last description
	kept      []device.Part      // parts from an earlier run whose entities were not described so far

	dirty bool // it needs a description
	since time.Time
	last  time.Time // time of the last message about it

	reachable bool
	memory    *reader.Memory
	battery   device.Battery
}

// unitOf returns the device of an entity: a device with one of the same
// identifiers, or a new one.
func (r *Reader) unitOf(i info, e *entity) *unit {
	idents := i.identifiers
	if len(idents) == 0 {
		idents = []string{e.id} // the entity is a device by itself
	}
	var u *unit
	for _, ident := range idents {
		if u = r.byIdent[ident]; u != nil {
			break
		}
	}
	if u == nil {
		u = &unit{id: reader.ID(r.o.Source, idents[0]), entities: map[string]*entity{}, memory: reader.NewMemory()}
		for n := 2; r.units[u.id] != nil; n++ { // the ids of two identifiers may be equal after replacement
			u.id = reader.ID(r.o.Source, idents[0]+strings.Repeat("_", n))
		}
		r.units[u.id] = u
	}
	for _, ident := range idents {
		if r.byIdent[ident] == nil && len(u.idents) < 64 {
			r.byIdent[ident] = u
			u.idents = append(u.idents, ident)
		}
	}
	return u
}

// learn adds what a message contains about the device. Later messages may contain
// less.
func (u *unit) learn(d device.Device, e *entity) {
	for _, t := range []struct{ to, from *string }{
		{&u.device.Name, &d.Name}, {&u.device.Room, &d.Room}, {&u.device.Vendor, &d.Vendor}, {&u.device.Product, &d.Product},
		{&u.device.Serial, &d.Serial}, {&u.device.HardwareVersion, &d.HardwareVersion}, {&u.device.SoftwareVersion, &d.SoftwareVersion},
	} {
		if *t.from != "" {
			*t.to = *t.from
		}
	}
	if u.device.Name == "" {
		u.device.Name = reader.Text(e.config.text("name", e.config.text("unique_id", e.component)))
	}
}

// find returns the entity with the same id.
func (u *unit) find(e *entity) *entity {
	if !e.config.has("unique_id") {
		return nil
	}
	for _, x := range u.entities {
		if x.id == e.id && x.key != e.key {
			return x
		}
	}
	return u.entities[e.key]
}

// forget removes a device.
func (r *Reader) forget(u *unit) {
	delete(r.units, u.id)
	for _, ident := range u.idents {
		if r.byIdent[ident] == u {
			delete(r.byIdent, ident)
		}
	}
}

// touch schedules the description of a device for when no more messages about it
// arrive.
func (r *Reader) touch(now time.Time, u *unit) {
	if !u.dirty {
		u.dirty, u.since = true, now
		r.after(now, gather, func(now time.Time) { r.gathered(now, u) })
	}
	u.last = now
}

func (r *Reader) gathered(now time.Time, u *unit) {
	due := u.last.Add(gather)
	if most := u.since.Add(gatherMost); most.Before(due) {
		due = most
	}
	switch {
	case !u.dirty || r.units[u.id] != u || !r.settled: // Settled describes it
	case now.Before(due):
		r.after(now, due.Sub(now), func(now time.Time) { r.gathered(now, u) })
	default:
		r.describe(now, u)
		r.judge(now, u)
	}
}

// describe describes a device.
func (r *Reader) describe(now time.Time, u *unit) {
	u.dirty = false
	a := reader.NewAssembly()
	u.parts = map[string]*entity{}
	for _, key := range slices.Sorted(maps.Keys(u.entities)) {
		e := u.entities[key]
		for _, b := range e.bindings {
			b.part = ""
		}
		if e.add != nil {
			e.add(a)
		}
	}
	automations(u, a)
	parts, ignored, dropped := a.Finish(r.o.Source, u.id)
	for _, part := range dropped {
		delete(u.parts, part)
	}
	d := u.device
	d.ID, d.Parts, d.Reachable = u.id, parts, u.reachable
	if a.Battery {
		battery := u.battery
		d.Battery = &battery
	}
	r.complete(u, &d)
	switch {
	case len(d.Parts) == 0:
		ignored = append(ignored, reader.Nothing.Ignored(r.o.Source, u.id, d.Name))
		if len(u.described.Parts) > 0 {
			r.sink.Remove(u.id)
		}
	case !reflect.DeepEqual(comparable(u.described), comparable(d)):
		r.sink.Describe(d)
	}
	u.described = d
	r.sink.Ignore(u.id, ignored)
	u.memory.Forget()
	r.replay(now, u)
}

// comparable returns a description without the values that are reported separately.
func comparable(d device.Device) device.Device {
	d.Reachable = false
	if d.Battery != nil {
		d.Battery = &device.Battery{}
	}
	return d
}

// complete adds parts that the bridge has and that were not described in this run,
// if the publisher does not retain its messages. A missing message does not remove
// anything.
func (r *Reader) complete(u *unit, d *device.Device) {
	for _, e := range u.entities {
		if e.retained {
			u.kept = nil
			return
		}
	}
	if len(u.described.Parts) == 0 && r.o.Known != nil {
		if known, ok := r.o.Known(u.id); ok {
			u.kept = known.Parts
		}
	}
	for _, p := range u.kept {
		if len(d.Parts) > 0 && len(d.Parts) < reader.MaxParts && !slices.ContainsFunc(d.Parts, func(q device.Part) bool { return q.ID == p.ID }) {
			p.State = nil
			d.Parts = append(d.Parts, p)
		}
	}
}

// replay reports the last states of a device.
func (r *Reader) replay(now time.Time, u *unit) {
	for _, key := range slices.Sorted(maps.Keys(u.entities)) {
		for _, b := range u.entities[key].bindings {
			if b.seen {
				r.report(now, b)
			}
		}
	}
}

// report reads a state and reports what is new.
func (r *Reader) report(now time.Time, b *binding) {
	u := b.entity.unit
	if u == nil || b.read == nil {
		return
	}
	battery := u.battery
	out := device.Values{}
	b.read(b.last, out)
	if u.battery != battery {
		r.sink.Battery(u.id, u.battery)
	}
	r.news(now, u, b.part, out)
}

// news reports those values that are new.
func (r *Reader) news(now time.Time, u *unit, part string, out device.Values) {
	if part == "" {
		return
	}
	if u.memory.News(now, part, out) {
		r.sink.Report(u.id, part, out)
	}
}

// Owns reports whether a device belongs to this reader.
func (r *Reader) Owns(id string) bool { return r.units[id] != nil }

// Command carries out a command.
func (r *Reader) Command(now time.Time, c device.Command) error {
	u := r.units[c.Device]
	if u == nil {
		return errUnsupported
	}
	e := u.parts[c.Part]
	if e == nil || e.handle == nil {
		return errUnsupported
	}
	var out output
	if err := e.handle(c, &out); err != nil {
		return err
	}
	if len(out.errs) > 0 {
		return errors.Join(out.errs...)
	}
	u.memory.Commanded(now, c.Part, c.Set)
	for _, m := range out.messages {
		r.sink.Publish(m)
	}
	if len(out.assumed) > 0 {
		r.news(now, u, c.Part, out.assumed)
	}
	return nil
}

// heard records the time of a message of an entity, for expire_after.
func (r *Reader) heard(now time.Time, e *entity) {
	e.heard = now
	if e.expires == 0 {
		return
	}
	if !e.expiring {
		e.expiring = true
		r.after(now, e.expires, func(now time.Time) { r.expire(now, e) })
	}
	r.judge(now, e.unit)
}

// expire checks whether an entity was silent for too long. Each entity has one
// timer, however often it sends.
func (r *Reader) expire(now time.Time, e *entity) {
	e.expiring = false
	if e.unit == nil || e.unit.entities[e.key] != e {
		return
	}
	if left := e.expires - now.Sub(e.heard); left > 0 {
		e.expiring = true
		r.after(now, left, func(now time.Time) { r.expire(now, e) })
		return
	}
	r.judge(now, e.unit)
}

// canReach reports whether a device is reachable, that is, one of its entities is
// available.
func (r *Reader) canReach(now time.Time, u *unit) bool {
	for _, e := range u.entities {
		if !e.leaving && e.presence.available() && (e.expires == 0 || !e.heard.IsZero() && now.Sub(e.heard) < e.expires) {
			return r.settled
		}
	}
	return false
}

// judge reports whether a device is reachable, if that has changed.
func (r *Reader) judge(now time.Time, u *unit) {
	if u == nil || len(u.described.Parts) == 0 {
		return
	}
	if is := r.canReach(now, u); is != u.reachable {
		u.reachable = is
		r.sink.Reachable(u.id, is)
	}
}
