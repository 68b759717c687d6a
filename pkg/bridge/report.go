package bridge

import (
	"time"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// Report applies new values of a part from its source, all or none. The error is an
// [*Error].
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

// part returns a part that exists.
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

// report applies values that have been checked.
func (r *Registry) report(now time.Time, e *entry, n *device.Node, v device.Values) {
	shown := r.news(target{e.id, n.Key}, v)
	if err := n.Report(now, shown); err != nil {
		// The values are valid, but a rule that couples them returned an error. The
		// device keeps its state.
		r.log.Warn("a report is not shown", "device", e.id, "part", n.Key, "error", err)
		return
	}
	p := e.part(n.Key)
	if p.State == nil {
		p.State = device.Values{}
	}
	for name, is := range v {
		if was, ok := p.State[name]; (!ok || was != is) && n.Property(name).Settable {
			r.saveBy(now.Add(saveKept)) // not later than the attributes of the endpoint
		}
		p.State[name] = is
	}
	r.counts.update(e.source())
	r.commands.reported(now, r, e, n.Key, shown)
	r.node.Touch(e.rec.Endpoints[n.Key].Number)
	r.changed(now, e)
	if e.wantShown() && len(e.ready()) > 0 {
		r.pending.changed(now) // the first values have arrived
	}
	r.notify(now, e)
}

// changed records that an entry must be saved.
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

// heard records that the source of a device has reported about it.
func (r *Registry) heard(now time.Time, e *entry) {
	e.silent = false
	r.updateReachable(now, e)
}

// Event reports a gesture on a button from its source. An empty part is the only one of the
// device. The error is an [*Error].
func (r *Registry) Event(id, part string, g device.Gesture) error {
	return r.do(func(now time.Time) error {
		if e := r.entries[id]; e != nil && e.rec.Gone == nil && part == "" {
			if len(e.rec.Device.Parts) > 1 {
				return invalid("/part", "part: device %s has several parts: name one of them", id)
			}
			part = e.rec.Device.Parts[0].ID
		}
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

// Reachable sets whether a device is reachable according to its source. The error
// is an [*Error].
func (r *Registry) Reachable(id string, reachable bool) error {
	return r.setReachable(id, reachable, false)
}

// Away sets that a device is not reachable because its gateway is not, which perhaps only
// restarts: commands fail at once, but controllers see it only if it lasts. The error is
// an [*Error].
func (r *Registry) Away(id string) error { return r.setReachable(id, false, true) }

func (r *Registry) setReachable(id string, reachable, hold bool) error {
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		if hold && e.reachable && now.Sub(e.shownAt) >= settleTime {
			r.holdReachable(now, e)
		}
		e.rec.Device.Reachable = reachable
		r.changed(now, e)
		r.heard(now, e)
		return nil
	})
}

// Battery sets the state of a device's battery from its source. The error is an
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

// setBattery updates the battery's state; null changes nothing.
func (r *Registry) setBattery(now time.Time, e *entry, b device.Battery) {
	had := e.rec.Device.Battery
	first := b.Adds(had)
	e.rec.Device.Battery = mergeBattery(had, b)
	r.changed(now, e)
	if first {
		r.rebuild(now, e)
		return
	}
	r.showBattery(now, e, *e.rec.Device.Battery)
	r.notify(now, e)
}

// mergeBattery returns b, with earlier values where b has none. had may be nil.
func mergeBattery(had *device.Battery, b device.Battery) *device.Battery {
	if had == nil {
		return &b
	}
	for _, x := range []struct {
		is  *device.Value
		had device.Value
	}{{&b.Percent, had.Percent}, {&b.Low, had.Low}, {&b.Charging, had.Charging}} {
		if x.is.IsNull() {
			*x.is = x.had
		}
	}
	return &b
}

// showBattery updates the battery on the endpoints of a device.
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

// rebuild creates the endpoints of an entry again, with the same numbers.
func (r *Registry) rebuild(now time.Time, e *entry) {
	e.retire()
	if err := r.assemble(now, e); err != nil {
		r.log.Error("a device is not shown", "device", e.id, "error", err)
	}
	r.pending.changed(now)
	r.notify(now, e)
}

// Each change of the reachability makes some controllers read the whole node. That a device
// is unreachable is therefore held back for settleTime if its gateway is away, and if
// it had been unreachable already within flipTime.
const (
	flipTime   = time.Minute
	settleTime = 10 * time.Second
)

// canBeReached reports whether controllers should see the device as reachable.
func (e *entry) canBeReached() bool {
	return e.rec.Gone == nil && e.rec.Device.Reachable && !e.silent && !e.lost
}

// updateReachable shows whether a device is reachable: at once if it is, and also if it is
// not, unless that is held back.
func (r *Registry) updateReachable(now time.Time, e *entry) {
	want := e.canBeReached()
	switch {
	case want == e.reachable:
		e.settleAt = time.Time{}
		delete(r.settling, e)
	case want || e.rec.Gone != nil:
		r.settleReachable(now, e)
	case !e.settleAt.IsZero(): // it is held back
	case e.flipped.IsZero() || now.Sub(e.flipped) >= flipTime:
		r.settleReachable(now, e)
	default:
		r.holdReachable(now, e)
	}
}

// holdReachable holds back that a device is unreachable.
func (r *Registry) holdReachable(now time.Time, e *entry) {
	if e.settleAt.IsZero() {
		e.settleAt = now.Add(settleTime)
		r.settling[e] = struct{}{}
	}
}

// settleReachable shows whether a device is reachable.
func (r *Registry) settleReachable(now time.Time, e *entry) {
	e.settleAt = time.Time{}
	delete(r.settling, e)
	want := e.canBeReached()
	if want == e.reachable {
		return
	}
	if e.reachable = want; want {
		e.shownAt = now
	} else {
		e.flipped = now
	}
	r.describeInfos(now, e)
	r.notify(now, e)
}

// describeInfos updates the information about a device on its bridged endpoints.
func (r *Registry) describeInfos(now time.Time, e *entry) {
	if e.assembly == nil {
		return
	}
	renew := false
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
			r.log.Warn("the details of a device are not shown", "device", e.id, "error", err)
		}
		renew = renew || !all
		info.SetReachable(e.reachable)
		n.SetReachable(now, e.reachable)
		r.node.Touch(e.rec.Endpoints[n.Key].Number)
	}
	if renew {
		r.rebuild(now, e) // some information is new
	}
}

// Left reports from the source that its device has left its network for good.
// Controllers get an event, and the device is removed. The error is an [*Error].
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
