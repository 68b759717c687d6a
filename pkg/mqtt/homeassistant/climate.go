package homeassistant

import (
	"math"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// heater reads and commands one thermostat.
type heater struct {
	e                              *entity
	mode, single, low, high, power *command
	modes                          map[string]string // modes of the property and of the entity
	fahrenheit                     bool
	minimum, maximum               float64 // in °C
	both                           bool    // it has two set-points
	part                           string
}

// haModes maps the modes of climate entities to those of the property.
var haModes = map[string]string{"off": "off", "heat": "heat", "cool": "cool", "auto": "auto", "heat_cool": "auto", "dry": "dry", "fan_only": "fan_only"}

// climate adds a thermostat.
func (r *Reader) climate(e *entity) error {
	c := e.config
	h := &heater{e: e, fahrenheit: c.text("temperature_unit", "C") == "F"}
	for _, x := range []struct {
		to                 **command
		topicKey, template string
	}{
		{&h.mode, "mode_command_topic", "mode_command_template"},
		{&h.single, "temperature_command_topic", "temperature_command_template"},
		{&h.low, "temperature_low_command_topic", "temperature_low_command_template"},
		{&h.high, "temperature_high_command_topic", "temperature_high_command_template"},
		{&h.power, "power_command_topic", "power_command_template"},
	} {
		var err error
		if *x.to, err = c.command(x.topicKey, x.template); err != nil {
			return err
		}
	}
	h.both = h.low != nil && h.high != nil
	switch {
	case h.single == nil && !h.both:
		return reader.NoType("its set-point cannot be set")
	case !c.has("current_temperature_topic"):
		return reader.NoType("a thermostat without a temperature is not shown")
	}
	h.findModes()
	h.limits()
	bindings, err := h.states(r)
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankThermostat, "thermostat")
		h.part = p.ID
		for _, m := range []string{"off", "heat", "cool", "auto", "dry", "fan_only"} {
			if _, ok := h.modes[m]; ok {
				p.Options.Modes = append(p.Options.Modes, m)
			}
		}
		if low, high := h.minimum, h.maximum; low < high {
			p.Options.MinCelsius, p.Options.MaxCelsius = &low, &high
		}
		bindTo(p.ID, bindings...)
	}
	e.handle = h.command
	return nil
}

// findModes sorts the modes. The mode auto of a thermostat with one set-point means
// a schedule; it is shown as heat.
func (h *heater) findModes() {
	h.modes = map[string]string{}
	words := h.e.config.texts("modes")
	if words == nil {
		words = []string{"auto", "off", "cool", "heat", "dry", "fan_only"}
	}
	for _, w := range words {
		if ours := haModes[w]; ours != "" && (h.modes[ours] == "" || w == "heat_cool") {
			h.modes[ours] = w
		}
	}
	if auto, ok := h.modes["auto"]; ok && !h.both {
		delete(h.modes, "auto")
		if h.modes["heat"] == "" && h.modes["cool"] == "" {
			h.modes["heat"] = auto
		}
	}
	if h.mode == nil || len(h.modes) == 0 {
		h.modes = map[string]string{"heat": "heat"}
	}
}

// limits reads the range of set-points, which may be strings. Some publishers send
// the same value for both limits.
func (h *heater) limits() {
	low, high := 7.0, 35.0
	if h.fahrenheit {
		low, high = 45, 95
	}
	h.minimum, h.maximum = h.celsius(h.e.config.number("min_temp", low)), h.celsius(h.e.config.number("max_temp", high))
}

func (h *heater) celsius(v float64) float64 {
	if h.fahrenheit {
		v = (v - 32) / 1.8
	}
	return reader.Round(v, 2)
}

// states binds the state topics.
func (h *heater) states(r *Reader) ([]*binding, error) {
	var bindings []*binding
	var failed error
	add := func(name string, read func(s string, out device.Values)) {
		key := name + "_state_template"
		topic := name + "_state_topic"
		switch name {
		case "current_temperature", "action":
			topic, key = name+"_topic", name+"_template"
		}
		b, err := r.state(h.e, topic, key, read)
		if err != nil && failed == nil {
			failed = err
		}
		bindings = append(bindings, b)
	}
	degrees := func(property string) func(string, device.Values) {
		return func(s string, out device.Values) {
			f, ok := reader.Number(s)
			if !ok || math.Abs(f) > 1000 {
				return
			}
			f = h.celsius(f)
			if property != "temperature_celsius" && h.minimum < h.maximum {
				f = reader.Clamp(f, h.minimum, h.maximum)
			}
			out[property] = device.Number(f)
		}
	}
	add("current_temperature", degrees("temperature_celsius"))
	add("mode", func(s string, out device.Values) {
		ours := haModes[s]
		if _, ok := h.modes[ours]; !ok && ours == "auto" {
			ours = "heat"
		}
		if _, ok := h.modes[ours]; ok {
			out["mode"] = device.Text(ours)
		}
	})
	add("temperature", func(s string, out device.Values) {
		for _, name := range h.setpoints() {
			degrees(name)(s, out)
		}
	})
	add("temperature_low", degrees("heating_setpoint_celsius"))
	add("temperature_high", degrees("cooling_setpoint_celsius"))
	add("action", func(s string, out device.Values) {
		running := map[string]string{"idle": "idle", "off": "idle", "heating": "heating", "preheating": "heating", "cooling": "cooling", "fan": "fan", "drying": "idle", "defrosting": "idle"}
		if v, ok := running[s]; ok {
			out["running"] = device.Text(v)
		}
	})
	return bindings, failed
}

// setpoints returns the properties that one set-point sets.
func (h *heater) setpoints() []string {
	if h.both {
		return nil
	}
	var out []string
	if h.modes["heat"] != "" || h.modes["cool"] == "" {
		out = append(out, "heating_setpoint_celsius")
	}
	if h.modes["cool"] != "" {
		out = append(out, "cooling_setpoint_celsius")
	}
	return out
}

func (h *heater) command(c device.Command, o *output) error {
	if m, ok := c.Set["mode"].Text(); ok {
		word, known := h.modes[m]
		if !known {
			return errUnsupported
		}
		if h.mode != nil {
			h.mode.value(o, word)
		}
	}
	send := func(name string, cmd *command) {
		f, ok := c.Set[name].Number()
		if !ok || cmd == nil {
			return
		}
		if h.minimum < h.maximum {
			f = reader.Clamp(f, h.minimum, h.maximum)
		}
		if h.fahrenheit {
			f = f*1.8 + 32
		}
		cmd.value(o, reader.Round(f, 1))
	}
	if h.both {
		send("heating_setpoint_celsius", h.low)
		send("cooling_setpoint_celsius", h.high)
	} else {
		send(h.active(c), h.single)
	}
	if len(o.messages) == 0 && len(o.errs) == 0 {
		return errUnsupported
	}
	h.e.assume(o, c, "mode_state_topic")
	return nil
}

// active returns the set-point that applies if one is for both: that of the mode.
func (h *heater) active(c device.Command) string {
	mode := c.Set["mode"]
	if mode.IsNull() {
		mode = h.e.unit.memory.Known(h.part, "mode")
	}
	heat, cool := "heating_setpoint_celsius", "cooling_setpoint_celsius"
	if m, _ := mode.Text(); m == "cool" {
		heat, cool = cool, heat
	}
	if _, ok := c.Set[heat]; ok {
		return heat
	}
	return cool
}
