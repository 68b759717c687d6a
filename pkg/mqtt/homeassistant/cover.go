package homeassistant

import (
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// position parses a number, or a member of a JSON object.
func position(s, member string) (float64, bool) {
	if strings.HasPrefix(s, "{") {
		v, err := template.JSON([]byte(s))
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return 0, false
		}
		return reader.Number(m[member])
	}
	return reader.Number(s)
}

// textMember returns a string member of a JSON object; empty if there is none.
func textMember(s, member string) string {
	v, err := template.JSON([]byte(s))
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return ""
	}
	t, _ := m[member].(string)
	return t
}

// blind reads and commands one cover.
type blind struct {
	e                  *entity
	cmd, set, tilt     *command
	open, closed       float64 // positions
	tiltOpen, tiltShut float64
	positions          bool
}

// cover adds a window covering. Both sides use 100 % for open.
func (r *Reader) cover(e *entity) error {
	c := e.config
	b := &blind{e: e, open: c.number("position_open", 100), closed: c.number("position_closed", 0), tiltOpen: c.number("tilt_opened_value", 100), tiltShut: c.number("tilt_closed_value", 0)}
	var err error
	if b.cmd, err = c.command("command_topic", "command_template"); err != nil {
		return err
	}
	if b.set, err = c.command("set_position_topic", "set_position_template"); err != nil {
		return err
	}
	if b.tilt, err = c.command("tilt_command_topic", "tilt_command_template"); err != nil {
		return err
	}
	if b.open == b.closed || b.tiltOpen == b.tiltShut {
		return reader.Unreadable("open and closed are the same position")
	}
	if b.cmd == nil && b.set == nil {
		return reader.NoType("it cannot be moved")
	}
	b.positions = c.has("position_topic")
	bindings, err := b.states(r)
	if err != nil {
		return err
	}
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankCover, "window_covering")
		p.Options.Kind = map[string]string{"awning": "awning", "blind": "blind", "curtain": "curtain", "garage": "garage_door", "gate": "gate", "shade": "roller_shade", "shutter": "shutter"}[c.text("device_class", "")]
		p.Options.Tilt = b.tilt != nil
		if !b.positions {
			no := false
			p.Options.Position = &no
		}
		bindTo(p.ID, bindings...)
	}
	e.handle = b.command
	return nil
}

// percent converts a position.
func percent(v, closed, open float64) device.Value {
	return device.Number(reader.Round(reader.Clamp((v-closed)/(open-closed)*100, 0, 100), 1))
}

func (b *blind) states(r *Reader) ([]*binding, error) {
	c := b.e.config
	position1, err := r.state(b.e, "position_topic", "position_template", func(s string, out device.Values) {
		if f, ok := position(s, "position"); ok {
			out["position_percent"] = percent(f, b.closed, b.open)
		}
		if f, ok := position(s, "tilt_position"); ok && strings.HasPrefix(s, "{") && b.tilt != nil {
			out["tilt_percent"] = percent(f, b.tiltShut, b.tiltOpen)
		}
	})
	if err != nil {
		return nil, err
	}
	tilt, err := r.state(b.e, "tilt_status_topic", "tilt_status_template", func(s string, out device.Values) {
		if f, ok := reader.Number(s); ok && b.tilt != nil {
			out["tilt_percent"] = percent(f, b.tiltShut, b.tiltOpen)
		}
	})
	if err != nil {
		return nil, err
	}
	words := map[string]string{}
	for _, w := range []string{"open", "closed", "opening", "closing", "stopped"} {
		words[c.text("state_"+w, w)] = w
	}
	closing := false
	state, err := r.state(b.e, "state_topic", "value_template", func(s string, out device.Values) {
		w := words[s]
		switch w {
		case "opening", "closing":
			out["moving"] = device.Text(w)
			closing = w == "closing"
			return
		case "":
			return
		}
		out["moving"] = device.Text("stopped")
		if !b.positions {
			shut := w == "closed" || w == "stopped" && closing
			out["position_percent"] = device.Number(map[bool]float64{true: 0, false: 100}[shut])
		}
	})
	return []*binding{position1, tilt, state}, err
}

func (b *blind) command(c device.Command, o *output) error {
	if c.Do == device.Stop {
		stop := b.e.config.text("payload_stop", "STOP")
		if v, has := b.e.config["payload_stop"]; b.cmd == nil || has && v == nil {
			return errUnsupported
		}
		b.cmd.value(o, stop)
		return nil
	}
	if p, ok := c.Set["position_percent"].Number(); ok {
		b.move(p, o)
	}
	if p, ok := c.Set["tilt_percent"].Number(); ok && b.tilt != nil {
		v := int64(reader.Round(b.tiltShut+p/100*(b.tiltOpen-b.tiltShut), 0))
		b.tilt.send(o, strconv.FormatInt(v, 10), map[string]any{"value": v, "tilt_position": v})
	}
	if len(o.messages) == 0 && len(o.errs) == 0 {
		return errUnsupported
	}
	if !b.positions && !b.e.config.has("state_topic") {
		b.e.assume(o, c, "state_topic")
	}
	return nil
}

// move moves a cover as far as it supports: without a topic for positions, only
// open or closed.
func (b *blind) move(p float64, o *output) {
	switch {
	case b.set != nil:
		v := int64(reader.Round(b.closed+p/100*(b.open-b.closed), 0))
		b.set.send(o, strconv.FormatInt(v, 10), map[string]any{"value": v, "position": v})
	case p > 50:
		b.cmd.value(o, b.e.config.text("payload_open", "OPEN"))
	default:
		b.cmd.value(o, b.e.config.text("payload_close", "CLOSE"))
	}
}
