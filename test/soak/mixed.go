package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"golang.org/x/sys/unix"
)

const (
	pace       = 5 * time.Millisecond // between two operations
	lapWork    = 20 * time.Second     // of work, before something happens and the device comes to rest
	restLimit  = 90 * time.Second     // within which it must
	mdnsLimit  = 15 * time.Second     // within which records follow what they tell of
	comeBack   = 30 * time.Second     // within which sessions work again when the link does
	maxMembers = 8
	maxStore   = 2 << 10 // KiB

	movedULA  = "fd00:6f70:6372:736c::a" // a second prefix that comes and goes
	movedHere = "fd00:6f70:6372:736c::b"
)

// mixed is a device under mixed work.
type mixed struct {
	*rig
	ctx     context.Context
	c       *commissioner.Client
	r       *rand.Rand
	members []*member // the first is there from beginning to end
	times   timings
	rows    [][]string
	begin   time.Time
	quiet   atomic.Bool // strangers keep still

	// Since the device was started last.
	base   vitals // what it had when it came to rest first; zero: not yet
	stray  int    // sessions that the device may have and we do not
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
	table("", x.rows...)
	x.times.print("")
	for _, f := range x.faults {
		fmt.Println("* FAULT:", f)
	}
	if err == nil && len(x.faults) > 0 {
		err = fmt.Errorf("%d faults", len(x.faults))
	}
	return err
}

// strangers send noise and recorded handshakes all the time, not much of either.
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

// laps goes round until the time is over.
func (x *mixed) laps() error {
	events := []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"a prefix came and went", x.flap},
		{"the link was down", x.linkDown},
		{"the daemon stood still for 10 s", x.pause},
		{"the link was made anew", x.linkAnew},
		{"restart", func() error { return x.restart(unix.SIGTERM) }},
		{"nothing", func() error { return nil }},
		{"killed, started again", func() error { return x.restart(unix.SIGKILL) }},
	}
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

// do runs one operation with a limit to its time.
func (x *mixed) do(name string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(x.ctx, opLimit)
	defer cancel()
	return x.times.do(name, func() error { return f(ctx) })
}

func (x *mixed) any() *member { return x.members[x.r.IntN(len(x.members))] }

// work does one thing that controllers do.
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

// label writes the fabric's label, and waits for the report of each subscription to
// it.
func (x *mixed) label(m *member) error {
	m.label = fmt.Sprint("label ", x.r.IntN(1e9))
	if err := x.do("write", func(ctx context.Context) error { return m.s.UpdateFabricLabel(ctx, m.label) }); err != nil {
		return err
	}
	for _, u := range m.subs {
		if err := x.do("report", func(ctx context.Context) error { return m.told(ctx, u) }); err != nil {
			return err
		}
	}
	return nil
}

// told waits until a subscription tells of the label.
func (m *member) told(ctx context.Context, u *commissioner.Subscription) error {
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

// access writes the access control list: its administrator, and one that may look.
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

// connect opens a session in place of the one there is, which mostly is closed and
// sometimes forgotten. Subscriptions go with it.
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

// join commissions the device into one more fabric.
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

// remove ends a fabric, by its own administrator or by the first.
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
	x.members = slices.Delete(x.members, i, i+1)
	return nil
}

// flap gives the device's link a second prefix, uses it, and takes it away again.
// The records follow.
func (x *mixed) flap() error {
	home := x.members[0]
	if err := errors.Join(address(movedHere, true), x.net.do(func() error { return address(movedULA, true) })); err != nil {
		return err
	}
	moved := netip.MustParseAddr(movedULA)
	err := x.times.do("mDNS: a new address", func() error {
		return x.found(home, "the new address", func(addrs []netip.Addr) bool { return slices.Contains(addrs, moved) })
	})
	home.at = deviceAt(movedULA)
	// The controller's socket sends from the old prefix, which does.
	err = errors.Join(err, x.connect(home, "session, new address", false), x.do("read", home.read))
	home.at = deviceAt(deviceULA)
	err = errors.Join(err, x.net.do(func() error { return address(movedULA, false) }), address(movedHere, false))
	err = errors.Join(err, x.times.do("mDNS: an address gone", func() error {
		return x.found(home, "without the old address", func(addrs []netip.Addr) bool { return !slices.Contains(addrs, moved) })
	}))
	// The session was made with the address that is gone. It goes on with another.
	return errors.Join(err, x.again("session after its address"))
}

// found waits until the device's records, asked for on the wire, are as they should.
func (x *mixed) found(m *member, what string, ok func([]netip.Addr) bool) error {
	ctx, cancel := context.WithTimeout(x.ctx, mdnsLimit)
	defer cancel()
	for {
		i, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		f, err := mdns.Lookup(ctx, []net.Interface{*i}, mdns.Service{Type: "_matter._tcp", Instance: m.instance()})
		if err == nil && ok(f.Addrs) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s is not found after %v: %+v, %v", what, mdnsLimit, f, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// again waits until every session there was can be used.
func (x *mixed) again(name string) error {
	return x.times.do(name, func() error {
		ctx, cancel := context.WithTimeout(x.ctx, comeBack)
		defer cancel()
		for _, m := range x.members {
			for {
				err := m.read(ctx)
				if err == nil {
					break
				}
				if ctx.Err() != nil {
					return fmt.Errorf("not after %v: %w", comeBack, err)
				}
			}
		}
		return nil
	})
}

// linkDown takes the device's link down for a while.
func (x *mixed) linkDown() error {
	if err := x.net.do(func() error { return down(link) }); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	if err := x.net.do(func() error { return errors.Join(up(link), awaitAddress()) }); err != nil {
		return err
	}
	return x.returned()
}

// linkAnew takes the link away and makes another one of the same name.
func (x *mixed) linkAnew() error {
	if err := x.net.part(); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	if err := x.net.join(); err != nil {
		return err
	}
	return x.returned()
}

// returned checks that everything works on a link that came back.
func (x *mixed) returned() error {
	return errors.Join(
		x.again("session, when the link is back"),
		x.times.do("mDNS, when the link is back", func() error {
			return x.found(x.members[0], "the device", func(addrs []netip.Addr) bool {
				return slices.Contains(addrs, netip.MustParseAddr(deviceULA))
			})
		}),
	)
}

// pause stops the daemon's process, as a host that is suspended does: for it, time
// jumps ahead.
func (x *mixed) pause() error {
	if err := x.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	if err := x.cmd.Process.Signal(unix.SIGCONT); err != nil {
		return err
	}
	return x.again("session, after a standstill")
}

// restart ends the daemon and starts it again. Sessions are gone; controllers open
// new ones, and their subscriptions go on.
func (x *mixed) restart(how unix.Signal) error {
	if err := x.stop(how); err != nil {
		return err
	}
	if err := x.times.do("start", x.start); err != nil {
		return err
	}
	x.base, x.stray = vitals{}, 0
	for _, m := range x.members {
		for _, u := range m.subs {
			for pending(u) { // from before
			}
		}
		m.s.Forget()
		if err := x.do("session, after a restart", func(ctx context.Context) error { return m.connect(ctx, false) }); err != nil {
			return err
		}
	}
	for _, m := range x.members {
		for _, u := range m.subs {
			if err := x.do("first report after a restart", func(ctx context.Context) error {
				_, err := u.Next(ctx)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pending takes a report that has come already, and reports whether there was one.
func pending(u *commissioner.Subscription) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := u.Next(ctx)
	return err == nil
}

// rest lets the device come to rest and looks at it.
func (x *mixed) rest(event string) error {
	x.quiet.Store(true)
	defer x.quiet.Store(false)
	var v vitals
	for end := time.Now().Add(restLimit); ; time.Sleep(time.Second) {
		var err error
		if v, err = x.measure(); err != nil {
			return err
		}
		// The daemon looks its own records up now and then: what it needs for that
		// goes away again.
		if err = errors.Join(x.atRest(&v), x.grown(&v)); err == nil {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("not at rest after %v: %w", restLimit, err)
		}
	}
	if x.base.FDs == 0 {
		x.base = v
	}
	x.rows = append(x.rows, []string{
		time.Since(x.begin).Round(time.Second).String(), event,
		fmt.Sprint(v.Fabrics), fmt.Sprint(v.Sessions), fmt.Sprint(v.Subscriptions), fmt.Sprint(v.Goroutines), fmt.Sprint(v.FDs),
		fmt.Sprint(v.Threads), fmt.Sprint(v.RSS), fmt.Sprint(v.Heap), fmt.Sprint(v.Store), fmt.Sprint(v.Received),
	})
	fmt.Println(x.rows[len(x.rows)-1])
	return nil
}

// atRest reports what is not as it is in a device that has nothing to do.
func (x *mixed) atRest(v *vitals) error {
	subs := 0
	for _, m := range x.members {
		subs += len(m.subs)
	}
	known := len(x.members)
	switch {
	case v.Fabrics != len(x.members):
		return fmt.Errorf("%d fabrics, not %d", v.Fabrics, len(x.members))
	case v.Exchanges > 0:
		return fmt.Errorf("%d exchanges", v.Exchanges)
	case v.Sessions < known || v.Sessions > known+x.stray:
		return fmt.Errorf("%d sessions, not %d and up to %d more", v.Sessions, known, x.stray)
	case v.Subscriptions != subs:
		return fmt.Errorf("%d subscriptions, not %d", v.Subscriptions, subs)
	}
	return nil
}

// grown reports what has grown since the device came to rest for the first time.
func (x *mixed) grown(v *vitals) error {
	if x.base.FDs == 0 {
		return nil
	}
	var errs []error
	for _, g := range []struct {
		what        string
		now, before int
		more        int
	}{
		{"goroutines", v.Goroutines, x.base.Goroutines, 2},
		{"file descriptors", v.FDs, x.base.FDs, 1},
		{"threads", v.Threads, x.base.Threads, 4},
		{"KiB resident", v.RSS, x.base.RSS, growth},
	} {
		if g.now > g.before+g.more {
			errs = append(errs, fmt.Errorf("%d %s, %d before", g.now, g.what, g.before))
		}
	}
	if v.Store > maxStore {
		errs = append(errs, fmt.Errorf("the store has %d KiB", v.Store))
	}
	return errors.Join(errs...)
}
