package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
)

var (
	// ErrPortInUse is returned when another socket has the UDP port. The text of the
	// error names the port and, if it can be found, the process.
	ErrPortInUse = errors.New("already in use")
	// ErrNoIPv6 is returned when the host has no IPv6, which Matter requires.
	ErrNoIPv6 = errors.New("this host has no IPv6, which Matter needs: turn it on in the kernel (ipv6.disable=0)")
)

// receiveBuffer is the size of each socket's buffer in the kernel: room for about 800
// datagrams of full size, so that no burst is lost while the node writes to its store.
// The kernel may allow less (net.core.rmem_max).
const receiveBuffer = 1 << 20

// portAttempts is the number of ports that are tried for one that is free in both families.
const portAttempts = 16

// Options of Listen.
type Options struct {
	// Port is the UDP port. With 0 a free one is chosen, the same for IPv6 and IPv4.
	Port uint16
	// Interfaces has the names of the interfaces to serve; empty: all. Datagrams that
	// come by another one, loopback included, are dropped. An interface may come later
	// or be replaced by another with its name.
	Interfaces []string
}

// Listen opens an IPv6 conn and, if the host has IPv4, an IPv4 one on the same port. The
// IPv6 conn is the first. The error is ErrPortInUse, ErrNoIPv6 or one of the kernel.
func Listen(opt Options) ([]PacketConn, error) {
	for attempt := 1; ; attempt++ {
		conns, err := listenBoth(opt)
		if err == nil {
			return conns, nil
		}
		// A port that the kernel chose for IPv6 may be in use in IPv4.
		if opt.Port == 0 && errors.Is(err, ErrPortInUse) && attempt < portAttempts {
			continue
		}
		return nil, err
	}
}

func listenBoth(opt Options) ([]PacketConn, error) {
	c6, err := listenUDP("udp6", netip.IPv6Unspecified(), opt.Port, opt.Interfaces)
	if noFamily(err) {
		return nil, fmt.Errorf("open UDP port %d: %w", opt.Port, ErrNoIPv6)
	}
	if err != nil {
		return nil, err
	}
	c4, err := listenUDP("udp4", netip.IPv4Unspecified(), c6.port, opt.Interfaces)
	if noFamily(err) {
		return []PacketConn{c6}, nil
	}
	if err != nil {
		c6.Close()
		return nil, err
	}
	return []PacketConn{c6, c4}, nil
}

// noFamily reports whether err says that the host lacks the address family.
func noFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

func listenUDP(network string, wildcard netip.Addr, port uint16, interfaces []string) (*udpConn, error) {
	lc := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = setOptions(int(fd), network) }); cerr != nil {
			return cerr
		}
		return err
	}}
	at := netip.AddrPortFrom(wildcard, port)
	pc, err := lc.ListenPacket(context.Background(), network, at.String())
	if errors.Is(err, unix.EADDRINUSE) {
		if who, ok := host.Holder(port); ok {
			return nil, fmt.Errorf("UDP port %d is %w by %s: stop it, or choose another port", port, ErrPortInUse, who)
		}
		return nil, fmt.Errorf("UDP port %d is %w by another process: stop it, or choose another port", port, ErrPortInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("open UDP port %d: %w", port, err)
	}
	udp := pc.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("open UDP port %d: %w", port, err)
	}
	return &udpConn{
		udp:        udp,
		in:         newReceiver(raw),
		out:        newSender(raw),
		port:       udp.LocalAddr().(*net.UDPAddr).AddrPort().Port(),
		v6:         network == "udp6",
		names:      interfaces,
		interfaces: newFilter(interfaces),
		joined:     make(map[membership]bool),
	}, nil
}

func setOptions(fd int, network string) error {
	// With privilege the size is not limited. The node works with a smaller one, too.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if network == "udp6" {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// udpConn is a socket of one address family.
type udpConn struct {
	udp        *net.UDPConn
	port       uint16
	v6         bool
	names      []string            // of the interfaces to serve; empty: those that host.Choose selects
	interfaces *filter             // nil: all
	joined     map[membership]bool // of SetGroups
	in         *receiver
	out        *sender
}

func (c *udpConn) Port() uint16 { return c.port }

func (c *udpConn) Close() error { return c.udp.Close() }

func (c *udpConn) ReadFrom(b []byte) (int, Path, error) {
	for {
		n, oob, flags, peer, err := c.in.receive(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				err = net.ErrClosed
			}
			return 0, Path{}, err
		}
		switch {
		case flags&unix.MSG_CTRUNC != 0:
			continue
		case flags&unix.MSG_TRUNC != 0:
			n = 0
		}
		p := Path{Peer: peer}
		if p.Local, p.Interface = parseControl(oob); !c.interfaces.allows(p.Interface) {
			continue
		}
		return n, p, nil
	}
}

// WriteTo implements PacketConn. If the address or the interface of p no longer exists,
// after a change of the prefix, for example, the kernel chooses both, so that a session
// outlives such a change.
func (c *udpConn) WriteTo(b []byte, p Path) error {
	peer := p.Peer
	if p.Interface != 0 {
		// The index is enough. A zone would be looked up in a cache of names that may
		// be a minute old.
		peer = netip.AddrPortFrom(peer.Addr().WithZone(""), peer.Port())
	}
	err := c.send(b, peer, p.Local, p.Interface)
	if err == nil || (p.Interface == 0 && !p.Local.IsValid()) || !pathGone(err) {
		return err
	}
	if peer.Addr().IsLinkLocalUnicast() && p.Interface != 0 {
		if c.send(b, peer, netip.Addr{}, p.Interface) == nil {
			return nil
		}
	}
	if c.send(b, p.Peer, netip.Addr{}, 0) == nil {
		return nil
	}
	return err
}

func (c *udpConn) send(b []byte, peer netip.AddrPort, local netip.Addr, index int) error {
	var space [controlSent]byte
	oob := space[:0]
	switch {
	case index == 0 && !local.IsValid():
	case c.v6:
		oob = appendControl6(oob, local, index)
	default:
		oob = appendControl4(oob, local, index)
	}
	if peer.Addr().Zone() != "" { // to be looked up
		_, _, err := c.udp.WriteMsgUDPAddrPort(b, oob, peer)
		return err
	}
	return c.out.send(b, oob, peer)
}

// pathGone reports whether err says that the host no longer has the address or the
// interface, or has no route by it.
func pathGone(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{
		unix.EINVAL, unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN,
	}, errno)
}
