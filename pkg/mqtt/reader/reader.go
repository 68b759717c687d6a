// Package reader is what the readers of MQTT messages have in common: whom they report
// to, and how values of other networks become those of a device's properties.
//
// A reader is a state machine without a clock, a connection or goroutines: messages
// and commands in, descriptions, states and messages out.
package reader

import (
	"strings"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// Sink takes what a reader finds out.
type Sink interface {
	// Describe says what a device is, for the first time or anew.
	Describe(d device.Device)
	// Listed says which devices of a scope there are, shown or not: others of it are
	// gone. A scope is what one list of a source tells of, such as a base topic.
	Listed(scope string, ids []string)
	// Remove says that a device is gone.
	Remove(id string)
	// Report takes new values of a part.
	Report(id, part string, v device.Values)
	// Battery takes what is known of a device's battery.
	Battery(id string, b device.Battery)
	// Reachable says whether a device can be reached.
	Reachable(id string, reachable bool)
	// Event takes what somebody did to a button.
	Event(id, part string, g device.Gesture)
	// Ignore replaces what is not shown of what key stands for, a device or a message.
	Ignore(key string, list []device.Ignored)
	// Failed counts a message that could not be read, for a reason out of a fixed set.
	Failed(topic, reason string)

	// Publish sends a message.
	Publish(p link.Publish)
	// Subscribe and Unsubscribe change what is received.
	Subscribe(list ...link.Subscription)
	Unsubscribe(filters ...string)
}

// Bounds of what readers take over.
const (
	MaxDevices = 1000 // of one source
	MaxParts   = 32   // of a device
	MaxText    = 256  // octets of a name
	MaxExposes = 1000 // features of a device, those that are not shown included
	MaxButtons = 20   // of a device
)

// MaxList is how large a message may be that tells of all devices of a network.
const MaxList = 16 << 20

// ID makes the id of a device: the source, and the key with what ids may not have
// replaced.
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

// Text cuts a text to what a name may have, at the end of a character, and leaves out
// what cannot be shown.
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

// PublishableTopic reports whether something can be published to a topic that a message
// names (MQTT 5.0, 4.7).
func PublishableTopic(topic string) bool {
	return topic != "" && len(topic) <= 1024 && !strings.ContainsAny(topic, "+#\x00") && !strings.HasPrefix(topic, "$") && utf8.ValidString(topic)
}

// Filterable reports whether a topic that a message names can be subscribed to.
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
	return levels[0] != "#" // everything there is, is too much
}
