package homeassistant

import (
	"math"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// rotor reads and commands one fan with speeds.
type rotor struct {
	e               *entity
	cmd, percentage *command
	on, speed       *binding
	low, high       float64 // speeds
}

// fan adds a fan. A fan that can only be switched is shown as a plug, which is
// safer.
func (r *Reader) fan(e *entity) error {
	c := e.config
	f := &rotor{e: e, low: c.number("speed_range_min", 1), high: c.number("speed_range_max", 100)}
	var err error
	if f.percentage, err = c.command("percentage_command_topic", "percentage_command_template"); err != nil {
		return err
	}
	c["value_template"] = c["state_value_template"]
	if f.percentage == nil {
		return r.plug(e)
	}
	if f.low < 1 || f.high <= f.low {
		return reader.Unreadable("speed_range: it is not a range")
	}
	if f.on, err = r.onOff(e, "on"); err != nil {
		return err
	}
	if f.cmd, err = c.command("command_topic", "command_template"); err != nil {
		return err
	}
	if f.speed, err = r.state(e, "percentage_state_topic", "percentage_value_template", f.readSpeed); err != nil {
		return err
	}
	f.on.read = f.readOn
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankFan, "fan")
		p.Options.Speeds = int(min(100, f.high-f.low+1))
		bindTo(p.ID, f.on, f.speed)
	}
	e.handle = f.command
	return nil
}

func (f *rotor) readSpeed(s string, out device.Values) {
	if v, ok := reader.Number(s); ok {
		out["fan_percent"] = device.Number(reader.Clamp(math.Round(100*(v-f.low+1)/(f.high-f.low+1)), 0, 100))
	}
}

// readOn reads the state: off as speed 0, and on as the last speed.
func (f *rotor) readOn(s string, out device.Values) {
	switch s {
	case f.e.config.text("payload_off", "OFF"):
		out["fan_percent"], out["fan_mode"] = device.Number(0), device.Text("off")
	case f.e.config.text("payload_on", "ON"):
		if f.speed.seen {
			f.readSpeed(f.speed.last, out)
		}
	}
}

func (f *rotor) command(c device.Command, o *output) error {
	percent, ok := c.Set["fan_percent"].Number()
	if m, has := c.Set["fan_mode"].Text(); has && !ok {
		percent, ok = map[string]float64{"off": 0, "low": 33, "medium": 66, "high": 100}[m]
	}
	switch {
	case !ok:
		return errUnsupported
	case percent <= 0:
		f.cmd.value(o, f.e.config.text("payload_off", "OFF"))
	default:
		f.percentage.value(o, int64(math.Ceil(percent/100*(f.high-f.low+1)+f.low-1)))
	}
	f.e.assume(o, c, "percentage_state_topic")
	return nil
}

// vacuum adds a robot vacuum cleaner.
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
