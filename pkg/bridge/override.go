package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Override contains the operator's settings for a device, which replace its
// source's. Where a field is nil or empty, the source's value counts.
type Override struct {
	Name, Room *string
	Hidden     bool
	Parts      map[string]PartOverride // by part id; "": the only part
}

// PartOverride contains the settings for a part.
type PartOverride struct {
	Name    *string
	Type    string
	Options json.RawMessage // an object of [device.Options]; its members replace the source's
}

// apply returns a description with the settings of o.
func (o *Override) apply(d device.Device) (device.Device, error) {
	if o.Name != nil {
		d.Name = *o.Name
	}
	if o.Room != nil {
		d.Room = *o.Room
	}
	d.Parts = slices.Clone(d.Parts)
	for id, change := range o.Parts {
		i := slices.IndexFunc(d.Parts, func(p device.Part) bool { return p.ID == id })
		if id == "" && len(d.Parts) == 1 {
			i = 0
		}
		if i < 0 {
			return d, invalid("", "the devices file: there is no part %q of %s", id, d.ID)
		}
		p := &d.Parts[i]
		if change.Name != nil {
			p.Name = *change.Name
		}
		if change.Type != "" {
			p.Type = change.Type
		}
		if change.Options != nil {
			if err := json.Unmarshal(change.Options, &p.Options); err != nil {
				return d, invalid("", "the devices file: the options of %s: %v", d.ID, err)
			}
		}
	}
	return d, nil
}

// declares reports whether o is a complete description of a device.
func (o *Override) declares() bool {
	if len(o.Parts) == 0 {
		return false
	}
	for _, p := range o.Parts {
		if p.Type == "" {
			return false
		}
	}
	return true
}

// declared returns the device that o describes.
func (o *Override) declared(id string) device.Device {
	d := device.Device{ID: id, Reachable: true}
	for part := range o.Parts {
		if part == "" {
			part = "main"
		}
		d.Parts = append(d.Parts, device.Part{ID: part})
	}
	slices.SortFunc(d.Parts, func(a, b device.Part) int { return compareIDs(a.ID, b.ID) })
	return d
}

// compareIDs orders ids of parts: 2 comes before 10.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	if a < b {
		return -1
	}
	return 1
}

// overridden returns a source's description with the operator's settings. If the
// result is not valid, it returns the source's description, and note is the reason.
func (r *Registry) overridden(d *device.Device) (said *device.Device, note string) {
	o, ok := r.opt.Overrides[d.ID]
	if !ok {
		return nil, ""
	}
	changed, err := o.apply(*d)
	if err == nil {
		err = checkDevice(&changed)
	}
	if err == nil {
		_, err = device.Assemble(&changed, r.opt.Profile, nil)
	}
	if err != nil {
		return nil, "not as the devices file says: " + err.Error()
	}
	own := *d
	own.Parts = slices.Clone(d.Parts)
	for i := range own.Parts {
		own.Parts[i].State = nil
	}
	*d = changed
	return &own, ""
}

// retyped reports whether the operator has set the type or options of a part. Its source
// does not know them, and may report values that the part does not have then.
func (r *Registry) retyped(id, part string) bool {
	for _, p := range []PartOverride{r.opt.Overrides[id].Parts[part], r.opt.Overrides[id].Parts[""]} {
		if p.Type != "" || p.Options != nil {
			return true
		}
	}
	return false
}

// known returns the values for which a part has properties. Numbers out of range are the
// nearest limits.
func known(n *device.Node, v device.Values) device.Values {
	out := device.Values{}
	for name, x := range v {
		p := n.Property(name)
		if p == nil {
			continue
		}
		var wrong *device.ValueError
		if errors.As(p.Check(x), &wrong) && !wrong.Nearest.IsNull() {
			x = wrong.Nearest
		}
		out[name] = x
	}
	return out
}

// SetOverrides replaces the operator's settings for devices. Devices with changed
// settings are updated. Devices of the API that the settings describe completely
// are created if they do not exist, unreachable until their source reports. A
// device whose settings were removed stays, as its source describes it.
func (r *Registry) SetOverrides(all map[string]Override) error {
	return r.do(func(now time.Time) error {
		was := r.opt.Overrides
		r.opt.Overrides = all
		if err := r.override(now, func(id string) bool { return !reflect.DeepEqual(was[id], all[id]) }); err != nil {
			r.opt.Overrides = was
			return err
		}
		for _, e := range r.entries {
			r.decide(e)
		}
		r.pending.changed(now)
		return nil
	})
}

// override applies the settings to the devices that concern accepts, in one
// transaction.
func (r *Registry) override(now time.Time, concern func(id string) bool) error {
	var changes []*change
	for _, e := range r.sorted() {
		if e.rec.Gone != nil || !concern(e.id) {
			continue
		}
		d := e.rec.Device
		if e.rec.Said != nil {
			d.Name, d.Room, d.Parts = e.rec.Said.Name, e.rec.Said.Room, e.rec.Said.Parts
		}
		d.Parts = slices.Clone(d.Parts)
		for i := range d.Parts {
			d.Parts[i].State = nil
		}
		changes = r.reconsider(now, changes, d)
	}
	for _, id := range slices.Sorted(maps.Keys(r.opt.Overrides)) {
		o, e := r.opt.Overrides[id], r.entries[id]
		if concern(id) && (e == nil || e.rec.Gone != nil) && Front(SourceOf(id)) == "api" && o.declares() {
			changes = r.reconsider(now, changes, o.declared(id))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return r.commit(now, changes, nil)
}

// reconsider adds the change that results from a description and the current
// settings.
func (r *Registry) reconsider(now time.Time, changes []*change, d device.Device) []*change {
	c, err := r.prepare(now, &d)
	if err != nil {
		r.log.Warn("the devices file was not applied to a device", "device", d.ID, "error", err)
		return changes
	}
	c.own = true
	c.rec.Updated = c.entry.rec.Updated
	if !c.created && bytes.Equal(c.rec.encode(), c.entry.rec.encode()) {
		c.entry.note = c.note
		return changes
	}
	return append(changes, c)
}

// hiddenBy returns why the operator does not show a device, or "".
func (r *Registry) hiddenBy(e *entry) string {
	switch shown, by := r.opt.Expose.Shows(&e.rec.Device); {
	case e.rec.Hidden:
		return HiddenByOperator
	case r.opt.Overrides[e.id].Hidden:
		return "the devices file hides it"
	case !shown:
		return by
	}
	return ""
}
