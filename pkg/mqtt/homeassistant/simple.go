package homeassistant

import (
	"encoding/json"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// need returns an error if a required command topic is absent.
func need(c *command, err error) (*command, error) {
	if err == nil && c == nil {
		err = reader.Unreadable("command_topic: it is missing")
	}
	return c, err
}

// onOff binds an on/off state, and handles its commands.
func (r *Reader) onOff(e *entity, property string) (*binding, error) {
	c := e.config
	cmd, err := need(c.command("command_topic", "command_template"))
	if err != nil {
		return nil, err
	}
	on, off := c.text("payload_on", "ON"), c.text("payload_off", "OFF")
	isOn, isOff := c.text("state_on", on), c.text("state_off", off)
	e.handle = func(c device.Command, o *output) error {
		is, ok := c.Set[property].Bool()
		if !ok {
			return errUnsupported
		}
		payload := off
		if is {
			payload = on
		}
		cmd.value(o, payload)
		e.assume(o, c, "state_topic")
		return nil
	}
	return r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		switch s {
		case isOn:
			out[property] = device.Bool(true)
		case isOff:
			out[property] = device.Bool(false)
		}
	})
}

// plug adds an entity that can only be switched on and off.
func (r *Reader) plug(e *entity) error {
	state, err := r.onOff(e, "on")
	e.add = func(a *reader.Assembly) {
		bindTo(e.part(a, reader.RankPlug, "on_off_plug").ID, state)
	}
	return err
}

// zigbeeRelay matches the templates of zigbee2mqtt's switches that are relays.
// Others are settings.
var zigbeeRelay = reader.NewPattern(`^\{\{ value_json\["state(_[a-z0-9_]+)?"\] \}\}$`)

func (r *Reader) switches(e *entity) error {
	if o, ok := e.config["origin"].(map[string]any); ok && o["name"] == "Zigbee2MQTT" && !zigbeeRelay.MatchString(e.config.text("value_template", "")) {
		return reader.Settings
	}
	return r.plug(e)
}

// humidifier adds a humidifier or dehumidifier as a plug: no controller takes a type for it.
func (r *Reader) humidifier(e *entity) error {
	e.config["value_template"] = e.config["state_value_template"]
	return r.plug(e)
}

// siren adds a siren as a plug, as Matter has no type for it. Its commands and states may
// be JSON objects.
func (r *Reader) siren(e *entity) error {
	c := e.config
	cmd, err := need(c.command("command_topic", "command_template"))
	if err != nil {
		return err
	}
	stop := cmd
	if c.has("command_off_template") {
		if stop, err = c.command("command_topic", "command_off_template"); err != nil {
			return err
		}
	}
	on, off := c.text("payload_on", "ON"), c.text("payload_off", "OFF")
	isOn, isOff := c.text("state_on", on), c.text("state_off", off)
	state, err := r.state(e, "state_topic", "state_value_template", func(s string, out device.Values) {
		if strings.HasPrefix(s, "{") {
			s = textMember(s, "state")
		}
		switch s {
		case isOn:
			out["on"] = device.Bool(true)
		case isOff:
			out["on"] = device.Bool(false)
		}
	})
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		bindTo(e.part(a, reader.RankPlug, "on_off_plug").ID, state)
	}
	e.handle = func(c device.Command, o *output) error {
		is, ok := c.Set["on"].Bool()
		if !ok {
			return errUnsupported
		}
		send, word := stop, off
		if is {
			send, word = cmd, on
		}
		send.send(o, jsonState(word), map[string]any{"value": word})
		e.assume(o, c, "state_topic")
		return nil
	}
	return nil
}

// jsonState returns a state as a JSON object.
func jsonState(word string) string {
	b, err := json.Marshal(map[string]string{"state": word})
	if err != nil {
		panic("BUG: homeassistant: " + err.Error()) // a string
	}
	return string(b)
}

// lock adds a lock. States are compared as strings, since some locks use numbers
// such as 255.
func (r *Reader) lock(e *entity) error {
	c := e.config
	cmd, err := need(c.command("command_topic", "command_template"))
	if err != nil {
		return err
	}
	states := map[string]string{}
	for key, lock := range map[string]string{"locked": "locked", "unlocked": "unlocked", "open": "unlocked", "jammed": "jammed"} {
		states[c.text("state_"+key, strings.ToUpper(key))] = lock
	}
	state, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		if lock, ok := states[s]; ok {
			out["lock"] = device.Text(lock)
		}
	})
	if err != nil {
		return err
	}
	pin := c.has("code_format")
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankLock, "door_lock")
		p.Options.PIN = pin
		bindTo(p.ID, state)
	}
	e.handle = func(c device.Command, o *output) error {
		payload, lock := e.config.text("payload_lock", "LOCK"), "locked"
		switch c.Do {
		case device.Unlock:
			payload, lock = e.config.text("payload_unlock", "UNLOCK"), "unlocked"
		case device.Lock:
		default:
			return errUnsupported
		}
		cmd.send(o, payload, map[string]any{"value": payload, "code": c.PIN})
		if e.config.truth("optimistic", !e.config.has("state_topic")) {
			o.assumed = device.Values{"lock": device.Text(lock)}
		}
		return nil
	}
	return nil
}

// valve adds a valve, with a position or without.
func (r *Reader) valve(e *entity) error {
	c := e.config
	if !c.truth("reports_position", false) {
		c["payload_on"], c["payload_off"] = c.text("payload_open", "OPEN"), c.text("payload_close", "CLOSE")
		c["state_on"], c["state_off"] = c.text("state_open", "open"), c.text("state_closed", "closed")
		state, err := r.onOff(e, "open")
		e.add = func(a *reader.Assembly) {
			bindTo(e.part(a, reader.RankValve, "water_valve").ID, state)
		}
		return err
	}
	cmd, err := need(c.command("command_topic", "command_template"))
	if err != nil {
		return err
	}
	open, closed := c.number("position_open", 100), c.number("position_closed", 0)
	state, err := r.state(e, "state_topic", "value_template", func(s string, out device.Values) {
		if f, ok := position(s, "position"); ok {
			p := reader.Round(reader.Clamp((f-closed)/(open-closed)*100, 0, 100), 1)
			out["level_percent"], out["open"] = device.Number(p), device.Bool(p > 0)
		}
	})
	if err != nil {
		return err
	}
	if open == closed {
		return reader.Unreadable("position_open and position_closed are equal")
	}
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankValve, "water_valve")
		p.Options.Level = true
		bindTo(p.ID, state)
	}
	e.handle = func(c device.Command, o *output) error {
		percent, ok := c.Set["level_percent"].Number()
		if is, set := c.Set["open"].Bool(); set && (!is || !ok) {
			percent, ok = 0, true
			if is {
				percent = 100
			}
		}
		if !ok {
			return errUnsupported
		}
		cmd.value(o, int64(reader.Round(closed+percent/100*(open-closed), 0)))
		e.assume(o, c, "state_topic")
		return nil
	}
	return nil
}
