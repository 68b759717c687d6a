package homeassistant

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// rival is a message that describes an entity that another message describes, too. A
// publisher that has another name now often leaves the messages of its old name on the
// broker.
type rival struct {
	unit, id  string // of the entity
	component string
	said      config
	retained  bool
	tried     bool // it has been the valid one in this connection
}

// contested reports whether the retained description e is to wait, as another one of its
// entity is valid and available.
func (r *Reader) contested(u *unit, e *entity) bool {
	valid := u.find(e)
	if !e.retained || valid == nil || valid.key == e.key || valid.leaving || !valid.presence.available() {
		return false
	}
	r.wait(u, e, valid, false)
	return true
}

// wait records that e waits until the valid description is gone.
func (r *Reader) wait(u *unit, e, valid *entity, tried bool) {
	if len(r.rivals) >= MaxEntities && r.rivals[e.key] == nil {
		return
	}
	r.rivals[e.key] = &rival{unit: u.id, id: e.id, component: e.component, said: e.said, retained: e.retained, tried: tried}
	r.refuse(e.key, e.component, e.said.text("name", e.id), reader.Other(e.key+" describes the same entity as "+valid.key))
}

// give makes a description valid that waits for that of e.
func (r *Reader) give(now time.Time, e *entity) {
	next := ""
	for key, v := range r.rivals {
		if v.unit == e.unit.id && v.id == e.id && (next == "" || key < next) {
			next = key
		}
	}
	if v := r.rivals[next]; v != nil {
		r.announce(now, v.component, next, v.said, v.retained, true)
	}
}

// decide makes descriptions valid that wait for those of entities that are not available.
// Each has one attempt in a connection.
func (r *Reader) decide(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(r.rivals)) {
		v := r.rivals[key]
		u := r.units[v.unit]
		if v.tried || u == nil {
			continue
		}
		i := slices.IndexFunc(slices.Collect(maps.Values(u.entities)), func(e *entity) bool { return e.id == v.id && e.presence.available() })
		if i < 0 {
			r.announce(now, v.component, key, v.said, v.retained, true)
		}
	}
}

// withdraw removes descriptions that wait: of one message, or of all components of a
// device's message.
func (r *Reader) withdraw(key string) {
	for k := range r.rivals {
		if k == key || strings.HasPrefix(k, key+"#") {
			delete(r.rivals, k)
			r.accept(k)
		}
	}
}
