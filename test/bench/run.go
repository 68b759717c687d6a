package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netns"
)

// Goals as multiples of the floor of the same run: absolute figures of one machine differ by
// a factor of two between days.
const (
	timesRead          = 2.2
	timesWildcard      = 1.8
	timesCASE          = 2
	timesPASE          = 3.5
	timesLabel         = 5
	timesCommissioning = 4
)

// Goals, in nanoseconds and octets.
const (
	goalRead          = 30e3
	goalAllocations   = 10
	goalFull          = 0.65e6
	goalResumed       = 0.1e6
	goalPASE          = 0.6e6
	goalCommissioning = 6e6
	goalWildcard      = 0.2e6
	goalLabel         = 0.2e6
	goalSyncs         = 1
	goalIdle          = 0.1e6
	goalRSSIdle       = 14 << 20
	goalRSSAfter      = 20 << 20
	goalCASEGrowth    = 1.3
	goalMemoryGrowth  = 12 << 20
	goalSockets       = 4 // for multicast and for questions to the host, IPv6 and IPv4
	goalBrowse        = 3e6
	goalStart         = 100e6
	goalProbed        = 1000e6 // mDNS: three probes 250 ms apart, after up to 250 ms
	goalReadGrowth    = 1.1    // the same, as far as can be measured
)

// bench is one run.
type bench struct {
	*settings
	ctx    context.Context
	ns     *netns.Namespace
	floors *floors
	echo   *echo
	table  []figure
	begin  time.Time

	peerRun bool // the other device is being measured
}

func run(ctx context.Context, s *settings) (err error) {
	b := &bench{settings: s, ctx: ctx, begin: time.Now()}
	if b.dir, err = os.MkdirTemp(s.dir, "opcredsd-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.ns, err = newNetwork(); err != nil {
		return err
	}
	b.say("floors")
	if b.floors, err = measureFloors(b.rounds, b.dir); err != nil {
		return err
	}
	if b.echo, err = startEcho(b.ns); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	defer b.echo.stop()
	if err := b.echoes(); err != nil {
		return err
	}
	if err := b.one(); err != nil {
		return err
	}
	err = b.parts(part{"fabrics", b.many}, part{"flat", b.flat}, part{"bridge", b.mixedHouse}, part{"fades", b.fades}, part{"mqtt", b.mqtt})
	if err == nil && b.peer != "" {
		if err = b.matterJS(); err != nil {
			err = fmt.Errorf("matter.js: %w", err)
		}
	}
	b.say("done")
	return errors.Join(write(os.Stdout, b.table, b.peer != ""), err)
}

// echoes measures the floors of figures that are not measured beside it: of a read, and of
// one message of a wildcard read.
func (b *bench) echoes() error {
	for _, m := range []struct {
		kind       byte
		n, answers int
		to         *float64
	}{{kindRead, 1000, 1, &b.floors.echo}, {kindWildcard, 100, 10, &b.floors.echoLarge}} {
		var all sample
		for range b.rounds + 1 {
			t, err := b.echo.measure(m.kind, m.n, m.answers)
			if err != nil {
				return err
			}
			all = append(all, t/float64(m.answers))
		}
		*m.to = all[1:].median()
	}
	return nil
}

// say prints progress.
func (b *bench) say(what string) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(b.begin).Seconds(), what)
}

// add takes a figure, or what the other device has in its place.
func (b *bench) add(f figure) {
	if f.spread != nil {
		f.value = f.spread.median()
	}
	if b.peerRun {
		for i := range b.table {
			if b.table[i].name == f.name {
				b.table[i].peer = f.value
			}
		}
		return
	}
	b.table = append(b.table, f)
}

// node makes a daemon with a fabric, at rest.
func (b *bench) node(name string, maxFabrics int) (*daemon, *load, error) {
	return b.numbered(0, name, maxFabrics)
}

// numbered makes one of several daemons that run at the same time.
func (b *bench) numbered(number uint16, name string, maxFabrics int) (*daemon, *load, error) {
	d := &daemon{binary: b.daemon, ns: b.ns, state: filepath.Join(b.dir, name), fabrics: maxFabrics, number: number}
	if err := d.start(); err != nil {
		return nil, nil, err
	}
	if err := d.ready(); err != nil {
		return nil, nil, err
	}
	l, err := newLoad(b.ctx, b.rounds)
	if err != nil {
		return nil, nil, err
	}
	l.device, l.addr = d.process, netip.AddrPortFrom(deviceAddr, udpPort+number)
	if err := l.settleIn(); err != nil {
		return nil, nil, fmt.Errorf("%w\n%s", err, d.out.tail())
	}
	return d, l, d.stop()
}

// one measures a node with one fabric.
func (b *bench) one() error {
	d, l, err := b.node("one", 16)
	if err != nil {
		return err
	}
	defer l.client.Close()
	defer d.kill()
	if err := b.parts(
		part{"start", func() error { return b.starts(d, l) }},
	); err != nil {
		return err
	}
	if err := b.restart(d, l); err != nil {
		return err
	}
	if err := d.ready(); err != nil {
		return err
	}
	if err := l.connect(); err != nil {
		return err
	}
	if err := b.operations(d, l); err != nil {
		return fmt.Errorf("%w\n%s", err, d.out.tail())
	}
	return d.stop()
}

// operations measures a device with one fabric, which has a session open. d is nil
// if the device is not our daemon.
func (b *bench) operations(d *daemon, l *load) error {
	time.Sleep(quiet)
	rss, err := l.device.rss()
	if err != nil {
		return err
	}
	b.add(figure{name: "RSS idle", unit: mebi, value: rss, goal: goalRSSIdle})
	if err := b.parts(
		part{"idle", func() error { return b.idle(l) }},
		part{"read", func() error { return b.reads(d, l) }},
		part{"wildcard", func() error { return b.wildcards(l) }},
		part{"case", func() error { return b.handshakes(l) }},
		part{"label", func() error { return b.labels(d, l) }},
		part{"pase", func() error { return b.pases(l) }},
		part{"commissioning", func() error { return b.commissionings(l) }},
	); err != nil {
		return err
	}
	after, err := l.device.rss()
	b.add(figure{name: "RSS after all that", unit: mebi, value: after, goal: goalRSSAfter})
	return err
}

// part is something to measure that can be left out.
type part struct {
	name string
	run  func() error
}

func (b *bench) parts(list ...part) error {
	for _, p := range list {
		if !b.only.MatchString(p.name) {
			continue
		}
		b.say(p.name)
		if err := p.run(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (b *bench) restart(d *daemon, l *load) error {
	if err := d.stop(); err != nil {
		return err
	}
	if err := d.start(); err != nil {
		return err
	}
	l.device = d.process
	return nil
}

// starts measures how long a commissioned daemon takes to answer.
func (b *bench) starts(d *daemon, l *load) error {
	var answer, session sample
	for range min(b.rounds, 5) {
		for _, m := range []struct {
			to *sample
			f  func() (time.Duration, error)
		}{{&answer, l.firstAnswer}, {&session, l.firstSession}} {
			if err := b.restart(d, l); err != nil {
				return err
			}
			t, err := m.f()
			if err != nil {
				return fmt.Errorf("%w\n%s", err, d.out.tail())
			}
			*m.to = append(*m.to, float64(t))
		}
	}
	b.add(figure{name: "start to first mDNS answer, wall clock", unit: cpu, spread: answer, goal: goalProbed, note: "probing for the names takes 750 to 1000 ms of it"})
	b.add(figure{name: "start to first CASE session, wall clock", unit: cpu, spread: session, goal: goalStart})
	return nil
}

func (b *bench) idle(l *load) error {
	// After the commissioning the node sends announcements and looks for itself.
	time.Sleep(6 * time.Second)
	idle, err := l.idle(30 * time.Second)
	b.add(figure{name: "idle, commissioned, a second", unit: cpu, spread: idle, goal: goalIdle})
	return err
}

func (b *bench) reads(d *daemon, l *load) error {
	read, floor, err := b.beside(l, 1000, commissioner.Attr(0, readCluster, readAttribute), kindRead)
	if err != nil {
		return err
	}
	b.add(figure{name: "read of one attribute", unit: cpu, spread: read, goal: goalRead, floor: floor.median(), times: timesRead})
	if d == nil {
		return nil
	}
	const n = 2000
	allocs, err := d.allocations(repeat(n, l.readOne))
	b.add(figure{name: "its allocations", unit: number, value: round(allocs/n, 1), goal: goalAllocations})
	return err
}

func (b *bench) wildcards(l *load) error {
	rep, err := l.readAll()
	if err != nil {
		return err
	}
	all, floor, err := b.beside(l, 200, commissioner.Endpoint(0), kindWildcard)
	if err != nil {
		return err
	}
	b.add(figure{name: "wildcard read of endpoint 0", unit: cpu, spread: all, goal: goalWildcard, floor: floor.median(), times: timesWildcard,
		note: fmt.Sprintf("%d attributes in %d messages", len(rep.Attributes), rep.Chunks)})
	rare, err := l.rareWildcards()
	b.add(figure{name: "the same once in 1.1 s", unit: cpu, spread: rare, floor: floor.median(), note: "caches are cold, the link's counters are read"})
	return err
}

func (b *bench) handshakes(l *load) error {
	full, err := l.sessions(l.home, l.node, false)
	if err != nil {
		return err
	}
	b.add(figure{name: "CASE, full", unit: cpu, spread: full, goal: goalFull, floor: b.floors.full(), times: timesCASE})
	resumed, err := l.sessions(l.home, l.node, true)
	b.add(figure{name: "CASE, resumed", unit: cpu, spread: resumed, goal: goalResumed, floor: b.floors.resumed()})
	if err != nil {
		return err
	}
	// A device that keeps few sessions may have dropped the one in use.
	l.s.Close()
	return l.connect()
}

func (b *bench) labels(d *daemon, l *load) error {
	labels, err := l.labels()
	if err != nil {
		return err
	}
	b.add(figure{name: "UpdateFabricLabel, on disk", unit: cpu, spread: labels, goal: goalLabel, floor: b.floors.label(), times: timesLabel})
	if d == nil {
		return nil
	}
	const n = 5
	i := 0
	syncs, ok, err := d.syncs(repeat(n, func() error {
		i++
		return l.s.UpdateFabricLabel(b.ctx, fmt.Sprintf("traced %d", i))
	}))
	if ok {
		b.add(figure{name: "its syncs", unit: number, value: round(float64(syncs)/n, 1), goal: goalSyncs})
	}
	return err
}

func (b *bench) pases(l *load) error {
	pase, err := l.pases()
	b.add(figure{name: "PASE", unit: cpu, spread: pase, goal: goalPASE, floor: b.floors.pase(), times: timesPASE})
	return err
}

func (b *bench) commissionings(l *load) error {
	all, err := l.commissionings()
	b.add(figure{name: "commissioning", unit: cpu, spread: all, goal: goalCommissioning, floor: b.floors.commissioning(), times: timesCommissioning})
	return err
}

// fabricsSide contains the figures that are compared between one fabric and many. Each is
// the lowest of its rounds, as only those can be compared over half a minute.
type fabricsSide struct {
	rss, read, full float64
	sockets         int
	browse          sample
}

// many compares a node with one fabric and the same one with many.
func (b *bench) many() error {
	d, l, err := b.node("many", b.fabrics)
	if err != nil {
		return err
	}
	defer l.client.Close()
	defer d.kill()
	b.say("one fabric")
	one, err := b.side(d, l, 1)
	if err != nil {
		return err
	}
	b.say(fmt.Sprintf("%d fabrics", b.fabrics))
	if l.home, l.node, err = fill(d.state, b.fabrics); err != nil {
		return err
	}
	many, err := b.side(d, l, b.fabrics)
	if err != nil {
		return err
	}
	name := func(what string) string { return fmt.Sprintf("%d fabrics: %s", b.fabrics, what) }
	b.add(figure{name: name("CASE, against 1"), unit: factor, value: many.full / one.full, goal: goalCASEGrowth})
	b.add(figure{name: name("read, against 1"), unit: factor, value: many.read / one.read, goal: goalReadGrowth})
	b.add(figure{name: name("more RSS, idle"), unit: mebi, value: many.rss - one.rss, goal: goalMemoryGrowth})
	b.add(figure{name: name("mDNS sockets"), unit: number, value: float64(many.sockets), goal: goalSockets})
	b.add(figure{name: name("PTR query"), unit: cpu, spread: many.browse, goal: goalBrowse,
		note: fmt.Sprintf("with 1 fabric it is %s", cpu.format(one.browse.median()))})
	return nil
}

// side measures a daemon that does not run and leaves it so.
func (b *bench) side(d *daemon, l *load, fabrics int) (s fabricsSide, err error) {
	if err := d.start(); err != nil {
		return s, err
	}
	if err := d.ready(); err != nil {
		return s, err
	}
	l.device = d.process
	time.Sleep(quiet)
	if s.rss, err = d.rss(); err != nil {
		return s, err
	}
	if s.sockets, err = d.udpSockets(mdnsPort); err != nil {
		return s, err
	}
	if s.browse, err = l.browse(fabrics); err != nil {
		return s, err
	}
	if err := l.connect(); err != nil {
		return s, err
	}
	read, err := l.reads()
	if err != nil {
		return s, err
	}
	full, err := l.sessions(l.home, l.node, false)
	if err != nil {
		return s, err
	}
	s.read, s.full = read.least(), full.least()
	return s, d.stop()
}
