package homeassistant

import (
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// classes are the sensors' device classes that have another name in
// reader.Quantities.
var classes = map[string]string{"atmospheric_pressure": "pressure"}

// sensor adds a quantity to the part where it belongs.
func (r *Reader) sensor(e *entity) error {
	c := e.config
	if !c.has("state_topic") {
		return reader.Unreadable("state_topic: it is missing")
	}
	class := c.text("device_class", "")
	unit := c.text("unit_of_measurement", "")
	switch class {
	case "":
		return reader.NoType("it has no device class")
	case "battery":
		return r.batterySensor(e)
	case "aqi":
		return r.airIndex(e)
	}
	if to, ok := classes[class]; ok {
		class = to
	}
	q, ok := reader.Quantities[class]
	if !ok {
		return reader.NoType("Matter has no type for the device class " + reader.Text(class))
	}
	convert, ok := q.Unit(unit)
	if !ok {
		return reader.Unreadable("its unit " + reader.Text(unit) + " cannot be converted")
	}
	state, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		if f, ok := reader.Number(s); ok {
			if v := convert(f); !v.IsNull() {
				out[q.Property] = v
			}
		}
	})
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		if q.Type == "" {
			a.Measure(e.label(), "", q.Property, func(part string) { bindTo(part, state) })
			return
		}
		p := (*reader.Draft)(nil)
		if !e.unit.thermostatSays(e) {
			p = a.Sensor(q, e.id, "")
		}
		if p == nil {
			a.Leave(reader.Twice, e.label())
			return
		}
		if p.Type != reader.AirQuality {
			p.Name = e.name()
		}
		bindTo(p.ID, state)
	}
	return nil
}

// thermostatSays reports whether a thermostat of the device already reports a
// sensor's value.
func (u *unit) thermostatSays(sensor *entity) bool {
	topic, tpl := sensor.config.text("state_topic", ""), sensor.config.text("value_template", "")
	for _, e := range u.entities {
		if e.component == "climate" && e.config.text("current_temperature_topic", "") == topic && e.config.text("current_temperature_template", "") == tpl {
			return true
		}
	}
	return false
}

// label returns the name of an entity for reports.
func (e *entity) label() string {
	if n := e.name(); n != "" {
		return n
	}
	return e.id
}

func (r *Reader) batterySensor(e *entity) error {
	state, err := r.state(e, "state_topic", "value_template", func(s string, _ device.Values) {
		if f, ok := reader.Number(s); ok && f >= 0 && e.unit != nil {
			e.unit.battery.Percent = device.Number(reader.Round(reader.Clamp(f, 0, 100), 1))
		}
	})
	if err != nil {
		return err
	}
	if unit := e.config.text("unit_of_measurement", "%"); unit != "%" {
		return reader.Unreadable("its unit " + reader.Text(unit) + " cannot be converted")
	}
	e.add = func(a *reader.Assembly) {
		a.Battery = true
		state.part = ""
	}
	return nil
}

// airIndex reads an air quality index with the levels of the US EPA, which most
// sensors use.
func (r *Reader) airIndex(e *entity) error {
	state, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		f, ok := reader.Number(s)
		if !ok || f < 0 {
			return
		}
		level := "extremely_poor"
		for _, l := range []struct {
			most float64
			name string
		}{{50, "good"}, {100, "fair"}, {150, "moderate"}, {200, "poor"}, {300, "very_poor"}} {
			if f <= l.most {
				level = l.name
				break
			}
		}
		out["air_quality"] = device.Text(level)
	})
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		p := a.Air()
		p.Options.Properties = append(p.Options.Properties, "air_quality")
		bindTo(p.ID, state)
	}
	return nil
}

// boolean is a class of binary sensors that is shown.
type boolean struct {
	rank          reader.Rank
	typ, property string
	inverted      bool // on is false
}

var booleans = map[string]boolean{
	"door":        {reader.RankContact, "contact_sensor", "closed", true},
	"window":      {reader.RankContact, "contact_sensor", "closed", true},
	"opening":     {reader.RankContact, "contact_sensor", "closed", true},
	"garage_door": {reader.RankContact, "contact_sensor", "closed", true},
	"motion":      {reader.RankOccupancy, "occupancy_sensor", "occupied", false},
	"occupancy":   {reader.RankOccupancy, "occupancy_sensor", "occupied", false},
	"presence":    {reader.RankOccupancy, "occupancy_sensor", "occupied", false},
	"moving":      {reader.RankOccupancy, "occupancy_sensor", "occupied", false},
	"moisture":    {reader.RankWater, "water_leak_detector", "detected", false},
	"cold":        {reader.RankWater, "water_freeze_detector", "detected", false},
}

// binarySensor adds a binary sensor, or its value to another part of the device.
func (r *Reader) binarySensor(e *entity) error {
	c := e.config
	class := c.text("device_class", "")
	if !c.has("state_topic") {
		return reader.Unreadable("state_topic: it is missing")
	}
	b, simple := booleans[class]
	alarm := class == "smoke" || class == "carbon_monoxide" || class == "gas"
	switch {
	case class == "":
		return reader.NoType("it has no device class")
	case !simple && !alarm && !ofBattery(class):
		return reader.NoType("Matter has no type for the device class " + reader.Text(class))
	}
	property := b.property
	if alarm {
		property = class
	}
	set := func(on bool, out device.Values) {
		switch {
		case ofBattery(class):
			e.setBattery(class, on)
		case alarm:
			out[property] = reader.Alarmed(on)
		default:
			out[property] = device.Bool(on != b.inverted)
		}
	}
	state, err := r.binaryState(e, set)
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		switch {
		case ofBattery(class):
			a.Battery = true
		case alarm:
			p, _ := a.Alarm(class)
			if p == nil {
				a.Leave(reader.Twice, e.label())
				return
			}
			bindTo(p.ID, state)
		default:
			p := e.part(a, b.rank, b.typ)
			if b.typ == "occupancy_sensor" {
				p.Options.Technology = map[string]string{"presence": "radar"}[class]
				if p.Options.Technology == "" {
					p.Options.Technology = "pir"
				}
			}
			bindTo(p.ID, state)
		}
	}
	return nil
}

// setBattery sets what a binary sensor says of the battery of its device.
func (e *entity) setBattery(class string, on bool) {
	switch {
	case e.unit == nil:
	case class == "battery":
		e.unit.battery.Low = device.Bool(on)
	default:
		e.unit.battery.Charging = device.Bool(on)
	}
}

// binaryState reads on and off. After off_delay the state becomes off.
func (r *Reader) binaryState(e *entity, set func(on bool, out device.Values)) (*binding, error) {
	c := e.config
	on, off := c.text("payload_on", "ON"), c.text("payload_off", "OFF")
	b, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		switch s {
		case on:
			set(true, out)
		case off:
			set(false, out)
		}
	})
	delay := c.seconds("off_delay")
	if err != nil || delay == 0 {
		return b, err
	}
	// Each message with on restarts off_delay. There is only one timer.
	var due time.Time
	running := false
	var check func(now time.Time)
	check = func(now time.Time) {
		running = false
		switch {
		case b.last != on || e.unit == nil:
		case now.Before(due):
			running = true
			r.after(now, due.Sub(now), check)
		default:
			b.last = off
			r.report(now, b)
		}
	}
	e.listeners = append(e.listeners, listener{e.listeners[len(e.listeners)-1].topic, func(now time.Time, _ *message) {
		if b.last != on {
			return
		}
		due = now.Add(delay)
		if !running {
			running = true
			r.after(now, delay, check)
		}
	}})
	return b, nil
}

// gestureOf returns the gesture for a type of a trigger or event.
func gestureOf(word string) (device.Gesture, bool) {
	word = strings.TrimPrefix(word, "button_")
	switch word {
	case "short_press", "single", "single_press", "press", "pressed", "click", "single_click", "1", "s", "push", "ring", "short":
		return device.Single, true
	case "double_press", "double", "double_click", "2", "ss", "multi_press_2":
		return device.Double, true
	case "triple_press", "triple", "triple_click", "3", "sss", "multi_press_3":
		return device.Triple, true
	case "long_press", "long", "hold", "l", "held", "long_click":
		return device.Long, true
	case "short_release", "long_release", "release", "released", "quadruple_press", "quintuple_press", "long_double", "hold_release":
		return "", true
	}
	return "", false
}
