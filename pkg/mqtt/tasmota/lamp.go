package tasmota

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// lamp reads and commands one light.
type lamp struct {
	t          *thing
	part       string
	relay      int
	kind       int
	dimmer     string // the command and the key of its brightness
	cold, warm float64
}

func (l *lamp) temperature() bool { return l.kind == lightCW || l.kind == lightRGBCW }
func (l *lamp) color() bool       { return l.kind >= lightRGB && l.kind <= lightRGBCW }

// read reads a state. The color is used unless the white channels are on.
func (l *lamp) read(state map[string]any, out map[string]device.Values) {
	brightness := state[l.dimmer]
	if list, ok := state["Channel"].([]any); ok && strings.HasPrefix(l.dimmer, "Channel") && l.relay < len(list) {
		brightness = list[l.relay]
	}
	if f, ok := reader.Number(brightness); ok && f > 0 {
		set(out, l.part, "brightness_percent", device.Number(reader.Clamp(f, 0, 100)))
	}
	white, hasWhite := reader.Number(state["White"])
	ct, hasCT := reader.Number(state["CT"])
	hsb, _ := state["HSBColor"].(string)
	n := reader.Numbers(hsb)
	switch {
	case l.temperature() && hasCT && ct > 0 && (!l.color() || hasWhite && white > 0):
		set(out, l.part, "color_temperature_kelvin", device.Number(reader.Clamp(reader.Kelvin(ct), reader.Kelvin(l.warm), reader.Kelvin(l.cold))))
		if l.color() {
			set(out, l.part, "color_mode", device.Text("temperature"))
		}
	case l.color() && len(n) == 3:
		set(out, l.part, "hue_degrees", device.Number(reader.Clamp(n[0], 0, 360)))
		set(out, l.part, "saturation_percent", device.Number(reader.Clamp(n[1], 0, 100)))
		set(out, l.part, "color_mode", device.Text("hs"))
	}
}

// command returns the Tasmota commands for a command. Setting a brightness also
// turns the light on.
func (l *lamp) command(c device.Command) ([]command, error) {
	var out []command
	on, switched := c.Set["on"].Bool()
	if switched && !on {
		return []command{{fmt.Sprintf("POWER%d", l.relay+1), l.t.config.state(false)}}, nil
	}
	if switched {
		out = append(out, command{fmt.Sprintf("POWER%d", l.relay+1), l.t.config.state(true)})
	}
	if f, ok := c.Set["brightness_percent"].Number(); ok {
		out = append(out, command{l.dimmer, strconv.Itoa(int(max(1, math.Round(f))))})
	}
	hue, hasHue := c.Set["hue_degrees"].Number()
	saturation, hasSaturation := c.Set["saturation_percent"].Number()
	x, hasX := c.Set["color_x"].Number()
	y, hasY := c.Set["color_y"].Number()
	kelvin, hasKelvin := c.Set["color_temperature_kelvin"].Number()
	if hasKelvin && !l.temperature() {
		x, y = reader.XY(kelvin)
		hasX, hasY, hasKelvin = true, true, false
	}
	if hasX && hasY {
		hue, saturation = reader.HSFromXY(x, y)
		hasHue, hasSaturation = true, true
	}
	switch {
	case hasKelvin:
		out = append(out, command{"CT", strconv.Itoa(int(reader.Clamp(math.Round(1e6/kelvin), l.cold, l.warm)))})
	case l.color():
		if hasHue {
			out = append(out, command{"HSBColor1", strconv.Itoa(int(math.Round(hue)))})
		}
		if hasSaturation {
			out = append(out, command{"HSBColor2", strconv.Itoa(int(math.Round(saturation)))})
		}
	}
	if len(out) == 0 {
		return nil, errUnsupported
	}
	return out, nil
}
