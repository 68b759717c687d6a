package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	brokerPort  = 1883
	goalMessage = 200e3 // MQTT message to report, CPU
)

// rates are how often messages come. The rarer they are, the more each costs, even for the
// floor: caches are cold, and the processor has to be woken.
var rates = []struct {
	gap time.Duration
	n   int
}{{150 * time.Millisecond, 60}, {20 * time.Millisecond, 200}, {2 * time.Millisecond, 1000}}

// startBroker starts mosquitto in the daemon's namespace. It returns nil if there is none.
func (b *bench) startBroker() (*process, error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
		if _, err := os.Stat(path); err != nil {
			b.say("no mosquitto: no messages are measured")
			return nil, nil
		}
	}
	config := filepath.Join(b.dir, "mosquitto.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "listener %d\nallow_anonymous true\npersistence false\nlog_type error\n", brokerPort), 0o600); err != nil {
		return nil, err
	}
	return startIn(b.ns, exec.Command(path, "-c", config), new(output))
}

// publisher is a connection to the broker that speaks MQTT 3.1.1.
type publisher struct{ net.Conn }

func newPublisher(address string, id string) (p publisher, err error) {
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if p.Conn, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			break
		}
		if time.Now().After(end) {
			return p, err
		}
	}
	if err := p.packet(0x10, text("MQTT"), []byte{4, 2, 0, 0}, text(id)); err != nil {
		return p, err
	}
	_, err = p.Read(make([]byte, 4)) // CONNACK
	return p, err
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// packet sends a control packet.
func (p publisher) packet(kind byte, parts ...[]byte) error {
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	out := binary.AppendUvarint([]byte{kind}, uint64(size)) // as MQTT's lengths
	for _, b := range parts {
		out = append(out, b...)
	}
	_, err := p.Write(out)
	return err
}

// publish publishes v as JSON.
func (p publisher) publish(topic string, v any, retain bool) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	kind := byte(0x30)
	if retain {
		kind |= 1
	}
	return p.packet(kind, text(topic), payload)
}

func lampName(i int) string { return fmt.Sprintf("lamp %d", i) }

// lampState is what zigbee2mqtt publishes about a lamp.
func lampState(on bool) thing {
	state := "OFF"
	if on {
		state = "ON"
	}
	return thing{"brightness": 128, "color_mode": "color_temp", "color_temp": 370, "effect": nil, "linkquality": 120, "power_on_behavior": nil, "state": state,
		"update": thing{"installed_version": -1, "latest_version": -1, "state": nil}}
}

// announce publishes what zigbee2mqtt publishes at its start, with n lamps.
func (p publisher) announce(n int) error {
	numeric := func(name string, low, high int) thing {
		return thing{"type": "numeric", "name": name, "property": name, "access": 7, "value_min": low, "value_max": high}
	}
	var all []thing
	for i := range n {
		all = append(all, thing{
			"ieee_address": fmt.Sprintf("0xa4c138%010x", i), "type": "Router", "supported": true, "disabled": false, "friendly_name": lampName(i),
			"interview_completed": true, "interview_state": "SUCCESSFUL", "power_source": "Mains (single phase)", "manufacturer": "ACME", "model_id": "L1",
			"definition": thing{"model": "L1", "vendor": "ACME", "description": "Lamp", "exposes": []thing{{"type": "light", "features": []thing{
				{"type": "binary", "name": "state", "property": "state", "access": 7, "value_on": "ON", "value_off": "OFF", "value_toggle": "TOGGLE"},
				numeric("brightness", 0, 254), numeric("color_temp", 150, 500),
			}}}},
		})
	}
	for _, m := range []struct {
		topic string
		v     any
	}{{"state", thing{"state": "online"}}, {"info", thing{"version": "2.14.1", "config": thing{"availability": thing{"enabled": false}}}}, {"groups", []thing{}}, {"devices", all}} {
		if err := p.publish("zigbee2mqtt/bridge/"+m.topic, m.v, true); err != nil {
			return err
		}
	}
	return nil
}

// states publishes the state of all lamps.
func (p publisher) states(on bool) error {
	for i := range lamps {
		if err := p.publish("zigbee2mqtt/"+lampName(i), lampState(on), false); err != nil {
			return err
		}
	}
	return nil
}

// lamps is the number of lamps at the broker.
const lamps = 150

// lampHouse makes a daemon with the lamps of a broker, at rest.
func (b *bench) lampHouse(p publisher, broker string) (*house, error) {
	d, l, err := b.numbered(0, "mqtt", 16)
	if err != nil {
		return nil, err
	}
	d.arguments = []string{"--mqtt-url", "mqtt://" + broker}
	h := &house{daemon: d, load: l}
	if err := h.begin(b); err != nil {
		return h, err
	}
	if err := p.announce(lamps); err != nil {
		return h, err
	}
	if h.devices, err = h.views(lamps, func() error { return p.states(true) }); err != nil {
		return h, err
	}
	h.source.client.CloseIdleConnections()
	time.Sleep(listTime)
	return h, h.subscribe()
}

// mqtt measures messages of a broker until their reports have come.
func (b *bench) mqtt() error {
	broker, err := b.startBroker()
	if err != nil || broker == nil {
		return err
	}
	defer broker.signal(os.Kill)
	address := netip.AddrPortFrom(deviceAddr, brokerPort).String()
	p, err := newPublisher(address, "bench")
	if err != nil {
		return err
	}
	defer p.Close()
	h, err := b.lampHouse(p, address)
	if h != nil {
		defer h.close()
	}
	if err != nil {
		return err
	}
	r, err := b.newRelay(address)
	if err != nil {
		return err
	}
	defer r.close()
	n, on := 0, false // all lamps are on
	message := func() error {
		i := n % lamps
		n++
		if err := p.publish("zigbee2mqtt/"+lampName(i), lampState(on), false); err != nil {
			return err
		}
		if n%lamps == 0 {
			on = !on
		}
		ctx, cancel := context.WithTimeout(h.ctx(), 5*time.Second)
		defer cancel()
		_, err := h.sub.Next(ctx)
		return err
	}
	for _, m := range rates {
		spaced := func(f func() error) func() error {
			return repeat(m.n, func() error {
				err := f()
				time.Sleep(time.Duration((0.5 + rand.Float64()) * float64(m.gap)))
				return err
			})
		}
		floor, err := r.load.each(m.n, spaced(func() error { return r.one(p) }))
		if err != nil {
			return err
		}
		s, err := h.each(m.n, spaced(message))
		if err != nil {
			return err
		}
		b.add(figure{name: fmt.Sprintf("MQTT message to report, one in %v", m.gap), unit: cpu, spread: s, floor: floor.median(), goal: goalMessage})
	}
	return nil
}
