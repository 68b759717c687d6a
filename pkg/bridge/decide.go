package bridge

import (
	"fmt"
	"time"
)

// HiddenByOperator is the reason for a device that [Registry.Hide] has hidden.
const HiddenByOperator = "an operator has hidden it"

// decide sets whether a device should be shown.
func (r *Registry) decide(e *entry) {
	e.hidden = r.hiddenBy(e)
}

// limit hides the newest devices beyond the ecosystem's limit.
func (r *Registry) limit() {
	most := r.opt.Profile.MaxDevices
	if most == 0 {
		return
	}
	shown := 0
	for _, e := range r.sorted() {
		if e.rec.Gone != nil {
			continue
		}
		r.decide(e)
		if !e.wantShown() {
			continue
		}
		nodes := 0
		for _, n := range e.assembly.Nodes {
			if !n.Child {
				nodes++
			}
		}
		if shown+nodes > most {
			e.hidden = fmt.Sprintf("%s takes %d devices of one bridge: show fewer with --expose, or on a second node", r.opt.Profile.Name, most)
			continue
		}
		shown += nodes
	}
}

// SetExposed changes which devices are shown.
func (r *Registry) SetExposed(f Filter) error {
	return r.do(func(now time.Time) error {
		r.opt.Expose = f
		for _, e := range r.entries {
			r.decide(e)
		}
		r.pending.changed(now)
		return nil
	})
}

// Hide hides a device, or shows it again. The error is an [*Error].
func (r *Registry) Hide(id string, hidden bool) error {
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		e.rec.Hidden = hidden
		if err := r.keep(e); err != nil {
			e.rec.Hidden = !hidden
			return err
		}
		r.decide(e)
		r.pending.changed(now)
		r.notify(now, e)
		return nil
	})
}
