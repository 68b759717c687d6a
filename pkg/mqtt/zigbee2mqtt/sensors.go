package zigbee2mqtt

import (
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// simple are the sensors that say one thing, true or false.
var simple = map[kind]struct {
	what, typ, property string
	rank                int
}{
	isContact: {"contact", "contact_sensor", "closed", rankContact},
	isLeak:    {"leak", "water_leak_detector", "detected", rankWater},
	isRain:    {"rain", "rain_sensor", "detected", rankWater},
}

// apply makes of an expose what its rule says.
func (b *builder) apply(r *rule, e *expose, endpoint string) {
	switch r.is {
	case isQuantity:
		b.quantity(r, e, endpoint)
	case isContact, isLeak, isRain:
		b.simple(r, e, endpoint)
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
		b.leave("its values are not those of such a sensor", e.Name)
		return
	}
	s := simple[r.is]
	p := b.add(&draft{rank: s.rank}, s.what, endpoint)
	p.Type = s.typ
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

// closed reads a contact: true is closed, and so is what value_off says, as the value
// that the sensor is there for is that it is open.
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
		b.leave("its values are not those of such a sensor", e.Name)
		return
	}
	for _, p := range b.parts {
		if p.rank == rankOccupancy && p.endpoint == endpoint {
			b.leave("another property says the same", e.Name)
			return
		}
	}
	p := b.add(&draft{rank: rankOccupancy}, "occupancy", endpoint)
	p.Type, p.Options.Technology = "occupancy_sensor", "pir"
	if r.is == isPresence {
		p.Options.Technology = "radar"
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := e.isOn(v); ok {
			out["occupied"] = device.Bool(is)
		}
	})
}

// alarm adds what an alarm for smoke and gases warns of: all of it is one part.
func (b *builder) alarm(r *rule, e *expose) {
	if e.Type != "binary" {
		b.leave("its values are not those of an alarm", e.Name)
		return
	}
	p := b.has(rankAlarm)
	if p == nil {
		p = b.add(&draft{rank: rankAlarm}, "alarm", "")
		p.Type = "smoke_co_alarm"
	}
	o := &p.Options
	has, property := map[kind]*bool{isSmoke: &o.Smoke, isCO: &o.CarbonMonoxide, isGas: &o.Gas}[r.is], map[kind]string{isSmoke: "smoke", isCO: "carbon_monoxide", isGas: "gas"}[r.is]
	if *has {
		b.leave("another property says the same", e.Name)
		return
	}
	*has = true
	if o.Gas && !o.Smoke && !o.CarbonMonoxide {
		p.Name = "Gas"
	} else if p.Name == "Gas" {
		p.Name = ""
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if is, ok := e.isOn(v); ok && is {
			out[property] = device.Text("critical")
		} else if ok {
			out[property] = device.Text("normal")
		}
	})
}

// alarmDetail adds what is told of an alarm besides, which may come before the alarm.
func (b *builder) alarmDetail(r *rule, e *expose) {
	property := map[kind]string{isTest: "test_in_progress", isFault: "hardware_fault", isOld: "end_of_service"}[r.is]
	if e.Type != "binary" {
		b.leave("its values are not those of an alarm", e.Name)
		return
	}
	b.later = append(b.later, func() {
		p := b.has(rankAlarm)
		if p == nil {
			b.leave("it belongs to no alarm", e.Name)
			return
		}
		b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
			if is, ok := e.isOn(v); ok {
				out[property] = device.Bool(is)
			}
		})
	})
}

// quantity adds what a sensor measures; what belongs to a meter waits until all loads
// are known.
func (b *builder) quantity(r *rule, e *expose, endpoint string) {
	q := reader.Quantities[r.quantity]
	convert, ok := q.Unit(e.Unit)
	switch {
	case e.Type != "numeric":
		b.leave("it is no number", e.Name)
		return
	case !ok:
		b.leave("its unit "+reader.Text(e.Unit)+" cannot be converted", e.Name)
		return
	case q.Type == "" && r.quantity == "voltage" && e.Category == "diagnostic":
		b.leave("it is the voltage of a battery", e.Name)
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
	switch q.Type {
	case "":
		b.metered = append(b.metered, measure{e, endpoint, q.Property, read})
		return
	case "air_quality_sensor":
		p := b.air()
		if !slices.Contains(p.Options.Properties, q.Property) {
			p.Options.Properties = append(p.Options.Properties, q.Property)
			read(p.ID, q.Property)
		}
		return
	}
	what, rank := strings.TrimSuffix(q.Type, "_sensor"), rankSensor
	switch q.Type {
	case "light_sensor":
		what = "illuminance" // light is a lamp
	case "temperature_sensor":
		rank = rankTemperature
	case "humidity_sensor":
		rank = rankHumidity
	case "soil_sensor":
		rank = rankSoil
	}
	for _, p := range b.parts {
		if p.Type == q.Type && p.endpoint == endpoint {
			b.leave("another property says the same", e.Name)
			return
		}
	}
	p := b.add(&draft{rank: rank}, what, endpoint)
	p.Type = q.Type
	read(p.ID, q.Property)
}

// air returns the part that all of the air's quality is in.
func (b *builder) air() *draft {
	if p := b.has(rankAir); p != nil {
		return p
	}
	p := b.add(&draft{rank: rankAir}, "air_quality", "")
	p.Type = "air_quality_sensor"
	return p
}

// airLevels are words for the quality of air, of which there are several scales.
var airLevels = map[string]string{
	"excellent": "good", "good": "good", "fair": "fair", "moderate": "moderate", "average": "moderate", "poor": "poor",
	"unhealthy": "very_poor", "very_poor": "very_poor", "bad": "very_poor", "hazardous": "extremely_poor", "extremely_poor": "extremely_poor",
	"out_of_range": "unknown", "unknown": "unknown",
}

func (b *builder) airQuality(e *expose) {
	if e.Type != "enum" {
		b.leave("its values are no words", e.Name)
		return
	}
	p := b.air()
	p.Options.Properties = append(p.Options.Properties, "air_quality")
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if s, ok := v.(string); ok && airLevels[s] != "" {
			out["air_quality"] = device.Text(airLevels[s])
		}
	})
}

// measure is a quantity of a meter.
type measure struct {
	e        *expose
	endpoint string
	property string
	read     func(part, property string)
}

// meters gives each load its meter: that of its endpoint, or the device's if it is the
// only load. What then belongs to none is a part of its own.
func (b *builder) meters() {
	real := map[string]bool{} // endpoints of which more than a voltage is measured
	for _, m := range b.metered {
		real[m.endpoint] = real[m.endpoint] || m.property != "voltage_volts"
	}
	for _, m := range b.metered {
		if !real[m.endpoint] { // a voltage alone is no meter
			b.leave("a voltage alone is not shown", m.e.Name)
			continue
		}
		if all := b.loadsOf(m.endpoint); len(all) == 1 && (m.endpoint != "" || b.singleLoad()) {
			b.meter(all[0], m)
			continue
		}
		p := b.meterOf(m.endpoint)
		if p == nil {
			p = b.add(&draft{rank: rankMeter}, "meter", m.endpoint)
			p.Type = reader.Meter
		}
		b.meter(p, m)
	}
}

func (b *builder) singleLoad() bool { return len(b.loadsOf("")) == 1 }

func (b *builder) meterOf(endpoint string) *draft {
	for _, p := range b.parts {
		if p.Type == reader.Meter && p.endpoint == endpoint {
			return p
		}
	}
	return nil
}

func (b *builder) meter(p *draft, m measure) {
	if slices.Contains(p.Options.Properties, m.property) {
		b.leave("another property says the same", m.e.Name)
		return
	}
	p.Meter = p.Type != reader.Meter
	p.Options.Properties = append(p.Options.Properties, m.property)
	m.read(p.ID, m.property)
}

// battery binds what is told of the device's battery.
func (b *builder) battery(r *rule, e *expose) {
	if r.is == isBatteryState && (e.Type != "enum" || !e.has("low")) {
		b.leave("its values are not known", e.Name)
		return
	}
	if b.t.device.Battery == nil {
		b.t.device.Battery = &device.Battery{}
	}
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
