package mqtt

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/mqtt/tasmota"
	"github.com/opcredsd/opcredsd/pkg/mqtt/zigbee2mqtt"
)

// Explanation is the result of a dry run: what a bridge would show, and what it
// would not.
type Explanation struct {
	Devices []Explained `json:"devices"`
	// Ignored lists what belongs to no device that is shown.
	Ignored []device.Ignored `json:"ignored,omitempty"`
	// Failures are messages that could not be read, by topic and reason.
	Failures map[string]int `json:"failures,omitempty"`
	Messages int            `json:"messages"`
}

// Explained is a device that would be shown, with its state as far as the messages
// contain it, and with what is left out of it.
type Explained struct {
	device.Device
	Ignored []device.Ignored `json:"ignored,omitempty"`
}

// dry holds the readers of a dry run, with what they report.
type dry struct {
	readers []Reader
	records []*reader.Record
	known   map[string]bool // filters that were subscribed to
	now     time.Time
	count   int
}

func newDry(o Options, now time.Time) *dry {
	d := &dry{now: now, known: map[string]bool{}}
	d.readers = Readers(o, func(string) reader.Sink {
		r := reader.NewRecord()
		d.records = append(d.records, r)
		return r
	}, nil)
	for _, r := range d.readers {
		r.Up()
	}
	return d
}

func (d *dry) message(m link.Message) {
	d.count++
	defer d.forget()
	for _, r := range d.readers {
		r.Message(d.now, m)
	}
}

// forget drops events and publications, which nobody reads here.
func (d *dry) forget() {
	for _, r := range d.records {
		r.Log, r.Published = nil, nil
	}
}

func (d *dry) settled() {
	for _, r := range d.readers {
		r.Settled(d.now)
	}
}

// Explain returns what would become of the messages. The result depends only on
// them. Their order matters only among states of one topic.
func Explain(o Options, messages []link.Message) Explanation {
	d := newDry(o, time.Unix(0, 0))
	// Read descriptions first, in whatever order the file has them. Read states
	// after that, since some of their topics are only known then.
	for _, state := range []bool{false, true} {
		for _, m := range messages {
			if isState(o, m.Topic) == state {
				d.message(m)
			}
		}
		d.settled()
	}
	return d.explanation()
}

// isState reports whether no description is published on a topic.
func isState(o Options, topic string) bool {
	for _, base := range o.Zigbee2MQTT {
		if strings.HasPrefix(topic, base+"/bridge/") {
			return false
		}
	}
	return !(o.Tasmota != "" && strings.HasPrefix(topic, o.Tasmota+"/")) && !(o.Discovery != "" && strings.HasPrefix(topic, o.Discovery+"/") && strings.HasSuffix(topic, "/config"))
}

func (d *dry) explanation() Explanation {
	e := Explanation{Devices: []Explained{}, Failures: map[string]int{}, Messages: d.count}
	for _, r := range d.records {
		left := maps.Clone(r.Ignored)
		for _, id := range slices.Sorted(maps.Keys(r.Devices)) {
			e.Devices = append(e.Devices, Explained{Device: r.Devices[id], Ignored: left[id]})
			delete(left, id)
		}
		for _, key := range slices.Sorted(maps.Keys(left)) {
			e.Ignored = append(e.Ignored, left[key]...)
		}
		for what, n := range r.Failures {
			e.Failures[what] += n
		}
	}
	slices.SortStableFunc(e.Devices, func(a, b Explained) int { return cmp.Compare(a.ID, b.ID) })
	return e
}

// ExplainBroker reads from a broker until all retained messages have arrived, and
// then reads states for a while. It publishes nothing.
func ExplainBroker(ctx context.Context, o Options, states time.Duration) (Explanation, error) {
	if o.Log != nil {
		o.Link.Log = o.Log
	}
	l, err := link.New(o.Link)
	if err != nil {
		return Explanation{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	d := newDry(o, time.Now())
	for _, r := range d.readers {
		l.Subscribe(r.Subscriptions()...)
	}
	var end <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			if end == nil {
				return Explanation{}, errors.New("the MQTT broker was not reached, or did not answer in time")
			}
			return d.explanation(), nil
		case <-end:
			return d.explanation(), nil
		case <-l.Ready():
			for _, e := range l.Take() {
				switch {
				case e.Kind == link.Received:
					d.message(e.Message)
				case e.Kind == link.Settled && end == nil:
					d.settled()
					end = time.After(states)
				}
			}
			d.subscribe(l)
		}
	}
}

// subscribe subscribes to what the readers have added.
func (d *dry) subscribe(l *link.Link) {
	for _, r := range d.records {
		for filter, sub := range r.Filters {
			if !d.known[filter] {
				d.known[filter] = true
				l.Subscribe(sub)
			}
		}
	}
}

// Bounds of a file of captured messages.
const (
	maxCaptured     = 200_000  // messages
	maxCapturedLine = 32 << 20 // octets of a line
)

// ReadCaptured reads messages, one per line. A line is a JSON object with topic and
// payload, as mosquitto_sub -F %j writes it, or a topic, a space and the payload,
// as mosquitto_sub -v writes it. In the second form topics have no spaces.
func ReadCaptured(r io.Reader) ([]link.Message, error) {
	var out []link.Message
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCapturedLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if len(out) == maxCaptured {
			return nil, fmt.Errorf("line %d: more than %d messages", n, maxCaptured)
		}
		m, err := captured(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, m)
	}
	return out, lines.Err()
}

func captured(line []byte) (link.Message, error) {
	if line[0] != '{' {
		topic, payload, ok := bytes.Cut(line, []byte(" "))
		if !ok {
			return link.Message{}, errors.New("a line is a topic, a blank and a payload, or an object with topic and payload")
		}
		return link.Message{Topic: string(topic), Payload: bytes.Clone(payload)}, nil
	}
	var m struct {
		Topic   string          `json:"topic"`
		Payload json.RawMessage `json:"payload"`
		Retain  int             `json:"retain"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return link.Message{}, err
	}
	if m.Topic == "" {
		return link.Message{}, errors.New("topic: it is missing")
	}
	payload := []byte(m.Payload)
	var text string
	if json.Unmarshal(m.Payload, &text) == nil { // otherwise it is JSON that was not quoted
		payload = []byte(text)
	}
	return link.Message{Topic: m.Topic, Payload: payload, Retained: m.Retain != 0}, nil
}

// DefaultOptions are those of a dry run: every reader, at its default topic.
func DefaultOptions() Options {
	return Options{Zigbee2MQTT: []string{zigbee2mqtt.DefaultBase}, Discovery: homeassistant.DefaultPrefix, Tasmota: tasmota.DefaultTopic}
}
