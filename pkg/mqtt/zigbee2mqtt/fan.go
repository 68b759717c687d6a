package zigbee2mqtt

import (
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// blower reads and commands one fan, by mode words or by speed.
type blower struct {
	part               string
	state, mode, speed *expose // nil: it has none
	words              reader.FanWords
}

// fan adds a fan. One without a switch is part of an appliance, such as an air conditioner.
func (b *builder) fan(e *expose) {
	f := &blower{state: e.feature("state"), mode: e.feature("mode"), speed: e.feature("speed", "percentage")}
	if !f.state.sets() && !f.mode.sets() && !f.speed.sets() {
		b.Leave(reader.NoType("a fan that cannot be switched is not shown"), e.Name)
		return
	}
	p := b.Add(reader.RankFan, "fan", "fan", e.Endpoint)
	f.part = p.ID
	if f.mode != nil {
		f.words = reader.NewFanWords(f.mode.words())
	}
	p.Options.Modes = f.words.Modes()
	if p.Options.Speeds = max(1, f.words.Speeds()); f.speed != nil {
		p.Options.Speeds = 100
	}
	b.bind(f.state, p.ID, f.readState)
	b.bind(f.mode, p.ID, f.readMode)
	b.bind(f.speed, p.ID, f.readSpeed)
	b.t.handlers[p.ID] = f.command
}

func (f *blower) readState(t *thing, v any, out device.Values) {
	on, ok := f.state.isOn(v)
	switch {
	case !ok:
	case !on:
		out["fan_mode"], out["fan_percent"] = device.Text("off"), device.Number(0)
	case f.speed != nil:
		f.readSpeed(t, t.known[f.speed.Property], out)
	case f.mode != nil:
		f.readMode(t, t.known[f.mode.Property], out)
	}
	if _, said := out["fan_percent"]; ok && on && !said {
		out["fan_percent"] = device.Number(100)
	}
}

func (f *blower) readSpeed(_ *thing, v any, out device.Values) {
	if n, ok := reader.Number(v); ok && (n > 0 || f.state == nil) {
		_, high := span(f.speed)
		out["fan_percent"] = reader.SpeedPercent(n, high)
	}
}

func (f *blower) readMode(_ *thing, v any, out device.Values) {
	if w, ok := word(v); ok {
		f.words.Read(w, out)
	}
}

func (f *blower) command(_ *thing, c device.Command, msg map[string]any) error {
	percent, hasPercent := c.Set["fan_percent"].Number()
	mode, hasMode := c.Set["fan_mode"].Text()
	switch {
	case !hasPercent && !hasMode:
		return errUnsupported
	case hasMode && mode == "off", hasPercent && percent <= 0 && !hasMode:
		return f.off(msg)
	case hasMode && f.words.Mode(mode) != "" && (mode == "auto" || !hasPercent):
		msg[f.mode.Property] = f.words.Mode(mode)
	case hasPercent && f.speed.sets():
		_, high := span(f.speed)
		msg[f.speed.Property] = max(1, reader.FromPercent(percent, 0, high))
	case hasPercent && f.words.Speeds() > 0:
		msg[f.mode.Property] = f.words.Speed(percent)
	case f.state.sets():
		msg[f.state.Property] = f.state.value(true)
	default:
		return errUnsupported
	}
	return nil
}

// off switches the fan off.
func (f *blower) off(msg map[string]any) error {
	low, _ := f.speed.limits()
	switch {
	case f.state.sets():
		msg[f.state.Property] = f.state.value(false)
	case f.words.Mode("off") != "":
		msg[f.mode.Property] = f.words.Mode("off")
	case f.speed.sets() && low <= 0:
		msg[f.speed.Property] = 0
	default:
		return errUnsupported // only the appliance can be switched off
	}
	return nil
}
