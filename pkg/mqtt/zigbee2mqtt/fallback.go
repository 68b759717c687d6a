package zigbee2mqtt

import (
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// fallback adds an expose that is only used if no other one provides the same. It
// is called after all others.
func (b *builder) fallback(r *rule, e *expose, endpoint string) {
	switch r.is {
	case isPresenceWord:
		b.presenceWord(e, endpoint)
	case isSmokeWord:
		b.zoneAlarm(e, isSmoke)
	case isZone:
		b.zone(e, endpoint)
	default:
		if b.Of(reader.RankThermostat) != nil || b.HasType(reader.Quantities[r.quantity].Type, "") {
			b.Leave(reader.Twice, e.Name)
			return
		}
		b.apply(r, e, endpoint)
	}
}

// presenceWord adds the presence enum of a radar: none, or words for what is
// present.
func (b *builder) presenceWord(e *expose, endpoint string) {
	words := e.words()
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	some := func(list ...string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return slices.Contains(words, w) })
	}
	switch {
	case e.Type != "enum" || e.settable() || !some("none", "absence") || !some("presence", "move", "motion", "large", "stationary", "static"):
		b.Leave(reasonFor(e), e.Name)
		return
	case b.Of(reader.RankOccupancy) != nil:
		b.Leave(reader.Twice, e.Name)
		return
	}
	p := b.Add(reader.RankOccupancy, "occupancy_sensor", "occupancy", endpoint)
	p.Options.Technology = "radar"
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		switch w, _ := v.(string); strings.ToLower(w) {
		case "", "disabled", "unknown":
		case "none", "absence":
			out["occupied"] = device.Bool(false)
		default:
			out["occupied"] = device.Bool(true)
		}
	})
}

// zone adds an alarm of an unspecific name. The device's description gives its
// kind.
func (b *builder) zone(e *expose, endpoint string) {
	what := isZone
	for _, z := range zones {
		if z.words.MatchString(b.d.Definition.Description) {
			what = z.is
			break
		}
	}
	if e.settable() {
		b.Leave(reader.NoType("the buzzer of a device is not shown"), e.Name)
		return
	}
	ranks := map[kind]reader.Rank{isLeak: reader.RankWater, isContact: reader.RankContact, isOccupancy: reader.RankOccupancy}
	rank, sensor := ranks[what]
	switch {
	case what == isZone || e.alarmed() == nil:
		b.Leave(reasonFor(e), e.Name)
	case sensor && b.Of(rank) != nil:
		b.Leave(reader.Twice, e.Name)
	case sensor:
		b.zoneSensor(e, what, endpoint)
	default:
		b.zoneAlarm(e, what)
	}
}

// zoneSensor adds a sensor for the alarm of a zone. The alarm of a door means that
// it is open.
func (b *builder) zoneSensor(e *expose, what kind, endpoint string) {
	s := simple[what]
	if what == isOccupancy {
		s.what, s.typ, s.property, s.rank = "occupancy", "occupancy_sensor", "occupied", reader.RankOccupancy
	}
	p := b.Add(s.rank, s.typ, s.what, endpoint)
	if what == isOccupancy {
		p.Options.Technology = "pir"
	}
	read := e.alarmed()
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := read(v); ok {
			out[s.property] = device.Bool(is != (what == isContact))
		}
	})
}

// zoneAlarm adds an alarm, unless the device has it.
func (b *builder) zoneAlarm(e *expose, what kind) {
	read := e.alarmed()
	if read == nil {
		b.Leave(reader.Unreadable("its values are not those of an alarm"), e.Name)
		return
	}
	p, property := b.Alarm(alarms[what])
	if p == nil {
		b.Leave(reader.Twice, e.Name)
		return
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := read(v); ok {
			out[property] = reader.Alarmed(is)
		}
	})
}

// alarmed returns a function that reads an alarm: a binary, or an enum with the
// word alarm; nil if it is neither.
func (e *expose) alarmed() func(v any) (is, ok bool) {
	switch {
	case e.Type == "binary":
		return e.isOn
	case e.Type == "enum" && e.has("alarm"):
		return func(v any) (bool, bool) {
			w, ok := v.(string)
			return w == "alarm", ok && w != "unknown" && w != "detecting"
		}
	}
	return nil
}

// contact adds contacts whose values are not true and false.
func (b *builder) contact(r *rule, e *expose, endpoint string) {
	read := e.isOn
	switch {
	case r.is == isOpening && e.Type == "enum" && e.has("closed"):
		read = func(v any) (bool, bool) { w, ok := v.(string); return w == "closed", ok }
	case r.is != isDryContact || e.Type != "binary":
		b.Leave(reader.Unreadable("its values are not those of such a sensor"), e.Name)
		return
	}
	p := b.Add(reader.RankContact, "contact_sensor", "contact", endpoint)
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if closed, ok := read(v); ok {
			out["closed"] = device.Bool(closed)
		}
	})
}

// help adds a button that is not an action: it is pressed when its property becomes
// true.
func (b *builder) help(e *expose) {
	if e.Type != "binary" || b.In(reader.RankButton, "emergency") != nil {
		b.Leave(reasonFor(e), e.Name)
		return
	}
	p := b.Add(reader.RankButton, "generic_switch", "button", "emergency")
	p.Options.Gestures = []string{string(device.Single)}
	b.t.calls[e.Property] = call{press{p.ID, device.Single}, e.isOn}
	b.bind(e, p.ID, func(*thing, any, device.Values) {})
}
