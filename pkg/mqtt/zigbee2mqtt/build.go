package zigbee2mqtt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// Ranks order parts: what a device is mainly comes first.
const (
	rankLight = iota
	rankCover
	rankLock
	rankThermostat
	rankFan
	rankValve
	rankPlug
	rankAlarm
	rankContact
	rankOccupancy
	rankWater
	rankSoil
	rankTemperature
	rankHumidity
	rankSensor
	rankAir
	rankMeter
	rankButton
)

// builder makes a thing of an entry of bridge/devices.
type builder struct {
	d     *bridgeDevice
	t     *thing
	parts []*draft
	used  map[string]bool     // ids of parts
	left  map[string][]string // names that are left out, by reason
	why   []string            // the reasons in the order in which they came

	later   []func()  // what has to wait until all parts are there
	metered []measure // quantities of meters
	heaters []*heater
}

// draft is a part that is being described.
type draft struct {
	device.Part
	endpoint string
	rank     int
	load     bool // it may have a meter of its own
}

// build describes a device: as what it is shown, and what of it is not.
func build(source string, d *bridgeDevice) (*thing, []device.Ignored) {
	b := newBuilder(reader.ID(source, d.IEEEAddress), d.FriendlyName)
	b.d = d
	if low := d.SoftwareBuildID; low != "" {
		b.t.device.SoftwareVersion = reader.Text(low)
	}
	b.t.device.Vendor = reader.Text(cmp.Or(d.Definition.Vendor, d.Manufacturer))
	b.t.device.Product = reader.Text(cmp.Or(d.Definition.Model, d.ModelID))
	b.t.device.Serial = reader.Text(d.IEEEAddress)
	exposes := d.Definition.Exposes
	if len(exposes) > reader.MaxExposes {
		b.leave("it has more features than are looked at", "the rest")
		exposes = exposes[:reader.MaxExposes]
	}
	if greenPower.MatchString(d.Definition.Model) {
		exposes = slices.DeleteFunc(slices.Clone(exposes), func(e expose) bool { return e.Name != "action" })
		b.leave("what this device of Green Power has is not known", "all but its buttons")
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
			bindings: map[string][]binding{}, buttons: map[string]press{}, handlers: map[string]handler{}, after: map[string]func(*thing, device.Values){}, readable: map[string]bool{},
			memory: &memory{known: map[string]any{}, pending: map[string]pending{}, deferred: map[string]float64{}, values: map[string]device.Values{}},
		},
		used: map[string]bool{},
		left: map[string][]string{},
	}
}

// finish orders the parts, and says what was left out.
func (b *builder) finish() (*thing, []device.Ignored) {
	slices.SortStableFunc(b.parts, func(x, y *draft) int { return x.rank - y.rank })
	for i, p := range b.parts {
		if i >= reader.MaxParts {
			b.leave(fmt.Sprintf("a device is shown with %d parts at most", reader.MaxParts), p.ID)
			b.drop(p.ID)
			continue
		}
		b.t.device.Parts = append(b.t.device.Parts, p.Part)
	}
	var ignored []device.Ignored
	for _, reason := range b.why {
		names := b.left[reason]
		const most = 40
		if n := len(names); n > most {
			names = append(names[:most:most], fmt.Sprintf("and %d more", n-most))
		}
		ignored = append(ignored, device.Ignored{ID: b.t.id, What: strings.Join(names, ", "), Reason: reason})
	}
	return b.t, ignored
}

// drop forgets what is bound to a part that is left out.
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
	for action, p := range b.t.buttons {
		if p.part == part {
			delete(b.t.buttons, action)
		}
	}
}

// leave notes that something is left out.
func (b *builder) leave(reason, name string) {
	if _, ok := b.left[reason]; !ok {
		b.why = append(b.why, reason)
	}
	if name = cmp.Or(reader.Text(name), "(no name)"); !slices.Contains(b.left[reason], name) {
		b.left[reason] = append(b.left[reason], name)
	}
}

// add adds a part. Its id is made of what it is and of its endpoint, so that it stays
// when others come or go.
func (b *builder) add(p *draft, what, endpoint string) *draft {
	p.ID, p.endpoint = reader.ID("", what)[1:], endpoint
	if endpoint != "" {
		p.ID = reader.ID("", what+"_"+endpoint)[1:]
		p.Name = cmp.Or(p.Name, endpointName(endpoint))
	}
	for base, n := p.ID, 2; b.used[p.ID]; n++ {
		p.ID = fmt.Sprintf("%s-%d", base, n)
	}
	b.used[p.ID] = true
	b.parts = append(b.parts, p)
	return p
}

// endpointName makes a name that people read: l1 is 1, bottom_left is Bottom left.
func endpointName(endpoint string) string {
	s := strings.ReplaceAll(endpoint, "_", " ")
	if n := strings.TrimPrefix(s, "l"); n != s && strings.Trim(n, "0123456789") == "" {
		return n
	}
	return reader.Text(strings.ToUpper(s[:1]) + s[1:])
}

// bind says what a property of the device's state means for a part.
func (b *builder) bind(e *expose, part string, read func(t *thing, v any, out device.Values)) {
	if e == nil || e.Property == "" || !e.published() {
		return
	}
	b.t.bindings[e.Property] = append(b.t.bindings[e.Property], binding{part, read})
	if e.readable() {
		b.t.readable[e.Property] = true
	}
}

// loadsOf returns the parts that may have a meter, of an endpoint or of all.
func (b *builder) loadsOf(endpoint string) []*draft {
	var out []*draft
	for _, p := range b.parts {
		if p.load && (endpoint == "" || p.endpoint == endpoint) {
			out = append(out, p)
		}
	}
	return out
}

// has returns the first part of a rank.
func (b *builder) has(rank int) *draft {
	for _, p := range b.parts {
		if p.rank == rank {
			return p
		}
	}
	return nil
}

// specific takes what says itself what it is.
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

// generic takes the others, by the rules.
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
		case b.valveState(e), b.thermostatPower(e):
		case r == nil || !e.published() || e.Property == "":
			b.leave(reasonFor(e), e.Name)
		case e.Category == "config" || e.Category == "diagnostic" && !r.diagnostic:
			b.leave(reasonFor(e), e.Name)
		default:
			b.apply(r, e, endpoint)
		}
	}
	for _, f := range b.later {
		f()
	}
	b.meters()
}
