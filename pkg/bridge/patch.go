package bridge

import (
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Patch is a partial update of a device by its source. Fields that are nil do not
// change.
type Patch struct {
	Name            *string
	HardwareVersion *string
	SoftwareVersion *string
	Reachable       *bool
	Battery         *device.Battery
	States          []PartState
}

// PartState is new values of a part.
type PartState struct {
	Part    string // empty: the only one
	Pointer string // position of the values in the request, for errors
	State   device.Values
}

// Patch applies all of p or nothing. The error is an [*Error].
func (r *Registry) Patch(id string, p Patch) error {
	return r.do(func(now time.Time) error { return r.patch(now, id, &p) })
}

// Patched is like Patch, and returns the device with the changes.
func (r *Registry) Patched(id string, p Patch) (v View, err error) {
	err = r.do(func(now time.Time) error {
		if err := r.patch(now, id, &p); err != nil {
			return err
		}
		v = r.view(now, r.entries[id])
		return nil
	})
	return v, err
}

func (r *Registry) patch(now time.Time, id string, p *Patch) error {
	e := r.entries[id]
	if e == nil || e.rec.Gone != nil {
		return notFound(id)
	}
	nodes, err := r.checkPatch(e, p)
	if err != nil && r.patchMore(now, e, p) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.patchDescription(now, e, p); err != nil {
		return err
	}
	if p.Reachable != nil {
		e.rec.Device.Reachable = *p.Reachable
	}
	// Values first: a controller that is notified of the reachability then
	// reads them.
	for i, n := range nodes {
		r.report(now, e, n, p.States[i].State)
	}
	if p.Battery != nil {
		r.setBattery(now, e, *p.Battery)
	}
	r.changed(now, e)
	r.heard(now, e)
	if len(nodes) == 0 {
		r.notify(now, e)
	}
	return nil
}

// patchMore applies a patch with values that the device is not shown with yet, such as
// another one of a meter, as a new description. It reports false, and changes nothing, if the
// device cannot have them.
func (r *Registry) patchMore(now time.Time, e *entry, p *Patch) bool {
	d := e.rec.Device
	if e.rec.Said != nil {
		d = *e.rec.Said
	}
	d.Parts = slices.Clone(d.Parts)
	for i := range d.Parts {
		d.Parts[i].State = nil
	}
	grows := false
	for _, s := range p.States {
		i := slices.IndexFunc(d.Parts, func(q device.Part) bool { return q.ID == s.Part })
		if i < 0 {
			return false
		}
		q := &d.Parts[i]
		if q.State = s.State; e.grows(q) {
			grows = true
			q.Options.Properties = nil // as the state says
		}
	}
	if !grows {
		return false
	}
	for _, t := range []struct{ to, text *string }{{&d.Name, p.Name}, {&d.HardwareVersion, p.HardwareVersion}, {&d.SoftwareVersion, p.SoftwareVersion}} {
		if t.text != nil {
			*t.to = *t.text
		}
	}
	if p.Reachable != nil {
		d.Reachable = *p.Reachable
	}
	if p.Battery != nil {
		d.Battery = mergeBattery(d.Battery, *p.Battery)
	}
	c, err := r.prepare(now, &d)
	return err == nil && r.commit(now, []*change{c}, nil) == nil
}

// checkPatch returns the nodes for the states.
func (r *Registry) checkPatch(e *entry, p *Patch) (nodes []*device.Node, err error) {
	for _, t := range []struct {
		member string
		text   *string
	}{{"name", p.Name}, {"hardware_version", p.HardwareVersion}, {"software_version", p.SoftwareVersion}} {
		if t.text != nil {
			if err := checkText(t.member, *t.text); err != nil {
				return nil, invalid("/"+t.member, "%v", err)
			}
		}
	}
	if err := checkBattery(p.Battery); err != nil {
		return nil, err
	}
	for i := range p.States {
		s := &p.States[i]
		if s.Part == "" {
			if len(e.rec.Device.Parts) > 1 {
				return nil, invalid(s.Pointer, "state: the device has several parts; name them in parts")
			}
			s.Part = e.rec.Device.Parts[0].ID
		}
		n := e.node(s.Part)
		if n == nil {
			return nil, &Error{Kind: NotFound, Pointer: s.Pointer, Detail: fmt.Sprintf("device %s has no part %q", e.id, s.Part)}
		}
		if r.retyped(e.id, n.Key) {
			s.State = known(n, s.State)
		}
		if err := n.Check(s.State); err != nil {
			return nil, stateError(s.Pointer, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// patchDescription stores the changes of a device's description.
func (r *Registry) patchDescription(now time.Time, e *entry, p *Patch) error {
	rec := *e.rec
	name := &rec.Device.Name
	if rec.Said != nil && r.opt.Overrides[e.id].Name != nil {
		said := *rec.Said
		rec.Said, name = &said, &said.Name
	}
	changed := false
	for _, t := range []struct {
		to   *string
		text *string
	}{{name, p.Name}, {&rec.Device.HardwareVersion, p.HardwareVersion}, {&rec.Device.SoftwareVersion, p.SoftwareVersion}} {
		if t.text != nil && *t.to != *t.text {
			*t.to, changed = *t.text, true
		}
	}
	if !changed {
		return nil
	}
	if err := r.update(func(tx *store.Tx) error { return tx.PutDevice(e.id, rec.encode()) }); err != nil {
		return err
	}
	*e.rec = rec
	if e.assembly != nil {
		e.assembly.Relabel(&e.rec.Device)
		e.followNames()
		r.describeInfos(now, e)
	}
	return nil
}
