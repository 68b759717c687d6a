package zigbee2mqtt

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// builder builds a thing from an entry of bridge/devices.
type builder struct {
	*reader.Assembly
	d *bridgeDevice
	t *thing

	later   []func() // functions to call when all parts exist
	sirens  []*expose
	heaters []*heater
}

// build returns a device as a thing, and what of it is not shown.
func build(d *bridgeDevice) (*thing, []device.Ignored) {
	b := newBuilder(reader.ID(Source, d.IEEEAddress), d.FriendlyName)
	b.d = d
	if low := d.SoftwareBuildID; low != "" {
		b.t.device.SoftwareVersion = reader.Text(low)
	}
	b.t.device.Vendor = reader.Text(cmp.Or(d.Definition.Vendor, d.Manufacturer))
	b.t.device.Product = reader.Text(cmp.Or(d.Definition.Model, d.ModelID))
	b.t.device.Serial = reader.Text(d.IEEEAddress)
	exposes := d.Definition.Exposes
	if len(exposes) > reader.MaxExposes {
		b.Leave(reader.Other("it has too many features"), "the rest")
		exposes = exposes[:reader.MaxExposes]
	}
	if greenPower.MatchString(d.Definition.Model) {
		exposes = slices.DeleteFunc(slices.Clone(exposes), func(e expose) bool { return e.Name != "action" })
		b.Leave(reader.NoType("the features of this Green Power device are not known"), "all but its buttons")
	}
	b.specific(exposes)
	b.generic(exposes)
	return b.finish()
}

func newBuilder(id, name string) *builder {
	return &builder{
		t: &thing{
			id: id, name: name,
			device:   device.Device{ID: id, Name: reader.Text(name[strings.LastIndexByte(name, '/')+1:])},
			bindings: map[string][]binding{}, buttons: map[string]press{}, calls: map[string]call{}, handlers: map[string]handler{}, after: map[string]func(*thing, device.Values){}, readable: map[string]bool{},
			memory: &memory{known: map[string]any{}, pending: map[string]pending{}, deferred: map[string]float64{}, values: map[string]device.Values{}},
		},
		Assembly: reader.NewAssembly(),
	}
}

// finish assembles the parts, and returns what was left out.
func (b *builder) finish() (*thing, []device.Ignored) {
	parts, ignored, dropped := b.Finish(Source, b.t.id)
	for _, part := range dropped {
		b.drop(part)
	}
	b.t.device.Parts = parts
	if b.Battery {
		b.t.device.Battery = &device.Battery{}
	}
	b.t.device.Mains = !b.Battery && b.d != nil && b.d.powered()
	return b.t, ignored
}

// drop removes the bindings of a part that is left out.
func (b *builder) drop(part string) {
	delete(b.t.handlers, part)
	delete(b.t.after, part)
	for property, list := range b.t.bindings {
		list = slices.DeleteFunc(list, func(x binding) bool { return x.part == part })
		if b.t.bindings[property] = list; len(list) == 0 {
			delete(b.t.bindings, property)
			delete(b.t.readable, property)
		}
	}
	for property, c := range b.t.calls {
		if c.part == part {
			delete(b.t.calls, property)
		}
	}
	for action, p := range b.t.buttons {
		if p.part == part {
			delete(b.t.buttons, action)
		}
	}
}

// bind adds a binding: how to read a property of the device's state for a part.
func (b *builder) bind(e *expose, part string, read func(t *thing, v any, out device.Values)) {
	if e == nil || e.Property == "" || !e.published() {
		return
	}
	b.t.bindings[e.Property] = append(b.t.bindings[e.Property], binding{part, read})
	if e.readable() {
		b.t.readable[e.Property] = true
	}
}

// specific adds the exposes with a specific type, such as light or lock.
func (b *builder) specific(exposes []expose) {
	climate := slices.ContainsFunc(exposes, func(e expose) bool { return e.Type == "climate" })
	for i := range exposes {
		e := &exposes[i]
		switch e.Type {
		case "light":
			b.light(e)
		case "switch":
			b.switches(e, climate)
		case "cover":
			b.cover(e)
		case "lock":
			b.lock(e)
		case "fan":
			b.fan(e)
		}
	}
	b.climates(exposes)
}

// generic adds the other exposes, by the rules.
func (b *builder) generic(exposes []expose) {
	for i := range exposes {
		e := &exposes[i]
		switch e.Type {
		case "light", "switch", "cover", "lock", "fan", "climate":
			continue
		}
		b.t.blinks = b.t.blinks || e.Name == "effect" && e.has("blink")
		r, endpoint := find(e)
		switch {
		case b.valveState(e), b.relay(e), b.thermostatPower(e), b.isSiren(e), b.coverState(e):
		case r == nil || !e.published() || e.Property == "":
			b.Leave(reasonFor(e), e.Name)
		case e.Category == "config" || e.Category == "diagnostic" && !r.diagnostic:
			b.Leave(reasonFor(e), e.Name)
		case r.fallback:
			b.later = append(b.later, func() { b.fallback(r, e, endpoint) })
		default:
			b.apply(r, e, endpoint)
		}
	}
	for _, f := range b.later {
		f()
	}
	b.siren()
}
