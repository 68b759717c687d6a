package homeassistant

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// basic is a light with one topic per function.
type basic struct {
	*lamp
	on, brightness, temperature *command
	topics                      map[string]*command // of colors, by mode
}

// basicLight reads lights of the basic schema.
func (r *Reader) basicLight(l *lamp) error {
	c := l.e.config
	b := &basic{lamp: l, topics: map[string]*command{}}
	var err error
	if b.on, err = need(c.command("command_topic", "")); err != nil {
		return err
	}
	if b.brightness, err = c.command("brightness_command_topic", "brightness_command_template"); err != nil {
		return err
	}
	if b.temperature, err = c.command("color_temp_command_topic", "color_temp_command_template"); err != nil {
		return err
	}
	l.brightness, l.mired = b.brightness != nil, b.temperature != nil
	for _, m := range []string{"hs", "xy", "rgb", "rgbw", "rgbww"} {
		cmd, err := c.command(m+"_command_topic", m+"_command_template")
		if err != nil {
			return err
		}
		if cmd != nil {
			b.topics[m] = cmd
			l.colors = append(l.colors, m)
		}
	}
	l.e.handle = b.command
	return b.states(r)
}

// states binds the state topics.
func (b *basic) states(r *Reader) error {
	c := b.e.config
	on, off := c.text("payload_on", "ON"), c.text("payload_off", "OFF")
	add := func(topic, tpl string, read func(s string, out device.Values)) error {
		x, err := r.state(b.e, topic, tpl, read)
		b.bindings = append(b.bindings, x)
		return err
	}
	tpl := "state_value_template"
	if !c.has(tpl) {
		tpl = "value_template"
	}
	if err := add("state_topic", tpl, func(s string, out device.Values) {
		switch s {
		case on:
			out["on"] = device.Bool(true)
		case off:
			out["on"] = device.Bool(false)
		}
	}); err != nil {
		return err
	}
	number := func(set func(float64, device.Values)) func(string, device.Values) {
		return func(s string, out device.Values) {
			if f, ok := reader.Number(s); ok {
				set(f, out)
			}
		}
	}
	if err := add("brightness_state_topic", "brightness_value_template", number(b.setBrightness)); err != nil {
		return err
	}
	if err := add("color_temp_state_topic", "color_temp_value_template", number(b.setTemperature)); err != nil {
		return err
	}
	for _, m := range b.lamp.colors {
		if err := add(m+"_state_topic", m+"_value_template", func(s string, out device.Values) {
			n := reader.Numbers(s)
			switch {
			case m == "hs" && len(n) == 2:
				setHS(n[0], n[1], out)
			case m == "xy" && len(n) == 2:
				setXY(n[0], n[1], out)
			case strings.HasPrefix(m, "rgb"):
				setRGB(n, out)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// command publishes to each topic that a command needs. on_command_type gives the
// order: style first, on first, or only the brightness.
func (b *basic) command(c device.Command, o *output) error {
	on, switched := c.Set["on"].Bool()
	payload := func(on bool) string {
		if on {
			return b.e.config.text("payload_on", "ON")
		}
		return b.e.config.text("payload_off", "OFF")
	}
	if switched && !on {
		b.on.value(o, payload(false))
		b.e.assume(o, c, "state_topic")
		return nil
	}
	var style output
	b.style(c, &style)
	how := b.e.config.text("on_command_type", "last")
	if len(style.messages) == 0 && len(style.errs) == 0 && !switched {
		return errUnsupported
	}
	o.errs = style.errs
	if how == "brightness" && b.brightness != nil {
		if _, ok := c.Set["brightness_percent"].Number(); !ok {
			b.brightness.value(&style, int64(reader.FromPercent(b.known("brightness_percent", 100), 0, b.scale)))
		}
		o.messages = style.messages
	} else if how == "first" {
		b.on.value(o, payload(true))
		o.messages = append(o.messages, style.messages...)
	} else {
		o.messages = style.messages
		b.on.value(o, payload(true))
	}
	b.assumeStyle(c, o)
	return nil
}

// assumeStyle assumes the values that have no state topic.
func (b *basic) assumeStyle(c device.Command, o *output) {
	topics := map[string]string{"on": "state_topic", "brightness_percent": "brightness_state_topic", "color_temperature_kelvin": "color_temp_state_topic"}
	o.assumed = device.Values{}
	for name, v := range c.Set {
		topic, ok := topics[name]
		said := ok && b.e.config.has(topic)
		for m := range b.topics {
			said = said || !ok && b.e.config.has(m+"_state_topic")
		}
		if b.e.config.truth("optimistic", !said) {
			o.assumed[name] = v
		}
	}
}

// style adds the messages for brightness and color.
func (b *basic) style(c device.Command, o *output) {
	if p, ok := c.Set["brightness_percent"].Number(); ok && b.brightness != nil {
		b.brightness.value(o, int64(max(1, reader.FromPercent(p, 0, b.scale))))
	}
	if t, ok := b.lamp.temperature(c.Set); ok && b.temperature != nil {
		b.temperature.value(o, int64(t))
		return
	}
	h, s, x, y, isXY, ok := b.color(c.Set)
	if !ok {
		return
	}
	text := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch rgb := b.rgb(); {
	case b.topics["xy"] != nil && (isXY || b.topics["hs"] == nil && rgb == ""):
		if !isXY {
			x, y = reader.XYFromHS(h, s)
		}
		x, y = reader.Round(x, 4), reader.Round(y, 4)
		b.topics["xy"].send(o, text(x)+","+text(y), map[string]any{"x": x, "y": y})
	case b.topics["hs"] != nil:
		h, s = reader.Round(h, 1), reader.Round(s, 1)
		b.topics["hs"].send(o, text(h)+","+text(s), map[string]any{"hue": h, "sat": s})
	case rgb != "":
		red, green, blue := reader.RGB(h, s)
		vars := map[string]any{"red": int64(red), "green": int64(green), "blue": int64(blue)}
		payload := fmt.Sprintf("%.0f,%.0f,%.0f", red, green, blue)
		switch rgb {
		case "rgbw":
			vars["white"] = int64(0)
			payload += ",0"
		case "rgbww":
			vars["cold_white"], vars["warm_white"] = int64(0), int64(0)
			payload += ",0,0"
		}
		b.topics[rgb].send(o, payload, vars)
	}
}

// templateLight reads lights of the template schema.
func (r *Reader) templateLight(l *lamp) error {
	c := l.e.config
	on, err := need(c.command("command_topic", "command_on_template"))
	if err != nil {
		return err
	}
	off, err := c.command("command_topic", "command_off_template")
	if err != nil {
		return err
	}
	if on.template == nil || off.template == nil {
		return reader.Unreadable("command_on_template and command_off_template: one is missing")
	}
	add := func(tpl string, read func(s string, out device.Values)) error {
		if !c.has(tpl) {
			return nil
		}
		x, err := r.state(l.e, "state_topic", tpl, read)
		l.bindings = append(l.bindings, x)
		return err
	}
	number := func(set func(float64, device.Values)) func(string, device.Values) {
		return func(s string, out device.Values) {
			if f, ok := reader.Number(s); ok {
				set(f, out)
			}
		}
	}
	l.brightness, l.mired = c.has("brightness_template"), c.has("color_temp_template")
	if err := add("state_template", func(s string, out device.Values) {
		if s = strings.ToLower(s); s == "on" || s == "off" {
			out["on"] = device.Bool(s == "on")
		}
	}); err != nil {
		return err
	}
	if err := add("brightness_template", number(l.setBrightness)); err != nil {
		return err
	}
	if err := add("color_temp_template", number(l.setTemperature)); err != nil {
		return err
	}
	if c.has("red_template") && c.has("green_template") && c.has("blue_template") {
		l.colors = []string{"rgb"}
		var rgb [3]float64
		for i, name := range []string{"red_template", "green_template", "blue_template"} {
			if err := add(name, func(s string, out device.Values) {
				if f, ok := reader.Number(s); ok {
					rgb[i] = f
					setRGB(rgb[:], out)
				}
			}); err != nil {
				return err
			}
		}
	}
	l.e.handle = func(command device.Command, o *output) error { return l.commandTemplate(command, o, on, off) }
	return nil
}

// commandTemplate renders one of the two templates. Its variables are only those
// that the command sets.
func (l *lamp) commandTemplate(c device.Command, o *output, on, off *command) error {
	vars := map[string]any{"state": "on"}
	if c.Transition != nil {
		vars["transition"] = c.Transition.Seconds()
	}
	if is, ok := c.Set["on"].Bool(); ok && !is {
		vars["state"] = "off"
		off.send(o, "", vars)
		l.e.assume(o, c, "state_template")
		return nil
	}
	if p, ok := c.Set["brightness_percent"].Number(); ok {
		vars["brightness"] = int64(max(1, reader.FromPercent(p, 0, 255)))
	}
	if t, ok := l.temperature(c.Set); ok && l.mired {
		vars["color_temp"] = int64(t)
	} else if h, s, _, _, _, ok := l.color(c.Set); ok {
		red, green, blue := reader.RGB(h, s)
		vars["red"], vars["green"], vars["blue"] = int64(red), int64(green), int64(blue)
		vars["hue"], vars["sat"] = h, s
	}
	on.send(o, "", vars)
	l.e.assume(o, c, "state_template")
	return nil
}
