package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Goals of the bridge.
const (
	goalFlat       = 1.2 // against one device
	goalAttribute  = 1e3 // a wildcard read, an attribute
	goalRSSHouse   = 28 << 20
	goalEndpoint   = 30e3    // octets
	goalUpdate     = 150e3   // API update to report, CPU
	goalUpdateWall = 3e6     // the same, wall, p99
	goalEventWall  = 3e6     // command to event, wall, p99
	goalKnown      = 1000e6  // start with known devices
	goalUpdates    = 0.25    // of a core, at 1,000 updates a second
	goalFlatMemory = 2 << 20 // that memory may grow by meanwhile
)

// houses are the numbers of plugs that costs are compared over.
var houses = []int{1, 150, 1000}

const (
	clusterOnOff    matter.ClusterID = 0x0006
	clusterIdentify matter.ClusterID = 0x0003
	// gathering is how long the daemon gathers the parts of a command.
	gathering = 25 * time.Millisecond
	// listTime is how long the daemon gathers changes of the list of devices.
	listTime = 6 * time.Second
)

// house is a daemon with devices, and a controller that subscribes to everything.
type house struct {
	*daemon
	*load
	*source
	devices []view
	sub     *commissioner.Subscription
	on      bool
	last    *commissioner.Report // of everything
}

// newHouse makes a daemon with n devices of a kind, at rest.
func (b *bench) newHouse(number uint16, name string, n int, kind func(int) thing) (*house, error) {
	d, l, err := b.numbered(number, name, 16)
	if err != nil {
		return nil, err
	}
	h := &house{daemon: d, load: l}
	if err := h.begin(b); err != nil {
		return h, err
	}
	if n > 0 {
		if h.devices, err = h.put(n, kind); err != nil {
			return h, err
		}
		time.Sleep(listTime)
	}
	return h, nil
}

// begin starts the daemon and opens a session.
func (h *house) begin(b *bench) error {
	if err := h.daemon.start(); err != nil {
		return err
	}
	if err := h.ready(); err != nil {
		return err
	}
	h.load.device, h.source = h.daemon.process, newSource(b.ctx, h.daemon)
	return h.connect()
}

func (h *house) close() {
	if h.source != nil {
		h.source.client.CloseIdleConnections()
	}
	h.load.client.Close()
	if h.daemon.stop() != nil {
		h.kill()
	}
}

// newest is the endpoint of the newest device.
func (h *house) newest() matter.EndpointID { return h.devices[len(h.devices)-1].Parts[0].Endpoint }

func (h *house) everything() (*commissioner.Report, error) {
	return h.s.Read(h.ctx(), commissioner.ReadRequest{Attributes: []commissioner.Path{{}}})
}

func (h *house) ctx() context.Context { return h.load.ctx }

func (h *house) readPlug() error {
	_, err := h.s.Read(h.ctx(), commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(h.newest(), clusterOnOff, 0)}})
	return err
}

func (h *house) identify() error {
	_, err := h.s.Invoke(h.ctx(), h.newest(), clusterIdentify, 0, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 0) })
	return err
}

// subscribe subscribes to everything.
func (h *house) subscribe() (err error) {
	h.sub, err = h.s.SubscribeAnew(h.ctx(), commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}, 0, 3600)
	if err != nil {
		return err
	}
	for { // what is on its way
		ctx, cancel := context.WithTimeout(h.ctx(), quiet)
		_, err := h.sub.Next(ctx)
		cancel()
		if err != nil {
			return h.ctx().Err()
		}
	}
}

// report changes a plug and waits for the report.
func (h *house) report(id string, on bool) error {
	if err := h.set(id, thing{"on": on}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(h.ctx(), 5*time.Second)
	defer cancel()
	_, err := h.sub.Next(ctx)
	return err
}

// flat compares costs over houses, which all run and are measured alternately: what else the
// machine does is the same for all of them.
func (b *bench) flat() error {
	var all []*house
	for i, n := range houses {
		b.say(fmt.Sprintf("%d plugs", n))
		h, err := b.newHouse(uint16(i), fmt.Sprintf("flat%d", n), n, plug)
		if h != nil {
			defer h.close()
		}
		if err == nil {
			err = h.subscribe()
		}
		if err != nil {
			return fmt.Errorf("%d devices: %w", n, err)
		}
		all = append(all, h)
	}
	b.say("costs")
	one := func(n int, f func(h *house) error) func(h *house) (int, error) {
		return func(h *house) (int, error) { return n, repeat(n, func() error { return f(h) })() }
	}
	read, err := turns(b.rounds, all, nil, one(300, (*house).readPlug))
	if err != nil {
		return err
	}
	command, err := turns(b.rounds, all, nil, one(300, (*house).identify))
	if err != nil {
		return err
	}
	report, err := turns(b.rounds, all, nil, one(100, func(h *house) error {
		h.on = !h.on
		return h.report(h.devices[len(h.devices)-1].ID, h.on)
	}))
	if err != nil {
		return err
	}
	wildcard, err := turns(b.rounds, all, nil, func(h *house) (n int, err error) {
		for n < 20000 && err == nil {
			h.last, err = h.everything()
			n += len(h.last.Attributes)
		}
		return n, err
	})
	if err != nil {
		return err
	}
	b.say("additions")
	added, err := turns(min(b.rounds, 3), all, (*house).remove, (*house).add)
	if err != nil {
		return err
	}
	for i, n := range houses {
		rep := all[i].last
		b.add(figure{name: fmt.Sprintf("%d devices: read of one attribute", n), unit: cpu, spread: read[i], floor: b.floors.read(), times: timesRead})
		b.add(figure{name: fmt.Sprintf("%d devices: wildcard read, an attribute", n), unit: cpu, spread: wildcard[i], goal: goalAttribute,
			floor: b.floors.echoLarge * float64(rep.Chunks) / float64(len(rep.Attributes)), times: timesWildcard,
			note: fmt.Sprintf("%d attributes in %d messages", len(rep.Attributes), rep.Chunks)})
	}
	for _, r := range []struct {
		what string
		all  []sample
	}{{"read", read}, {"command", command}, {"API update and report", report}, {"a device added at the API", added}} {
		for i, n := range houses[1:] {
			b.add(figure{name: fmt.Sprintf("%d devices against 1: %s", n, r.what), unit: factor, spread: r.all[i+1].over(r.all[0]), goal: goalFlat,
				note: fmt.Sprintf("%s, %s", cpu.format(r.all[i+1].median()), cpu.format(r.all[0].median()))})
		}
	}
	b.add(figure{name: "1000 devices against 150: wildcard read, an attribute", unit: factor, spread: wildcard[2].over(wildcard[1]), goal: goalFlat})
	return nil
}

// turns measures f, which does something a number of times, with each house in turn, in
// rounds after one that does not count, and returns the CPU time of one time. before, if
// there is one, comes before each turn and is not measured.
func turns(rounds int, all []*house, before func(h *house) error, f func(h *house) (int, error)) ([]sample, error) {
	samples := make([]sample, len(all))
	for round := range rounds + 1 {
		for i, h := range all {
			if before != nil {
				if err := before(h); err != nil {
					return nil, err
				}
			}
			n := 0
			t, err := h.spent(func() (err error) { n, err = f(h); return err })
			if err != nil {
				return nil, err
			}
			if round > 0 {
				samples[i] = append(samples[i], float64(t)/float64(n))
			}
		}
	}
	return samples, nil
}

// over returns the ratios of two samples, round by round.
func (s sample) over(t sample) (r sample) {
	for i := range s {
		r = append(r, s[i]/t[i])
	}
	return r
}

// additions is how many devices are added at a time.
const additions = 10

// remove makes room for devices that are added: the newest ones go, or there is but one.
func (h *house) remove() error {
	from := max(1, len(h.devices)-additions)
	for i := from; i < from+additions; i++ {
		// At first there are none to remove beside the only one.
		if err := h.do("DELETE", "/v1/devices/"+deviceID(i)+"?now=1", nil, nil); err != nil && len(h.devices) > 1 {
			return err
		}
	}
	time.Sleep(listTime)
	return nil
}

// add adds devices and waits until controllers have learnt of them.
func (h *house) add() (int, error) {
	from := max(1, len(h.devices)-additions)
	for i := from; i < from+additions; i++ {
		if err := h.do("PUT", "/v1/devices/"+deviceID(i), plug(i), nil); err != nil {
			return 0, err
		}
	}
	time.Sleep(listTime)
	return additions, nil
}

// mixedHouse measures 150 devices of the kinds in a home.
func (b *bench) mixedHouse() error {
	const n, few = 150, 10
	// The few have one device of each kind: what they take is the program, not the devices.
	h, err := b.newHouse(0, "few", few, mixed)
	if h == nil {
		return err
	}
	small, smallRSS, err := h.memory(err)
	h.close()
	if err != nil {
		return err
	}
	if h, err = b.newHouse(0, "mixed", n, mixed); h != nil {
		defer h.close()
	}
	if err != nil {
		return err
	}
	endpoints, rss, err := h.memory(nil)
	if err != nil {
		return err
	}
	b.add(figure{name: "150 mixed devices: RSS", unit: mebi, value: rss, goal: goalRSSHouse,
		note: fmt.Sprintf("%d endpoints, %d attributes; %s with %d devices", endpoints, len(h.last.Attributes), mebi.format(smallRSS), few)})
	b.add(figure{name: "the same, per endpoint", unit: kibi, value: (rss - smallRSS) / float64(endpoints-small), goal: goalEndpoint})
	if err := b.parts(
		part{"bridge known", func() error { return b.known(h, endpoints) }},
		part{"bridge update", func() error { return b.update(h) }},
		part{"bridge event", func() error { return b.event(h) }},
	); err != nil {
		return err
	}
	if rss, err = h.rss(); err != nil {
		return err
	}
	b.add(figure{name: "150 mixed devices: RSS after all that", unit: mebi, value: rss})
	return b.parts(part{"bridge flood", func() error { return b.flood(h, n) }})
}

// memory returns the number of endpoints and the RSS of a daemon whose attributes have all
// been read. It fails with err.
func (h *house) memory(err error) (endpoints int, rss float64, _ error) {
	if err == nil {
		h.last, err = h.everything()
	}
	if err != nil {
		return 0, 0, err
	}
	seen := map[matter.EndpointID]bool{}
	for _, a := range h.last.Attributes {
		seen[a.Endpoint] = true
	}
	time.Sleep(quiet)
	rss, err = h.rss()
	return len(seen), rss, err
}

// known measures starts until the node is discoverable, with all devices in the first
// PartsList.
func (b *bench) known(h *house, endpoints int) error {
	var all sample
	for range min(b.rounds, 5) {
		if err := b.restart(h.daemon, h.load); err != nil {
			return err
		}
		t, err := h.firstAnswer()
		if err != nil {
			return err
		}
		all = append(all, float64(t))
		if err := h.connect(); err != nil {
			return err
		}
		parts, err := h.s.Read(h.ctx(), commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x1D, 3)}})
		if err != nil {
			return err
		}
		if n := entries(parts); n != endpoints-1 {
			return fmt.Errorf("the first PartsList has %d endpoints, not %d", n, endpoints-1)
		}
	}
	h.source.client.CloseIdleConnections()
	b.add(figure{name: "150 known devices: start to first mDNS answer, wall clock", unit: cpu, spread: all, goal: goalKnown, note: "with a complete PartsList; probing takes 750 to 1000 ms of it"})
	return nil
}

// entries counts the entries of lists in a report.
func entries(rep *commissioner.Report) (n int) {
	for _, a := range rep.Attributes {
		r := a.Value()
		for r.EnterArray(); r.Next(); {
			n++
		}
	}
	return n
}

// update measures an update at the API until its report has come.
func (b *bench) update(h *house) error {
	if err := h.subscribe(); err != nil {
		return err
	}
	const n, id = 100, 3 // a plug, which is on
	on := true
	one := func() error { on = !on; return h.report(deviceID(id), on) }
	s, err := h.each(n, repeat(n, one))
	if err != nil {
		return err
	}
	b.add(figure{name: "API update to report", unit: cpu, spread: s, goal: goalUpdate, floor: b.floors.read()})
	var walls sample
	for range 5 * n {
		begin := time.Now()
		if err := one(); err != nil {
			return err
		}
		walls = append(walls, float64(time.Since(begin)))
		time.Sleep(10 * time.Millisecond)
	}
	b.add(figure{name: "the same, wall clock, 99 %", unit: cpu, value: walls.quantile(.99), goal: goalUpdateWall, note: "median " + cpu.format(walls.median())})
	return nil
}

// event measures a command until it is on the stream.
func (b *bench) event(h *house) error {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	events, err := h.commands(ctx)
	if err != nil {
		return err
	}
	const id = 3 // a plug
	var ep matter.EndpointID
	for _, v := range h.devices {
		if v.ID == deviceID(id) {
			ep = v.Parts[0].Endpoint
		}
	}
	time.Sleep(100 * time.Millisecond) // until the source is there
	var walls sample
	for range 300 {
		begin := time.Now()
		rsp, err := h.s.Invoke(h.ctx(), ep, clusterOnOff, 2, nil)
		if err != nil {
			return err
		}
		if rsp.Status.Status != matter.StatusSuccess {
			return fmt.Errorf("toggle: %v", rsp.Status)
		}
		select {
		case c := <-events:
			walls = append(walls, float64(c.at.Sub(begin)-gathering))
			if err := h.set(deviceID(id), c.Set); err != nil {
				return err
			}
		case <-time.After(5 * time.Second):
			return errors.New("no event")
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.add(figure{name: "command to event, wall clock, 99 %, less gathering", unit: cpu, value: walls.quantile(.99), goal: goalEventWall, note: "median " + cpu.format(walls.median())})
	return nil
}

// flood reports 1,000 states a second over all devices for a minute. In the end every
// plug has its last state, also for a subscriber.
func (b *bench) flood(h *house, devices int) error {
	if err := h.connect(); err != nil {
		return err
	}
	if err := h.subscribe(); err != nil {
		return err
	}
	const perSecond, length = 1000, time.Minute
	before, err := h.rss()
	if err != nil {
		return err
	}
	last := map[int]bool{}
	begin := time.Now()
	sent := 0
	t, err := h.spent(func() error {
		for ; time.Since(begin) < length; sent++ {
			time.Sleep(time.Until(begin.Add(time.Duration(sent) * time.Second / perSecond)))
			i := sent % devices
			on := sent/devices%2 == 0
			if err := h.do("PATCH", "/v1/devices/"+deviceID(i), update(i, sent), nil); err != nil {
				return err
			}
			if i%10 == 3 {
				last[i] = on
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	time.Sleep(2 * time.Second)
	after, err := h.rss()
	if err != nil {
		return err
	}
	lost := 0
	for _, v := range h.devices {
		for i, on := range last {
			if v.ID != deviceID(i) {
				continue
			}
			rep, err := h.s.Read(h.ctx(), commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(v.Parts[0].Endpoint, clusterOnOff, 0)}})
			if err != nil {
				return err
			}
			a := rep.Find(v.Parts[0].Endpoint, clusterOnOff, 0)
			if a == nil {
				lost++
				continue
			}
			if r := a.Value(); r.Next() && r.Bool() != on {
				lost++
			}
		}
	}
	rate := float64(sent) / took.Seconds()
	b.add(figure{name: fmt.Sprintf("%.0f updates a second for a minute: share of a core", rate), unit: share, value: round(float64(t)/float64(took), 3), goal: goalUpdates})
	b.add(figure{name: "the same, an update", unit: cpu, value: float64(t) / float64(sent), floor: b.floors.read()})
	b.add(figure{name: "the same, more RSS", unit: mebi, value: math.Max(0, after-before), goal: goalFlatMemory, note: mebi.format(before) + " before, " + mebi.format(after) + " after"})
	if lost > 0 {
		return fmt.Errorf("%d of %d plugs do not show their last state", lost, len(last))
	}
	return nil
}

// update is the n-th report of a mixed device.
func update(i, n int) thing {
	on := n/150%2 == 0
	switch i % 10 {
	case 0, 1, 2:
		return thing{"state": thing{"on": on, "brightness_percent": 1 + n%100}}
	case 3:
		return thing{"state": thing{"on": on}}
	case 4:
		return thing{"state": thing{"closed": on}}
	case 5:
		return thing{"state": thing{"occupied": on}}
	case 6, 7:
		return thing{"parts": []thing{{"id": "temperature", "state": thing{"temperature_celsius": 15 + float64(n%100)/10}}}}
	case 8:
		return thing{"state": thing{"position_percent": n % 101}}
	}
	return thing{"state": thing{"temperature_celsius": 15 + float64(n%100)/10}}
}

// quantile returns a quantile, 0 of none.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	return t[int(q*float64(len(t)-1))]
}
