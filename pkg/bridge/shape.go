package bridge

import (
	"maps"
	"reflect"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// merged returns a description with the earlier values that it does not contain: they stay,
// and some parts show only what their first state contained, such as the door of a lock.
func merged(old, d *device.Device) *device.Device {
	whole := *d
	whole.Parts = slices.Clone(d.Parts)
	for i := range whole.Parts {
		p := &whole.Parts[i]
		for _, o := range old.Parts {
			if o.ID == p.ID && o.Type == p.Type && len(o.State) > 0 {
				state := maps.Clone(o.State)
				maps.Copy(state, p.State)
				p.State = state
			}
		}
	}
	return &whole
}

// lacks reports whether a description has values that the new assembly shows and the current
// one does not.
func (e *entry) lacks(a *device.Assembly, d *device.Device) bool {
	for i := range d.Parts {
		p := &d.Parts[i]
		had := e.node(p.ID)
		for _, n := range a.Nodes {
			if n.Part != p || had == nil {
				continue
			}
			for name := range p.State {
				if n.Property(name) != nil && had.Property(name) == nil {
					return true
				}
			}
		}
	}
	return false
}

// keepProperties keeps the measured properties of parts whose description does not
// list them: the first state has determined them. A state with more determines them again.
func (e *entry) keepProperties(d *device.Device) {
	for i := range d.Parts {
		p := &d.Parts[i]
		for _, o := range e.rec.Device.Parts {
			if o.ID != p.ID || o.Type != p.Type || e.grows(p) {
				continue
			}
			if len(p.Options.Properties) == 0 {
				p.Options.Properties = o.Options.Properties
			}
			if x := &p.Options; !x.Smoke && !x.CarbonMonoxide && !x.Gas {
				x.Smoke, x.CarbonMonoxide, x.Gas = o.Options.Smoke, o.Options.CarbonMonoxide, o.Options.Gas
			}
		}
	}
}

// grows reports whether the state of a part has values that it is not shown with.
func (e *entry) grows(p *device.Part) bool {
	n := e.node(p.ID)
	if n == nil {
		return false
	}
	for name, v := range p.State {
		if !v.IsNull() && n.Property(name) == nil {
			return true
		}
	}
	return false
}

// stillFit returns the earlier values of a part that are still valid.
func stillFit(a *device.Assembly, p *device.Part, had device.Values) device.Values {
	out := device.Values{}
	for _, n := range a.Nodes {
		if n.Part != p {
			continue
		}
		for name, v := range had {
			if n.Check(device.Values{name: v}) == nil {
				out[name] = v
			}
		}
	}
	return out
}

// sameParts reports whether two descriptions have the same endpoints.
func sameParts(a, b *device.Device) bool {
	if len(a.Parts) != len(b.Parts) || a.Layout != b.Layout || a.Mains != b.Mains || (a.Room == "") != (b.Room == "") {
		return false
	}
	if (a.Battery == nil) != (b.Battery == nil) || b.Battery != nil && b.Battery.Adds(a.Battery) {
		return false
	}
	for i := range a.Parts {
		p, q := a.Parts[i], b.Parts[i]
		if p.ID != q.ID || p.Type != q.Type || p.Name != q.Name || p.Meter != q.Meter || !reflect.DeepEqual(p.Options, q.Options) {
			return false
		}
	}
	return true
}
