package mqtt

import (
	"context"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
)

// Probed is what a look at a broker has found.
type Probed struct {
	Status      link.Status       // not connected: nothing else is known
	Zigbee2MQTT map[string]string // bridge/state by base topic: online, offline, or empty for none
	Discovery   int               // discovery messages of Home Assistant
	Tasmota     int               // devices that Tasmota announces
}

// Probe looks whether a broker takes the client, and what announces devices there. It
// publishes nothing, and returns when all that is retained has come, when the client is
// refused, or when ctx ends.
func Probe(ctx context.Context, o Options) (Probed, error) {
	if o.Log != nil {
		o.Link.Log = o.Log
	}
	p := Probed{Zigbee2MQTT: map[string]string{}}
	l, err := link.New(o.Link)
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	for _, base := range o.Zigbee2MQTT {
		p.Zigbee2MQTT[base] = ""
		l.Subscribe(link.Subscription{Filter: base + "/bridge/state", Keep: true})
	}
	if o.Discovery != "" {
		l.Subscribe(link.Subscription{Filter: o.Discovery + "/+/+/config"}, link.Subscription{Filter: o.Discovery + "/+/+/+/config"})
	}
	if o.Tasmota != "" {
		l.Subscribe(link.Subscription{Filter: o.Tasmota + "/+/config"})
	}
	look := time.NewTicker(50 * time.Millisecond) // nothing wakes for a failure
	defer look.Stop()
	for {
		p.Status = l.Status()
		if p.Status.Refused {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, nil
		case <-look.C:
		case <-l.Ready():
			for _, e := range l.Take() {
				switch e.Kind {
				case link.Received:
					p.take(o, e.Message)
				case link.Settled:
					p.Status = l.Status()
					return p, nil
				}
			}
		}
	}
}

func (p *Probed) take(o Options, m link.Message) {
	base, isState := strings.CutSuffix(m.Topic, "/bridge/state")
	_, known := p.Zigbee2MQTT[base]
	switch {
	case len(m.Payload) == 0:
	case isState && known:
		p.Zigbee2MQTT[base] = "offline"
		if strings.Contains(string(m.Payload), "online") {
			p.Zigbee2MQTT[base] = "online"
		}
	case o.Tasmota != "" && strings.HasPrefix(m.Topic, o.Tasmota+"/"):
		p.Tasmota++
	case o.Discovery != "" && strings.HasPrefix(m.Topic, o.Discovery+"/"):
		p.Discovery++
	}
}
