// Package reader contains what the readers of MQTT messages share: the sink that
// they report to, and the conversion of values to those of a device's properties.
//
// A reader is a state machine without a clock, a connection or goroutines. It takes
// messages and commands, and returns descriptions, states and messages.
package reader

import (
	"strings"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// Sink receives what a reader finds out.
type Sink interface {
	// Describe adds a device or replaces its description.
	Describe(d device.Device)
	// Listed lists all devices of a scope, shown or not. Any other device of the
	// scope is gone. A scope is what one list of a source covers, such as a base
	// topic.
	Listed(scope string, ids []string)
	// Remove reports that a device is gone.
	Remove(id string)
	// Report reports new values of a part.
	Report(id, part string, v device.Values)
	// Battery reports the state of a device's battery.
	Battery(id string, b device.Battery)
	// Reachable reports whether a device is reachable.
	Reachable(id string, reachable bool)
	// Away reports that a device is not reachable because its gateway is not, which
	// perhaps only restarts.
	Away(id string)
	// Event reports a gesture at a button.
	Event(id, part string, g device.Gesture)
	// Ignore replaces the list of what is not shown. The key names a device or a
	// message.
	Ignore(key string, list []device.Ignored)
	// Failed counts a message that could not be read. The reason is one of a fixed
	// set.
	Failed(topic, reason string)

	// Publish sends a message.
	Publish(p link.Publish)
	// Subscribe and Unsubscribe add and remove subscriptions.
	Subscribe(list ...link.Subscription)
	Unsubscribe(filters ...string)
}

// Bounds of what readers accept.
const (
	MaxDevices = 1000 // of one source
	MaxParts   = 32   // of a device
	MaxText    = 256  // octets of a name
	MaxExposes = 1000 // features of a device, including those that are not shown
	MaxButtons = 20   // of a device
)

// MaxList is the maximum size of a message that lists all devices of a network.
const MaxList = 16 << 20

// ID returns the id of a device: the source and the key. Characters that an id may
// not have are replaced.
func ID(source, key string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r) {
			return r
		}
		return '_'
	}, key)
	const most = 128
	if id := source + ":" + clean; len(id) <= most {
		return id
	}
	return (source + ":" + clean)[:most]
}

// Text shortens a text to the length of a name, without splitting a character, and
// removes characters that are not printable.
func Text(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s))
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// PublishableTopic reports whether it is allowed to publish to a topic that came in
// a message (MQTT 5.0, 4.7).
func PublishableTopic(topic string) bool {
	return topic != "" && len(topic) <= 1024 && !strings.ContainsAny(topic, "+#\x00") && !strings.HasPrefix(topic, "$") && utf8.ValidString(topic)
}

// Filterable reports whether it is allowed to subscribe to a topic that came in a
// message.
func Filterable(topic string) bool {
	if topic == "" || len(topic) > 1024 || strings.ContainsRune(topic, 0) || strings.HasPrefix(topic, "$") || !utf8.ValidString(topic) {
		return false
	}
	levels := strings.Split(topic, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && (len(l) > 1 || l == "#" && i != len(levels)-1) {
			return false
		}
	}
	return levels[0] != "#" // a filter for all topics is too much
}
