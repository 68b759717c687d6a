package mqtt

import (
	"context"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// TestProbe checks the results of a probe: publishers, missing permission, no
// broker.
func TestProbe(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	network(c, plug)
	c.Publish("attic/bridge/state", `{"state":"offline"}`, true)
	c.Publish("homeassistant/switch/a/config", "{}", true)
	c.Publish("homeassistant/switch/n/a/config", "{}", true)
	c.Publish("tasmota/discovery/AABBCC000001/config", "{}", true)
	c.Publish("tasmota/discovery/AABBCC000001/sensors", "{}", true)
	o := DefaultOptions()
	o.Link = link.Options{URL: b.URL(), ClientID: "probe"}
	o.Zigbee2MQTT = []string{"zigbee2mqtt", "attic", "cellar"}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := Probe(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if z := p.Zigbee2MQTT; !p.Status.Connected || z["zigbee2mqtt"] != "online" || z["attic"] != "offline" || z["cellar"] != "" || p.Discovery != 2 || p.Tasmota != 1 {
		t.Errorf("%+v", p)
	}
	b.Stop()
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if p, err := Probe(short, o); err != nil || p.Status.Connected || p.Status.Refused || p.Status.Error == "" || p.Status.Since.IsZero() {
		t.Errorf("without a broker: %+v, %v", p, err)
	}

	closed := brokertest.New(t, "allow_anonymous false\n")
	closed.Start()
	o.Link.URL = closed.URL()
	if p, err := Probe(ctx, o); err != nil || p.Status.Connected || !p.Status.Refused || p.Status.Error == "" {
		t.Errorf("without permission: %+v, %v", p, err)
	}
}
