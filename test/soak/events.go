package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netns"
	"github.com/opcredsd/opcredsd/pkg/mdns"
)

// flap adds a second prefix to the device's link, uses it, and removes it. The mDNS
// records must follow.
func (x *mixed) flap() error {
	home := x.members[0]
	if err := errors.Join(netns.AddAddress(link, movedHere+"/64"), x.net.Do(func() error { return netns.AddAddress(link, movedULA+"/64") })); err != nil {
		return err
	}
	moved := netip.MustParseAddr(movedULA)
	err := x.times.do("mDNS: a new address", func() error {
		return x.found(home, "the new address", func(addrs []netip.Addr) bool { return slices.Contains(addrs, moved) })
	})
	home.at = deviceAt(movedULA)
	// The controller's socket sends from the old prefix, which still works.
	err = errors.Join(err, x.connect(home, "session, new address", false), x.do("read", home.read))
	home.at = deviceAt(deviceULA)
	err = errors.Join(err, x.net.Do(func() error { return netns.DeleteAddress(link, movedULA+"/64") }), netns.DeleteAddress(link, movedHere+"/64"))
	err = errors.Join(err, x.times.do("mDNS: an address gone", func() error {
		return x.found(home, "without the old address", func(addrs []netip.Addr) bool { return !slices.Contains(addrs, moved) })
	}))
	// The session used the removed address. It continues with another address. The
	// controller looks that up if it has not received a message from it yet.
	home.s.Redirect(home.at)
	return errors.Join(err, x.again("session after its address"))
}

// found waits until the device's records on the network satisfy ok.
func (x *mixed) found(m *member, what string, ok func([]netip.Addr) bool) error {
	ctx, cancel := context.WithTimeout(x.ctx, mdnsLimit)
	defer cancel()
	for {
		f, err := lookup(ctx, m.instance())
		if err == nil && ok(f.Addrs) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s is not found after %v: %+v, %v", what, mdnsLimit, f, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// lookup looks up an operational service on the network.
func lookup(ctx context.Context, instance string) (f mdns.Found, err error) {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return f, err
	}
	return mdns.Lookup(ctx, []net.Interface{*i}, mdns.Service{Type: "_matter._tcp", Instance: instance})
}

// again waits until every existing session works.
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
	if err := x.net.Do(func() error { return netns.Down(link) }); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	if err := x.net.Do(func() error { return errors.Join(netns.Up(link), await()) }); err != nil {
		return err
	}
	return x.returned()
}

// linkAnew removes the link and creates another one with the same name.
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

// returned checks that everything works on a link that was restored.
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

// pause stops the daemon's process, as when a host is suspended: its time jumps
// ahead.
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

// restart ends the daemon and starts it again. Sessions are lost. Controllers open
// new ones, and their subscriptions continue.
func (x *mixed) restart(how unix.Signal) error {
	if err := x.stop(how); err != nil {
		return err
	}
	if err := x.times.do("start", x.start); err != nil {
		return err
	}
	x.base, x.stray, x.skew = vitals{}, 0, 0
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

// pending removes a report that has arrived already and reports whether there was
// one.
func pending(u *commissioner.Subscription) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := u.Next(ctx)
	return err == nil
}
