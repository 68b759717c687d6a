package zigbee2mqtt

import (
	"errors"
	"math"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// light adds a light: on and off, and brightness, color temperature and color if it
// has them.
func (b *builder) light(e *expose) {
	state := e.feature("state")
	if state == nil || !state.settable() {
		b.Leave(reader.NoType("a light that cannot be switched is not shown"), e.Name)
		return
	}
	brightness, mired := e.feature("brightness"), e.feature("color_temp")
	hs, xy := e.feature("color_hs"), e.feature("color_xy")
	l := &lamp{state: state, brightness: brightness, mired: mired, hs: hs, xy: xy}
	p := b.Add(reader.RankLight, l.kind(), "light", e.Endpoint)
	l.part = p.ID
	if mired != nil {
		p.Options.MinKelvin, p.Options.MaxKelvin = reader.Mireds(mired.limits())
		l.minKelvin, l.maxKelvin = p.Options.MinKelvin, p.Options.MaxKelvin
	}
	if p.Type == "extended_color_light" {
		if hs != nil {
			p.Options.ColorModes = append(p.Options.ColorModes, "hs")
		}
		if xy != nil {
			p.Options.ColorModes = append(p.Options.ColorModes, "xy")
		}
	}
	l.mode = "color_mode"
	if e.Endpoint != "" {
		l.mode += "_" + e.Endpoint
	}
	b.bind(state, p.ID, l.readState)
	b.bind(brightness, p.ID, l.readBrightness)
	b.bind(mired, p.ID, l.readMired)
	if hs != nil || xy != nil {
		b.bind(either(xy, hs), p.ID, l.readColor)
		b.t.bindings[l.mode] = append(b.t.bindings[l.mode], binding{p.ID, l.readMode})
		b.t.after[p.ID] = l.choose
	}
	b.t.handlers[p.ID] = l.command
	for i := range e.Features {
		switch f := &e.Features[i]; f.Name {
		case "state", "brightness", "color_temp", "color_hs", "color_xy":
		default:
			b.Leave(reader.Settings, f.Name)
		}
	}
}

func either(a, b *expose) *expose {
	if a != nil {
		return a
	}
	return b
}

// lamp reads and commands one light.
type lamp struct {
	part                             string
	state, brightness, mired, hs, xy *expose
	mode                             string // the property that selects the color
	minKelvin, maxKelvin             float64
}

func (l *lamp) kind() string {
	switch {
	case l.hs != nil || l.xy != nil:
		return "extended_color_light"
	case l.mired != nil:
		return "color_temperature_light"
	case l.brightness != nil:
		return "dimmable_light"
	}
	return "on_off_light"
}

func (l *lamp) readState(_ *thing, v any, out device.Values) {
	if on, ok := l.state.isOn(v); ok {
		out["on"] = device.Bool(on)
	}
}

// most returns the maximum brightness.
func (l *lamp) most() float64 {
	if _, high := l.brightness.limits(); high > 0 {
		return high
	}
	return 254
}

// readBrightness ignores 0, which some lamps send when they are off. It is not the
// brightness that they will have when they are on.
func (l *lamp) readBrightness(_ *thing, v any, out device.Values) {
	if f, ok := reader.Number(v); ok && f > 0 {
		out["brightness_percent"] = device.Number(reader.Round(reader.Percent(f, 0, l.most()), 3))
	}
}

func (l *lamp) readMired(_ *thing, v any, out device.Values) {
	if f, ok := reader.Number(v); ok && f > 0 {
		out["color_temperature_kelvin"] = device.Number(reader.Clamp(reader.Kelvin(f), l.minKelvin, l.maxKelvin))
	}
}

// readColor reads x and y, or hue and saturation. zigbee2mqtt sends both for most
// lamps.
func (l *lamp) readColor(_ *thing, v any, out device.Values) {
	c, ok := v.(map[string]any)
	if !ok {
		return
	}
	set := func(name string, v any, high float64, digits int) {
		if f, ok := reader.Number(v); ok {
			out[name] = device.Number(reader.Round(reader.Clamp(f, 0, high), digits))
		}
	}
	if l.xy != nil {
		set("color_x", c["x"], 0.9961, 4)
		set("color_y", c["y"], 0.9961, 4)
	}
	if l.hs != nil {
		set("hue_degrees", c["hue"], 360, 1)
		set("saturation_percent", c["saturation"], 100, 1)
	}
}

func (l *lamp) readMode(_ *thing, v any, out device.Values) {
	switch v {
	case "hs":
		out["color_mode"] = device.Text("hs")
	case "xy":
		out["color_mode"] = device.Text("xy")
	case "color_temp":
		out["color_mode"] = device.Text("temperature")
	}
}

// choose keeps only the colors of the current mode. zigbee2mqtt also sends a color
// temperature as x and y, and a color as a color temperature.
func (l *lamp) choose(t *thing, out device.Values) {
	colored := false
	for _, name := range []string{"color_x", "color_y", "hue_degrees", "saturation_percent", "color_temperature_kelvin", "color_mode"} {
		_, has := out[name]
		colored = colored || has
	}
	if !colored {
		return
	}
	if l.readMode(t, t.known[l.mode], out); out["color_mode"].IsNull() {
		return
	}
	drop := []string{"color_x", "color_y", "hue_degrees", "saturation_percent"}
	switch mode, _ := out["color_mode"].Text(); mode {
	case "xy":
		drop = []string{"hue_degrees", "saturation_percent", "color_temperature_kelvin"}
	case "hs":
		drop = []string{"color_x", "color_y", "color_temperature_kelvin"}
	}
	for _, name := range drop {
		delete(out, name)
	}
}

// command returns one message for a whole command.
func (l *lamp) command(t *thing, c device.Command, msg map[string]any) error {
	if c.Do == device.Identify {
		return l.identify(t, c, msg)
	}
	on, switched := c.Set["on"].Bool()
	if switched {
		msg[l.state.Property] = l.state.value(on)
	}
	if err := l.commandBrightness(t, c, msg, on, switched); err != nil {
		return err
	}
	l.commandColor(c, msg)
	if len(msg) == 0 {
		return errNothing
	}
	if c.Transition != nil {
		msg["transition"] = reader.Round(c.Transition.Seconds(), 1)
	}
	return nil
}

// commandBrightness keeps the brightness for the next time that the lamp is on, if
// the lamp is off and stays off. A brightness in a message would turn the lamp on.
func (l *lamp) commandBrightness(t *thing, c device.Command, msg map[string]any, on, switched bool) error {
	percent, ok := c.Set["brightness_percent"].Number()
	if l.brightness == nil {
		if ok && !switched {
			return errNothing
		}
		return nil
	}
	isOn, known := t.values[l.part]["on"].Bool()
	switch {
	case switched && !on || ok && !switched && known && !isOn:
		if ok {
			t.deferred[l.part] = percent
		}
		if !switched && len(c.Set) == 1 {
			return errNothing
		}
		return nil
	case !ok && switched:
		percent, ok = t.deferred[l.part]
	}
	delete(t.deferred, l.part)
	if ok {
		msg[l.brightness.Property] = max(1, reader.FromPercent(percent, 0, l.most()))
	}
	return nil
}

func (l *lamp) commandColor(c device.Command, msg map[string]any) {
	number := func(name string) (float64, bool) { return c.Set[name].Number() }
	hue, hasHue := number("hue_degrees")
	saturation, hasSaturation := number("saturation_percent")
	x, hasX := number("color_x")
	y, hasY := number("color_y")
	kelvin, hasKelvin := number("color_temperature_kelvin")
	color := map[string]any{}
	switch {
	case hasKelvin && l.mired != nil:
		msg[l.mired.Property] = math.Round(1e6 / reader.Clamp(kelvin, l.minKelvin, l.maxKelvin))
		return
	case hasKelvin:
		x, y = reader.XY(kelvin)
		hasX, hasY = true, true
	case hasHue || hasSaturation:
		if hasHue {
			color["hue"] = reader.Round(hue, 1)
		}
		if hasSaturation {
			color["saturation"] = reader.Round(saturation, 1)
		}
	}
	if len(color) == 0 && hasX && hasY {
		color["x"], color["y"] = reader.Round(x, 4), reader.Round(y, 4)
		if l.xy == nil { // a lamp with only hue and saturation
			hue, saturation = reader.HSFromXY(x, y)
			color = map[string]any{"hue": hue, "saturation": saturation}
		}
	}
	if e := either(l.xy, l.hs); e != nil && len(color) > 0 {
		msg[e.Property] = color
	}
}

// value returns the value to send for on and off.
func (e *expose) value(on bool) any {
	if on {
		return orElse(e.ValueOn, "ON")
	}
	return orElse(e.ValueOff, "OFF")
}

func orElse(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}

// Errors of commands.
var (
	errNothing     = errors.New("there is nothing to send")
	errUnsupported = errors.New("the device cannot do that")
)

// identify makes a light blink, if it supports that effect. zigbee2mqtt does not
// take a duration.
func (l *lamp) identify(t *thing, c device.Command, msg map[string]any) error {
	if !t.blinks || l.state.Endpoint != "" {
		return errUnsupported
	}
	msg["effect"] = "blink"
	if c.Seconds == 0 {
		msg["effect"] = "stop_effect"
	}
	return nil
}
