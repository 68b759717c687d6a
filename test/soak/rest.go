package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// rest waits until the device is idle and checks it.
func (x *mixed) rest(event string) error {
	x.quiet.Store(true)
	defer x.quiet.Store(false)
	var v vitals
	for end := time.Now().Add(restLimit); ; time.Sleep(time.Second) {
		var err error
		if v, err = x.measure(); err != nil {
			return err
		}
		// The daemon looks up its own records now and then, which needs resources
		// for a short time.
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
	if x.first.FDs == 0 {
		x.first = v
	}
	x.rows = append(x.rows, []string{
		time.Since(x.begin).Round(time.Second).String(), event,
		fmt.Sprint(v.Fabrics), fmt.Sprint(v.Sessions), fmt.Sprint(v.Subscriptions), fmt.Sprint(v.Goroutines), fmt.Sprint(v.FDs),
		fmt.Sprint(v.Threads), fmt.Sprint(v.RSS), fmt.Sprint(v.Heap), fmt.Sprint(v.Store), fmt.Sprint(v.Received),
	})
	fmt.Println(x.rows[len(x.rows)-1])
	return x.named()
}

// named checks that the device is discoverable on all its fabrics, and not on the
// one that it left last.
func (x *mixed) named() error {
	here := netip.MustParseAddr(deviceULA)
	for _, m := range x.members {
		if err := x.found(m, "fabric "+m.instance(), func(addrs []netip.Addr) bool { return slices.Contains(addrs, here) }); err != nil {
			return err
		}
	}
	if x.left == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(x.ctx, time.Second)
	defer cancel()
	f, err := lookup(ctx, x.left)
	x.left = ""
	if err == nil {
		return fmt.Errorf("the device is found in a fabric that it has left: %+v", f)
	}
	return nil
}

// atRest returns an error if an idle device has something that it should not have.
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

// grown returns an error if a value has grown since the device was first idle, in
// this process or in the first one.
func (x *mixed) grown(v *vitals) error {
	var errs []error
	for _, before := range []vitals{x.base, x.first} {
		if before.FDs > 0 {
			errs = append(errs, v.beyond(before))
		}
	}
	if v.Store > maxStore {
		errs = append(errs, fmt.Errorf("the store has %d KiB", v.Store))
	}
	return errors.Join(errs...)
}

// beyond returns an error if a value is larger than before, apart from normal
// variation.
func (v *vitals) beyond(before vitals) error {
	var errs []error
	for _, g := range []struct {
		what        string
		now, before int
		more        int
	}{
		{"goroutines", v.Goroutines, before.Goroutines, 2},
		{"file descriptors", v.FDs, before.FDs, 1},
		{"threads", v.Threads, before.Threads, 4},
		{"KiB resident", v.RSS, before.RSS, growth},
	} {
		if g.now > g.before+g.more {
			errs = append(errs, fmt.Errorf("%d %s, %d before", g.now, g.what, g.before))
		}
	}
	return errors.Join(errs...)
}
