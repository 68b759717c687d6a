package homeassistant

import (
	"math"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// rotor reads and commands one fan, by its percentage, or by presets that are speeds.
type rotor struct {
	e                       *entity
	cmd, percentage, preset *command
	on, speed, mode         *binding
	low, high               float64 // speeds
	words                   reader.FanWords
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
	if f.preset, err = c.command("preset_mode_command_topic", "preset_mode_command_template"); err != nil {
		return err
	}
	if f.preset != nil {
		f.words = reader.NewFanWords(c.texts("preset_modes"))
	}
	c["value_template"] = c["state_value_template"]
	if f.percentage == nil && f.words.Speeds() == 0 {
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
	if f.mode, err = r.state(e, "preset_mode_state_topic", "preset_mode_value_template", f.readPreset); err != nil {
		return err
	}
	f.on.read = f.readOn
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankFan, "fan")
		p.Options.Modes, p.Options.Speeds = f.modes(), f.words.Speeds()
		if f.percentage != nil {
			p.Options.Speeds = int(min(100, f.high-f.low+1))
		}
		bindTo(p.ID, f.on, f.speed, f.mode)
	}
	e.handle = f.command
	return nil
}

// modes returns the modes of the part. With a percentage, low, medium and high are
// percentages, and not the presets of these names.
func (f *rotor) modes() []string {
	switch {
	case f.percentage == nil:
		return f.words.Modes()
	case f.words.Mode("auto") != "":
		return []string{"off", "low", "medium", "high", "auto"}
	}
	return nil
}

func (f *rotor) readSpeed(s string, out device.Values) {
	if v, ok := reader.Number(s); ok {
		out["fan_percent"] = reader.SpeedPercent(v-f.low+1, f.high-f.low+1)
	}
}

// readPreset reads the preset: automatic, or a speed if there is no percentage. Any other
// ends the automatic one.
func (f *rotor) readPreset(s string, out device.Values) {
	auto := f.words.Mode("auto")
	switch {
	case auto != "" && s == auto:
		out["fan_mode"] = device.Text("auto")
	case f.percentage == nil:
		f.words.Read(s, out)
	case auto != "" && f.speed.seen:
		f.readSpeed(f.speed.last, out)
		out["fan_mode"] = modeOf(out["fan_percent"])
	}
}

// modeOf returns the mode for a speed.
func modeOf(percent device.Value) device.Value {
	switch f, ok := percent.Number(); {
	case !ok:
		return device.Null
	case f <= 0:
		return device.Text("off")
	case f <= 33:
		return device.Text("low")
	case f <= 66:
		return device.Text("medium")
	}
	return device.Text("high")
}

// readOn reads the state: off as speed 0, and on as the last preset or speed.
func (f *rotor) readOn(s string, out device.Values) {
	switch s {
	case f.e.config.text("payload_off", "OFF"):
		out["fan_percent"], out["fan_mode"] = device.Number(0), device.Text("off")
	case f.e.config.text("payload_on", "ON"):
		if f.speed.seen {
			f.readSpeed(f.speed.last, out)
		}
		if f.mode.seen {
			f.readPreset(f.mode.last, out)
		}
	}
}

func (f *rotor) command(c device.Command, o *output) error {
	mode, hasMode := c.Set["fan_mode"].Text()
	percent, hasPercent := c.Set["fan_percent"].Number()
	if p, known := map[string]float64{"off": 0, "low": 33, "medium": 66, "high": 100}[mode]; known && !hasPercent {
		percent, hasPercent = p, true
	}
	preset := ""
	switch {
	case mode == "auto":
		preset = f.words.Mode(mode)
	case f.percentage == nil && hasMode:
		preset = f.words.Mode(mode)
	case f.percentage == nil && hasPercent:
		preset = f.words.Speed(percent)
	}
	off := hasPercent && percent <= 0
	if !off && f.on.seen && f.on.last == f.e.config.text("payload_off", "OFF") {
		f.cmd.value(o, f.e.config.text("payload_on", "ON")) // a speed alone does not switch every fan on
	}
	switch {
	case off:
		f.cmd.value(o, f.e.config.text("payload_off", "OFF"))
	case preset != "":
		f.preset.value(o, preset)
	case hasPercent && f.percentage != nil:
		f.percentage.value(o, int64(math.Ceil(percent/100*(f.high-f.low+1)+f.low-1)))
	default:
		return errUnsupported
	}
	if f.percentage == nil {
		f.e.assume(o, c, "preset_mode_state_topic")
	} else {
		f.e.assume(o, c, "percentage_state_topic")
	}
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
