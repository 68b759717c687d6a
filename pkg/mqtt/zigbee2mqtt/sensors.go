package zigbee2mqtt

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// simple maps kinds to sensors with one boolean property.
var simple = map[kind]struct {
	what, typ, property string
	rank                reader.Rank
}{
	isContact: {"contact", "contact_sensor", "closed", reader.RankContact},
	isLeak:    {"leak", "water_leak_detector", "detected", reader.RankWater},
	isRain:    {"rain", "rain_sensor", "detected", reader.RankWater},
}

// apply adds an expose according to its rule.
func (b *builder) apply(r *rule, e *expose, endpoint string) {
	switch r.is {
	case isQuantity:
		b.quantity(r, e, endpoint)
	case isContact, isLeak, isRain:
		b.simple(r, e, endpoint)
	case isDryContact, isOpening:
		b.contact(r, e, endpoint)
	case isPresenceWord, isSmokeWord, isZone:
		b.fallback(r, e, endpoint)
	case isSOS:
		b.help(e)
	case isOccupancy, isPresence:
		b.occupancy(r, e, endpoint)
	case isSmoke, isCO, isGas:
		b.alarm(r, e)
	case isTest, isFault, isOld:
		b.alarmDetail(r, e)
	case isBattery, isBatteryLow, isBatteryState:
		b.battery(r, e)
	case isAirQuality:
		b.airQuality(e)
	case isAction:
		b.actions(e)
	case isDoor:
		b.door(e)
	case isMoving:
		b.moving(e)
	}
}

func (b *builder) simple(r *rule, e *expose, endpoint string) {
	if e.Type != "binary" {
		b.Leave(reader.Unreadable("its values are not those of such a sensor"), e.Name)
		return
	}
	s := simple[r.is]
	p := b.Add(s.rank, s.typ, s.what, endpoint)
	read := func(v any) (bool, bool) { return e.isOn(v) }
	if r.is == isContact {
		read = closed(e)
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := read(v); ok {
			out[s.property] = device.Bool(is)
		}
	})
}

// closed returns a function that reads a contact. true means closed, and so does
// value_off, since such a sensor reports that something is open.
func closed(e *expose) func(v any) (bool, bool) {
	return func(v any) (bool, bool) {
		if is, ok := v.(bool); ok {
			return is, true
		}
		open, ok := e.isOn(v)
		return !open, ok
	}
}

func (b *builder) occupancy(r *rule, e *expose, endpoint string) {
	if e.Type != "binary" {
		b.Leave(reader.Unreadable("its values are not those of such a sensor"), e.Name)
		return
	}
	if b.In(reader.RankOccupancy, endpoint) != nil {
		b.Leave(reader.Twice, e.Name)
		return
	}
	p := b.Add(reader.RankOccupancy, "occupancy_sensor", "occupancy", endpoint)
	p.Options.Technology = "pir"
	if r.is == isPresence {
		p.Options.Technology = "radar"
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := e.isOn(v); ok {
			out["occupied"] = device.Bool(is)
		}
	})
}

// alarm adds an alarm for smoke or a gas. All of them are in one part.
func (b *builder) alarm(r *rule, e *expose) {
	if e.Type != "binary" {
		b.Leave(reader.Unreadable("its values are not those of an alarm"), e.Name)
		return
	}
	b.zoneAlarm(e, r.is)
}

// alarms are the alarms by kind.
var alarms = map[kind]string{isSmoke: "smoke", isCO: "carbon_monoxide", isGas: "gas"}

// alarmDetail adds further properties of an alarm, which may be listed before it.
func (b *builder) alarmDetail(r *rule, e *expose) {
	property := map[kind]string{isTest: "test_in_progress", isFault: "hardware_fault", isOld: "end_of_service"}[r.is]
	if e.Type != "binary" {
		b.Leave(reader.Unreadable("its values are not those of an alarm"), e.Name)
		return
	}
	b.later = append(b.later, func() {
		p := b.Of(reader.RankAlarm)
		if p == nil {
			b.Leave(reader.NoType("it belongs to no alarm"), e.Name)
			return
		}
		b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
			if is, ok := e.isOn(v); ok {
				out[property] = device.Bool(is)
			}
		})
	})
}

// quantity adds a quantity. The quantities of a meter wait until all loads are
// known.
func (b *builder) quantity(r *rule, e *expose, endpoint string) {
	q := reader.Quantities[r.quantity]
	convert, ok := q.Unit(e.Unit)
	switch {
	case e.Type != "numeric":
		b.Leave(reader.Unreadable("it is not a number"), e.Name)
		return
	case !ok:
		b.Leave(reader.Unreadable("its unit "+reader.Text(e.Unit)+" cannot be converted"), e.Name)
		return
	case q.Type == "" && r.quantity == "voltage" && e.Category == "diagnostic":
		b.Leave(reader.NoType("it is the voltage of a battery"), e.Name)
		return
	}
	read := func(part, property string) {
		b.bind(e, part, func(_ *thing, v any, out device.Values) {
			if f, ok := reader.Number(v); ok {
				if v := convert(f); !v.IsNull() {
					out[property] = v
				}
			}
		})
	}
	if endpoint == total && !b.lines() { // a meter with one line
		endpoint = ""
	}
	if q.Type == "" {
		b.Measure(e.Name, endpoint, q.Property, func(part string) { read(part, q.Property) })
		return
	}
	if q.Type != reader.AirQuality && b.HasType(q.Type, endpoint) {
		b.Leave(reader.Twice, e.Name)
	} else if p := b.Sensor(q, "", endpoint); p != nil {
		if places.MatchString(e.Name) {
			p.Rank = reader.RankSensor // beside the main function of the device
		}
		read(p.ID, q.Property)
	}
}

// lines reports whether the device's meter measures each line.
func (b *builder) lines() bool {
	return slices.ContainsFunc(b.d.Definition.Exposes, func(e expose) bool { return phases.MatchString(e.Name) })
}

// airLevels maps the words of several scales of air quality.
var airLevels = map[string]string{
	"excellent": "good", "good": "good", "fair": "fair", "moderate": "moderate", "average": "moderate", "poor": "poor",
	"unhealthy": "very_poor", "very_poor": "very_poor", "bad": "very_poor", "hazardous": "extremely_poor", "extremely_poor": "extremely_poor",
	"out_of_range": "unknown", "unknown": "unknown",
}

func (b *builder) airQuality(e *expose) {
	if e.Type != "enum" {
		b.Leave(reader.Unreadable("its values are not strings"), e.Name)
		return
	}
	p := b.Air()
	p.Options.Properties = append(p.Options.Properties, "air_quality")
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if s, ok := v.(string); ok && airLevels[s] != "" {
			out["air_quality"] = device.Text(airLevels[s])
		}
	})
}

// battery binds the properties of the device's battery.
func (b *builder) battery(r *rule, e *expose) {
	if r.is == isBatteryState && (e.Type != "enum" || !e.has("low")) {
		b.Leave(reader.Unreadable("its values are not known"), e.Name)
		return
	}
	b.Battery = true
	b.bind(e, "", func(t *thing, v any, _ device.Values) {
		switch r.is {
		case isBattery:
			if f, ok := reader.Number(v); ok && f >= 0 {
				t.battery.Percent = device.Number(reader.Round(reader.Clamp(f, 0, 100), 1))
			}
		case isBatteryLow:
			if low, ok := e.isOn(v); ok {
				t.battery.Low = device.Bool(low)
			}
		case isBatteryState:
			if s, ok := v.(string); ok {
				t.battery.Low = device.Bool(s == "low")
			}
		}
	})
}
