package zigbee2mqtt

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// Source is the source of all devices of zigbee2mqtt.
const Source = "z2m"

// Times of the reader.
const (
	askEvery = 250 * time.Millisecond // between requests for states
	askAfter = 3 * time.Second        // after all retained messages have arrived
)

// Reader reads one instance of zigbee2mqtt. It is used by one goroutine.
type Reader struct {
	base string
	sink reader.Sink

	things  map[string]*thing // by id
	byTopic map[string]*thing // by name
	devices map[string]*bridgeDevice
	groups  groupList

	listed map[string]bool // ids in the last bridge/devices; nil: not received
	extra  map[string]bool // names with a slash, which need their own subscriptions

	early map[string]bool // availability of names without a thing

	online  *bool // as bridge/state says
	settled bool  // all retained messages of this connection have arrived
	feature bool  // zigbee2mqtt's availability is enabled
	askAt   time.Time

	silentAt time.Time // when the first siren stops; zero: none sounds
}

// New returns a reader for a base topic.
func New(base string, sink reader.Sink) *Reader {
	return &Reader{
		base: base, sink: sink,
		things: map[string]*thing{}, byTopic: map[string]*thing{}, devices: map[string]*bridgeDevice{}, extra: map[string]bool{}, early: map[string]bool{},
	}
}

// Subscriptions returns what the reader subscribes to at the beginning.
func (r *Reader) Subscriptions() []link.Subscription {
	return []link.Subscription{
		{Filter: r.base + "/bridge/state", Keep: true},
		{Filter: r.base + "/bridge/info", Keep: true, MaxMessage: reader.MaxList},
		{Filter: r.base + "/bridge/devices", Keep: true, MaxMessage: reader.MaxList},
		{Filter: r.base + "/bridge/groups", Keep: true, MaxMessage: reader.MaxList},
		{Filter: r.base + "/+/availability", Keep: true},
		{Filter: r.base + "/+"},
	}
}

// Up is called for each new connection. Retained messages arrive again; anything
// else is forgotten.
func (r *Reader) Up() {
	r.online, r.settled = nil, false
	clear(r.early)
	for _, t := range r.things {
		t.available, t.asked = nil, false
		clear(t.known)
		clear(t.pending)
	}
	r.followMembers()
}

// Settled is called when all retained messages have arrived.
func (r *Reader) Settled(now time.Time) {
	r.settled = true
	r.askAt = now.Add(askAfter)
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		t := r.things[id]
		t.reachable = r.canReach(t)
		r.sink.Reachable(t.id, t.reachable)
	}
}

// Deadline returns when to call Advance; zero: never.
func (r *Reader) Deadline() time.Time {
	if r.askAt.IsZero() || !r.silentAt.IsZero() && r.silentAt.Before(r.askAt) {
		return r.silentAt
	}
	return r.askAt
}

// Advance requests the state of a device that has sent none in this connection,
// since states may not be retained. It shows sirens as off when they have stopped.
func (r *Reader) Advance(now time.Time) {
	r.silence(now)
	if r.askAt.IsZero() || now.Before(r.askAt) {
		return
	}
	r.askAt = time.Time{}
	if !r.isOnline() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		if t := r.things[id]; !t.asked && t.reachable {
			t.asked = true
			if r.ask(t) {
				r.askAt = now.Add(askEvery)
				return
			}
		}
	}
}

// ask requests the unknown properties of a device, and reports whether there were
// any. It does not ask sleeping sensors, which do not answer, and send their state
// when they wake. It does ask devices with commands, even on a battery, since they
// listen.
func (r *Reader) ask(t *thing) bool {
	d := r.devices[t.id]
	if d == nil {
		return false
	}
	msg := map[string]any{}
	for property := range t.readable {
		if _, known := t.known[property]; !known && (d.powered() || t.takesCommands(property)) {
			msg[property] = ""
		}
	}
	if len(msg) == 0 {
		return false
	}
	r.publish(t, "get", msg)
	return true
}

// Message handles a message.
func (r *Reader) Message(now time.Time, m link.Message) {
	topic, ok := strings.CutPrefix(m.Topic, r.base+"/")
	if !ok {
		return
	}
	switch topic {
	case "bridge/state":
		r.readState(now, m.Payload)
	case "bridge/info":
		r.readInfo(m)
	case "bridge/devices":
		r.readDevices(now, m)
	case "bridge/groups":
		r.readGroups(m)
	default:
		if strings.HasPrefix(topic, "bridge/") {
			return
		}
		if t := r.byTopic[topic]; t != nil {
			r.readThing(now, t, m)
		} else if name, ok := strings.CutSuffix(topic, "/availability"); ok {
			r.readAvailability(name, m.Payload)
		}
	}
}

// onlineText parses {"state":"online"}, or online, which older versions send.
func onlineText(payload []byte) (online, ok bool) {
	var m struct {
		State string `json:"state"`
	}
	text := strings.TrimSpace(string(payload))
	if strings.HasPrefix(text, "{") && decode(payload, &m) == nil {
		text = m.State
	}
	return text == "online", text == "online" || text == "offline"
}

func (r *Reader) readState(now time.Time, payload []byte) {
	online, ok := onlineText(payload)
	if !ok {
		return
	}
	was := r.isOnline()
	r.online = &online
	if online && !was {
		r.list()
		if r.settled {
			r.askAt = now.Add(askAfter)
		}
	}
	r.judgeAll()
}

func (r *Reader) isOnline() bool { return r.online != nil && *r.online }

func (r *Reader) readInfo(m link.Message) {
	var info bridgeInfo
	if err := decode(m.Payload, &info); err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	r.feature = info.Config.Availability.Enabled
	r.judgeAll()
}

func (r *Reader) readAvailability(name string, payload []byte) {
	available, ok := onlineText(payload)
	t := r.byTopic[name]
	switch {
	case t == nil && ok && len(r.early) < reader.MaxDevices:
		r.early[name] = available
	case t == nil && len(payload) == 0:
		delete(r.early, name)
	case t == nil:
	case len(payload) == 0: // cleared, for example after a rename
		t.available = nil
		r.judge(t)
	case ok:
		t.available = &available
		r.judge(t)
	}
}

// canReach reports whether a thing is reachable. If zigbee2mqtt's availability is
// enabled, a thing without an availability message is not.
func (r *Reader) canReach(t *thing) bool {
	switch d := r.devices[t.id]; {
	case !r.isOnline() || d != nil && d.Disabled:
		return false
	case t.available != nil:
		return *t.available
	}
	return r.settled && !r.feature
}

// judge reports whether a thing is reachable, if that has changed.
func (r *Reader) judge(t *thing) {
	is := r.canReach(t)
	if is == t.reachable {
		return
	}
	if t.reachable = is; r.isOnline() {
		r.sink.Reachable(t.id, is)
	} else {
		r.sink.Away(t.id)
	}
}

func (r *Reader) judgeAll() {
	for _, id := range slices.Sorted(maps.Keys(r.things)) {
		r.judge(r.things[id])
	}
}

// readThing handles a state.
func (r *Reader) readThing(now time.Time, t *thing, m link.Message) {
	var state map[string]any
	if len(m.Payload) == 0 {
		return
	}
	if err := json.Unmarshal(m.Payload, &state); err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	var changed []string
	for property, v := range state {
		if _, ok := t.bindings[property]; ok && v != nil && property != "action" && t.fresh(now, property, v) {
			changed = append(changed, property)
		}
	}
	slices.Sort(changed)
	for _, property := range changed {
		t.known[property] = state[property]
	}
	r.report(t, changed)
	t.follows = false
	if len(changed) > 0 {
		for _, group := range r.groups.leads[t.id] {
			r.follow(group)
		}
	}
	for _, property := range changed {
		if c, ok := t.calls[property]; ok && !m.Retained {
			if on, _ := c.isOn(state[property]); on {
				r.sink.Event(t.id, c.part, c.gesture)
			}
		}
	}
	if action, ok := state["action"].(string); ok && !m.Retained {
		if p, ok := t.buttons[action]; ok {
			r.sink.Event(t.id, p.part, p.gesture)
		}
	}
}

// report reports the properties that have changed.
func (r *Reader) report(t *thing, changed []string) {
	out := map[string]device.Values{}
	battery := t.battery
	for _, property := range changed {
		for _, b := range t.bindings[property] {
			if out[b.part] == nil {
				out[b.part] = device.Values{}
			}
			b.read(t, t.known[property], out[b.part])
		}
	}
	for _, part := range slices.Sorted(maps.Keys(out)) {
		v := out[part]
		if after := t.after[part]; after != nil {
			after(t, v)
		}
		if part == "" || len(v) == 0 {
			continue
		}
		if t.values[part] == nil {
			t.values[part] = device.Values{}
		}
		maps.Copy(t.values[part], v)
		r.sink.Report(t.id, part, v)
	}
	if t.battery != battery {
		r.sink.Battery(t.id, t.battery)
	}
}

// Command carries out a command. It returns an error if that is not possible.
func (r *Reader) Command(now time.Time, c device.Command) error {
	t := r.things[c.Device]
	if t == nil {
		return errUnsupported
	}
	part := c.Part
	if part == "" && len(t.device.Parts) > 0 {
		part = t.device.Parts[0].ID // a command for the whole device, such as identify
	}
	handle := t.handlers[part]
	if handle == nil {
		return errUnsupported
	}
	msg := map[string]any{}
	if err := handle(t, c, msg); err != nil {
		if err == errNothing {
			return nil
		}
		return err
	}
	t.commanded(now, msg)
	r.publish(t, "set", msg)
	if part == t.warning {
		r.sound(now, t, c)
	}
	return nil
}

// Owns reports whether a device belongs to this reader.
func (r *Reader) Owns(id string) bool { return r.things[id] != nil }

func (r *Reader) publish(t *thing, what string, msg map[string]any) {
	payload, err := json.Marshal(msg)
	if err != nil {
		panic("BUG: zigbee2mqtt: " + err.Error()) // cannot happen for strings and numbers
	}
	r.sink.Publish(link.Publish{Topic: r.base + "/" + t.name + "/" + what, Payload: payload})
}
