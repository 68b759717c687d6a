package transport

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// GroupPort is the UDP port of datagrams to multicast groups (section 2.5.6.2). It does
// not depend on the node's port.
const GroupPort = 5540

// ErrGroupPort is returned by SetGroups if the conn has another port than GroupPort.
var ErrGroupPort = fmt.Errorf("messages to groups come to UDP port %d only", GroupPort)

// membership is one multicast group on one interface.
type membership struct {
	group netip.Addr
	index int
}

// SetGroups implements PacketConn.
func (c *udpConn) SetGroups(groups []netip.Addr) error {
	if len(groups) > 0 && (!c.v6 || c.port != GroupPort) {
		return ErrGroupPort
	}
	want := make(map[membership]bool)
	if len(groups) > 0 {
		links, err := host.Interfaces(c.names)
		if err != nil {
			return err
		}
		for _, l := range links {
			for _, g := range groups {
				if l.Use {
					want[membership{g, l.Index}] = true
				}
			}
		}
	}
	var errs []error
	for m := range c.joined {
		if !want[m] {
			// An error means that the interface has gone, and its memberships with it.
			_ = c.setMembership(unix.IPV6_LEAVE_GROUP, m)
			delete(c.joined, m)
		}
	}
	for m := range want {
		if c.joined[m] {
			continue
		}
		if err := c.setMembership(unix.IPV6_JOIN_GROUP, m); err != nil && !errors.Is(err, unix.EADDRINUSE) {
			errs = append(errs, fmt.Errorf("join %v on interface %d: %w", m.group, m.index, err))
			continue
		}
		c.joined[m] = true
	}
	return errors.Join(errs...)
}

func (c *udpConn) setMembership(option int, m membership) error {
	raw, err := c.udp.SyscallConn()
	if err != nil {
		return err
	}
	mreq := &unix.IPv6Mreq{Multiaddr: m.group.As16(), Interface: uint32(m.index)}
	cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, option, mreq) })
	return errors.Join(cerr, err)
}
