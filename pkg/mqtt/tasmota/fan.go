package tasmota

import (
	"math"
	"strconv"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// fanModes are the modes of a ceiling fan by its speed, which is a number up to 3.
var fanModes = []string{"off", "low", "medium", "high"}

// fan adds a ceiling fan. Its first relay is a lamp, and the others are its speeds.
func (t *thing) fan(a *reader.Assembly) {
	most := len(fanModes) - 1
	p := a.Add(reader.RankFan, "fan", "fan", "")
	p.Options.Modes, p.Options.Speeds = fanModes, most
	t.readers = append(t.readers, func(state map[string]any, out map[string]device.Values) {
		if f, ok := reader.Number(state["FanSpeed"]); ok {
			speed := int(reader.Clamp(f, 0, float64(most)))
			set(out, p.ID, "fan_mode", device.Text(fanModes[speed]))
			set(out, p.ID, "fan_percent", reader.SpeedPercent(float64(speed), float64(most)))
		}
	})
	t.handlers[p.ID] = func(c device.Command) ([]command, error) {
		if f, ok := c.Set["fan_percent"].Number(); ok {
			return []command{{"FanSpeed", strconv.Itoa(int(math.Ceil(reader.Clamp(f, 0, 100) * float64(most) / 100)))}}, nil
		}
		mode, _ := c.Set["fan_mode"].Text()
		for speed, m := range fanModes {
			if m == mode {
				return []command{{"FanSpeed", strconv.Itoa(speed)}}, nil
			}
		}
		return nil, errUnsupported
	}
}
