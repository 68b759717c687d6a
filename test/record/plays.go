package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netns"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// play is what happens to one gateway.
type play struct {
	name   string
	args   []string // of the daemon; $D is the gateway's directory
	before func(*gateway) error
	play   func(context.Context, *gateway) error
}

// change is the minute in which the trouble of a gateway begins.
const change = 15

const broker = "--mqtt-url=unix://$D/mqtt.sock"

// plays are the gateways. test/packaging/recorded_test.go lists the alerts that fire for
// each.
var plays = []play{
	{name: "well", args: []string{broker}, before: (*gateway).startBroker, play: well},
	{name: "hub-off", play: hubOff},
	{name: "cut-off", play: cutOff},
	{name: "unsubscribed", play: unsubscribed},
	{name: "restarting", play: restarting},
	{name: "upgraded", play: upgraded},
	{name: "removed", play: removed},
	{name: "crowded", args: []string{"--max-fabrics=5"}, play: crowded},
	{name: "source-gone", play: sourceGone},
	{name: "reverted", play: reverted},
	{name: "broker-gone", args: []string{broker}, before: (*gateway).startBroker, play: brokerGone},
	{name: "ignored", args: []string{broker}, before: (*gateway).startBroker, play: ignored},
	{name: "flooded", args: []string{broker}, before: (*gateway).startBroker, play: flooded},
	{name: "open", args: []string{"--commissioning-timeout=48h"}, before: oldBackup, play: func(context.Context, *gateway) error { return nil }},
	{name: "guessed", args: []string{"--commissioning-timeout=48h"}, play: guessed},
	{name: "given-up", args: []string{"--commissioning-timeout=48h"}, play: givenUp},
	{name: "stranger", play: stranger},
	{name: "misconfigured", args: []string{"--config=$D/config.yaml"}, before: goodConfig, play: misconfigured},
	{name: "expiring", play: expiring},
	{name: "unplugged", play: unplugged},
}

// hub is a controller with a session.
type hub struct {
	*commissioner.Commissioned
	client *commissioner.Client
	home   *commissioner.Authority
	sub    *commissioner.Subscription
}

// hubs commissions the gateway into n homes, each with a controller that subscribes.
func (g *gateway) hubs(ctx context.Context, n int) (list []*hub, err error) {
	for i := range n {
		if i > 0 {
			if err := g.cli("window", "open"); err != nil {
				return nil, err
			}
		}
		h, err := g.join(ctx, commissioner.AuthorityOptions{})
		if err != nil {
			return nil, err
		}
		if err := h.subscribe(ctx); err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}

func (g *gateway) join(ctx context.Context, opt commissioner.AuthorityOptions) (h *hub, err error) {
	h = &hub{}
	if h.client, err = newClient(); err != nil {
		return nil, err
	}
	if h.home, err = commissioner.NewAuthority(opt); err != nil {
		return nil, err
	}
	h.Commissioned, err = h.client.Commission(ctx, g.addr, passcode, h.home)
	return h, err
}

// subscribe subscribes to everything; the node reports once a minute at least.
func (h *hub) subscribe(ctx context.Context) (err error) {
	h.sub, err = h.CASE.Subscribe(ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}, 0, 60)
	return err
}

// again opens a new session and subscribes, as a controller does when the node was away.
func (h *hub) again(ctx context.Context, g *gateway) (err error) {
	if h.CASE, _, err = h.client.CASE(ctx, g.addr, h.home, h.Node, nil); err != nil {
		return err
	}
	return h.subscribe(ctx)
}

func (h *hub) read(ctx context.Context) error {
	_, err := h.CASE.Read(ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x28, 1)}})
	return err
}

// every calls f at an interval until the context ends.
func every(ctx context.Context, d time.Duration, f func() error) error {
	for {
		if err := f(); err != nil {
			return err
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil
		}
	}
}

// well has a hub that subscribes, a controller of another home that came once and is
// quiet, devices over the API and MQTT, commands that are confirmed, and a backup.
func well(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err != nil {
		return err
	}
	if err := g.cli("window", "open"); err != nil {
		return err
	}
	once, err := g.join(ctx, commissioner.AuthorityOptions{})
	if err == nil {
		err = once.read(ctx)
	}
	if err == nil {
		err = g.cli("store", "backup", g.path("backup.db"))
	}
	if err != nil {
		return err
	}
	s, err := g.source(ctx, true)
	if err != nil {
		return err
	}
	g.sensors(0, 4)
	g.unknown(0, 3)
	return every(ctx, time.Minute, func() error {
		g.readings(4)
		return errors.Join(g.toggle(ctx, homes[0], s), homes[0].read(ctx))
	})
}

// hubOff has a single hub, which somebody switches off.
func hubOff(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err == nil {
		err = g.at(ctx, change)
	}
	if err == nil {
		homes[0].client.Close()
	}
	return err
}

// cutOff has three hubs in two homes; something between them and the node fails.
func cutOff(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 3)
	if err == nil {
		err = g.at(ctx, change)
	}
	for _, h := range homes {
		h.client.Close()
	}
	return err
}

// unsubscribed has a controller that continues to read after its subscription has ended.
func unsubscribed(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err != nil {
		return err
	}
	gone := false
	return every(ctx, time.Minute, func() error {
		if !gone && g.minute() > change {
			gone = true
			homes[0].sub.Drop()
		}
		return homes[0].read(ctx)
	})
}

// restarting is killed five times within an hour, upgraded once; the hub comes back.
func restarting(ctx context.Context, g *gateway) error { return restart(ctx, g, 5) }
func upgraded(ctx context.Context, g *gateway) error   { return restart(ctx, g, 1) }

func restart(ctx context.Context, g *gateway, times int) error {
	homes, err := g.hubs(ctx, 1)
	for i := range times {
		if err == nil {
			err = g.at(ctx, change+float64(6*i))
		}
		if err != nil {
			return err
		}
		g.kill()
		if err = g.start(); err == nil {
			err = homes[0].again(ctx, g)
		}
	}
	return err
}

// removed is removed from its only home.
func removed(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err == nil {
		err = g.at(ctx, change)
	}
	if err == nil {
		err = homes[0].CASE.RemoveFabric(ctx, homes[0].Fabric)
	}
	return err
}

// crowded may be in five homes. It is in three, then in four.
func crowded(ctx context.Context, g *gateway) error {
	if _, err := g.hubs(ctx, 3); err != nil {
		return err
	}
	if err := g.at(ctx, change); err != nil {
		return err
	}
	if err := g.cli("window", "open"); err != nil {
		return err
	}
	h, err := g.join(ctx, commissioner.AuthorityOptions{})
	if err == nil {
		err = h.subscribe(ctx)
	}
	return err
}

// stranger has a controller that tries for ever, although its fabric was removed.
func stranger(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 2)
	if err == nil {
		err = homes[0].CASE.RemoveFabric(ctx, homes[0].Fabric)
	}
	if err == nil {
		err = g.at(ctx, change)
	}
	if err != nil {
		return err
	}
	return every(ctx, 30*time.Second, func() error {
		if _, _, err := homes[0].client.CASE(ctx, g.addr, homes[0].home, homes[0].Node, nil); err == nil {
			return errors.New("a stranger has got a session")
		}
		return nil
	})
}

// guessed has somebody who tries passcodes, and one who mistypes one.
func guessed(ctx context.Context, g *gateway) error {
	c, err := newClient()
	if err == nil {
		err = g.at(ctx, change)
	}
	if err != nil {
		return err
	}
	for i := range 6 {
		if _, err := c.PASE(ctx, g.addr, passcode+1+uint32(i)); err == nil {
			return errors.New("a wrong passcode is right")
		}
		if err := g.at(ctx, change+float64(i+1)/2); err != nil {
			return err
		}
	}
	return nil
}

// givenUp has a commissioner that begins three times and does not finish.
func givenUp(ctx context.Context, g *gateway) error {
	for i := range 3 {
		if err := g.at(ctx, float64(3*(i+1))); err != nil {
			return err
		}
		c, err := newClient()
		if err != nil {
			return err
		}
		home, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
		if err != nil {
			return err
		}
		s, err := c.PASE(ctx, g.addr, passcode)
		if err == nil {
			_, err = s.Join(ctx, home)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expiring has certificates that end in 20 days and in 2 days.
func expiring(ctx context.Context, g *gateway) error {
	for i, days := range []int{20, 2} {
		if i > 0 {
			if err := g.cli("window", "open"); err != nil {
				return err
			}
		}
		end := uint32(g.begun.Unix() - matter.EpochOffset + int64(days)*86400)
		h, err := g.join(ctx, commissioner.AuthorityOptions{Validity: cert.Validity{NotBefore: 1, NotAfter: end}})
		if err == nil {
			err = h.subscribe(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unplugged loses its cable for 8 minutes, and later the daemon ends.
func unplugged(ctx context.Context, g *gateway) error {
	if _, err := g.hubs(ctx, 1); err != nil {
		return err
	}
	for _, step := range []struct {
		minute float64
		do     func() error
	}{
		{3, func() error { return netns.Down(g.link) }},
		{11, func() error { return netns.Up(g.link) }},
		{17, func() error { g.kill(); return nil }},
	} {
		if err := g.at(ctx, step.minute); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	return nil
}

// oldBackup makes the last backup nine days old.
func oldBackup(g *gateway) error {
	if err := os.Mkdir(g.path("state"), 0o700); err != nil {
		return err
	}
	text := time.Now().Add(-9 * 24 * time.Hour).UTC().Format(time.RFC3339)
	return os.WriteFile(g.path("state/last-backup"), []byte(text), 0o600)
}

func goodConfig(g *gateway) error {
	return os.WriteFile(g.path("config.yaml"), []byte("log_level: warn\n"), 0o600)
}

// misconfigured reads a wrong configuration, which is corrected half an hour later.
func misconfigured(ctx context.Context, g *gateway) error {
	for _, step := range []struct {
		minute float64
		text   string
	}{{change, "log_level: loud\n"}, {45, "log_level: warn\n"}} {
		if err := g.at(ctx, step.minute); err != nil {
			return err
		}
		if err := os.WriteFile(g.path("config.yaml"), []byte(step.text), 0o600); err != nil {
			return err
		}
		if err := g.signal(unix.SIGHUP); err != nil {
			return err
		}
	}
	return nil
}

// brokerGone loses its broker for half an hour.
func brokerGone(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err != nil {
		return err
	}
	g.sensors(0, 4)
	if err := g.at(ctx, change); err != nil {
		return err
	}
	g.stopBroker()
	if err := g.at(ctx, 45); err != nil {
		return err
	}
	if err := g.startBroker(); err != nil {
		return err
	}
	g.sensors(0, 4)
	return every(ctx, time.Minute, func() error { g.readings(4); return homes[0].read(ctx) })
}

// ignored has entities that cannot be shown from the beginning, and later more.
func ignored(ctx context.Context, g *gateway) error {
	g.sensors(0, 2)
	g.unknown(0, 3)
	if err := g.at(ctx, change); err != nil {
		return err
	}
	g.unknown(3, 12)
	return every(ctx, time.Minute, func() error { g.readings(2); return nil })
}

// flooded has a publisher of messages that are not JSON, from minute 15 to 30.
func flooded(ctx context.Context, g *gateway) error {
	g.sensors(0, 2)
	if err := g.at(ctx, change); err != nil {
		return err
	}
	return every(ctx, 3*time.Second, func() error {
		if g.minute() < 2*change {
			return g.publish("homeassistant/sensor/bad/config", []byte(fmt.Sprintf(`{"name": %d,`, time.Now().Unix())))
		}
		return nil
	})
}
