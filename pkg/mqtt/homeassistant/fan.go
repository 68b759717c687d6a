package homeassistant

import (
	"math"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// fan adds a fan. One that is only on or off is a plug to controllers: that is safer.
func (r *Reader) fan(e *entity) error {
	c := e.config
	percentage, err := c.command("percentage_command_topic", "percentage_command_template")
	if err != nil {
		return err
	}
	c["value_template"] = c["state_value_template"]
	if percentage == nil {
		return r.plug(e)
	}
	low, high := c.number("speed_range_min", 1), c.number("speed_range_max", 100)
	if low < 1 || high <= low {
		return notShown("speed_range: it is none")
	}
	on, err := r.onOff(e, "on")
	if err != nil {
		return err
	}
	cmd, err := c.command("command_topic", "command_template")
	if err != nil {
		return err
	}
	speed, err := r.state(e, "percentage_state_topic", "percentage_value_template", func(s string, out device.Values) {
		if f, ok := reader.Number(s); ok {
			percent := reader.Clamp(math.Round(100*(f-low+1)/(high-low+1)), 0, 100)
			out["fan_percent"] = device.Number(percent)
		}
	})
	if err != nil {
		return err
	}
	on.read = func(s string, out device.Values) {
		switch s {
		case c.text("payload_off", "OFF"):
			out["fan_percent"], out["fan_mode"] = device.Number(0), device.Text("off")
		case c.text("payload_on", "ON"):
			if speed.seen {
				speed.read(speed.last, out)
			}
		}
	}
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankFan, "fan")
		p.Options.Speeds = int(min(100, high-low+1))
		bindTo(p.ID, on, speed)
	}
	e.handle = func(command device.Command, o *output) error {
		percent, ok := command.Set["fan_percent"].Number()
		if m, has := command.Set["fan_mode"].Text(); has && !ok {
			percent, ok = map[string]float64{"off": 0, "low": 33, "medium": 66, "high": 100}[m]
		}
		switch {
		case !ok:
			return errUnsupported
		case percent <= 0:
			cmd.value(o, c.text("payload_off", "OFF"))
		default:
			percentage.value(o, int64(math.Ceil(percent/100*(high-low+1)+low-1)))
		}
		e.assume(o, command, "percentage_state_topic")
		return nil
	}
	return nil
}

// vacuum adds a robot that cleans.
func (r *Reader) vacuum(e *entity) error {
	c := e.config
	cmd, err := need(c.command("command_topic", ""))
	if err != nil {
		return err
	}
	state, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		if strings.HasPrefix(s, "{") {
			s = textMember(s, "state")
		}
		states := map[string][2]string{
			"cleaning": {"cleaning", "running"}, "docked": {"idle", "docked"}, "paused": {"cleaning", "paused"}, "idle": {"idle", "stopped"},
			"returning": {"idle", "seeking_charger"}, "error": {"idle", "error"},
		}
		if v, ok := states[s]; ok {
			out["run_mode"], out["state"] = device.Text(v[0]), device.Text(v[1])
		}
	})
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		bindTo(e.part(a, reader.RankVacuum, "robotic_vacuum_cleaner").ID, state)
	}
	e.handle = func(command device.Command, o *output) error {
		payload := ""
		switch m, _ := command.Set["run_mode"].Text(); {
		case m == "cleaning" || command.Do == device.Resume:
			payload = c.text("payload_start", "start")
		case m == "idle" || command.Do == device.Stop:
			payload = c.text("payload_stop", "stop")
		case command.Do == device.Pause:
			payload = c.text("payload_pause", "pause")
		case command.Do == device.GoHome:
			payload = c.text("payload_return_to_base", "return_to_base")
		default:
			return errUnsupported
		}
		cmd.value(o, payload)
		return nil
	}
	return nil
}
