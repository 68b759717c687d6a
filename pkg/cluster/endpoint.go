package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Reporter receives the changes of an endpoint.
type Reporter interface {
	Attribute(cl matter.ClusterID, id matter.AttributeID)
	Event(cl matter.ClusterID, id matter.EventID, data func(w *tlv.Writer))
}

// Endpoint holds the units of one endpoint and their clusters: an [im.Model]. It is
// owned by the goroutine that calls the engine.
type Endpoint struct {
	// Persist, if set, stores what Save returns before a controller's write is
	// answered.
	Persist func() error
	// Changed, if set, is called when stored data has changed in another way. It is
	// not called again before the next Save.
	Changed func()

	units    []unit
	clusters []im.Cluster
	events   []queued
	settled  bool // Settle was called: it is part of the node
	dirty    bool // stored data has changed since Save
	scenes   Scenes
	extra    map[matter.ClusterID][]byte // see Extra
}

// unit is a [Unit] of any state.
type unit interface {
	settle(now time.Time, r Reporter)
	deadline() (time.Time, bool)
	live(now time.Time)
	save(w *tlv.Writer)
	load(cl matter.ClusterID, attributes tlv.Element) error
	restored()
	powerUp(now time.Time)
	sceneAttribute(cl matter.ClusterID, id matter.AttributeID) (*datamodel.Attribute, bool)
	capture(now time.Time, into Scene) Scene
	recall(r *im.Request, s Scene, d time.Duration) error
}

// Clusters returns the clusters of the endpoint's units.
func (e *Endpoint) Clusters() []im.Cluster { return e.clusters }

// Settle reports the changes since the last call. The first call is made when the
// endpoint is added to the node. Changes before it cause no events, as they are the
// initial state.
func (e *Endpoint) Settle(now time.Time, r *im.Changes) { e.settle(now, r) }

func (e *Endpoint) settle(now time.Time, r Reporter) {
	for _, u := range e.units {
		u.settle(now, r)
	}
	if !e.settled {
		clear(e.events)
		e.events, e.settled = e.events[:0], true
	}
	for i := range e.events {
		r.Event(e.events[i].cluster, e.events[i].event, e.events[i].data)
		e.events[i].data = nil
	}
	e.events = e.events[:0]
}

// Deadline returns the time at which Advance must be called next, and whether there
// is one.
func (e *Endpoint) Deadline() (first time.Time, ok bool) {
	for _, u := range e.units {
		if t, is := u.deadline(); is && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	return first, ok
}

// Advance does the work that is due at now.
func (e *Endpoint) Advance(now time.Time) {
	for _, u := range e.units {
		u.live(now)
	}
}

// keepEvents queues the events of a change that is kept.
func (e *Endpoint) keepEvents(c *Context) {
	if len(e.events)+len(c.events) > maxQueued {
		c.events = c.events[:max(0, maxQueued-len(e.events))]
	}
	e.events = append(e.events, c.events...)
}

// maxQueued limits the events of one endpoint between two calls of Settle.
const maxQueued = 64

// changed records that stored data has changed.
func (e *Endpoint) changed() {
	if !e.dirty && e.Changed != nil {
		e.Changed()
	}
	e.dirty = true
}

func (e *Endpoint) persist() error {
	e.dirty = true
	if e.Persist == nil {
		return nil
	}
	return e.Persist()
}

// Unsaved says that what Save returned last has not been stored.
func (e *Endpoint) Unsaved() { e.changed() }

// Dirty reports whether something that is kept has changed since the last Save.
func (e *Endpoint) Dirty() bool { return e.dirty }

// Save returns the attributes that are kept, as Load takes them.
func (e *Endpoint) Save() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	for _, u := range e.units {
		u.save(w)
	}
	for _, id := range slices.Sorted(maps.Keys(e.extra)) {
		w.Octets(tlv.CommonProfile(uint32(id)), e.extra[id])
	}
	w.End()
	e.dirty = false
	return w.Bytes()
}

// Load restores what Save returned, before the endpoint is added to the node. What the
// endpoint does not have any more, or what is out of range by now, is passed over.
func (e *Endpoint) Load(b []byte) error {
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		n, ok := r.Tag().IsCommon()
		if !ok {
			r.Fail(errors.New("a member that is no cluster"))
			break
		}
		attributes := r.Element()
		if attributes.Type() == tlv.TypeBytes {
			in := attributes.Reader()
			e.setExtra(matter.ClusterID(n), in.Octets())
			continue
		}
		for _, u := range e.units {
			if err := u.load(matter.ClusterID(n), attributes); err != nil {
				r.Fail(err)
			}
		}
	}
	for _, u := range e.units {
		u.restored()
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("kept attributes: %w", err)
	}
	e.dirty = false
	return nil
}

// Extra returns what KeepExtra has kept under a cluster's id; nil: nothing.
func (e *Endpoint) Extra(id matter.ClusterID) []byte { return e.extra[id] }

// KeepExtra keeps b beside the attributes, for a cluster that stands on no unit. After an
// error what was kept before is kept.
func (e *Endpoint) KeepExtra(id matter.ClusterID, b []byte) error {
	was := e.extra[id]
	e.setExtra(id, b)
	if err := e.persist(); err != nil {
		e.setExtra(id, was)
		return err
	}
	return nil
}

func (e *Endpoint) setExtra(id matter.ClusterID, b []byte) {
	if len(b) == 0 {
		delete(e.extra, id)
		return
	}
	if e.extra == nil {
		e.extra = map[matter.ClusterID][]byte{}
	}
	e.extra[id] = bytes.Clone(b)
}

func (u *Unit[S]) save(w *tlv.Writer) {
	for _, sv := range u.served {
		w.StartStruct(tlv.CommonProfile(uint32(sv.cluster.facts.ID)))
		for _, a := range sv.layout.attributes {
			if a.keep {
				a.read(&u.state, w, tlv.CommonProfile(uint32(a.id)))
			}
		}
		for _, k := range sv.cluster.kept {
			w.Int(tlv.CommonProfile(uint32(k.id)), *k.at(&u.state))
		}
		w.End()
	}
}

func (u *Unit[S]) load(cl matter.ClusterID, attributes tlv.Element) error {
	for _, sv := range u.served {
		if sv.cluster.facts.ID != cl {
			continue
		}
		r := attributes.Reader()
		for r.EnterStruct(); r.Next(); {
			n, ok := r.Tag().IsCommon()
			if !ok {
				continue
			}
			for i := range sv.cluster.kept {
				k, rest := &sv.cluster.kept[i], r
				if v := rest.Int(); k.id == matter.AttributeID(n) && rest.Err() == nil {
					*k.at(&u.state) = v
				}
			}
			a := sv.cluster.attribute(matter.AttributeID(n))
			if a == nil || !a.keep {
				continue
			}
			was, rest := u.state, r
			if err := a.decode(&u.state, &rest, a.facts); err != nil {
				u.state = was
			}
		}
		if err := r.End(); err != nil {
			return err
		}
	}
	return nil
}

// restored mends what was loaded, which nobody is to hear of.
func (u *Unit[S]) restored() {
	if u.rules.Restored != nil {
		u.rules.Restored(&u.state)
	}
	u.shown = u.state
	u.look(time.Unix(0, 1)) // it may be one that moves
	for _, sv := range u.served {
		q := sv.quiet
		for _, a := range sv.layout.attributes {
			if a.quiet != nil {
				u.quiet[q].reported = a.compared(&u.state)
				q++
			}
		}
	}
}

// PowerUp says that the device got power at now, after Load. It is for devices that live
// in the program: others have power when the program does not run, and lose it when it
// does.
func (e *Endpoint) PowerUp(now time.Time) {
	for _, u := range e.units {
		u.powerUp(now)
	}
}

func (u *Unit[S]) powerUp(now time.Time) {
	if u.rules.PowerUp == nil {
		return
	}
	u.byItself(now, func(c *Context, s *S) { u.rules.PowerUp(c, s) })
	u.look(now)
}
