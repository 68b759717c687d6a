package cluster

import (
	"reflect"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Rules are common to the clusters of a unit. Each function may be nil.
type Rules[S comparable] struct {
	// Couple makes the parts of a state consistent after a command, a write or a
	// report of the device. An error rejects the change.
	Couple func(c *Context, was, is *S) error

	// Tick advances the state to c.Now and returns when it must be called next; the
	// zero time means after the next change of the state. It may be called earlier.
	Tick func(c *Context, s *S) time.Time

	// Moving reports whether the state is changing with time, so that reports of
	// quiet attributes can wait.
	Moving func(s *S) bool

	// Rest returns the state after all movement, with all values that scenes store;
	// nil: the state itself.
	Rest func(s *S) S

	// Recall changes the state to a scene with the transition time d. nil: the
	// values are assigned.
	Recall func(c *Context, s *S, scene Scene, d time.Duration) error

	// Restored corrects a state after attributes were loaded.
	Restored func(s *S)

	// PowerUp applies the StartUp attributes.
	PowerUp func(c *Context, s *S)

	// Apply asks the device for what a controller, or time, has changed: the
	// difference of two states, and the requests in c. An error rejects the change.
	Apply func(c *Context, was, is *S) error
}

// Unit is the state of some clusters of one endpoint that depend on each other.
type Unit[S comparable] struct {
	endpoint *Endpoint
	rules    Rules[S]
	served   []*served[S]

	state S
	shown S // as reported to subscribers, except quiet attributes
	next  S // the copy that is being changed

	tick    time.Time // when Tick is due; zero: never
	lived   time.Time // last call of Tick
	quiet   []quietState
	pending int       // quiet attributes with an unreported change
	due     time.Time // when the first of them must be reported
	context Context

	recalling bool // the change recalls a scene
}

// quietState is the state of a quiet attribute.
type quietState struct {
	reported Number
	at       time.Time // zero: never
	due      time.Time // when a change must be reported; zero: there is none
}

// NewUnit adds a unit to an endpoint. [Serve] adds its clusters.
func NewUnit[S comparable](e *Endpoint, initial S, rules Rules[S]) *Unit[S] {
	u := &Unit[S]{endpoint: e, rules: rules, state: initial, shown: initial, context: Context{endpoint: e}}
	e.units = append(e.units, u)
	return u
}

// Serve adds a cluster to a unit. It must be called before the endpoint is added to
// the node.
func (u *Unit[S]) Serve(c *Cluster[S], sel Selection) {
	l := c.layout(sel)
	sv := &served[S]{unit: u, cluster: c, layout: l, quiet: len(u.quiet)}
	for _, a := range l.attributes {
		if a.quiet != nil {
			u.quiet = append(u.quiet, quietState{reported: a.compared(&u.state)})
		}
	}
	u.served = append(u.served, sv)
	u.endpoint.clusters = append(u.endpoint.clusters, sv)
}

// State returns the state at now.
func (u *Unit[S]) State(now time.Time) S {
	u.live(now)
	return u.state
}

// Report changes the state as the device reports. An error means that nothing has
// changed.
func (u *Unit[S]) Report(now time.Time, f func(c *Context, s *S) error) error {
	return u.change(now, nil, f)
}

// live advances the state to now.
func (u *Unit[S]) live(now time.Time) {
	if u.tick.IsZero() || u.rules.Tick == nil || now.Equal(u.lived) {
		return
	}
	u.lived = now
	u.byItself(now, func(c *Context, s *S) { u.tick = u.rules.Tick(c, s) })
}

// look schedules Tick at t, after a change that may have started a movement.
func (u *Unit[S]) look(t time.Time) {
	if u.rules.Tick != nil {
		u.tick, u.lived = t, time.Time{}
	}
}

// byItself runs f, without a controller as the cause, on a copy of the state, and
// keeps the copy.
func (u *Unit[S]) byItself(now time.Time, f func(c *Context, s *S)) {
	c := &u.context
	c.reset(now, nil)
	u.next = u.state
	f(c, &u.next)
	if c.wanted != 0 || len(c.actions) > 0 {
		u.apply(c) // a change with time is shown even if the device is unreachable
	}
	u.endpoint.keepEvents(c)
	u.disturb()
	u.state = u.next
}

func (u *Unit[S]) apply(c *Context) error {
	if u.rules.Apply == nil {
		return nil
	}
	return u.rules.Apply(c, &u.state, &u.next)
}

// change runs f on a copy of the state and keeps the copy if there is no error.
func (u *Unit[S]) change(now time.Time, r *im.Request, f func(c *Context, s *S) error) error {
	u.live(now)
	c := &u.context
	c.reset(now, r)
	u.next = u.state
	if err := f(c, &u.next); err != nil {
		return err
	}
	if u.rules.Couple != nil {
		if err := u.rules.Couple(c, &u.state, &u.next); err != nil {
			return err
		}
	}
	if r != nil {
		if err := u.apply(c); err != nil {
			return err
		}
	}
	u.endpoint.keepEvents(c)
	u.disturb()
	u.state = u.next
	u.look(now)
	u.live(now)
	return nil
}

// settle reports the differences between the state and the reported one.
func (u *Unit[S]) settle(now time.Time, r Reporter) {
	u.live(now)
	if u.state == u.shown && u.pending == 0 {
		return
	}
	moving := u.rules.Moving != nil && u.rules.Moving(&u.state)
	u.due = time.Time{}
	for _, sv := range u.served {
		q := sv.quiet
		var emitted *eventOf[S]
		for _, a := range sv.layout.attributes {
			reported := false
			if a.quiet != nil {
				reported = u.settleQuiet(now, a, &u.quiet[q], moving)
				q++
			} else {
				reported = !a.same(&u.shown, &u.state)
			}
			if !reported {
				continue
			}
			r.Attribute(sv.cluster.facts.ID, a.id)
			if a.keep && a.quiet == nil {
				u.endpoint.changed()
			}
			if a.event != nil && u.endpoint.settled && (emitted == nil || a.event.id != emitted.id) {
				emitted = a.event
				u.emit(r, sv.cluster.facts.ID, emitted)
			}
		}
	}
	for i := range u.served {
		for _, k := range u.served[i].cluster.kept {
			if !k.same(&u.shown, &u.state) {
				u.endpoint.changed()
			}
		}
	}
	u.shown = u.state
}

func (u *Unit[S]) emit(r Reporter, cl matter.ClusterID, e *eventOf[S]) {
	r.Event(cl, e.id, func(w *tlv.Writer) { e.data(&u.state, w) })
}

// settleQuiet reports whether the change of a quiet attribute must be reported now.
func (u *Unit[S]) settleQuiet(now time.Time, a *Attribute[S], q *quietState, moving bool) bool {
	same := a.same(&u.shown, &u.state)
	if q.due.IsZero() && same {
		return false
	}
	if a.keep && !same {
		u.endpoint.changed()
	}
	is := a.compared(&u.state)
	if is == q.reported {
		u.setDue(q, time.Time{})
		return false
	}
	due := now
	if q.due.IsZero() || now.Before(q.due) {
		m := Moment{Now: now, Age: Never, Moving: moving}
		if !q.at.IsZero() {
			m.Age = now.Sub(q.at)
		}
		if due = now.Add(a.quiet(q.reported, is, m)); !q.due.IsZero() && q.due.Before(due) {
			due = q.due
		}
	}
	if due.After(now) {
		u.setDue(q, due)
		if u.due.IsZero() || due.Before(u.due) {
			u.due = due
		}
		return false
	}
	u.setDue(q, time.Time{})
	q.reported, q.at = is, now
	return true
}

func (u *Unit[S]) setDue(q *quietState, due time.Time) {
	switch {
	case q.due.IsZero() && !due.IsZero():
		u.pending++
	case !q.due.IsZero() && due.IsZero():
		u.pending--
	}
	q.due = due
}

// deadline returns when the unit must be settled because of the time.
func (u *Unit[S]) deadline() (time.Time, bool) {
	t := u.tick
	if u.pending > 0 && (t.IsZero() || u.due.Before(t)) {
		t = u.due
	}
	return t, !t.IsZero()
}

// layout is the layout of a cluster for one selection.
type layout[S comparable] struct {
	spec       *im.Spec
	attributes []*Attribute[S]
}

// served is one cluster of a unit: an [im.Cluster].
type served[S comparable] struct {
	unit    *Unit[S]
	cluster *Cluster[S]
	layout  *layout[S]
	quiet   int // index of its first quiet attribute in the unit's
}

// Spec returns the cluster's metadata.
func (s *served[S]) Spec() *im.Spec { return s.layout.spec }

// Read writes an attribute.
func (s *served[S]) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	s.unit.live(r.Now)
	s.cluster.attribute(id).read(&s.unit.state, w, t)
	return nil
}

// Write sets an attribute.
func (s *served[S]) Write(r *im.Request, id matter.AttributeID, v tlv.Element) error {
	a := s.cluster.attribute(id)
	if a.decode == nil {
		return matter.StatusUnsupportedWrite
	}
	u := s.unit
	was := u.state
	err := u.change(r.Now, r, func(c *Context, is *S) error {
		was = *is
		rd := v.Reader()
		if err := a.decode(is, &rd, a.facts); err != nil {
			return writeError(err)
		}
		if a.check != nil {
			return a.check(c, &was, is)
		}
		return nil
	})
	if err != nil || !a.keep {
		return err
	}
	if err := u.endpoint.persist(); err != nil {
		u.state = was
		return err
	}
	return nil
}

// Invoke executes a command.
func (s *served[S]) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	cmd := s.cluster.command(id)
	var f reflect.Value
	if cmd.fields != nil {
		f = reflect.New(cmd.fields)
		if err := cmd.plan.decode(fields, f.Elem()); err != nil {
			return err
		}
	}
	return s.unit.change(r.Now, r, func(c *Context, is *S) error { return cmd.run(c, is, f, w) })
}
