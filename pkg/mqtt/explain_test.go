package mqtt

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// TestExplain checks the result for a file of messages in any order: what would be
// shown, with its state, and what would not.
func TestExplain(t *testing.T) {
	lines := []string{
		`zigbee2mqtt/plug {"state":"ON","power":12}`,
		`{"tst":"2026-11-30T18:00:00Z","topic":"zigbee2mqtt/garden/climate","qos":0,"retain":0,"payloadlen":40,"payload":"{\"temperature\":20.5,\"battery\":50}"}`,
		`{"topic":"zigbee2mqtt/bridge/devices","retain":1,"payload":[` + plug + `,` + valve + `,{"type":"Router","ieee_address":"0x3","friendly_name":"odd","definition":null}]}`,
		`zigbee2mqtt/bridge/groups []`,
		``,
		`zigbee2mqtt/bridge/state {"state":"online"}`,
		`esp/state ON`,
		`homeassistant/switch/esp/config {"unique_id":"esp","name":"Esp","command_topic":"esp/set","state_topic":"esp/state"}`,
		`homeassistant/select/esp/config {"unique_id":"esp2","name":"Mode","command_topic":"esp/set"}`,
		`homeassistant/sensor/bad/config {`,
	}
	for range len(lines) {
		messages, err := ReadCaptured(strings.NewReader(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		e := Explain(DefaultOptions(), messages)
		var got []string
		for _, d := range e.Devices {
			s := d.ID
			for _, p := range d.Parts {
				s += " " + p.Type
				for _, name := range []string{"on", "power_watts", "temperature_celsius"} {
					if v, ok := p.State[name]; ok {
						s += " " + name + "=" + v.String()
					}
				}
			}
			got = append(got, s)
		}
		want := []string{"ha:switch_esp on_off_plug on=true", "z2m:0x1 on_off_plug on=true power_watts=12", "z2m:0x2 temperature_sensor temperature_celsius=20.5"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		ignored := func(list []device.Ignored, id string) bool {
			return slices.ContainsFunc(list, func(i device.Ignored) bool { return i.ID == id && i.Reason != "" })
		}
		if !ignored(e.Ignored, "z2m:0x3") || !ignored(e.Ignored, "ha:select_esp") || !ignored(e.Devices[2].Ignored, "z2m:0x2") {
			t.Errorf("%+v", e)
		}
		if e.Failures["homeassistant/sensor/bad/config: json"] != 1 || e.Messages != 9 {
			t.Errorf("%v of %d", e.Failures, e.Messages)
		}
		lines = append(lines[1:], lines[0])
	}
}

// TestExplainSample explains the discovery messages of a real zigbee2mqtt, without
// its own topics.
func TestExplainSample(t *testing.T) {
	f, err := os.Open("homeassistant/testdata/zigbee2mqtt.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	messages, err := ReadCaptured(f)
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	if e := Explain(o, messages); len(e.Devices) != 0 { // they are in bridge/devices
		t.Errorf("%d devices", len(e.Devices))
	}
	o.Zigbee2MQTT = nil
	e := Explain(o, messages)
	if len(e.Devices) != 15 || len(e.Failures) != 0 {
		t.Errorf("%d devices, %v", len(e.Devices), e.Failures)
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}

// TestExplainBroker explains the messages of a broker, and checks that nothing is
// published.
func TestExplainBroker(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	network(c, plug, valve)
	c.Publish("homeassistant/switch/esp/config", `{"unique_id":"esp","name":"Esp","command_topic":"esp/set","state_topic":"esp/state"}`, true)
	c.Publish("esp/state", "ON", true)
	c.Subscribe("#")
	o := DefaultOptions()
	o.Link = link.Options{URL: b.URL(), ClientID: "explain"}
	e, err := ExplainBroker(context.Background(), o, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Devices) != 3 || e.Devices[0].Parts[0].State["on"] != device.Bool(true) {
		t.Errorf("%+v", e)
	}
	c.Publish("end", "", false)
	for m := range c.Messages {
		if m.Topic == "end" {
			break
		}
		if !m.Retain {
			t.Errorf("published %s", m.Topic)
		}
	}
	b.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := ExplainBroker(ctx, o, 0); err == nil {
		t.Error("no error without a broker")
	}
}

func TestReadCaptured(t *testing.T) {
	for in, want := range map[string]string{
		"topic":                    "line 1: a line is a topic",
		"a b\n{\"payload\":\"x\"}": "line 2: topic: it is missing",
		"{\"topic\":":              "line 1: unexpected end",
	} {
		if _, err := ReadCaptured(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
