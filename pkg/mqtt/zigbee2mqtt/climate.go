package zigbee2mqtt

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// heater reads and commands one thermostat. Some devices distribute it over several
// exposes of one endpoint.
type heater struct {
	part                                         string
	temperature, heating, cooling, mode, running *expose
	power                                        *expose           // switches it off, if no mode does
	modes                                        map[string]string // modes of the property and of the device
	low, high                                    float64
}

// systemModes maps words of system_mode to modes of the property.
var systemModes = map[string]string{"off": "off", "heat": "heat", "cool": "cool", "auto": "auto", "dry": "dry", "fan_only": "fan_only"}

// climates adds a thermostat for each endpoint that has one.
func (b *builder) climates(exposes []expose) {
	heaters := map[string]*heater{}
	var order []string
	for i := range exposes {
		e := &exposes[i]
		if e.Type != "climate" {
			continue
		}
		h := heaters[e.Endpoint]
		if h == nil {
			h = &heater{}
			heaters[e.Endpoint] = h
			order = append(order, e.Endpoint)
		}
		for j := range e.Features {
			if name := h.take(&e.Features[j]); name != "" {
				b.Leave(reader.Settings, name)
			}
		}
	}
	for _, endpoint := range order {
		b.thermostat(heaters[endpoint], endpoint)
	}
}

// take keeps a feature, or returns its name if it does not know it.
func (h *heater) take(f *expose) string {
	var to **expose
	switch f.Name {
	case "local_temperature":
		to = &h.temperature
	case "occupied_heating_setpoint", "current_heating_setpoint":
		to = &h.heating
	case "occupied_cooling_setpoint":
		to = &h.cooling
	case "system_mode":
		to = &h.mode
	case "running_state":
		to = &h.running
	}
	if to == nil || *to != nil || f.Property == "" {
		return f.Name
	}
	*to = f
	return ""
}

func (b *builder) thermostat(h *heater, endpoint string) {
	if h.heating != nil && !h.heating.settable() {
		h.heating = nil
	}
	if h.cooling != nil && !h.cooling.settable() {
		h.cooling = nil
	}
	switch {
	case h.temperature == nil:
		b.Leave(reader.NoType("a thermostat without a temperature is not shown"), "climate")
		return
	case h.heating == nil && h.cooling == nil:
		b.Leave(reader.NoType("a thermostat whose set-point cannot be set is not shown"), "climate")
		return
	}
	p := b.Add(reader.RankThermostat, "thermostat", "thermostat", endpoint)
	h.part = p.ID
	p.Options.Modes = h.findModes()
	setpoint := either(h.heating, h.cooling)
	if low, high := setpoint.limits(); low < high { // some devices announce the same value for both
		h.low, h.high = low, high
		p.Options.MinCelsius, p.Options.MaxCelsius = &low, &high
	}
	b.bind(h.temperature, p.ID, celsius("temperature_celsius", h.temperature.Unit))
	b.bind(h.heating, p.ID, h.setpoint("heating_setpoint_celsius"))
	b.bind(h.cooling, p.ID, h.setpoint("cooling_setpoint_celsius"))
	b.bind(h.mode, p.ID, h.readMode)
	b.bind(h.running, p.ID, h.readRunning)
	b.t.handlers[p.ID] = h.command
	b.heaters = append(b.heaters, h)
}

// thermostatPower uses a binary state to switch the thermostat off, if it has no
// mode for that.
func (b *builder) thermostatPower(e *expose) bool {
	if e.Type != "binary" || e.Name != "state" || !e.settable() || !e.published() || len(b.heaters) != 1 {
		return false
	}
	h, p := b.heaters[0], b.Of(reader.RankThermostat)
	if _, off := h.modes["off"]; off {
		return false
	}
	h.power = e
	p.Options.Modes = append([]string{"off"}, p.Options.Modes...)
	b.bind(e, p.ID, func(t *thing, v any, out device.Values) {
		switch on, ok := e.isOn(v); {
		case ok && !on:
			out["mode"] = device.Text("off")
		case ok:
			out["mode"] = device.Text(h.only())
			if h.mode != nil {
				h.readMode(t, t.known[h.mode.Property], out)
			}
		}
	})
	return true
}

// findModes returns the modes of the thermostat. The mode auto of a thermostat with
// one set-point means a schedule; it is shown as heat.
func (h *heater) findModes() []string {
	h.modes = map[string]string{}
	if h.mode != nil && h.mode.settable() {
		for _, w := range h.mode.words() {
			if ours := systemModes[w]; ours != "" {
				h.modes[ours] = w
			}
		}
	}
	auto, has := h.modes["auto"]
	if both := h.heating != nil && h.cooling != nil; has && !both {
		delete(h.modes, "auto")
		if _, ok := h.modes[h.only()]; !ok {
			h.modes[h.only()] = auto
		}
	}
	if h.heating == nil {
		delete(h.modes, "heat")
	}
	if h.cooling == nil && h.heating != nil && h.mode != nil && h.mode.has("cool") {
		// One set-point for both: it belongs to the current mode.
		h.cooling = h.heating
	} else if h.cooling == nil {
		delete(h.modes, "cool")
	}
	if len(h.modes) == 0 {
		return []string{h.only()}
	}
	var out []string
	for _, m := range []string{"off", "heat", "cool", "auto", "dry", "fan_only"} {
		if _, ok := h.modes[m]; ok {
			out = append(out, m)
		}
	}
	return out
}

// only returns the mode of a thermostat with one mode.
func (h *heater) only() string {
	if h.heating == nil {
		return "cool"
	}
	return "heat"
}

func (h *heater) readMode(t *thing, v any, out device.Values) {
	if h.power != nil {
		if on, ok := h.power.isOn(t.known[h.power.Property]); ok && !on {
			out["mode"] = device.Text("off")
			return
		}
	}
	w, _ := v.(string)
	ours := systemModes[w]
	if _, ok := h.modes[ours]; !ok && ours == "auto" {
		ours = h.only()
	}
	if _, ok := h.modes[ours]; ok {
		out["mode"] = device.Text(ours)
	}
}

func (h *heater) readRunning(_ *thing, v any, out device.Values) {
	running := map[any]string{"idle": "idle", "heat": "heating", "cool": "cooling", "fan_only": "fan"}
	if r, ok := running[v]; ok {
		out["running"] = device.Text(r)
	}
}

func (h *heater) setpoint(property string) func(*thing, any, device.Values) {
	return func(_ *thing, v any, out device.Values) {
		f, ok := reader.Number(v)
		if !ok {
			return
		}
		if h.low < h.high {
			f = reader.Clamp(f, h.low, h.high)
		}
		out[property] = device.Number(reader.Round(f, 2))
	}
}

func celsius(property, unit string) func(*thing, any, device.Values) {
	return func(_ *thing, v any, out device.Values) {
		if f, ok := reader.Number(v); ok {
			if c, ok := reader.Celsius(f, unit); ok {
				out[property] = device.Number(reader.Round(c, 2))
			}
		}
	}
}

func (h *heater) command(t *thing, c device.Command, msg map[string]any) error {
	if m, ok := c.Set["mode"].Text(); ok {
		w, ok := h.modes[m]
		if h.power != nil {
			msg[h.power.Property] = h.power.value(m != "off")
		}
		switch {
		case h.power != nil && m == "off":
		case ok:
			msg[h.mode.Property] = w
		case m != h.only():
			return errUnsupported
		}
	}
	set := func(name string, e *expose) {
		f, ok := c.Set[name].Number()
		if !ok || e == nil {
			return
		}
		if h.low < h.high {
			f = reader.Clamp(f, h.low, h.high)
		}
		msg[e.Property] = reader.Round(f, 2)
	}
	// If one set-point is for both, that of the mode applies.
	names := []string{"cooling_setpoint_celsius", "heating_setpoint_celsius"}
	mode := c.Set["mode"]
	if mode.IsNull() {
		mode = t.values[h.part]["mode"]
	}
	if m, _ := mode.Text(); m == "cool" {
		slices.Reverse(names)
	}
	for _, name := range names {
		if name == "heating_setpoint_celsius" {
			set(name, h.heating)
		} else {
			set(name, h.cooling)
		}
	}
	if len(msg) == 0 {
		return errNothing
	}
	return nil
}
