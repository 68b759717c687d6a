package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkMQTT checks that the broker takes the daemon, and that something announces
// devices there.
func checkMQTT(f *Facts) (out []Finding) {
	m := f.MQTT
	switch {
	case m == nil:
		return ok("no broker is configured")
	case m.Refused:
		return []Finding{{
			Result: Fault, Text: fmt.Sprintf("%s refuses the daemon: %s", m.URL, m.Err),
			Remedy: "check mqtt_username, mqtt_password_file and the broker's access control",
		}}
	case m.Err != "":
		remedy := "start the broker, or correct mqtt_url"
		if strings.Contains(m.Err, "certificate") || strings.Contains(m.Err, "tls:") {
			remedy = "check mqtt_ca_file, the name in mqtt_url, and the clock"
		}
		return []Finding{{Result: Fault, Text: fmt.Sprintf("%s is not reachable: %s", m.URL, m.Err), Remedy: remedy}}
	}
	found := m.Announced > 0
	for _, base := range slices.Sorted(maps.Keys(m.Zigbee2MQTT)) {
		switch state := m.Zigbee2MQTT[base]; state {
		case "":
			continue
		case "online":
		default:
			out = append(out, Finding{Result: Note, Text: fmt.Sprintf("the zigbee2mqtt at %s is %s", base, state), Remedy: "start it; its devices are unreachable until then"})
		}
		found = true
	}
	if !found {
		return []Finding{{
			Result: Note, Text: "nothing announces devices at " + m.URL,
			Remedy: "start zigbee2mqtt, turn on discovery in the other publishers, or set their topics: mqtt_zigbee2mqtt, mqtt_discovery_prefix, mqtt_tasmota",
		}}
	}
	if out != nil {
		return out
	}
	return ok("connected to %s, %s", m.URL, m.publishers())
}

// publishers describes what announces devices.
func (m *MQTT) publishers() string {
	var list []string
	for _, base := range slices.Sorted(maps.Keys(m.Zigbee2MQTT)) {
		if m.Zigbee2MQTT[base] != "" {
			list = append(list, "zigbee2mqtt is online at "+base)
		}
	}
	if m.Announced > 0 {
		list = append(list, fmt.Sprintf("%d discovery messages", m.Announced))
	}
	return strings.Join(list, ", ")
}
