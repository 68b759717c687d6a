package mqtt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// sink passes what one reader reports to the registry. It gathers descriptions,
// since a source announces all its devices at once.
type sink struct {
	*worker
	source string
	reader Reader

	waiting []device.Device     // to be described
	parts   map[string][]string // ids of the parts that the registry has, by device

	listed map[string][]string // the lists of this reader, by scope

	ignored   map[string][]device.Ignored // by key
	refused   map[string][]device.Ignored // by the registry, by device
	ignoredAt time.Time                   // when to report ignored; zero: nothing has changed
}

var _ reader.Sink = (*sink)(nil)

func (w *worker) sink(source string) *sink {
	s := &sink{
		worker: w, source: source,
		parts: map[string][]string{}, listed: map[string][]string{}, ignored: map[string][]device.Ignored{}, refused: map[string][]device.Ignored{},
	}
	w.sinks = append(w.sinks, s)
	return s
}

// Describe queues a description until more have arrived.
func (s *sink) Describe(d device.Device) {
	for i := range s.waiting {
		if s.waiting[i].ID == d.ID {
			s.waiting[i] = d
			return
		}
	}
	s.waiting = append(s.waiting, d)
}

// flush describes the queued devices to the registry.
func (s *sink) flush() {
	s.describe()
	if now := time.Now(); !s.ignoredAt.IsZero() && !now.Before(s.ignoredAt) {
		s.reportIgnored()
	}
}

func (s *sink) describe() {
	if len(s.waiting) == 0 {
		return
	}
	waiting := s.waiting
	s.waiting = nil
	for i := range waiting {
		s.refuse(waiting[i].ID, s.known(&waiting[i]))
	}
	waiting = slices.DeleteFunc(waiting, func(d device.Device) bool { return len(d.Parts) == 0 })
	for i, err := range s.registry.PutAll(waiting) {
		d := &waiting[i]
		if err != nil {
			delete(s.parts, d.ID)
			s.refuse(d.ID, []device.Ignored{{ID: d.ID, Source: s.source, What: d.Name, Reason: err.Error(), Kind: device.IgnoredRefused}})
			s.log.Warn("a device is not shown", "device", d.ID, "error", err)
			continue
		}
		ids := make([]string, len(d.Parts))
		for k := range d.Parts {
			ids[k] = d.Parts[k].ID
		}
		s.parts[d.ID] = ids
	}
}

// known removes the parts of a device whose types the library does not have, and
// returns them.
func (s *sink) known(d *device.Device) (unknown []device.Ignored) {
	types := device.Types()
	d.Parts = slices.DeleteFunc(slices.Clone(d.Parts), func(p device.Part) bool {
		if slices.Contains(types, p.Type) {
			return false
		}
		unknown = append(unknown, device.Ignored{ID: d.ID, Source: s.source, What: p.ID, Reason: fmt.Sprintf("there is no type %s yet", p.Type), Kind: device.IgnoredNoType})
		return true
	})
	return unknown
}

// Listed removes the devices of the source that are in no list any more, once each
// reader of the source has reported its list.
func (s *sink) Listed(scope string, ids []string) {
	s.listed[scope] = ids
	there := map[string]bool{}
	for _, other := range s.sinks {
		if other.source != s.source {
			continue
		}
		if len(other.listed) == 0 {
			return
		}
		for _, ids := range other.listed {
			for _, id := range ids {
				there[id] = true
			}
		}
	}
	known, err := s.registry.IDs(s.source)
	s.check(err)
	for _, id := range known {
		if !there[id] {
			s.Remove(id)
		}
	}
}

// Remove removes a device, after a grace time.
func (s *sink) Remove(id string) {
	s.waiting = slices.DeleteFunc(s.waiting, func(d device.Device) bool { return d.ID == id })
	delete(s.parts, id)
	s.refuse(id, nil)
	s.log.Info("a device is gone", "device", id)
	s.check(s.registry.Remove(id, false))
}

// has flushes the queue and reports whether the registry has a device.
func (s *sink) has(id, part string) bool {
	s.describe()
	parts, ok := s.parts[id]
	return ok && (part == "" || slices.Contains(parts, part))
}

// Report passes on values. A number out of range is reported as the nearest limit, and
// another invalid value does not affect the others.
func (s *sink) Report(id, part string, v device.Values) {
	if !s.has(id, part) {
		return
	}
	err := s.registry.Report(id, part, v)
	for range v {
		var wrong *device.ValueError
		if !errors.As(err, &wrong) || wrong.Nearest.IsNull() {
			break
		}
		v = maps.Clone(v)
		v[wrong.Property] = wrong.Nearest
		err = s.registry.Report(id, part, v)
	}
	if err == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if len(v) > 1 {
			err = s.registry.Report(id, part, device.Values{name: v[name]})
		}
		if err != nil {
			s.front.failures.add("value")
			s.log.Debug("a value is not shown", "device", id, "part", part, "error", err)
		}
	}
}

// Battery passes on the state of a battery.
func (s *sink) Battery(id string, b device.Battery) {
	if s.has(id, "") {
		s.check(s.registry.Battery(id, b))
	}
}

// Reachable passes on whether a device is reachable.
func (s *sink) Reachable(id string, reachable bool) {
	if s.has(id, "") {
		s.check(s.registry.Reachable(id, reachable))
	}
}

// Away passes on that the gateway of a device is not reachable.
func (s *sink) Away(id string) {
	if s.has(id, "") {
		s.check(s.registry.Away(id))
	}
}

// Event passes on the gesture at a button.
func (s *sink) Event(id, part string, g device.Gesture) {
	if s.has(id, part) {
		s.check(s.registry.Event(id, part, g))
	}
}

// maxIgnored is the number of devices and messages per source for which a reason is
// kept.
const maxIgnored = 10_000

// Ignore records what is not shown, and reports it shortly after.
func (s *sink) Ignore(key string, list []device.Ignored) {
	known, ok := s.ignored[key]
	switch {
	case slices.Equal(known, list):
		return
	case len(list) == 0:
		delete(s.ignored, key)
	case !ok && len(s.ignored) >= maxIgnored:
		s.front.failures.add("ignored")
		return
	default:
		s.ignored[key] = list
	}
	s.tellSoon()
}

func (s *sink) refuse(id string, list []device.Ignored) {
	if len(list) == 0 && len(s.refused[id]) == 0 {
		return
	}
	s.refused[id] = list
	s.tellSoon()
}

func (s *sink) tellSoon() {
	if s.ignoredAt.IsZero() {
		s.ignoredAt = time.Now().Add(ignoredEvery)
	}
}

// reportIgnored reports what all readers of the source do not show.
func (s *sink) reportIgnored() {
	var all []device.Ignored
	for _, other := range s.sinks {
		if other.source != s.source {
			continue
		}
		other.ignoredAt = time.Time{}
		for _, of := range []map[string][]device.Ignored{other.ignored, other.refused} {
			for _, key := range slices.Sorted(maps.Keys(of)) {
				all = append(all, of[key]...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b device.Ignored) int { return strings.Compare(a.ID, b.ID) })
	s.check(s.registry.SetIgnored(s.source, all))
}

// Failed counts a message that could not be read.
func (s *sink) Failed(topic, reason string) {
	s.front.failures.add(reason)
	s.log.Debug("a message could not be read", "topic", topic, "reason", reason)
}

// Publish sends a message.
func (s *sink) Publish(p link.Publish) {
	if err := s.link.Publish(p); err != nil {
		s.log.Warn("a message was not sent", "topic", p.Topic, "error", err)
	}
}

// Subscribe adds subscriptions.
func (s *sink) Subscribe(list ...link.Subscription) { s.link.Subscribe(list...) }

// Unsubscribe removes subscriptions.
func (s *sink) Unsubscribe(filters ...string) { s.link.Unsubscribe(filters...) }
