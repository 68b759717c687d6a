package homeassistant

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// lamp is what lights of all schemas share.
type lamp struct {
	e                    *entity
	brightness, mired    bool
	colors               []string // supported modes: hs, xy, rgb, rgbw, rgbww
	scale                float64  // the maximum brightness
	kelvin               bool     // color temperatures are in Kelvin
	minKelvin, maxKelvin float64
	bindings             []*binding
}

// light adds a light of one of the three schemas.
func (r *Reader) light(e *entity) error {
	c := e.config
	l := &lamp{e: e, scale: max(1, c.number("brightness_scale", 255)), kelvin: c.truth("color_temp_kelvin", false)}
	l.minKelvin, l.maxKelvin = reader.Mireds(c.number("min_mireds", 0), c.number("max_mireds", 0))
	if c.has("min_kelvin") || c.has("max_kelvin") {
		l.minKelvin = reader.Clamp(c.number("min_kelvin", 2000), 1000, 14925)
		l.maxKelvin = reader.Clamp(c.number("max_kelvin", 6535), l.minKelvin+1, 14925)
	}
	var err error
	switch c.text("schema", "basic") {
	case "json":
		err = r.jsonLight(l)
	case "template":
		err = r.templateLight(l)
	case "basic", "default":
		err = r.basicLight(l)
	default:
		err = reader.Unreadable("schema: it is not known")
	}
	if err != nil {
		return err
	}
	e.add = l.add
	return nil
}

func (l *lamp) add(a *reader.Assembly) {
	typ := "on_off_light"
	switch {
	case len(l.colors) > 0:
		typ = "extended_color_light"
	case l.mired:
		typ = "color_temperature_light"
	case l.brightness:
		typ = "dimmable_light"
	}
	p := l.e.part(a, reader.RankLight, typ)
	if l.mired {
		p.Options.MinKelvin, p.Options.MaxKelvin = l.minKelvin, l.maxKelvin
	}
	if len(l.colors) > 0 {
		if l.takes("hs") || l.rgb() != "" {
			p.Options.ColorModes = append(p.Options.ColorModes, "hs")
		}
		if l.takes("xy") {
			p.Options.ColorModes = append(p.Options.ColorModes, "xy")
		}
	}
	bindTo(p.ID, l.bindings...)
}

func (l *lamp) takes(mode string) bool { return slices.Contains(l.colors, mode) }

// rgb returns the RGB mode that the light supports.
func (l *lamp) rgb() string {
	for _, m := range []string{"rgb", "rgbw", "rgbww"} {
		if l.takes(m) {
			return m
		}
	}
	return ""
}

func (l *lamp) setBrightness(f float64, out device.Values) {
	if f > 0 { // some lights send 0 when they are off
		out["brightness_percent"] = device.Number(reader.Round(reader.Percent(f, 0, l.scale), 3))
	}
}

// setTemperature reads a color temperature in the unit of the light.
func (l *lamp) setTemperature(f float64, out device.Values) {
	if f <= 0 {
		return
	}
	if !l.kelvin {
		f = reader.Kelvin(f)
	}
	out["color_temperature_kelvin"] = device.Number(reader.Clamp(f, l.minKelvin, l.maxKelvin))
	out["color_mode"] = device.Text("temperature")
}

func setHS(h, s float64, out device.Values) {
	out["hue_degrees"] = device.Number(reader.Round(reader.Clamp(h, 0, 360), 1))
	out["saturation_percent"] = device.Number(reader.Round(reader.Clamp(s, 0, 100), 1))
	out["color_mode"] = device.Text("hs")
}

func setXY(x, y float64, out device.Values) {
	out["color_x"] = device.Number(reader.Round(reader.Clamp(x, 0, 0.9961), 4))
	out["color_y"] = device.Number(reader.Round(reader.Clamp(y, 0, 0.9961), 4))
	out["color_mode"] = device.Text("xy")
}

func setRGB(list []float64, out device.Values) {
	if len(list) >= 3 {
		h, s := reader.HS(list[0], list[1], list[2])
		setHS(h, s, out)
	}
}

// temperature returns the color temperature of a command, in the light's unit.
func (l *lamp) temperature(set device.Values) (float64, bool) {
	k, ok := set["color_temperature_kelvin"].Number()
	if !ok {
		return 0, false
	}
	k = reader.Clamp(k, l.minKelvin, l.maxKelvin)
	if l.kelvin {
		return math.Round(k), true
	}
	return math.Round(1e6 / k), true
}

// color returns the color of a command as hue and saturation and as x and y, of
// which one is converted. ok is false if the command has no color.
func (l *lamp) color(set device.Values) (h, s, x, y float64, xy, ok bool) {
	h, hasH := set["hue_degrees"].Number()
	s, hasS := set["saturation_percent"].Number()
	x, hasX := set["color_x"].Number()
	y, hasY := set["color_y"].Number()
	if k, has := set["color_temperature_kelvin"].Number(); has && !l.mired {
		x, y = reader.XY(k)
		hasX, hasY = true, true
	}
	switch {
	case hasX && hasY:
		h, s = reader.HSFromXY(x, y)
		return h, s, x, y, true, true
	case hasH && !hasS:
		s = l.known("saturation_percent", 100)
	case hasS && !hasH:
		h = l.known("hue_degrees", 0)
	}
	return h, s, 0, 0, false, hasH || hasS
}

// known returns the last reported value.
func (l *lamp) known(name string, otherwise float64) float64 {
	for _, b := range l.bindings {
		if f, ok := l.e.unit.memory.Known(b.part, name).Number(); ok {
			return f
		}
	}
	return otherwise
}

// jsonLight reads lights whose states and commands are JSON objects.
func (r *Reader) jsonLight(l *lamp) error {
	c := l.e.config
	cmd, err := need(c.command("command_topic", ""))
	if err != nil {
		return err
	}
	modes := c.texts("supported_color_modes")
	l.mired = slices.Contains(modes, "color_temp") || c.truth("color_temp", false)
	for _, m := range []string{"hs", "xy", "rgb", "rgbw", "rgbww"} {
		if slices.Contains(modes, m) || c.truth(m, false) {
			l.colors = append(l.colors, m)
		}
	}
	l.brightness = c.truth("brightness", false) || l.mired || len(l.colors) > 0 || slices.Contains(modes, "brightness")
	state, err := r.state(l.e, "state_topic", "", l.readJSON)
	if err != nil {
		return err
	}
	l.bindings = []*binding{state}
	l.e.handle = func(command device.Command, o *output) error {
		msg := l.object(command)
		if len(msg) == 0 {
			return errUnsupported
		}
		payload, err := json.Marshal(msg)
		if err != nil {
			return err
		}
		cmd.send(o, string(payload), nil)
		l.e.assume(o, command, "state_topic")
		return nil
	}
	return nil
}

// readJSON reads a state. It uses only the color of the current mode.
func (l *lamp) readJSON(s string, out device.Values) {
	v, err := template.JSON([]byte(s))
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return
	}
	switch m["state"] {
	case "ON":
		out["on"] = device.Bool(true)
	case "OFF":
		out["on"] = device.Bool(false)
	}
	if f, ok := reader.Number(m["brightness"]); ok && l.brightness {
		l.setBrightness(f, out)
	}
	color, _ := m["color"].(map[string]any)
	number := func(names ...string) (out []float64) {
		for _, n := range names {
			f, ok := reader.Number(color[n])
			if !ok {
				return nil
			}
			out = append(out, f)
		}
		return out
	}
	mode, _ := m["color_mode"].(string)
	f, hasTemperature := reader.Number(m["color_temp"])
	switch {
	case mode == "color_temp" || mode == "" && hasTemperature && color == nil:
		if hasTemperature && l.mired {
			l.setTemperature(f, out)
		}
	case len(l.colors) == 0:
	case mode == "hs" || mode == "" && number("h", "s") != nil:
		if n := number("h", "s"); n != nil {
			setHS(n[0], n[1], out)
		}
	case mode == "xy" || mode == "" && number("x", "y") != nil:
		if n := number("x", "y"); n != nil {
			setXY(n[0], n[1], out)
		}
	case strings.HasPrefix(mode, "rgb") || mode == "":
		setRGB(number("r", "g", "b"), out)
	}
}

// object returns the JSON object for a command.
func (l *lamp) object(c device.Command) map[string]any {
	msg := map[string]any{}
	if on, ok := c.Set["on"].Bool(); ok {
		msg["state"] = map[bool]string{true: "ON", false: "OFF"}[on]
	}
	if p, ok := c.Set["brightness_percent"].Number(); ok && l.brightness && msg["state"] != "OFF" {
		msg["brightness"] = max(1, reader.FromPercent(p, 0, l.scale))
	}
	if t, ok := l.temperature(c.Set); ok && l.mired {
		msg["color_temp"] = t
	} else if h, s, x, y, isXY, ok := l.color(c.Set); ok {
		msg["color"] = l.colorObject(h, s, x, y, isXY)
	}
	if len(msg) == 0 {
		return nil
	}
	if _, ok := msg["state"]; !ok {
		msg["state"] = "ON" // Home Assistant turns on with each command
	}
	if c.Transition != nil {
		msg["transition"] = reader.Round(c.Transition.Seconds(), 1)
	}
	return msg
}

func (l *lamp) colorObject(h, s, x, y float64, isXY bool) map[string]any {
	switch {
	case isXY && l.takes("xy"):
		return map[string]any{"x": reader.Round(x, 4), "y": reader.Round(y, 4)}
	case l.takes("hs"):
		return map[string]any{"h": reader.Round(h, 1), "s": reader.Round(s, 1)}
	case l.rgb() == "":
		x, y = reader.XYFromHS(h, s)
		return map[string]any{"x": x, "y": y}
	}
	red, green, blue := reader.RGB(h, s)
	out := map[string]any{"r": red, "g": green, "b": blue}
	switch l.rgb() {
	case "rgbw":
		out["w"] = 0
	case "rgbww":
		out["c"], out["w"] = 0, 0
	}
	return out
}
