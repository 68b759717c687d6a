//go:build interop && homeassistant

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// TestHomeAssistantLibrary has Home Assistant's Matter server commission a node with every
// type and composition of the library at once. It reads all of it, switches a device and
// hears of what another one says.
func TestHomeAssistantLibrary(t *testing.T) {
	makeSDKDirectory(t)
	r := newRun(t)
	r.startAll()
	s := r.startSource()
	r.begin("Home Assistant, the library")
	endpoints := r.putAll(library())
	h := r.openHome("home", 5583)
	n := h.commission(r.pairing.Manual)
	r.step("each endpoint was read", func() error {
		var missing []string
		for id, e := range endpoints {
			if e != 0 && len(n.Attributes[at(e, "29/0")]) == 0 {
				missing = append(missing, fmt.Sprintf("%s (%d)", id, e))
			}
		}
		if missing != nil {
			return fmt.Errorf("of %d devices and parts, without a list of device types: %s", len(endpoints), strings.Join(missing, ", "))
		}
		return nil
	})
	for _, d := range []struct{ typ, path, says, want string }{
		{"temperature_sensor", "1026/0", `{"temperature_celsius":-12.5}`, "-1250"},
		{"water_leak_detector", "69/0", `{"detected":true}`, "true"},
		{"robotic_vacuum_cleaner", "97/4", `{"state":"paused","run_mode":"cleaning"}`, "2"},
		{"air_purifier", "113/0", `{"filter_percent":81}`, "81"},
	} {
		r.step(d.typ+": the source speaks", func() error {
			return s.api.do("PATCH", "/v1/devices/api:"+d.typ, `{"state":`+d.says+`}`, nil)
		})
		h.knows(d.typ, n.ID, at(endpoints["api:"+d.typ], d.path), d.want)
	}
	pump := endpoints["api:pump"]
	h.command("pump on", "device_command", args{"node_id": n.ID, "endpoint_id": pump, "cluster_id": onOff, "command_name": "On", "payload": args{}}, nil)
	h.knows("pump on", n.ID, at(pump, homeOnOff), "true")
	r.step("the source was asked", func() error { return s.awaitWish("api:pump", `"on":true`) })
	r.step("the source did all that was wanted", s.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}
