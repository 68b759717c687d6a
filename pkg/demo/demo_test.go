package demo

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/bridgetest"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// clock is the time of a test.
type clock struct{ now time.Time }

func newRegistry(t *testing.T) (*bridge.Registry, *clock) {
	t.Helper()
	r, c := bridgetest.New(t), &clock{now: time.Unix(1_800_000_000, 0)}
	bridgetest.Attach(t, r, &bridgetest.Node{Now: func() time.Time { return c.now }})
	return r, c
}

func state(t *testing.T, r *bridge.Registry, id, name string) device.Value {
	t.Helper()
	v, err := r.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	return v.Parts[0].State[name]
}

func TestHome(t *testing.T) {
	r, c := newRegistry(t)
	h := newHome(r)
	h.began = c.now
	if err := h.begin(); err != nil {
		t.Fatal(err)
	}
	all, err := r.Devices()
	if err != nil || len(all) != 6 {
		t.Fatalf("%d devices, %v", len(all), err)
	}
	for _, v := range all {
		if !v.Reachable {
			t.Errorf("%s is unreachable", v.ID)
		}
	}

	if err := h.command(device.Command{Device: lamp, Part: "main", Set: device.Values{"on": device.Bool(false)}}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, lamp, "on"); got != device.Bool(false) {
		t.Errorf("the lamp is on: %v", got)
	}

	if err := h.command(device.Command{Device: blind, Part: "main", Set: device.Values{"position_percent": device.Number(35)}}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, blind, "moving"); got != device.Text("closing") {
		t.Errorf("the blind is %v", got)
	}
	occupied := map[device.Value]bool{}
	for range 300 {
		c.now = c.now.Add(step)
		if err := h.advance(c.now); err != nil {
			t.Fatal(err)
		}
		occupied[state(t, r, motion, "occupied")] = true
	}
	if p, m := state(t, r, blind, "position_percent"), state(t, r, blind, "moving"); p != device.Number(35) || m != device.Text("stopped") {
		t.Errorf("the blind is at %v, %v", p, m)
	}
	if len(occupied) != 2 {
		t.Errorf("nobody has moved, or has ever since: %v", occupied)
	}
	if got, _ := state(t, r, thermostat, "temperature_celsius").Number(); got <= 20 {
		t.Errorf("it is heated, and %v degrees", got)
	}

	// Another run continues with the existing devices.
	again := newHome(r)
	if err := again.begin(); err != nil {
		t.Fatal(err)
	}
	if got := state(t, r, blind, "position_percent"); got != device.Number(35) || again.target != 35 {
		t.Errorf("after a restart the blind is at %v, on its way to %v", got, again.target)
	}

	if err := remove(r); err != nil {
		t.Fatal(err)
	}
	if all, _ := r.Devices(); len(all) != 0 {
		t.Errorf("%d devices without the demo", len(all))
	}
}

// Values that an operator sets stay for a while. The simulation then continues from them.
func TestOperatorSets(t *testing.T) {
	r, c := newRegistry(t)
	h := newHome(r)
	h.began = c.now
	if err := h.begin(); err != nil {
		t.Fatal(err)
	}
	advance := func(d time.Duration) {
		t.Helper()
		for end := c.now.Add(d); c.now.Before(end); {
			c.now = c.now.Add(step)
			if err := h.advance(c.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	set := func(id, name string, v device.Value) {
		t.Helper()
		if err := r.Patch(id, bridge.Patch{States: []bridge.PartState{{State: device.Values{name: v}}}}); err != nil {
			t.Fatal(err)
		}
	}
	advance(motionOn + step)
	set(motion, "occupied", device.Bool(true))
	set(thermometer, "temperature_celsius", device.Number(31))
	set(plug, "on", device.Bool(true))
	set(blind, "position_percent", device.Number(20))
	advance(time.Minute)
	if got := state(t, r, motion, "occupied"); got != device.Bool(true) {
		t.Errorf("occupied is %v again", got)
	}
	if got := state(t, r, thermometer, "temperature_celsius"); got != device.Number(31) {
		t.Errorf("it is %v degrees again", got)
	}
	if got, _ := state(t, r, plug, "power_watts").Number(); got < 30 {
		t.Errorf("the plug is on, and takes %v W", got)
	}
	if got := state(t, r, blind, "position_percent"); got != device.Number(20) {
		t.Errorf("the blind is at %v", got)
	}
	advance(2 * holdTime)
	if got, _ := state(t, r, thermometer, "temperature_celsius").Number(); got > 20 {
		t.Errorf("it is %v degrees for ever", got)
	}
}
