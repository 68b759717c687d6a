package homeassistant

import (
	"errors"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// entity is the entity of one discovery message.
type entity struct {
	key       string // of the message: the component and the ids in its topic
	id        string // of the entity: the component and its unique_id
	component string
	said      config // the last configuration, with long names
	config    config
	unit      *unit // the device of the entity

	listeners []listener
	bindings  []*binding
	presence  presence
	expiry

	retained bool // the last message was retained
	leaving  bool // it was cleared, and may come back

	trigger *trigger // of a device_automation

	// add adds the entity's parts to its device. It is called for each description.
	// It is nil if the entity adds no parts.
	add func(a *reader.Assembly)
	// handle carries out a command for one of the parts; nil: there are no
	// commands.
	handle func(c device.Command, out *output) error
}

// expiry is the state of expire_after.
type expiry struct {
	expires  time.Duration // after the last state; 0: never
	heard    time.Time     // time of the last state
	expiring bool          // a timer runs
}

// listener is the handler for the messages of a topic.
type listener struct {
	topic string
	f     func(now time.Time, m *message)
}

// message is a message that several entities read.
type message struct {
	link.Message
	vars map[string]any
}

// render evaluates a template. Without a template the result is the message. It
// returns false if the template ignores the message.
func (r *Reader) render(m *message, t *template.Template) (string, bool) {
	if t == nil {
		return string(m.Payload), true
	}
	if m.vars == nil {
		m.vars = map[string]any{"value": string(m.Payload)}
		if v, err := template.JSON(m.Payload); err == nil {
			m.vars["value_json"] = v
		}
	}
	s, err := t.Render(m.vars)
	if err != nil {
		if !errors.Is(err, template.ErrUndefined) {
			r.sink.Failed(m.Topic, "template")
		}
		return "", false
	}
	return s, true
}

// binding is a state topic that is read for a part.
type binding struct {
	entity *entity
	part   string // in the last description; empty: for no part
	read   func(s string, out device.Values)
	last   string
	seen   bool
}

// state adds a state topic with its template. read is called with the result, and
// again when the device is described again.
func (r *Reader) state(e *entity, topicKey, templateKey string, read func(s string, out device.Values)) (*binding, error) {
	topic, err := e.config.topic(topicKey)
	if err != nil {
		return nil, err
	}
	b := &binding{entity: e, read: read}
	if topic == "" {
		return b, nil
	}
	t, err := e.config.template(templateKey)
	if err != nil {
		return nil, err
	}
	e.bindings = append(e.bindings, b)
	e.listeners = append(e.listeners, listener{topic, func(now time.Time, m *message) {
		s, ok := r.render(m, t)
		if !ok || s == "" {
			return
		}
		b.last, b.seen = s, true
		r.heard(now, e)
		r.report(now, b)
	}})
	return b, nil
}

// output collects what a command publishes, and the values that are assumed without
// an answer.
type output struct {
	messages []link.Publish
	assumed  device.Values // reported at once, since the entity has no state topic
	errs     []error
}

func (o *output) fail(err error) {
	if err != nil {
		o.errs = append(o.errs, err)
	}
}

// command is a command topic of an entity with the template for the payload.
type command struct {
	topic    string
	template *template.Template
	qos      byte
	retain   bool
}

// command reads a command topic and its template. It returns nil if the key is
// absent.
func (c config) command(topicKey, templateKey string) (*command, error) {
	topic, err := c.target(topicKey)
	if err != nil || topic == "" {
		return nil, err
	}
	t, err := c.template(templateKey)
	if err != nil {
		return nil, err
	}
	return &command{topic: topic, template: t, qos: byte(reader.Clamp(c.number("qos", 0), 0, 2)), retain: c.truth("retain", false)}, nil
}

// send adds a message. vars are for the template. Without a template the message is
// payload.
func (c *command) send(o *output, payload string, vars map[string]any) {
	if c.template != nil {
		var err error
		if payload, err = c.template.Render(vars); err != nil {
			o.fail(fmt.Errorf("%s: %w", c.topic, err))
			return
		}
	}
	o.messages = append(o.messages, link.Publish{Topic: c.topic, Payload: []byte(payload), QoS: c.qos, Retain: c.retain})
}

// value sends a value: unchanged, or as the variable value of the template.
func (c *command) value(o *output, v any) {
	c.send(o, template.Text(v), map[string]any{"value": v})
}

// Errors of commands.
var errUnsupported = errors.New("the device cannot do that")

// presence is whether an entity is available, according to its topics.
type presence struct {
	mode   string // all, any or latest
	topics []presenceTopic
	last   bool // of the topic that changed last
}

type presenceTopic struct {
	said      bool // it has received a message
	available bool
}

// available reports whether the entity is available. Without topics it always is.
func (p *presence) available() bool {
	if len(p.topics) == 0 {
		return true
	}
	all, some := true, false
	for _, t := range p.topics {
		all = all && t.said && t.available
		some = some || t.said && t.available
	}
	switch p.mode {
	case "all":
		return all
	case "any":
		return some
	}
	return p.last
}

// presence reads the availability of an entity.
func (r *Reader) presence(e *entity) error {
	c := e.config
	e.presence.mode = c.text("availability_mode", "latest")
	list, _ := c["availability"].([]any)
	if topic := c.text("availability_topic", ""); topic != "" {
		list = []any{map[string]any{
			"topic": topic, "value_template": c["availability_template"],
			"payload_available": c["payload_available"], "payload_not_available": c["payload_not_available"],
		}}
	}
	const most = 16
	for i, x := range list {
		m, ok := x.(map[string]any)
		if !ok || i >= most {
			return reader.Unreadable("availability: its form is not known")
		}
		if err := r.presenceTopic(e, config(m)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) presenceTopic(e *entity, c config) error {
	topic, err := c.topic("topic")
	if err != nil {
		return err
	}
	t, err := c.template("value_template")
	if err != nil {
		return err
	}
	if topic == "" {
		return reader.Unreadable("availability: a topic is missing")
	}
	i := len(e.presence.topics)
	e.presence.topics = append(e.presence.topics, presenceTopic{})
	yes, no := c.text("payload_available", "online"), c.text("payload_not_available", "offline")
	e.listeners = append(e.listeners, listener{topic, func(now time.Time, m *message) {
		s, ok := r.render(m, t)
		if !ok || s != yes && s != no {
			return
		}
		e.presence.topics[i] = presenceTopic{said: true, available: s == yes}
		e.presence.last = s == yes
		r.judge(now, e.unit)
	}})
	return nil
}
