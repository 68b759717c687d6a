package homeassistant

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// event adds a button. Its gestures are the event types. Retained events are
// ignored, since they are old.
func (r *Reader) event(e *entity) error {
	c := e.config
	topic, err := c.topic("state_topic")
	if err != nil {
		return err
	}
	t, err := c.template("value_template")
	if err != nil {
		return err
	}
	if topic == "" {
		return reader.Unreadable("state_topic: it is missing")
	}
	types := map[string]device.Gesture{}
	for _, word := range c.texts("event_types") {
		if g, ok := gestureOf(strings.ToLower(word)); ok && g != "" {
			types[word] = g
		}
	}
	if len(types) == 0 {
		return reader.NoType("its event types are not those of a button")
	}
	part := ""
	e.listeners = append(e.listeners, listener{topic, func(_ time.Time, m *message) {
		s, ok := r.render(m, t)
		if !ok || m.Retained || part == "" {
			return
		}
		v, err := template.JSON([]byte(s))
		fields, _ := v.(map[string]any)
		if err != nil || fields == nil {
			r.sink.Failed(m.Topic, "json")
			return
		}
		if g, ok := types[template.Text(fields["event_type"])]; ok {
			r.sink.Event(e.unit.id, part, g)
		}
	}})
	e.add = func(a *reader.Assembly) {
		p := e.part(a, reader.RankButton, "generic_switch")
		p.Options.Gestures = gesturesOf(slices.Collect(maps.Values(types)))
		part = p.ID
	}
	return nil
}

// gesturesOf returns the distinct gestures, in the order in which they are
// declared.
func gesturesOf(all []device.Gesture) (out []string) {
	for _, g := range []device.Gesture{device.Single, device.Double, device.Triple, device.Long} {
		if slices.Contains(all, g) {
			out = append(out, string(g))
		}
	}
	return out
}

// trigger is one gesture of a button, described by its own message.
type trigger struct {
	button  string
	gesture device.Gesture
	part    string // in the last description
}

// word matches a subtype that contains the gesture: 1_double, hold_left.
var word = reader.NewPattern(`^(?:(.+)_(single|double|triple|hold|long|press|click)|(single|double|triple|hold|long|press|click)_(.+))$`)

// automation reads a trigger: one gesture of one button. The triggers become
// buttons when the device is described.
func (r *Reader) automation(e *entity) error {
	c := e.config
	if c.text("automation_type", "") != "trigger" {
		return reader.NoType("it is not a trigger")
	}
	topic, err := c.topic("topic")
	if err != nil {
		return err
	}
	t, err := c.template("value_template")
	if err != nil {
		return err
	}
	g, ok := gestureOf(c.text("type", ""))
	button := strings.TrimPrefix(c.text("subtype", ""), "button_")
	if !ok { // the type has no gesture, but the subtype may
		if m := word.FindStringSubmatch(button); m != nil {
			g, ok = gestureOf(m[2] + m[3])
			button = strings.TrimPrefix(m[1]+m[4], "button_")
		} else if g, ok = gestureOf(button); ok {
			button = ""
		}
	}
	switch {
	case topic == "":
		return reader.Unreadable("topic: it is missing")
	case !ok:
		return reader.NoType("the trigger " + reader.Text(c.text("type", "")+" "+c.text("subtype", "")) + " is no gesture of a button that is known")
	case g == "":
		return reader.NoType("the release of a button is not shown")
	}
	e.trigger = &trigger{button: button, gesture: g}
	payload, any := c.text("payload", ""), !c.has("payload")
	e.listeners = append(e.listeners, listener{topic, func(_ time.Time, m *message) {
		s, ok := r.render(m, t)
		if ok && !m.Retained && (any || s == payload) && e.trigger.part != "" {
			r.sink.Event(e.unit.id, e.trigger.part, e.trigger.gesture)
		}
	}})
	return nil
}

// automations adds the buttons for a device's triggers.
func automations(u *unit, a *reader.Assembly) {
	buttons := map[string][]*trigger{}
	for _, e := range u.entities {
		if e.trigger != nil {
			e.trigger.part = ""
			buttons[e.trigger.button] = append(buttons[e.trigger.button], e.trigger)
		}
	}
	for i, name := range slices.Sorted(maps.Keys(buttons)) {
		if i >= reader.MaxButtons {
			a.Leave(reader.Other("a device is shown with 20 buttons at most"), "button "+name)
			continue
		}
		p := a.Add(reader.RankButton, "generic_switch", "button", name)
		var all []device.Gesture
		for _, t := range buttons[name] {
			t.part = p.ID
			all = append(all, t.gesture)
		}
		p.Options.Gestures = gesturesOf(all)
	}
}
