package tasmota

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// handler returns the Tasmota commands for a command of a part: name and payload of
// each.
type handler func(c device.Command) ([]command, error)

type command struct{ name, payload string }

// thing is a device that is shown.
type thing struct {
	id     string
	config config
	sample map[string]any // of its sensors; nil: not announced yet

	device   device.Device
	readers  []func(state map[string]any, out map[string]device.Values)
	handlers map[string]handler
	buttons  map[string]string // parts by key of the state

	memory    *reader.Memory
	online    bool
	described bool
	dirty     bool
	asked     bool
	tempUnit  string
	pressUnit string
}

// build describes a device from its configuration and its sensors.
func (t *thing) build() []device.Ignored {
	c := &t.config
	a := reader.NewAssembly()
	t.readers, t.handlers, t.buttons = nil, map[string]handler{}, map[string]string{}
	shutters := 0
	if c.Fan != 0 {
		t.fan(a)
	}
	for i, kind := range c.Relays {
		if i > 0 && c.Fan != 0 {
			break // its speeds
		}
		switch kind {
		case relayPlain:
			t.relay(a, i)
		case relayLight:
			t.light(a, i)
		case relayShutter:
			if i > 0 && c.Relays[i-1] == relayShutter && (i-firstShutter(c.Relays, i))%2 == 1 {
				continue // a shutter has two relays
			}
			shutters++
			t.shutter(a, shutters)
		}
	}
	if c.option("73") {
		for i, b := range c.Buttons {
			if b == 1 && i < reader.MaxButtons {
				p := a.Add(reader.RankButton, "generic_switch", "button", strconv.Itoa(i+1))
				p.Options.Gestures = []string{string(device.Single), string(device.Double), string(device.Triple), string(device.Long)}
				t.buttons[fmt.Sprintf("Button%d", i+1)] = p.ID
			}
		}
	}
	t.sensors(a)
	parts, ignored, dropped := a.Finish(Source, t.id)
	for _, id := range dropped {
		delete(t.handlers, id)
	}
	t.device = device.Device{
		ID: t.id, Name: reader.Text(cmp.Or(c.DeviceName, c.Topic)), Vendor: "Tasmota", Product: reader.Text(c.Model), Serial: reader.Text(c.MAC),
		SoftwareVersion: reader.Text(c.Software), Reachable: t.online, Mains: c.Battery == 0 && c.DeepSleep == 0, Parts: parts,
	}
	return ignored
}

// firstShutter returns the first relay of the group of adjacent shutter relays.
func firstShutter(relays []int, i int) int {
	for i > 0 && relays[i-1] == relayShutter {
		i--
	}
	return i
}

// power returns the keys that the state of a relay may have. The key of the only
// relay may have no number.
func (c *config) power(i int) []string {
	n := 0
	for _, kind := range c.Relays {
		if kind != relayNone {
			n++
		}
	}
	keys := []string{fmt.Sprintf("POWER%d", i+1)}
	if n == 1 {
		keys = append(keys, "POWER")
	}
	return keys
}

func (t *thing) readPower(part string, i int) {
	keys := t.config.power(i)
	t.readers = append(t.readers, func(state map[string]any, out map[string]device.Values) {
		for _, k := range keys {
			switch s, _ := state[k].(string); s {
			case "":
			case t.config.state(true):
				set(out, part, "on", device.Bool(true))
			case t.config.state(false):
				set(out, part, "on", device.Bool(false))
			}
		}
	})
}

func set(out map[string]device.Values, part, name string, v device.Value) {
	if out[part] == nil {
		out[part] = device.Values{}
	}
	out[part][name] = v
}

// relay adds a relay: a plug, or a light if the owner has set that all relays are
// lights.
func (t *thing) relay(a *reader.Assembly, i int) {
	rank, typ := reader.RankPlug, "on_off_plug"
	if t.config.option("30") {
		rank, typ = reader.RankLight, "on_off_light"
	}
	p := a.Add(rank, typ, "relay", strconv.Itoa(i+1))
	p.Name = t.config.name(i)
	t.readPower(p.ID, i)
	t.handlers[p.ID] = func(c device.Command) ([]command, error) {
		on, ok := c.Set["on"].Bool()
		if !ok {
			return nil, errUnsupported
		}
		return []command{{fmt.Sprintf("POWER%d", i+1), t.config.state(on)}}, nil
	}
}

// light adds a light. With SetOption68 each relay is a separate channel.
func (t *thing) light(a *reader.Assembly, i int) {
	l := &lamp{t: t, relay: i, kind: t.config.Light}
	dimmer := "Dimmer"
	typ := map[int]string{lightCW: "color_temperature_light", lightRGB: "extended_color_light", lightRGBW: "extended_color_light", lightRGBCW: "extended_color_light"}[l.kind]
	if t.config.option("68") {
		l.kind, typ = lightSingle, ""
		dimmer = fmt.Sprintf("Channel%d", i+1)
	}
	p := a.Add(reader.RankLight, cmp.Or(typ, "dimmable_light"), "light", strconv.Itoa(i+1))
	p.Name = t.config.name(i)
	l.part, l.dimmer = p.ID, dimmer
	if l.temperature() {
		l.cold, l.warm = 153, 500
		if t.config.option("82") {
			l.cold, l.warm = 200, 380
		}
		p.Options.MinKelvin, p.Options.MaxKelvin = reader.Mireds(l.cold, l.warm)
	}
	if l.color() {
		p.Options.ColorModes = []string{"hs"}
	}
	t.readPower(p.ID, i)
	t.readers = append(t.readers, l.read)
	t.handlers[p.ID] = l.command
}

// shutter adds a window covering. Both Tasmota and the property use 100 for open.
func (t *thing) shutter(a *reader.Assembly, n int) {
	p := a.Add(reader.RankCover, "window_covering", "shutter", strconv.Itoa(n))
	tilt := n <= len(t.config.ShutterTilt) && len(t.config.ShutterTilt[n-1]) >= 2 && t.config.ShutterTilt[n-1][0] < t.config.ShutterTilt[n-1][1]
	p.Options.Tilt = tilt
	key := fmt.Sprintf("Shutter%d", n)
	t.readers = append(t.readers, func(state map[string]any, out map[string]device.Values) {
		s, ok := state[key].(map[string]any)
		if !ok {
			return
		}
		if f, ok := reader.Number(s["Position"]); ok {
			set(out, p.ID, "position_percent", device.Number(reader.Clamp(f, 0, 100)))
		}
		if f, ok := reader.Number(s["Direction"]); ok {
			set(out, p.ID, "moving", device.Text(map[bool]string{true: "opening", false: map[bool]string{true: "closing", false: "stopped"}[f < 0]}[f > 0]))
		}
		if f, ok := reader.Number(s["Tilt"]); ok && tilt {
			low, high := float64(t.config.ShutterTilt[n-1][0]), float64(t.config.ShutterTilt[n-1][1])
			set(out, p.ID, "tilt_percent", device.Number(reader.Round(reader.Percent(f, low, high), 1)))
		}
	})
	t.handlers[p.ID] = func(c device.Command) ([]command, error) {
		var out []command
		if c.Do == device.Stop {
			return []command{{fmt.Sprintf("ShutterStop%d", n), ""}}, nil
		}
		if f, ok := c.Set["position_percent"].Number(); ok {
			out = append(out, command{fmt.Sprintf("ShutterPosition%d", n), strconv.Itoa(int(reader.Clamp(f, 0, 100) + 0.5))})
		}
		if f, ok := c.Set["tilt_percent"].Number(); ok && tilt {
			low, high := float64(t.config.ShutterTilt[n-1][0]), float64(t.config.ShutterTilt[n-1][1])
			out = append(out, command{fmt.Sprintf("ShutterTilt%d", n), strconv.Itoa(int(reader.FromPercent(f, low, high)))})
		}
		if len(out) == 0 {
			return nil, errUnsupported
		}
		return out, nil
	}
}

// quantities maps keys of Tasmota's sensors to names of reader.Quantities.
var quantities = map[string]string{
	"Temperature": "temperature", "Humidity": "humidity", "Pressure": "pressure", "SeaPressure": "", "Illuminance": "illuminance", "CarbonDioxide": "carbon_dioxide",
	"PM1": "pm1", "PM2.5": "pm25", "PM10": "pm10", "TVOC": "volatile_organic_compounds_parts", "Moisture": "moisture",
}

var energies = map[string]string{"Power": "power", "Total": "energy", "Voltage": "voltage", "Current": "current", "ExportActive": "energy_exported"}

// sensors adds a part for each quantity of the sample.
func (t *thing) sensors(a *reader.Assembly) {
	for _, name := range slices.Sorted(maps.Keys(t.sample)) {
		of, ok := t.sample[name].(map[string]any)
		if !ok || strings.HasPrefix(name, "Shutter") {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(of)) {
			switch {
			case name == "ENERGY" && energies[key] != "":
				t.energy(a, key, of[key])
			case name == "ENERGY":
			case quantities[key] != "":
				t.quantity(a, name, key)
			}
		}
	}
}

func (t *thing) quantity(a *reader.Assembly, name, key string) {
	q := reader.Quantities[quantities[key]]
	unit := map[string]string{"temperature": "°" + cmp.Or(t.tempUnit, "C"), "pressure": cmp.Or(t.pressUnit, "hPa"), "carbon_dioxide": "ppm", "pm1": "µg/m³", "pm25": "µg/m³", "pm10": "µg/m³", "volatile_organic_compounds_parts": "ppb", "humidity": "%", "illuminance": "lx", "moisture": "%"}[quantities[key]]
	convert, ok := q.Unit(unit)
	if !ok {
		a.Leave(reader.Unreadable("its unit "+reader.Text(unit)+" cannot be converted"), name+" "+key)
		return
	}
	what := strings.TrimSuffix(q.Type, "_sensor") + "_" + name
	if q.Type == "light_sensor" {
		what = "illuminance_" + name // "light" would suggest a lamp
	}
	p := a.Sensor(q, what, "")
	if p == nil {
		a.Leave(reader.Twice, name+" "+key)
		return
	}
	if p.Type != reader.AirQuality && len(t.sample) > 2 {
		p.Name = reader.Text(name)
	}
	part := p.ID
	t.readers = append(t.readers, func(state map[string]any, out map[string]device.Values) {
		of, _ := state[name].(map[string]any)
		if f, ok := reader.Number(of[key]); ok {
			if v := convert(f); !v.IsNull() {
				set(out, part, q.Property, v)
			}
		}
	})
}

// energy adds a quantity of the meter. A list has one value per relay, or one per
// line.
func (t *thing) energy(a *reader.Assembly, key string, sample any) {
	q := reader.Quantities[energies[key]]
	unit := map[string]string{"power": "W", "energy": "kWh", "energy_exported": "kWh", "voltage": "V", "current": "A"}[energies[key]]
	convert, _ := q.Unit(unit)
	list, isList := sample.([]any)
	n := 1
	if isList {
		n = min(len(list), 8)
	}
	for i := range n {
		group := ""
		if isList {
			group = strconv.Itoa(i + 1)
		}
		a.Measure("ENERGY "+key, group, q.Property, func(part string) {
			t.readers = append(t.readers, func(state map[string]any, out map[string]device.Values) {
				of, _ := state["ENERGY"].(map[string]any)
				v := of[key]
				if l, ok := v.([]any); ok && isList && i < len(l) {
					v = l[i]
				}
				if f, ok := reader.Number(v); ok {
					set(out, part, q.Property, convert(f))
				}
			})
		})
	}
}
