package zigbee2mqtt

import (
	"math"
	"strconv"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// blower reads and commands one fan, by mode words or by speed.
type blower struct {
	part               string
	state, mode, speed *expose
	modes              map[string]string // modes of the property and of the device
	levels             []string          // the device's words for speeds, ascending
}

// fan adds a fan.
func (b *builder) fan(e *expose) {
	f := &blower{state: e.feature("state"), mode: e.feature("mode"), speed: e.feature("speed", "percentage")}
	if f.state == nil || !f.state.settable() {
		b.Leave(reader.NoType("a fan that cannot be switched is not shown"), e.Name)
		return
	}
	p := b.Add(reader.RankFan, "fan", "fan", e.Endpoint)
	f.part = p.ID
	f.findModes()
	for _, m := range []string{"off", "low", "medium", "high", "auto"} {
		if _, ok := f.modes[m]; ok {
			p.Options.Modes = append(p.Options.Modes, m)
		}
	}
	if len(p.Options.Modes) == 1 { // only off, which is not a choice
		p.Options.Modes = nil
	}
	p.Options.Speeds = f.speeds()
	b.bind(f.state, p.ID, f.readState)
	b.bind(f.mode, p.ID, f.readMode)
	b.bind(f.speed, p.ID, f.readSpeed)
	b.t.handlers[p.ID] = f.command
}

// findModes sorts the words of the mode. Numbers are speeds. Matter has on and
// smart, but controllers cannot choose them.
func (f *blower) findModes() {
	f.modes = map[string]string{"off": "off"}
	if f.mode == nil {
		return
	}
	for _, w := range f.mode.words() {
		switch w {
		case "low", "medium", "high", "auto":
			f.modes[w] = w
		}
		if n, err := strconv.Atoi(w); err == nil && n > 0 {
			f.levels = append(f.levels, w)
		}
	}
	if len(f.levels) == 0 {
		for _, w := range []string{"low", "medium", "high"} {
			if f.mode.has(w) {
				f.levels = append(f.levels, w)
			}
		}
	}
	if n := len(f.levels); f.modes["low"] == "" && n >= 3 {
		f.modes["low"], f.modes["medium"], f.modes["high"] = f.levels[0], f.levels[n/2], f.levels[n-1]
	}
}

// speeds returns the number of speeds.
func (f *blower) speeds() int {
	if f.speed != nil {
		return 100
	}
	return max(1, len(f.levels))
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
	if n, ok := reader.Number(v); ok && n > 0 {
		_, high := span(f.speed)
		out["fan_percent"] = device.Number(math.Round(reader.Percent(n, 0, high)))
	}
}

func (f *blower) readMode(_ *thing, v any, out device.Values) {
	w, ok := word(v)
	if !ok {
		return
	}
	if w == "off" {
		out["fan_mode"], out["fan_percent"] = device.Text("off"), device.Number(0)
		return
	}
	for i, l := range f.levels {
		if l == w {
			out["fan_percent"] = device.Number(math.Round(float64(i+1) / float64(len(f.levels)) * 100))
		}
	}
	for ours, theirs := range f.modes {
		if theirs == w {
			out["fan_mode"] = device.Text(ours)
		}
	}
}

func (f *blower) command(_ *thing, c device.Command, msg map[string]any) error {
	percent, hasPercent := c.Set["fan_percent"].Number()
	mode, hasMode := c.Set["fan_mode"].Text()
	switch {
	case hasMode && mode == "off", hasPercent && percent <= 0 && !hasMode:
		msg[f.state.Property] = f.state.value(false)
	case hasMode && f.mode != nil && f.modes[mode] != "" && (mode == "auto" || !hasPercent):
		msg[f.mode.Property] = f.modes[mode]
	case hasPercent && f.speed != nil:
		_, high := span(f.speed)
		msg[f.speed.Property] = max(1, reader.FromPercent(percent, 0, high))
	case hasPercent && len(f.levels) > 0:
		n := len(f.levels)
		i := int(math.Ceil(percent/100*float64(n))) - 1
		msg[f.mode.Property] = f.levels[max(0, min(n-1, i))]
	case hasPercent || hasMode:
		msg[f.state.Property] = f.state.value(true)
	default:
		return errUnsupported
	}
	return nil
}
