package demo

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// Source is the name of the source.
const Source = "demo"

// Front maintains the simulated devices; see [server.Front].
type Front struct{ off bool }

// New returns the front of simulated devices.
func New() *Front { return &Front{} }

// Off returns a front that removes the devices of an earlier run of the daemon.
func Off() *Front { return &Front{off: true} }

// Name returns the name of the source.
func (f *Front) Name() string { return Source }

// queued bounds the commands that wait. There are six devices.
const queued = 100

// Run simulates the devices until ctx ends.
func (f *Front) Run(ctx context.Context, r *bridge.Registry) error {
	if f.off {
		if err := remove(r); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	h := newHome(r)
	commands := make(chan device.Command, queued)
	err := r.Handle(Source, func(c device.Command) {
		select {
		case commands <- c:
		default: // it is taken back
		}
	})
	if err != nil {
		return err
	}
	if err := h.begin(); err != nil {
		return err
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case c := <-commands:
			err = h.command(c)
		case now := <-tick.C:
			err = h.advance(now)
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func remove(r *bridge.Registry) error {
	all, err := r.Devices()
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.Source == Source {
			return r.Sync(Source, nil)
		}
	}
	return nil
}

// step is the interval of the simulation.
const step = time.Second

// Ids of the devices.
const (
	lamp        = Source + ":lamp"
	plug        = Source + ":plug"
	thermostat  = Source + ":thermostat"
	thermometer = Source + ":thermometer"
	blind       = Source + ":blind"
	motion      = Source + ":motion"
)

// first returns the devices as they are at the very first start.
func first() []device.Device {
	one := func(id, name, room, product string, p device.Part) device.Device {
		p.ID = "main"
		return device.Device{
			ID: id, Name: name, Room: room, Vendor: "opcredsd", Product: product, SoftwareVersion: "1.0",
			Reachable: true, Parts: []device.Part{p},
		}
	}
	sensor := one(motion, "Demo motion", "Hall", "Simulated motion sensor",
		device.Part{Type: "occupancy_sensor", State: device.Values{"occupied": device.Bool(false)}})
	sensor.Battery = &device.Battery{Percent: device.Number(85), Low: device.Bool(false)}
	return []device.Device{
		one(lamp, "Demo lamp", "Living room", "Simulated color lamp", device.Part{Type: "extended_color_light", State: device.Values{
			"on": device.Bool(true), "brightness_percent": device.Number(60), "color_temperature_kelvin": device.Number(2700)}}),
		one(plug, "Demo plug", "Kitchen", "Simulated plug", device.Part{Type: "on_off_plug", Meter: true,
			Options: device.Options{Properties: []string{"power_watts", "energy_kwh"}},
			State:   device.Values{"on": device.Bool(false), "power_watts": device.Number(0), "energy_kwh": device.Number(1.2)}}),
		one(thermostat, "Demo thermostat", "Living room", "Simulated thermostat", device.Part{Type: "thermostat",
			Options: device.Options{Modes: []string{"off", "heat"}},
			State: device.Values{"mode": device.Text("heat"), "temperature_celsius": device.Number(20),
				"heating_setpoint_celsius": device.Number(21), "running": device.Text("heating")}}),
		one(thermometer, "Demo thermometer", "Garden", "Simulated thermometer", device.Part{Type: "temperature_sensor",
			State: device.Values{"temperature_celsius": device.Number(11)}}),
		one(blind, "Demo blind", "Bedroom", "Simulated blind", device.Part{Type: "window_covering",
			Options: device.Options{Kind: "blind"}, State: device.Values{"position_percent": device.Number(100)}}),
		sensor,
	}
}

// home is the state of the simulation.
type home struct {
	registry *bridge.Registry
	state    map[string]device.Values
	target   float64 // of the blind's position
	began    time.Time

	seen map[string]device.Values // the state that the registry had last
	held map[value]time.Time      // until when values that an operator has set stay
}

// value identifies a value of a device.
type value struct{ device, property string }

func newHome(r *bridge.Registry) *home {
	return &home{
		registry: r, state: map[string]device.Values{}, began: time.Now(),
		seen: map[string]device.Values{}, held: map[value]time.Time{},
	}
}

// begin describes the devices. Devices that the registry has keep their state.
func (h *home) begin() error {
	all := first()
	for i := range all {
		d := &all[i]
		h.state[d.ID] = maps.Clone(d.Parts[0].State)
		if v, err := h.registry.Device(d.ID); err == nil {
			maps.Copy(h.state[d.ID], v.Parts[0].State)
			d.Parts[0].State = nil
		}
	}
	h.target = h.number(blind, "position_percent")
	return h.registry.Sync(Source, all)
}

func (h *home) number(id, name string) float64 {
	f, _ := h.state[id][name].Number()
	return f
}

func (h *home) is(id, name string) bool {
	b, _ := h.state[id][name].Bool()
	return b
}

// report changes the state of a device, and reports it.
func (h *home) report(id string, v device.Values) error {
	maps.Copy(h.state[id], v)
	if err := h.registry.Report(id, "main", v); err != nil {
		return err
	}
	if now, err := h.registry.Device(id); err == nil {
		h.seen[id] = now.Parts[0].State
	}
	return nil
}

// simulate reports a simulated state of a device, without the values that an
// operator has set.
func (h *home) simulate(now time.Time, id string, v device.Values) error {
	maps.DeleteFunc(v, func(name string, _ device.Value) bool { return now.Before(h.held[value{id, name}]) })
	if len(v) == 0 {
		return nil
	}
	return h.report(id, v)
}

// holdTime is how long the simulation does not change a value that an operator has
// set.
const holdTime = 2 * time.Minute

// look records what an operator has set since the last call.
func (h *home) look(now time.Time) {
	for id := range h.state {
		v, err := h.registry.Device(id)
		if err != nil {
			continue // the next report returns the error
		}
		is, was := v.Parts[0].State, h.seen[id]
		h.seen[id] = is
		if was == nil {
			continue
		}
		for name, x := range is {
			if x == was[name] {
				continue
			}
			h.state[id][name] = x
			h.held[value{id, name}] = now.Add(holdTime)
			if id == blind && name == "position_percent" {
				h.target = h.number(id, name)
			}
		}
	}
}

// command carries out a controller's command: at once, except for the blind.
func (h *home) command(c device.Command) error {
	if h.state[c.Device] == nil {
		return fmt.Errorf("there is no device %q", c.Device)
	}
	if c.Do != "" {
		if c.Do == device.Stop {
			h.target = h.number(blind, "position_percent")
			return h.report(blind, device.Values{"position_percent": device.Number(h.target), "moving": device.Text("stopped")})
		}
		return nil // a simulated device has nothing to show
	}
	if p, ok := c.Set["position_percent"].Number(); ok {
		h.target = p
		return h.moveBlind()
	}
	return h.report(c.Device, c.Set)
}

// blindStep is how far the blind moves in a step, in percent.
const blindStep = 10

func (h *home) moveBlind() error {
	at := h.number(blind, "position_percent")
	moving := "stopped"
	switch {
	case h.target > at:
		at, moving = min(at+blindStep, h.target), "opening"
	case h.target < at:
		at, moving = max(at-blindStep, h.target), "closing"
	}
	if at == h.target {
		moving = "stopped"
	}
	return h.report(blind, device.Values{"position_percent": device.Number(at), "moving": device.Text(moving)})
}

// Times of the simulation.
const (
	slowStep   = 10 // steps between two values of slow quantities
	motionOn   = 20 * time.Second
	motionOver = 2 * time.Minute // time between two motions
	day        = 24 * time.Hour
	plugWatts  = 42.0
)

// advance simulates one step.
func (h *home) advance(now time.Time) error {
	h.look(now)
	if h.number(blind, "position_percent") != h.target {
		if err := h.moveBlind(); err != nil {
			return err
		}
	}
	since := now.Sub(h.began)
	if occupied := since%motionOver < motionOn; occupied != h.is(motion, "occupied") {
		if err := h.simulate(now, motion, device.Values{"occupied": device.Bool(occupied)}); err != nil {
			return err
		}
	}
	if int(since/step)%slowStep != 0 {
		return nil
	}
	return h.drift(now)
}

// drift changes the slow quantities.
func (h *home) drift(now time.Time) error {
	// The garden follows the sun: coldest at three at night, warmest at three in
	// the afternoon.
	hour := float64(now.UTC().Sub(now.UTC().Truncate(day))) / float64(day)
	outside := 11 - 6*math.Cos(2*math.Pi*(hour-0.125))
	if err := h.simulate(now, thermometer, device.Values{"temperature_celsius": tenths(outside)}); err != nil {
		return err
	}

	inside, want := h.number(thermostat, "temperature_celsius"), h.number(thermostat, "heating_setpoint_celsius")
	mode, _ := h.state[thermostat]["mode"].Text()
	running := "idle"
	if mode == "heat" && inside < want {
		running, inside = "heating", inside+0.1
	} else if inside > outside {
		inside -= 0.05
	}
	if err := h.simulate(now, thermostat, device.Values{"temperature_celsius": hundredths(inside), "running": device.Text(running)}); err != nil {
		return err
	}

	watts := 0.0
	if h.is(plug, "on") {
		watts = plugWatts + 3*math.Sin(float64(now.Unix()))
	}
	energy := h.number(plug, "energy_kwh") + watts*slowStep*step.Hours()/1000
	return h.simulate(now, plug, device.Values{"power_watts": tenths(watts), "energy_kwh": device.Number(energy)})
}

func tenths(f float64) device.Value     { return device.Number(math.Round(f*10) / 10) }
func hundredths(f float64) device.Value { return device.Number(math.Round(f*100) / 100) }
