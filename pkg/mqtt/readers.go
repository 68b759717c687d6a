package mqtt

import (
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

// Reader reads the messages of one kind of announcement. Its methods are called by
// one goroutine.
type Reader interface {
	// Subscriptions returns what the reader subscribes to at the beginning.
	Subscriptions() []link.Subscription
	// Up is called for each new connection, and Settled when all retained messages
	// have arrived.
	Up()
	Settled(now time.Time)
	Message(now time.Time, m link.Message)
	// Command carries out a command for a device of this reader.
	Command(now time.Time, c device.Command) error
	Owns(id string) bool
	// Deadline returns when to call Advance; zero: never.
	Deadline() time.Time
	Advance(now time.Time)
}

// Readers returns the readers that the options select, each with a sink for its
// source. Devices that a program announces itself are read there, and not a second
// time from Home Assistant's discovery. The last reader is that of the operator's
// descriptions. known returns the bridge's description of a device.
func Readers(o Options, sink func(source string) reader.Sink, known func(id string) (device.Device, bool)) []Reader {
	var all []Reader
	for _, base := range o.Zigbee2MQTT {
		all = append(all, zigbee2mqtt.New(base, sink(zigbee2mqtt.Source)))
	}
	var tas *tasmota.Reader
	if o.Tasmota != "" {
		tas = tasmota.New(o.Tasmota, sink(tasmota.Source))
		all = append(all, tas)
	}
	if o.Discovery != "" {
		skip := func(origin string, identifiers, topics []string) bool {
			return ofZigbee2MQTT(o.Zigbee2MQTT, origin, identifiers, topics) || tas != nil && slices.ContainsFunc(identifiers, tas.Knows)
		}
		all = append(all, homeassistant.New(homeassistant.Options{Prefix: o.Discovery, Skip: skip, Known: known}, sink(homeassistant.Source)))
	}
	return append(all, homeassistant.New(homeassistant.Options{Source: homeassistant.OwnSource}, sink(homeassistant.OwnSource)))
}

// ofZigbee2MQTT reports whether an entity belongs to a zigbee2mqtt that has its own
// reader, or to that zigbee2mqtt's bridge.
func ofZigbee2MQTT(bases []string, origin string, identifiers, topics []string) bool {
	bridge := func(id string) bool { return strings.HasPrefix(id, "zigbee2mqtt_bridge_") }
	if slices.ContainsFunc(identifiers, bridge) {
		return true
	}
	if origin != "Zigbee2MQTT" && !slices.ContainsFunc(identifiers, func(id string) bool { return strings.HasPrefix(id, "zigbee2mqtt_") }) {
		return false
	}
	for _, base := range bases {
		for _, topic := range topics {
			if strings.HasPrefix(topic, base+"/") {
				return true
			}
		}
	}
	return false
}
