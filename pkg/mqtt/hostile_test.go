package mqtt

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// The size of the attack, and the allowed memory for it.
const (
	hostileEntities = 10_000
	hostileStates   = 5_000
	hostileMemory   = 128 << 20
)

// hostileConfigs returns discovery messages that are invalid or excessive.
func hostileConfigs() map[string]string {
	deep := strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000)
	sensor := func(template string) string {
		return fmt.Sprintf(`{"unique_id":"x","device_class":"temperature","unit_of_measurement":"°C","state_topic":"esp/state","value_template":%q}`, template)
	}
	return map[string]string{
		"sensor/deep":      `{"unique_id":"deep","state_topic":"a","device":` + deep + `}`,
		"sensor/open":      `{"unique_id":`,
		"sensor/list":      `[1,2,3]`,
		"sensor/control":   `{"unique_id":"c\u0000\u0007\u001b","name":"\u001b[31mred\u0000\ufffe","device_class":"temperature","unit_of_measurement":"°C","state_topic":"esp/state","device":{"identifiers":["i\u0001"],"name":"\u0002\u202e"}}`,
		"sensor/topic":     `{"unique_id":"t","device_class":"temperature","state_topic":"#"}`,
		"sensor/sys":       `{"unique_id":"t","device_class":"temperature","state_topic":"$SYS/#"}`,
		"switch/wild":      `{"unique_id":"w","command_topic":"+/set"}`,
		"sensor/tilde":     `{"~":"` + strings.Repeat("~", 5000) + `","unique_id":"t2","device_class":"temperature","state_topic":"~/x"}`,
		"sensor/loop":      sensor(`{% for i in range(1000000000) %}{{ i }}{% endfor %}`),
		"sensor/power":     sensor(`{{ 9 ** 9 ** 9 ** 9 }}`),
		"sensor/repeat":    sensor(`{{ "x" * 1000000000 }}`),
		"sensor/nested":    sensor(strings.Repeat("{{ (", 1) + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + " }}"),
		"sensor/concat":    sensor(`{% set a = "xxxxxxxxxxxxxxxx" %}` + strings.Repeat(`{% set a = a ~ a %}`, 60) + `{{ a }}`),
		"sensor/endless":   sensor(`{{ value`),
		"light/modes":      `{"unique_id":"l","schema":"json","command_topic":"l/set","supported_color_modes":[` + strings.Repeat(`"xy",`, 20_000) + `"hs"]}`,
		"sensor/available": `{"unique_id":"a","device_class":"temperature","state_topic":"esp/state","availability":[` + strings.Repeat(`{"topic":"a"},`, 5000) + `{"topic":"b"}]}`,
		"device/many":      `{"device":{"identifiers":"many"},"origin":{"name":"x"},"components":{` + strings.TrimSuffix(manyComponents(2000), ",") + `}}`,
	}
}

func manyComponents(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"c%d":{"platform":"sensor","unique_id":"m%d","device_class":"humidity","unit_of_measurement":"%%","state_topic":"many/%d"},`, i, i, i)
	}
	return b.String()
}

// TestHostileDiscovery sends a very large number of entities, messages of a
// megabyte, expensive templates, names with control characters and a flood of
// states. Their memory must be bounded, they must be counted, and other devices
// must still send states and receive commands.
func TestHostileDiscovery(t *testing.T) {
	b := brokertest.New(t, "max_queued_messages 200000\nmax_inflight_messages 0\n")
	b.Start()
	c := b.Client()
	network(c, plug)
	esp := `{"unique_id":"esp","name":"Esp","command_topic":"esp/set","state_topic":"esp/power"}`
	c.Publish("homeassistant/switch/esp/config", esp, true)
	r := newRegistry()
	f := start(t, b, r, func(o *Options) { o.Discovery, o.Tasmota = "homeassistant", "tasmota/discovery" })
	r.await(t, "reachable z2m:0x1 true")
	c.Publish("esp/power", "ON", true)
	r.await(t, "report ha:switch_esp/switch_esp on=true")
	c.Publish("zigbee2mqtt/plug", `{"power":13}`, true)
	r.await(t, "report z2m:0x1/switch power_watts=13")

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	big := strings.Repeat("x", 1<<20)
	for topic, config := range hostileConfigs() {
		c.PublishFast("homeassistant/"+topic+"/config", config)
	}
	for i := range hostileEntities {
		c.PublishFast(fmt.Sprintf("homeassistant/sensor/f%d/config", i), fmt.Sprintf(`{"unique_id":"f%d","device_class":"temperature","unit_of_measurement":"°C","state_topic":"flood/%d","value_template":"{{ value_json.t }}"}`, i, i))
		switch {
		case i%250 == 0:
			c.PublishFast("homeassistant/sensor/big/config", `{"unique_id":"`+big+`"}`)
		case i%25 == 0:
			c.PublishFast(fmt.Sprintf("tasmota/discovery/%012X/config", i), `{"mac":"none"}`)
		}
	}
	for i := range hostileStates {
		c.PublishFast(fmt.Sprintf("flood/%d", i%3000), `{"t":21}`)
		c.PublishFast("esp/power", []string{"ON", "OFF"}[i%2])
	}
	c.Publish("zigbee2mqtt/plug", `{"state":"ON","power":14}`, false)
	r.await(t, "report z2m:0x1/switch on=true power_watts=14")
	c.Subscribe("esp/set")
	r.handlers["ha"](command("ha:switch_esp", "switch_esp", true))
	if got := c.Next("esp/set"); got != "ON" {
		t.Errorf("published %s", got)
	}
	stats, counts := f.Stats()
	if stats.Errors[link.ReasonTooLarge] < 30 || counts["json"] < 2 {
		t.Errorf("too large %d, %v", stats.Errors[link.ReasonTooLarge], counts)
	}
	c.Publish("homeassistant/switch/esp/config", esp, true) // known entities are not affected
	settle(t, f)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > hostileMemory {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.devices); n > homeassistant.MaxEntities+10 || r.devices["ha:switch_esp"].ID == "" {
		t.Errorf("%d devices", n)
	}
	for _, list := range r.ignored {
		for _, i := range list {
			if strings.ContainsAny(i.What+i.Reason, "\x00\x07\x1b\n") {
				t.Errorf("control characters in %+v", i)
			}
		}
	}
}

// settle waits until a front has handled all messages so far.
func settle(t *testing.T, f *Front) {
	t.Helper()
	for last, end := uint64(0), time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		s, _ := f.Stats()
		if s.Received == last {
			return
		}
		last = s.Received
	}
	t.Error("messages come without end")
}

func command(id, part string, on bool) device.Command {
	return device.Command{Device: id, Part: part, Set: device.Values{"on": device.Bool(on)}}
}
