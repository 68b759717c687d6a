package zigbee2mqtt

import (
	"cmp"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// switches adds a relay, or a valve that looks like one. Half of the exposes of
// this form are settings and modes. Only the property state is a relay: that of the
// device, or of an endpoint that is a load.
func (b *builder) switches(e *expose, climate bool) {
	state := e.feature("state")
	if state == nil || !state.settable() {
		b.Leave(reader.Settings, firstName(e))
		return
	}
	want := "state"
	if e.Endpoint != "" {
		want += "_" + e.Endpoint
	}
	valve := b.isValve()
	switch {
	case state.Property != want:
		b.Leave(reader.Settings, state.Property)
	case e.Endpoint != "" && !loads.MatchString(e.Endpoint):
		b.Leave(reader.NoType("it looks like a relay but may be a setting"), state.Property)
	case climate && e.Endpoint == "":
		b.Leave(reader.NoType("the purpose of this switch of a thermostat is not known"), state.Property)
	case valve:
		b.valve(state, e.Endpoint)
	default:
		p := b.Add(reader.RankPlug, "on_off_plug", "switch", e.Endpoint)
		b.onOff(p.ID, state, "on")
	}
}

func firstName(e *expose) string {
	if len(e.Features) > 0 {
		return e.Features[0].Property
	}
	return e.Name
}

// onOff binds a binary to a boolean property.
func (b *builder) onOff(part string, e *expose, property string) {
	b.bind(e, part, func(_ *thing, v any, out device.Values) {
		if on, ok := e.isOn(v); ok {
			out[property] = device.Bool(on)
		}
	})
	b.t.handlers[part] = switchTo(property, e.Property, e.value(true), e.value(false))
}

// switchTo returns the handler of a part whose boolean property is set with two values of
// a property of zigbee2mqtt's.
func switchTo(property, to string, on, off any) handler {
	return func(_ *thing, c device.Command, msg map[string]any) error {
		is, ok := c.Set[property].Bool()
		switch {
		case !ok:
			return errUnsupported
		case is:
			msg[to] = on
		default:
			msg[to] = off
		}
		return nil
	}
}

// isValve reports whether the device is a valve for water or gas. Only its
// description shows that.
func (b *builder) isValve() bool {
	if b.d == nil {
		return false
	}
	text := b.d.Definition.Description
	return valves.MatchString(text) && !notValves.MatchString(text)
}

func (b *builder) valve(state *expose, endpoint string) {
	p := b.Add(reader.RankValve, "water_valve", "valve", endpoint)
	b.onOff(p.ID, state, "open")
}

// valveNames matches the properties of valves that are not of type switch.
var valveNames = reader.NewPattern(`^(?:state|valve|valve_state|gas_valve_state)(?:_(l?[0-9]))?$`)

// valveState adds a property that moves a valve: open or closed, or a position.
func (b *builder) valveState(e *expose) bool {
	m := valveNames.FindStringSubmatch(e.Name)
	if m == nil || !e.settable() || !e.published() || !b.isValve() {
		return false
	}
	endpoint := cmp.Or(e.Endpoint, m[1])
	if b.In(reader.RankValve, endpoint) != nil {
		return false
	}
	switch {
	case e.Type == "binary":
		b.valve(e, endpoint)
	case e.Type == "numeric" && e.Unit == "%":
		b.valveLevel(e, endpoint)
	default:
		return false
	}
	return true
}

// valveLevel adds a valve with a position in percent.
func (b *builder) valveLevel(e *expose, endpoint string) {
	p := b.Add(reader.RankValve, "water_valve", "valve", endpoint)
	p.Options.Level = true
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		if f, ok := reader.Number(v); ok {
			out["open"] = device.Bool(f > 0)
			out["level_percent"] = device.Number(reader.Clamp(f, 0, 100))
		}
	})
	b.t.handlers[p.ID] = func(_ *thing, c device.Command, msg map[string]any) error {
		open, switched := c.Set["open"].Bool()
		level, ok := c.Set["level_percent"].Number()
		switch {
		case switched && !open:
			level = 0
		case !ok && !switched:
			return errUnsupported
		case !ok:
			level = 100
		}
		msg[e.Property] = reader.Round(reader.Clamp(level, 0, 100), 0)
		return nil
	}
}

// relay adds a relay that is a plain binary and not of type switch.
func (b *builder) relay(e *expose) bool {
	endpoint, ok := strings.CutPrefix(e.Name, "state_l")
	if !ok || e.Type != "binary" || !e.settable() || !e.published() || e.Category != "" || len(endpoint) != 1 || b.In(reader.RankPlug, "l"+endpoint) != nil {
		return false
	}
	p := b.Add(reader.RankPlug, "on_off_plug", "switch", "l"+endpoint)
	b.onOff(p.ID, e, "on")
	return true
}

// coverWords are the words of a cover's state.
type coverWords struct{ open, close, stop string }

// cover adds a window covering.
func (b *builder) cover(e *expose) {
	state := e.feature("state")
	if !state.sets() {
		b.Leave(reader.NoType("a cover that cannot be moved is not shown"), e.Name)
		return
	}
	b.addCover(e.Endpoint, state, e.feature("position"), e.feature("tilt"), coverWords{"OPEN", "CLOSE", "STOP"})
}

// coverState adds a cover that has only the words of a state, and reports whether e is one.
func (b *builder) coverState(e *expose) bool {
	var words coverWords
	for _, w := range e.words() {
		switch strings.ToLower(w) {
		case "open":
			words.open = w
		case "close":
			words.close = w
		case "stop":
			words.stop = w
		}
	}
	if e.Name != "state" || e.Type != "enum" || !e.settable() || words.open == "" || words.close == "" || words.stop == "" || b.Of(reader.RankCover) != nil {
		return false
	}
	b.addCover(e.Endpoint, e, nil, nil, words)
	return true
}

func (b *builder) addCover(endpoint string, state, position, tilt *expose, words coverWords) {
	p := b.Add(reader.RankCover, "window_covering", "cover", endpoint)
	p.Options.Kind = b.coverKind()
	p.Options.Tilt = tilt != nil
	if position == nil || !position.settable() {
		no := false
		p.Options.Position = &no
		position = nil
	}
	b.bind(position, p.ID, percent("position_percent", position))
	b.bind(tilt, p.ID, percent("tilt_percent", tilt))
	if position == nil {
		b.bind(state, p.ID, func(_ *thing, v any, out device.Values) {
			switch v {
			case words.open:
				out["position_percent"] = device.Number(100)
			case words.close:
				out["position_percent"] = device.Number(0)
			}
		})
	}
	b.t.handlers[p.ID] = func(_ *thing, c device.Command, msg map[string]any) error {
		if c.Do == device.Stop {
			msg[state.Property] = words.stop
			return nil
		}
		if f, ok := c.Set["position_percent"].Number(); ok {
			words.move(state, position, f, msg)
		}
		if f, ok := c.Set["tilt_percent"].Number(); ok && tilt != nil {
			low, high := span(tilt)
			msg[tilt.Property] = reader.FromPercent(f, low, high)
		}
		if len(msg) == 0 {
			return errUnsupported
		}
		return nil
	}
}

// move moves a cover as far as it supports: without a position, only open or closed.
func (w *coverWords) move(state, position *expose, percent float64, msg map[string]any) {
	switch {
	case position != nil:
		low, high := span(position)
		msg[position.Property] = reader.FromPercent(percent, low, high)
	case percent > 50:
		msg[state.Property] = w.open
	default:
		msg[state.Property] = w.close
	}
}

func (b *builder) coverKind() string {
	if b.d == nil {
		return ""
	}
	for _, c := range covers {
		if c.words.MatchString(b.d.Definition.Description) {
			return c.kind
		}
	}
	return ""
}

// span returns the range of a number that is shown in percent.
func span(e *expose) (low, high float64) {
	if low, high = e.limits(); high <= low {
		return 0, 100
	}
	return low, high
}

func percent(property string, e *expose) func(*thing, any, device.Values) {
	return func(_ *thing, v any, out device.Values) {
		if f, ok := reader.Number(v); ok {
			low, high := span(e)
			out[property] = device.Number(reader.Round(reader.Percent(f, low, high), 2))
		}
	}
}

// moving adds the property that shows whether a cover is moving.
func (b *builder) moving(e *expose) {
	p := b.Of(reader.RankCover)
	if p == nil || e.Endpoint != "" {
		b.Leave(reader.NoType("it belongs to no cover"), e.Name)
		return
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		s, _ := v.(string)
		switch strings.ToLower(s) {
		case "up", "opening":
			out["moving"] = device.Text("opening")
		case "down", "closing":
			out["moving"] = device.Text("closing")
		case "stop", "stopped", "pause", "idle":
			out["moving"] = device.Text("stopped")
		}
	})
}

// lock adds a lock.
func (b *builder) lock(e *expose) {
	state := e.feature("state")
	if state == nil || !state.settable() || state.Property != "state" && e.Endpoint == "" {
		b.Leave(reader.Settings, firstName(e)) // such as child_lock
		return
	}
	p := b.Add(reader.RankLock, "door_lock", "lock", e.Endpoint)
	detail := e.feature("lock_state")
	b.bind(state, p.ID, func(t *thing, v any, out device.Values) {
		if detail != nil && t.known[detail.Property] != nil {
			return // the other expose has more states
		}
		if locked, ok := state.isOn(v); ok {
			out["lock"] = lockText(locked)
		}
	})
	b.bind(detail, p.ID, func(_ *thing, v any, out device.Values) {
		switch v {
		case "locked":
			out["lock"] = lockText(true)
		case "unlocked":
			out["lock"] = lockText(false)
		case "not_fully_locked":
			out["lock"] = device.Text("jammed")
		}
	})
	b.t.handlers[p.ID] = func(_ *thing, c device.Command, msg map[string]any) error {
		switch c.Do {
		case device.Lock:
			msg[state.Property] = orElse(state.ValueOn, "LOCK")
		case device.Unlock:
			msg[state.Property] = orElse(state.ValueOff, "UNLOCK")
		default:
			return errUnsupported
		}
		return nil
	}
}

func lockText(locked bool) device.Value {
	if locked {
		return device.Text("locked")
	}
	return device.Text("unlocked")
}

// door adds the door state of a lock.
func (b *builder) door(e *expose) {
	p := b.Of(reader.RankLock)
	if p == nil {
		b.Leave(reader.NoType("it belongs to no lock"), e.Name)
		return
	}
	b.bind(e, p.ID, func(_ *thing, v any, out device.Values) {
		switch v {
		case "open", "error_forced_open":
			out["door"] = device.Text("open")
		case "closed":
			out["door"] = device.Text("closed")
		}
	})
}
