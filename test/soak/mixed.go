package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"golang.org/x/sys/unix"
)

const (
	pace       = 5 * time.Millisecond // between two operations
	lapWork    = 20 * time.Second     // of load, before an event and a rest
	restLimit  = 90 * time.Second     // limit for becoming idle
	mdnsLimit  = 15 * time.Second     // limit for the records to follow a change
	comeBack   = 30 * time.Second     // limit for sessions to work again after the link is restored
	maxMembers = 8
	maxStore   = 2 << 10 // KiB

	movedULA  = "fd00:6f70:6372:736c::a" // a second prefix that is added and removed
	movedHere = "fd00:6f70:6372:736c::b"
)

// mixed is a device under mixed load.
type mixed struct {
	*rig
	ctx     context.Context
	c       *commissioner.Client
	r       *rand.Rand
	members []*member // the first one stays from beginning to end
	left    string    // instance in the fabric that was removed last
	times   timings
	rows    [][]string
	begin   time.Time
	quiet   atomic.Bool // the strangers send nothing

	// Since the last start of the device.
	base  vitals        // values when it was idle for the first time; zero: not yet
	stray int           // sessions that the device may have without a controller's knowledge
	skew  time.Duration // of its clock

	first  vitals // values when the first process was idle for the first time
	faults []string
}

func runMixed(ctx context.Context, s *settings) error {
	rg, err := newRig(s)
	if err != nil {
		return err
	}
	defer rg.remove()
	fmt.Printf("mixed work for %v, seed %d\n", s.duration, s.seed)
	x := &mixed{rig: rg, ctx: ctx, r: rand.New(rand.NewPCG(s.seed, 1)), begin: time.Now()}
	if x.c, err = newClient(); err != nil {
		return err
	}
	defer x.c.Close()
	home, err := commission(ctx, x.c, deviceAt(deviceULA))
	if err != nil {
		return fmt.Errorf("commissioning: %w", err)
	}
	x.members = []*member{home}
	noise, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := x.strangers(noise); err != nil {
		return err
	}
	x.rows = [][]string{{"time", "what happened", "fabrics", "sessions", "subscriptions", "goroutines", "descriptors", "threads", "RSS, KiB", "heap, KiB", "store, KiB", "datagrams"}}
	err = x.laps()
	table(x.rows...)
	x.times.print()
	for _, f := range x.faults {
		fmt.Println("* FAULT:", f)
	}
	if err == nil && len(x.faults) > 0 {
		err = fmt.Errorf("%d faults", len(x.faults))
	}
	return err
}

// strangers send noise and recorded handshakes all the time, at a low rate.
func (x *mixed) strangers(ctx context.Context) error {
	bad, err := newAttackers(3, deviceULA, x.seed)
	if err != nil {
		return err
	}
	sigma1, err := x.members[0].recorded()
	if err != nil {
		return err
	}
	n := 0
	go every(ctx, 25, func() {
		if x.quiet.Load() {
			return
		}
		if n++; n%25 == 0 {
			bad.handshake(sigma1)
		} else {
			bad.noise()
		}
	})
	return nil
}

// event is a disturbance of a device.
type event struct {
	name string
	do   func() error
}

// laps repeats load and events until the time is over.
func (x *mixed) laps() error {
	const year = 365 * 24 * time.Hour
	network := []event{
		{"nothing", func() error { return nil }},
		{"a prefix was added and removed", x.flap},
		{"the link was down", x.linkDown},
		{"the daemon was stopped for 10 s", x.pause},
		{"the clock jumped ahead by 3 years", func() error { return x.clockJump(3 * year) }},
		{"the link was created again", x.linkAnew},
		{"the clock jumped back by 33 years", func() error { return x.clockJump(-30 * year) }},
		{"the clock was corrected", func() error { return x.clockJump(0) }},
	}
	// Each process must survive all of these events before it is restarted.
	events := slices.Concat(network, []event{{"restart", func() error { return x.restart(unix.SIGTERM) }}},
		network, []event{{"killed, started again", func() error { return x.restart(unix.SIGKILL) }}})
	for lap := 0; time.Since(x.begin) < x.duration; lap++ {
		end := time.Now().Add(lapWork)
		for time.Now().Before(end) {
			if err := x.work(); err != nil {
				x.fault(err)
			}
			time.Sleep(pace)
			if err := errors.Join(x.ctx.Err(), x.alive()); err != nil {
				return err
			}
		}
		e := events[lap%len(events)]
		if err := e.do(); err != nil {
			x.fault(fmt.Errorf("%s: %w", e.name, err))
		}
		if err := errors.Join(x.ctx.Err(), x.alive()); err != nil {
			return err
		}
		if err := x.rest(e.name); err != nil {
			x.fault(fmt.Errorf("%s: %w", e.name, err))
		}
	}
	return nil
}

func (x *mixed) fault(err error) {
	f := fmt.Sprintf("%v: %v", time.Since(x.begin).Round(time.Second), err)
	fmt.Println(f)
	x.faults = append(x.faults, f)
}

// do runs one operation with a time limit.
func (x *mixed) do(name string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(x.ctx, opLimit)
	defer cancel()
	return x.times.do(name, func() error { return f(ctx) })
}

func (x *mixed) any() *member { return x.members[x.r.IntN(len(x.members))] }

// work does one operation of a controller.
func (x *mixed) work() error {
	m := x.any()
	switch n := x.r.IntN(100); {
	case n < 40:
		return x.do("read", m.read)
	case n < 50:
		return x.do("read all", m.readAll)
	case n < 65:
		return x.label(m)
	case n < 70:
		return x.do("access control", x.access(m))
	case n < 78:
		return x.connect(m, "session", false)
	case n < 86:
		return x.connect(m, "session, resumed", m.last != nil)
	case n < 90:
		return x.subscribe(m)
	case n < 95:
		if len(x.members) < maxMembers {
			return x.join()
		}
	default:
		if i := x.r.IntN(len(x.members)); i > 0 && len(x.members) > 3 {
			return x.remove(i)
		}
	}
	return nil
}

// label writes the fabric's label and waits for the report of each subscription to
// it.
func (x *mixed) label(m *member) error {
	m.label = fmt.Sprint("label ", x.r.IntN(1e9))
	if err := x.do("write", func(ctx context.Context) error { return m.s.UpdateFabricLabel(ctx, m.label) }); err != nil {
		return err
	}
	for _, u := range m.subs {
		if err := x.do("report", func(ctx context.Context) error { return m.awaitLabel(ctx, u) }); err != nil {
			return err
		}
	}
	return nil
}

// awaitLabel waits until a subscription reports the label.
func (m *member) awaitLabel(ctx context.Context, u *commissioner.Subscription) error {
	for {
		rep, err := u.Next(ctx)
		if err != nil {
			return err
		}
		a := rep.Find(0, clOpCreds, 1)
		if a == nil {
			continue // a keep-alive, or another attribute
		}
		r := a.Value()
		for r.EnterArray(); r.Next(); {
			for r.EnterStruct(); r.Next(); {
				if r.ContextTag() == 5 && r.Text() == m.label {
					return nil
				}
			}
			r.Exit()
		}
	}
}

// access writes the access control list: the administrator, and one entry with
// View.
func (x *mixed) access(m *member) func(context.Context) error {
	return func(ctx context.Context) error {
		status, err := m.s.Write(ctx, 0, clAccess, 0, func(w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			for i, privilege := range []matter.Privilege{matter.PrivilegeAdminister, matter.PrivilegeView} {
				w.StartStruct(tlv.Anonymous)
				w.Uint(tlv.Context(1), uint64(privilege))
				w.Uint(tlv.Context(2), uint64(matter.AuthModeCASE))
				w.StartArray(tlv.Context(3))
				w.Uint(tlv.Anonymous, uint64(m.a.NodeID)+uint64(i))
				w.End()
				w.Null(tlv.Context(4))
				w.End()
			}
			w.End()
		})
		if err == nil && status.Status != matter.StatusSuccess {
			err = status
		}
		return err
	}
}

// connect opens a session and replaces the current one, which is usually closed and
// sometimes forgotten. Subscriptions end with it.
func (x *mixed) connect(m *member, name string, resume bool) error {
	old := m.s
	if err := x.do(name, func(ctx context.Context) error { return m.connect(ctx, resume) }); err != nil {
		return err
	}
	for _, u := range m.subs {
		u.Drop()
	}
	m.subs = nil
	if x.r.IntN(8) == 0 {
		old.Forget()
		x.stray++
	} else {
		old.Close()
	}
	return nil
}

func (x *mixed) subscribe(m *member) error {
	if len(m.subs) >= 3 {
		return nil
	}
	return x.do("subscribe", func(ctx context.Context) error {
		u, err := m.s.Subscribe(ctx, commissioner.ReadRequest{
			Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}, FabricFiltered: true,
		}, 0, 30)
		if err == nil {
			m.subs = append(m.subs, u)
		}
		return err
	})
}

// join commissions the device into another fabric.
func (x *mixed) join() error {
	if err := x.do("open window", func(ctx context.Context) error { return x.members[0].s.OpenBasicWindow(ctx, 180) }); err != nil {
		return err
	}
	return x.do("commission", func(ctx context.Context) error {
		m, err := commission(ctx, x.c, deviceAt(deviceULA))
		if err == nil {
			x.members = append(x.members, m)
		}
		return err
	})
}

// remove removes a fabric, by its own administrator or the first one.
func (x *mixed) remove(i int) error {
	m := x.members[i]
	by := m
	if x.r.IntN(2) == 0 {
		by = x.members[0]
	}
	if err := x.do("remove", func(ctx context.Context) error { return by.s.RemoveFabric(ctx, m.index) }); err != nil {
		return err
	}
	m.s.Forget()
	for _, u := range m.subs {
		u.Drop()
	}
	x.left = m.instance()
	x.members = slices.Delete(x.members, i, i+1)
	return nil
}
