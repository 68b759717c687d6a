package homeassistant

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// Source is the source of all devices that were discovered.
const Source = "ha"

// DefaultPrefix is the default prefix of discovery topics.
const DefaultPrefix = "homeassistant"

// Bounds and times of the reader.
const (
	MaxEntities = 5000             // of one broker
	MaxConfig   = 256 << 10        // octets of a discovery message
	gather      = 2 * time.Second  // a device is described when no message arrived for this long
	gatherMost  = 10 * time.Second // and at the latest after this time
	grace       = 60 * time.Second // in which a cleared entity may come back
)

// Options select what is read.
type Options struct {
	Source string // default: [Source]
	Prefix string // empty: nothing is discovered
	// Skip reports whether another reader is responsible for the device of a
	// message. Its arguments are the publisher, the device's identifiers, and the
	// topics of its states and commands.
	Skip func(origin string, identifiers, topics []string) bool
	// Known returns the description of a device that the bridge has.
	Known func(id string) (device.Device, bool)
}

// Reader reads discovery messages, states and commands. It is used by one
// goroutine.
type Reader struct {
	o    Options
	sink reader.Sink

	entities map[string]*entity // by key
	units    map[string]*unit   // by id
	byIdent  map[string]*unit   // by identifiers and connections
	topics   map[string][]*entity
	wild     []string // topics with wildcards
	timers   timers
	skipped  map[string]bool // keys for which another reader is responsible
	refused  map[string]bool // keys of entities that are not shown
	rivals   map[string]*rival
	beyond   int // number of entities that were ignored because there are too many
	own      Own // what the operator describes

	settled bool
}

// New returns a reader.
func New(o Options, sink reader.Sink) *Reader {
	o.Source = cmp.Or(o.Source, Source)
	return &Reader{
		o: o, sink: sink,
		entities: map[string]*entity{}, units: map[string]*unit{}, byIdent: map[string]*unit{},
		topics: map[string][]*entity{}, skipped: map[string]bool{}, refused: map[string]bool{}, rivals: map[string]*rival{},
	}
}

// components are those that are shown, and those that are known but not shown.
var components = []string{
	"light", "switch", "sensor", "binary_sensor", "cover", "lock", "climate", "fan", "valve", "event", "device_automation", "vacuum", "siren", "humidifier",
	"alarm_control_panel", "button", "camera", "device_tracker", "image", "lawn_mower", "notify", "number", "scene", "select",
	"tag", "text", "update", "water_heater",
}

// Subscriptions returns what the reader subscribes to at the beginning. Each
// component has a subscription of its own, so that its messages are handled before
// the next one is subscribed to.
func (r *Reader) Subscriptions() []link.Subscription {
	var out []link.Subscription
	if r.o.Prefix == "" {
		return nil
	}
	for _, c := range append([]string{"device"}, components...) {
		out = append(out, link.Subscription{Filter: r.o.Prefix + "/" + c + "/+/config", Keep: true}, link.Subscription{Filter: r.o.Prefix + "/" + c + "/+/+/config", Keep: true})
	}
	return out
}

// Up is called for each new connection, after which retained messages arrive again.
func (r *Reader) Up() {
	r.settled = false
	for _, e := range r.entities {
		for i := range e.presence.topics {
			e.presence.topics[i].said = false
		}
		e.presence.last = false
		e.retained = false
	}
	for _, u := range r.units {
		u.memory.Forget()
	}
	for _, v := range r.rivals {
		v.tried = false
	}
}

// Settled is called when all retained messages have arrived. It describes the
// devices.
func (r *Reader) Settled(now time.Time) {
	r.settled = true
	r.decide(now)
	for _, id := range slices.Sorted(maps.Keys(r.units)) {
		u := r.units[id]
		if u.dirty {
			r.describe(now, u)
		}
		u.reachable = r.canReach(now, u)
		if len(u.described.Parts) > 0 {
			r.sink.Reachable(u.id, u.reachable)
		}
	}
}

// topicForm matches a discovery topic below the prefix.
var topicForm = reader.NewPattern(`^([a-z_]+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config$`)

// Message handles a message.
func (r *Reader) Message(now time.Time, m link.Message) {
	if rest, ok := strings.CutPrefix(m.Topic, r.o.Prefix+"/"); ok && r.o.Prefix != "" && strings.HasSuffix(rest, "/config") {
		if parts := topicForm.FindStringSubmatch(rest); parts != nil {
			r.discovery(now, parts[1], strings.TrimSpace(parts[2]+" "+parts[3]), m)
			return
		}
	}
	r.dispatch(now, m)
}

// dispatch passes a message to all listeners of its topic.
func (r *Reader) dispatch(now time.Time, m link.Message) {
	msg := &message{Message: m}
	for _, e := range r.topics[m.Topic] {
		r.deliver(now, e, m.Topic, msg)
	}
	for _, filter := range r.wild {
		if link.Match(filter, m.Topic) {
			for _, e := range r.topics[filter] {
				r.deliver(now, e, filter, msg)
			}
		}
	}
}

func (r *Reader) deliver(now time.Time, e *entity, topic string, m *message) {
	for _, l := range e.listeners {
		if l.topic == topic {
			l.f(now, m)
		}
	}
}

// discovery handles a discovery message.
func (r *Reader) discovery(now time.Time, component, id string, m link.Message) {
	key := component + "/" + strings.ReplaceAll(id, " ", "/")
	if len(m.Payload) == 0 {
		r.withdraw(key)
		r.clear(now, component, key)
		return
	}
	if len(m.Payload) > MaxConfig {
		r.sink.Failed(m.Topic, "too_large")
		return
	}
	v, err := template.JSON(m.Payload)
	fields, ok := v.(map[string]any)
	if err != nil || !ok {
		r.sink.Failed(m.Topic, "json") // the last valid configuration stays
		return
	}
	c := newConfig(fields)
	if c.truth("migrate_discovery", false) && len(fields) == 1 {
		r.migrate(component, key)
		return
	}
	if component == "device" {
		r.device(now, key, c, m)
		return
	}
	c.base()
	r.entity(now, component, key, c, m.Retained)
}

// shared are options of a device's message that also apply to its components.
var shared = []string{"availability", "availability_mode", "availability_template", "availability_topic", "command_topic", "encoding", "payload_available", "payload_not_available", "qos", "state_topic", "device", "origin"}

// device handles a message about all entities of a device. A component that the
// message omits stays; a component with only its platform is removed.
func (r *Reader) device(now time.Time, key string, root config, m link.Message) {
	list, ok := root["components"].(map[string]any)
	if !ok || !root.has("device") || !root.has("origin") {
		r.sink.Failed(m.Topic, "schema")
		return
	}
	for _, id := range slices.Sorted(maps.Keys(list)) {
		fields, ok := list[id].(map[string]any)
		if !ok {
			r.sink.Failed(m.Topic, "schema")
			continue
		}
		c := newConfig(fields)
		platform := c.text("platform", "")
		// The key contains the device's key, so that an empty message clears all of
		// its entities.
		key := key + "#" + reader.Text(id)
		if len(fields) == 1 {
			r.leave(now, key)
			continue
		}
		for _, k := range shared {
			if _, has := c[k]; !has && root.has(k) {
				c[k] = root[k]
			}
		}
		if _, has := c["~"]; !has && root.has("~") {
			c["~"] = root["~"]
		}
		c = config(maps.Clone(c))
		c.base()
		r.entity(now, platform, key, c, m.Retained)
	}
}

// clear handles an empty discovery message.
func (r *Reader) clear(now time.Time, component, key string) {
	if component != "device" {
		r.leave(now, key)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(r.entities)) {
		if strings.HasPrefix(k, key+"#") {
			r.leave(now, k)
		}
	}
	for k := range r.refused {
		if strings.HasPrefix(k, key+"#") {
			r.accept(k)
		}
	}
}

// migrate marks an entity whose unique_id will come back on another topic.
func (r *Reader) migrate(component, key string) {
	for k, e := range r.entities {
		if k == key || component == "device" && strings.HasPrefix(k, key+"#") {
			e.leaving = true // without a timer: it stays until it is announced again
		}
	}
}

// leave starts the grace time of an entity. A device becomes unreachable when all
// of its entities are leaving.
func (r *Reader) leave(now time.Time, key string) {
	r.accept(key)
	delete(r.skipped, key)
	e := r.entities[key]
	if e == nil || e.leaving {
		return
	}
	e.leaving = true
	if r.give(now, e); r.entities[key] != e {
		return // another message describes the entity, too
	}
	r.after(now, grace, func(now time.Time) {
		if r.entities[key] == e && e.leaving {
			r.drop(now, e)
		}
	})
	r.judge(now, e.unit)
}

// refuse records that an entity is not shown, and why. accept removes the record.
func (r *Reader) refuse(key, component, name string, reason reader.Reason) {
	if len(r.refused) >= MaxEntities && !r.refused[key] {
		r.beyond++
		r.sink.Ignore(r.o.Source+":", []device.Ignored{reader.Other("there are too many entities to keep a reason for each").Ignored(r.o.Source, r.o.Source+":more", fmt.Sprintf("%d more", r.beyond))})
		return
	}
	r.refused[key] = true
	r.sink.Ignore(r.o.Source+":"+key, []device.Ignored{reason.Ignored(r.o.Source, reader.ID(r.o.Source, key), strings.TrimSpace(component+" "+reader.Text(name)))})
}

func (r *Reader) accept(key string) {
	if r.refused[key] {
		delete(r.refused, key)
		r.sink.Ignore(r.o.Source+":"+key, nil)
	}
}

// entity handles the description of one entity.
func (r *Reader) entity(now time.Time, component, key string, c config, retained bool) {
	r.announce(now, component, key, c, retained, false)
}

// announce does the same. If it is said to be valid, no other description of the entity
// is.
func (r *Reader) announce(now time.Time, component, key string, c config, retained, valid bool) {
	old := r.entities[key]
	info := newInfo(c)
	if r.o.Skip != nil && r.o.Skip(info.origin, info.identifiers, c.topics()) {
		r.skipped[key] = true
		if old != nil {
			r.drop(now, old)
		}
		return
	}
	if len(r.entities) >= MaxEntities && old == nil {
		r.refuse(key, component, c.text("name", ""), reader.Other(fmt.Sprintf("%d entities are looked at at most", MaxEntities)))
		return
	}
	if old != nil && !old.leaving && reflect.DeepEqual(old.said, c) {
		old.retained = old.retained || retained // announced again, as some publishers do often
		return
	}
	e := &entity{key: key, component: component, said: c, config: maps.Clone(c), retained: retained}
	e.expires = c.seconds("expire_after")
	e.id = component + "_" + c.text("unique_id", strings.ReplaceAll(key, "/", "_"))
	if err := r.build(e); err != nil {
		r.refuse(key, component, c.text("name", c.text("unique_id", key)), reader.ReasonOf(err))
		if old != nil {
			r.drop(now, old)
		}
		return
	}
	r.accept(key)
	u := r.unitOf(info, e)
	if !valid && r.contested(u, e) {
		if old != nil {
			r.drop(now, old)
		}
		return
	}
	delete(r.rivals, key)
	u.learn(info.device, e)
	// If the same entity was described before, or on another topic, it keeps its
	// states.
	for _, before := range []*entity{u.find(e), old} {
		if before == nil || r.entities[before.key] != before {
			continue
		}
		e.inherit(before)
		r.detach(before)
		if before.key != key && !before.leaving && before.id == e.id {
			r.wait(u, before, e, valid)
		}
		if last := before.unit; last != u && len(last.entities) == 0 {
			r.remove(last)
		}
	}
	r.attach(now, u, e)
}

// inherit copies the last states of an entity's topics where the topics are the
// same.
func (e *entity) inherit(old *entity) {
	if slices.EqualFunc(e.listeners, old.listeners, func(a, b listener) bool { return a.topic == b.topic }) && len(e.bindings) == len(old.bindings) {
		for i, b := range old.bindings {
			e.bindings[i].last, e.bindings[i].seen = b.last, b.seen
		}
		if len(e.presence.topics) == len(old.presence.topics) {
			copy(e.presence.topics, old.presence.topics)
			e.presence.last = old.presence.last
		}
		e.heard = old.heard
	}
}

// attach adds an entity to a device.
func (r *Reader) attach(now time.Time, u *unit, e *entity) {
	e.unit = u
	u.entities[e.key] = e
	r.entities[e.key] = e
	var fresh []link.Subscription
	for _, l := range e.listeners {
		if slices.Contains(r.topics[l.topic], e) {
			continue
		}
		if len(r.topics[l.topic]) == 0 {
			fresh = append(fresh, link.Subscription{Filter: l.topic})
			if strings.ContainsAny(l.topic, "+#") {
				r.wild = append(r.wild, l.topic)
			}
		}
		r.topics[l.topic] = append(r.topics[l.topic], e)
	}
	if len(fresh) > 0 {
		r.sink.Subscribe(fresh...)
	}
	r.touch(now, u)
}

// detach reverses attach.
func (r *Reader) detach(e *entity) {
	delete(e.unit.entities, e.key)
	delete(r.entities, e.key)
	for _, l := range e.listeners {
		list := slices.DeleteFunc(r.topics[l.topic], func(x *entity) bool { return x == e })
		if r.topics[l.topic] = list; len(list) > 0 {
			continue
		}
		delete(r.topics, l.topic)
		r.wild = slices.DeleteFunc(r.wild, func(t string) bool { return t == l.topic })
		r.sink.Unsubscribe(l.topic)
	}
}

// drop removes an entity for good, and its device if it was the last one.
func (r *Reader) drop(now time.Time, e *entity) {
	u := e.unit
	r.detach(e)
	if len(u.entities) > 0 {
		r.touch(now, u)
		return
	}
	r.remove(u)
}

// remove removes a device.
func (r *Reader) remove(u *unit) {
	r.forget(u)
	if len(u.described.Parts) > 0 {
		r.sink.Remove(u.id)
	}
	r.sink.Ignore(u.id, nil)
}

// timers is a heap of timers, sorted by their time.
type timers []timer

type timer struct {
	at time.Time
	f  func(now time.Time)
}

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push and Pop implement container/heap.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }

// Pop removes the last timer.
func (t *timers) Pop() any {
	old := *t
	x := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return x
}

func (r *Reader) after(now time.Time, d time.Duration, f func(now time.Time)) {
	heap.Push(&r.timers, timer{now.Add(d), f})
}

// Deadline returns when to call Advance; zero: never.
func (r *Reader) Deadline() time.Time {
	if len(r.timers) == 0 {
		return time.Time{}
	}
	return r.timers[0].at
}

// Advance runs the timers that are due.
func (r *Reader) Advance(now time.Time) {
	for len(r.timers) > 0 && !r.timers[0].at.After(now) {
		heap.Pop(&r.timers).(timer).f(now)
	}
}
