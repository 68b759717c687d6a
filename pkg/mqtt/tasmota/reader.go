package tasmota

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// Source is the source of all devices of Tasmota.
const Source = "tasmota"

// DefaultTopic is where Tasmota announces itself.
const DefaultTopic = "tasmota/discovery"

// Times of the reader.
const (
	gather   = time.Second            // wait for the sensors after a configuration
	askEvery = 250 * time.Millisecond // time between requests for states
)

var errUnsupported = errors.New("the device cannot do that")

// Reader reads the devices of Tasmota. It is used by one goroutine.
type Reader struct {
	topic string
	sink  reader.Sink

	things  map[string]*thing // by MAC
	byTopic map[string]*thing // by each of its topics
	samples map[string]map[string]any

	settled    bool
	describeAt time.Time // when to describe devices; zero: never
	askAt      time.Time
}

// New returns a reader.
func New(topic string, sink reader.Sink) *Reader {
	return &Reader{topic: topic, sink: sink, things: map[string]*thing{}, byTopic: map[string]*thing{}, samples: map[string]map[string]any{}}
}

// Subscriptions returns what the reader subscribes to at the beginning.
func (r *Reader) Subscriptions() []link.Subscription {
	return []link.Subscription{{Filter: r.topic + "/+/config", Keep: true}, {Filter: r.topic + "/+/sensors", Keep: true}}
}

// Up is called for each new connection.
func (r *Reader) Up() {
	r.settled = false
	for _, t := range r.things {
		t.memory.Forget()
		t.asked = false
		t.online = false
	}
}

// Settled is called when all retained messages have arrived.
func (r *Reader) Settled(now time.Time) {
	r.settled = true
	r.describe(now)
	for _, mac := range slices.Sorted(maps.Keys(r.things)) {
		if t := r.things[mac]; t.described {
			r.sink.Reachable(t.id, t.online)
		}
	}
	r.askAt = now
}

// Deadline returns when to call Advance; zero: never.
func (r *Reader) Deadline() time.Time {
	if r.describeAt.IsZero() || !r.askAt.IsZero() && r.askAt.Before(r.describeAt) {
		return r.askAt
	}
	return r.describeAt
}

// Advance describes devices, and requests the state of one device.
func (r *Reader) Advance(now time.Time) {
	if !r.describeAt.IsZero() && !now.Before(r.describeAt) {
		r.describe(now)
	}
	if r.askAt.IsZero() || now.Before(r.askAt) {
		return
	}
	r.askAt = time.Time{}
	for _, mac := range slices.Sorted(maps.Keys(r.things)) {
		if t := r.things[mac]; t.online && !t.asked && t.described {
			t.asked = true
			r.sink.Publish(link.Publish{Topic: t.config.topic(0, "STATE")})
			r.sink.Publish(link.Publish{Topic: t.config.topic(0, "STATUS"), Payload: []byte("10")})
			r.askAt = now.Add(askEvery)
			return
		}
	}
}

// Message handles a message.
func (r *Reader) Message(now time.Time, m link.Message) {
	if rest, ok := strings.CutPrefix(m.Topic, r.topic+"/"); ok {
		switch mac, what, _ := strings.Cut(rest, "/"); what {
		case "config":
			r.readConfig(now, mac, m)
		case "sensors":
			r.readSensors(now, mac, m)
		}
		return
	}
	t := r.byTopic[m.Topic]
	if t == nil {
		t = r.byTopic[m.Topic[:strings.LastIndexByte(m.Topic, '/')+1]+"+"]
	}
	if t == nil || len(m.Payload) == 0 {
		return
	}
	if strings.HasSuffix(m.Topic, "/LWT") {
		r.readWill(now, t, string(m.Payload))
		return
	}
	var state map[string]any
	if err := json.Unmarshal(m.Payload, &state); err != nil {
		if !strings.HasSuffix(m.Topic, "/RESULT") && r.byTopic[m.Topic] != nil {
			r.sink.Failed(m.Topic, "json")
		}
		return
	}
	r.readState(now, t, state, m.Retained)
}

func (r *Reader) readWill(now time.Time, t *thing, s string) {
	online := s == t.config.Online
	if !online && s != t.config.Offline || online == t.online {
		return
	}
	t.online = online
	if online {
		t.asked = false
		if r.settled {
			r.askAt = now
		}
	}
	if t.described && r.settled {
		r.sink.Reachable(t.id, online)
	}
}

func (r *Reader) readConfig(now time.Time, mac string, m link.Message) {
	if len(m.Payload) == 0 {
		r.remove(mac)
		return
	}
	var c config
	if err := decode(m.Payload, &c); err != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	id := reader.ID(Source, strings.ToUpper(mac))
	reason := c.check()
	if reason == "" && !strings.EqualFold(c.MAC, mac) {
		reason = "its MAC address is not that of its topic"
	}
	if reason != "" {
		r.sink.Ignore(id, []device.Ignored{reader.Unreadable(reason).Ignored(Source, id, reader.Text(c.DeviceName))})
		return
	}
	t := r.things[mac]
	if t == nil {
		if len(r.things) >= reader.MaxDevices {
			r.sink.Ignore(id, []device.Ignored{reader.Other("there are too many devices").Ignored(Source, id, reader.Text(c.DeviceName))})
			return
		}
		t = &thing{id: id, memory: reader.NewMemory()}
		r.things[mac] = t
	} else if reflect.DeepEqual(t.config, c) {
		return
	}
	r.unsubscribe(t)
	t.config = c
	t.sample = r.samples[mac]
	r.subscribe(t)
	r.touch(now, t)
}

func (r *Reader) readSensors(now time.Time, mac string, m link.Message) {
	var s sensors
	if len(m.Payload) > 0 && decode(m.Payload, &s) != nil {
		r.sink.Failed(m.Topic, "json")
		return
	}
	if len(r.samples) >= reader.MaxDevices && r.samples[mac] == nil {
		return
	}
	if reflect.DeepEqual(r.samples[mac], s.Sample) {
		return
	}
	r.samples[mac] = s.Sample
	if t := r.things[mac]; t != nil {
		t.sample = s.Sample
		r.touch(now, t)
	}
}

// touch schedules the description of a device.
func (r *Reader) touch(now time.Time, t *thing) {
	t.dirty = true
	t.tempUnit, _ = t.sample["TempUnit"].(string)
	t.pressUnit, _ = t.sample["PressureUnit"].(string)
	if r.settled {
		r.describeAt = now.Add(gather)
	}
}

// describe describes the devices whose announcements have changed.
func (r *Reader) describe(now time.Time) {
	r.describeAt = time.Time{}
	for _, mac := range slices.Sorted(maps.Keys(r.things)) {
		t := r.things[mac]
		if !t.dirty {
			continue
		}
		t.dirty = false
		before := t.device
		ignored := t.build()
		switch same := before; {
		case len(t.device.Parts) == 0:
			ignored = append(ignored, reader.Nothing.Ignored(Source, t.id, t.device.Name))
			if t.described {
				r.sink.Remove(t.id)
			}
			t.described = false
		default:
			same.Reachable = t.device.Reachable
			if !t.described || !reflect.DeepEqual(same, t.device) {
				r.sink.Describe(t.device)
			}
			t.described = true
			t.memory.Forget()
			t.asked = false
			r.askAt = now
		}
		r.sink.Ignore(t.id, ignored)
	}
}

// topics returns the topics of the device's states. With SetOption4 it answers at the topic
// of the command in place of RESULT.
func (t *thing) topics() []string {
	c := &t.config
	if len(c.Prefixes) < 3 {
		return nil
	}
	topics := []string{c.topic(2, "LWT"), c.topic(2, "STATE"), c.topic(2, "SENSOR")}
	if c.Options["4"] == 1 {
		return append(topics, c.topic(1, "+"))
	}
	return append(topics, c.topic(1, "RESULT"), c.topic(1, "STATUS10"))
}

func (r *Reader) subscribe(t *thing) {
	var list []link.Subscription
	for _, topic := range t.topics() {
		if r.byTopic[topic] == nil {
			r.byTopic[topic] = t
			list = append(list, link.Subscription{Filter: topic, Keep: strings.HasSuffix(topic, "/LWT")})
		}
	}
	r.sink.Subscribe(list...)
}

func (r *Reader) unsubscribe(t *thing) {
	for _, topic := range t.topics() {
		if r.byTopic[topic] == t {
			delete(r.byTopic, topic)
			r.sink.Unsubscribe(topic)
		}
	}
}

func (r *Reader) remove(mac string) {
	t := r.things[mac]
	if t == nil {
		return
	}
	r.unsubscribe(t)
	delete(r.things, mac)
	delete(r.samples, mac)
	r.sink.Ignore(t.id, nil)
	if t.described {
		r.sink.Remove(t.id)
	}
}

// readState reads a state of the device or of its sensors.
func (r *Reader) readState(now time.Time, t *thing, state map[string]any, retained bool) {
	if s, ok := state["StatusSNS"].(map[string]any); ok {
		state = s
	}
	out := map[string]device.Values{}
	for _, read := range t.readers {
		read(state, out)
	}
	for _, part := range slices.Sorted(maps.Keys(out)) {
		if t.memory.News(now, part, out[part]) {
			r.sink.Report(t.id, part, out[part])
		}
	}
	if retained {
		return
	}
	actions := map[string]device.Gesture{"SINGLE": device.Single, "DOUBLE": device.Double, "TRIPLE": device.Triple, "HOLD": device.Long}
	for _, key := range slices.Sorted(maps.Keys(t.buttons)) {
		b, _ := state[key].(map[string]any)
		word, _ := b["Action"].(string)
		if g, ok := actions[word]; ok {
			r.sink.Event(t.id, t.buttons[key], g)
		}
	}
}

// Owns reports whether a device belongs to this reader.
func (r *Reader) Owns(id string) bool { return r.find(id) != nil }

// Knows reports whether a device of this reader has this MAC address. The address
// may be shortened to its last six digits.
func (r *Reader) Knows(mac string) bool {
	mac = strings.ToUpper(strings.ReplaceAll(mac, ":", ""))
	for m := range r.things {
		if m == mac || len(mac) == 6 && strings.HasSuffix(m, mac) {
			return true
		}
	}
	return false
}

func (r *Reader) find(id string) *thing {
	for _, t := range r.things {
		if t.id == id {
			return t
		}
	}
	return nil
}

// Command carries out a command. Several Tasmota commands are sent as one, since
// Tasmota otherwise pauses between them.
func (r *Reader) Command(now time.Time, c device.Command) error {
	t := r.find(c.Device)
	if t == nil || t.handlers[c.Part] == nil {
		return errUnsupported
	}
	list, err := t.handlers[c.Part](c)
	if err != nil {
		return err
	}
	t.memory.Commanded(now, c.Part, c.Set)
	if len(list) == 1 {
		r.sink.Publish(link.Publish{Topic: t.config.topic(0, list[0].name), Payload: []byte(list[0].payload)})
		return nil
	}
	var words []string
	for _, x := range list {
		words = append(words, "NoDelay", strings.TrimSpace(x.name+" "+x.payload))
	}
	r.sink.Publish(link.Publish{Topic: t.config.topic(0, "Backlog"), Payload: []byte(strings.Join(words, ";"))})
	return nil
}
