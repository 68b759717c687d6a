package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// connectLimit is the time limit for a genuine controller to connect.
const connectLimit = time.Second

// attack is an attack that the device must survive.
type attack struct {
	name      string
	hosts     int // 0: the device's own
	perSecond int
	time      time.Duration
	act       func(x *attackers)
}

func runStorm(ctx context.Context, s *settings) error {
	return assault(ctx, s, "Sigma1, 15 a second", func(m *member) ([]attack, error) {
		recorded, err := m.recorded()
		if err != nil {
			return nil, err
		}
		forged := append([]byte(nil), recorded...)
		return []attack{
			{"forged, 1 host", 1, 15, s.storm, func(x *attackers) {
				forged[50+x.r.IntN(16)] ^= byte(1 + x.r.IntN(255)) // in the destination id
				x.handshake(forged)
			}},
			{"replayed, 1 host", 1, 15, s.storm, func(x *attackers) { x.handshake(recorded) }},
			{"replayed, 40 hosts", 40, 15, s.storm, func(x *attackers) { x.handshake(recorded) }},
		}, nil
	})
}

func runFlood(ctx context.Context, s *settings) error {
	return assault(ctx, s, "Datagrams, 10,000 a second", func(m *member) ([]attack, error) {
		recorded, err := m.recorded()
		if err != nil {
			return nil, err
		}
		noise := func(x *attackers) { x.noise() }
		return []attack{
			{"random, over loopback", 0, 10_000, s.flood, noise},
			{"random, 1 host", 1, 10_000, s.flood, noise},
			{"random, 100 hosts", 100, 10_000, s.flood, noise},
			{"replayed Sigma1, 1 host", 1, 10_000, s.flood, func(x *attackers) { x.handshake(recorded) }},
		}, nil
	})
}

// assault runs attacks while a genuine controller keeps a session and opens others.
func assault(ctx context.Context, s *settings, title string, make func(*member) ([]attack, error)) error {
	r, m, err := newCommissioned(ctx, s)
	if err != nil {
		return err
	}
	defer r.remove()
	attacks, err := make(m)
	if err != nil {
		return err
	}
	rows := [][]string{{title, "seconds", "sent", "dropped by limits", "CPU", "connect, ms: median", "longest", "read, ms: median", "longest", "RSS before, KiB", "after", "failed"}}
	failed := 0
	for _, a := range attacks {
		row, n, err := r.endure(ctx, m, a)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		rows = append(rows, row)
		failed += n
	}
	table(rows...)
	if failed > 0 {
		return fmt.Errorf("%d operations of a genuine controller failed, or took longer than %v", failed, connectLimit)
	}
	return nil
}

// attackers returns hosts that attack the device: others on the link or, for 0, the
// device's own over loopback.
func (r *rig) attackers(hosts int) (x *attackers, err error) {
	if hosts > 0 {
		return newAttackers(hosts, deviceULA, r.seed)
	}
	err = r.net.Do(func() error {
		x, err = localAttacker(r.seed)
		return err
	})
	return x, err
}

// endure runs one attack.
func (r *rig) endure(ctx context.Context, m *member, a attack) (row []string, failed int, err error) {
	before, err := r.measure()
	if err != nil {
		return nil, 0, err
	}
	x, err := r.attackers(a.hosts)
	if err != nil {
		return nil, 0, err
	}
	x.acknowledge()
	stop, cancel := context.WithTimeout(ctx, a.time)
	defer cancel()
	done := make(chan struct{})
	cpu := r.cpu()
	begin := time.Now()
	go func() {
		every(stop, a.perSecond, func() { a.act(x) })
		close(done)
	}()
	t, failed, err := r.goodController(ctx, stop, m, a.name)
	if err != nil {
		return nil, 0, err
	}
	<-done
	used, took := r.cpu()-cpu, time.Since(begin)
	x.close()
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	time.Sleep(2 * time.Second)
	after, err := r.measure()
	if err != nil {
		return nil, 0, err
	}
	failed += t.beyond(connectLimit)
	if after.RSS > before.RSS+growth {
		failed++
		fmt.Printf("%s: resident memory grew from %d to %d KiB\n", a.name, before.RSS, after.RSS)
	}
	limits := 0
	for _, reason := range []string{"source_limit", "queue_full"} {
		limits += after.Dropped[reason] - before.Dropped[reason]
	}
	return []string{
		a.name, fmt.Sprintf("%.0f", took.Seconds()), fmt.Sprint(x.sent.Load()), fmt.Sprint(limits),
		fmt.Sprintf("%.1f %%", 100*used.Seconds()/took.Seconds()),
		ms(t.of("connect").at(.5)), ms(t.of("connect").at(1)), ms(t.of("read").at(.5)), ms(t.of("read").at(1)),
		fmt.Sprint(before.RSS), fmt.Sprint(after.RSS), fmt.Sprint(failed),
	}, failed, nil
}

// goodController reads five times a second and connects once a second, until stop
// ends.
func (r *rig) goodController(ctx, stop context.Context, m *member, during string) (t timings, failed int, err error) {
	good := func(name string, f func(context.Context) error) {
		one, cancel := context.WithTimeout(ctx, opLimit)
		defer cancel()
		if err := t.do(name, func() error { return f(one) }); err != nil {
			failed++
			fmt.Println(during, err)
		}
	}
	for n := 0; stop.Err() == nil; n++ {
		time.Sleep(200 * time.Millisecond)
		good("read", m.read)
		if n%5 == 4 {
			old := m.s
			good("connect", func(ctx context.Context) error {
				if err := m.connect(ctx, false); err != nil {
					return err
				}
				return m.read(ctx)
			})
			if m.s != old {
				old.Close()
			}
		}
		if err := r.alive(); err != nil {
			return t, failed, err
		}
	}
	return t, failed, nil
}

// growth is how much more memory may be resident after an attack or a lap, in KiB,
// as garbage is collected with a delay.
const growth = 6 << 10

// cpu returns the CPU time that the daemon has used.
func (d *daemon) cpu() (total time.Duration) {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.cmd.Process.Pid))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has just ended
		}
		on, _, _ := strings.Cut(string(b), " ")
		ns, _ := strconv.ParseInt(on, 10, 64)
		total += time.Duration(ns)
	}
	return total
}
