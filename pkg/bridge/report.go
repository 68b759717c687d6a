package bridge

import (
	"time"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// Report takes new values of a part from its source. All of them are taken, or none.
// The error is an [*Error].
func (r *Registry) Report(id, part string, v device.Values) error {
	return r.do(func(now time.Time) error {
		e, n, err := r.part(id, part)
		if err != nil {
			return err
		}
		if r.retyped(id, n.Key) {
			v = known(n, v)
		}
		if err := n.Check(v); err != nil {
			return stateError("/state", err)
		}
		r.heard(now, e)
		r.report(now, e, n, v)
		return nil
	})
}

// part returns a part that is there.
func (r *Registry) part(id, part string) (*entry, *device.Node, error) {
	e := r.entries[id]
	if e == nil || e.rec.Gone != nil {
		return nil, nil, notFound(id)
	}
	n := e.node(part)
	if n == nil {
		return nil, nil, &Error{Kind: NotFound, Pointer: "/part", Detail: "device " + id + " has no part " + part}
	}
	return e, n, nil
}

// report takes values that have been checked.
func (r *Registry) report(now time.Time, e *entry, n *device.Node, v device.Values) {
	if err := n.Report(now, v); err != nil {
		// The values fit, but a rule that couples them objects: the device shows what it
		// showed.
		r.log.Warn("a report is not shown", "device", e.id, "part", n.Key, "error", err)
		return
	}
	p := e.part(n.Key)
	if p.State == nil {
		p.State = device.Values{}
	}
	for name, is := range v {
		if was, ok := p.State[name]; (!ok || was != is) && n.Property(name).Settable {
			r.saveBy(now.Add(saveKept)) // not later than what the endpoint keeps of it
		}
		p.State[name] = is
	}
	r.counts.update(e.source())
	r.commands.reported(now, r, e, n.Key, v)
	r.node.Touch(e.rec.Endpoints[n.Key].Number)
	r.changed(now, e)
	if e.wantShown() && len(e.ready()) > 0 {
		r.pending.changed(now) // first values have come
	}
	r.notify(now, e)
}

// changed notes that the record of an entry is to be saved some time.
func (r *Registry) changed(now time.Time, e *entry) {
	e.dirty = true
	e.rec.Updated = now.UTC()
	r.saveBy(now.Add(saveValues))
}

func (r *Registry) saveBy(t time.Time) {
	if r.saving.at.IsZero() || t.Before(r.saving.at) {
		r.saving.at = t
	}
}

// heard notes that the source of a device has spoken of it.
func (r *Registry) heard(now time.Time, e *entry) {
	e.silent = false
	r.updateReachable(now, e)
}

// Event takes from the source what somebody does to a button of its device. The error
// is an [*Error].
func (r *Registry) Event(id, part string, g device.Gesture) error {
	return r.do(func(now time.Time) error {
		e, n, err := r.part(id, part)
		if err != nil {
			return err
		}
		if err := n.Event(now, g); err != nil {
			return invalid("/event", "%v", err)
		}
		r.heard(now, e)
		r.counts.update(e.source())
		r.node.Touch(e.rec.Endpoints[n.Key].Number)
		r.notifyEvent(now, e, n.Key, g)
		return nil
	})
}

// Reachable takes from the source whether its device can be reached. The error is an
// [*Error].
func (r *Registry) Reachable(id string, reachable bool) error {
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		e.rec.Device.Reachable = reachable
		r.changed(now, e)
		r.heard(now, e)
		return nil
	})
}

// Battery takes from the source what is known of its device's battery. The error is an
// [*Error].
func (r *Registry) Battery(id string, b device.Battery) error {
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		if err := checkBattery(&b); err != nil {
			return err
		}
		r.heard(now, e)
		r.setBattery(now, e, b)
		return nil
	})
}

// setBattery takes what is known by now; null leaves what was known.
func (r *Registry) setBattery(now time.Time, e *entry, b device.Battery) {
	had := e.rec.Device.Battery
	if had == nil {
		had = &device.Battery{}
	}
	first := e.rec.Device.Battery == nil || had.Percent.IsNull() && !b.Percent.IsNull()
	e.rec.Device.Battery = mergeBattery(had, b)
	r.changed(now, e)
	if first {
		r.rebuild(now, e)
		return
	}
	r.showBattery(now, e, *e.rec.Device.Battery)
	r.notify(now, e)
}

// mergeBattery returns b with what was known before where b does not know.
func mergeBattery(had *device.Battery, b device.Battery) *device.Battery {
	if b.Percent.IsNull() {
		b.Percent = had.Percent
	}
	if b.Low.IsNull() {
		b.Low = had.Low
	}
	return &b
}

// showBattery makes the endpoints of a device show its battery.
func (r *Registry) showBattery(now time.Time, e *entry, b device.Battery) {
	if e.assembly == nil {
		return
	}
	for _, n := range e.assembly.Nodes {
		if n.SetBattery(now, b) {
			r.node.Touch(e.rec.Endpoints[n.Key].Number)
		}
	}
}

// rebuild makes the endpoints of an entry anew, with the numbers that they have.
func (r *Registry) rebuild(now time.Time, e *entry) {
	e.retire()
	if err := r.assemble(now, e); err != nil {
		r.log.Error("a device is not shown", "device", e.id, "error", err)
	}
	r.pending.changed(now)
	r.notify(now, e)
}

// Reachability that flips again within flipTime is held back for settleTime, as each
// change makes some controllers read the whole node.
const (
	flipTime   = time.Minute
	settleTime = 10 * time.Second
)

// canBeReached reports whether controllers are to see the device as reachable.
func (e *entry) canBeReached() bool {
	return e.rec.Gone == nil && e.rec.Device.Reachable && !e.silent && !e.lost
}

// updateReachable shows whether a device can be reached: at once that it can, and that
// it cannot unless that has changed a moment ago.
func (r *Registry) updateReachable(now time.Time, e *entry) {
	want := e.canBeReached()
	switch {
	case want == e.reachable:
		e.settleAt = time.Time{}
		delete(r.settling, e)
	case want || e.rec.Gone != nil || e.flipped.IsZero() || now.Sub(e.flipped) >= flipTime:
		r.settleReachable(now, e)
	case e.settleAt.IsZero():
		e.settleAt = now.Add(settleTime)
		r.settling[e] = struct{}{}
	}
}

// settleReachable shows whether a device can be reached.
func (r *Registry) settleReachable(now time.Time, e *entry) {
	e.settleAt = time.Time{}
	delete(r.settling, e)
	want := e.canBeReached()
	if want == e.reachable {
		return
	}
	e.reachable, e.flipped = want, now
	r.describeInfos(now, e)
	r.notify(now, e)
}

// describeInfos shows what is known of a device on its bridged endpoints.
func (r *Registry) describeInfos(now time.Time, e *entry) {
	if e.assembly == nil {
		return
	}
	anew := false
	for _, n := range e.assembly.Nodes {
		info := e.infos[n.Key]
		if info == nil {
			continue
		}
		all, err := info.Update(describe(&e.rec.Device))
		if err == nil {
			err = info.SetNodeLabel(fitting(e.labelOf(n), information.MaxText))
		}
		if err != nil {
			r.log.Warn("what is known of a device is not shown", "device", e.id, "error", err)
		}
		anew = anew || !all
		info.SetReachable(e.reachable)
		r.node.Touch(e.rec.Endpoints[n.Key].Number)
	}
	if anew {
		r.rebuild(now, e) // something is known for the first time
	}
}

// Left takes from the source that its device has left its network for good: controllers
// learn so, and the device is removed. The error is an [*Error].
func (r *Registry) Left(id string) error {
	err := r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		for key, info := range e.infos {
			info.Leave()
			r.node.Touch(e.rec.Endpoints[key].Number)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.Remove(id, false)
}
