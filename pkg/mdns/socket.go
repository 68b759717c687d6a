package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// ErrPortTaken is returned when another program has the mDNS port and does not share it.
var ErrPortTaken = errors.New("another program does not share UDP port 5353")

// sendPatience bounds the wait for a link whose queue is full.
const sendPatience = 100 * time.Millisecond

// sockets send and receive multicast, with one socket for each address family.
type sockets struct {
	v6 *ipv6.PacketConn
	v4 *ipv4.PacketConn // nil if the host has no IPv4
}

// CheckPort returns the error that New would return because of its sockets.
func CheckPort() error {
	s, err := openSockets()
	if err == nil {
		s.close()
	}
	return err
}

// openSockets opens both sockets. They are bound to the groups and not to the wildcard
// address, and receive only on the interfaces on which they have joined. So unicast is
// left to the mDNS responder of the system, if there is one.
func openSockets() (*sockets, error) {
	s := &sockets{}
	c6, err := open6()
	if err != nil {
		return nil, fmt.Errorf("open the IPv6 mDNS socket: %w", err)
	}
	s.v6 = ipv6.NewPacketConn(c6)
	if err := s.setup6(); err != nil {
		s.close()
		return nil, fmt.Errorf("set up the IPv6 mDNS socket: %w", err)
	}
	c4, err := open4()
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return s, nil
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open the IPv4 mDNS socket: %w", err)
	}
	s.v4 = ipv4.NewPacketConn(c4)
	if err := s.setup4(); err != nil {
		s.close()
		return nil, fmt.Errorf("set up the IPv4 mDNS socket: %w", err)
	}
	return s, nil
}

func (s *sockets) setup6() error {
	return errors.Join(
		s.v6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit, true),
		s.v6.SetMulticastHopLimit(hopLimit), s.v6.SetHopLimit(hopLimit),
		s.v6.SetMulticastLoopback(true))
}

func (s *sockets) setup4() error {
	return errors.Join(
		s.v4.SetControlMessage(ipv4.FlagInterface|ipv4.FlagTTL, true),
		s.v4.SetMulticastTTL(hopLimit), s.v4.SetTTL(hopLimit),
		s.v4.SetMulticastLoopback(true))
}

// close makes pending reads return, too.
func (s *sockets) close() {
	if s.v6 != nil {
		s.v6.Close()
	}
	if s.v4 != nil {
		s.v4.Close()
	}
}

// open6 binds a socket to [ff02::fb]:5353 on all interfaces. The kernel requires an
// interface to bind to a link-local address. When the socket is then connected to the
// address family AF_UNSPEC, the kernel forgets the interface and keeps the address.
// Neither takes a privilege.
func open6() (net.PacketConn, error) {
	const loopback = 1 // the index that every network namespace has
	return open(unix.AF_INET6, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		// Linux before 4.20 has no such option. Packets of groups that other
		// programs have joined are then received, and dropped by their interface.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port, ZoneId: loopback, Addr: groups[ip6].Addr().As16()}); err != nil {
			return err
		}
		if err := disconnect(fd); err != nil {
			return err
		}
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); err == nil && n != 0 {
			return errors.New("the kernel keeps the socket on one interface")
		}
		return nil
	})
}

// disconnect connects a socket to AF_UNSPEC, for which x/sys has no type.
func disconnect(fd int) error {
	none := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	return nil
}

func open4() (net.PacketConn, error) {
	return open(unix.AF_INET, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: groups[ip4].Addr().As4()})
	})
}

// open returns a socket that shares its port. Package net cannot bind to a group: it
// binds to the wildcard address instead.
func open(domain int, bind func(fd int) error) (net.PacketConn, error) {
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "mdns")
	defer f.Close() // FilePacketConn duplicates it
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
	); err != nil {
		return nil, err
	}
	err = bind(fd)
	if errors.Is(err, unix.EADDRINUSE) {
		if holders := host.Holders(port); len(holders) > 0 {
			return nil, fmt.Errorf("%w: %s", ErrPortTaken, strings.Join(holders, ", "))
		}
		return nil, ErrPortTaken
	}
	if err != nil {
		return nil, err
	}
	return net.FilePacketConn(f)
}

func (s *sockets) join(index int, f family) error {
	var err error
	ifi := &net.Interface{Index: index}
	switch {
	case f == ip6:
		err = s.v6.JoinGroup(ifi, net.UDPAddrFromAddrPort(groups[f]))
	case s.v4 != nil:
		err = s.v4.JoinGroup(ifi, net.UDPAddrFromAddrPort(groups[f]))
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return nil // it has joined already
	}
	return err
}

func (s *sockets) leave(index int, f family) {
	// An error means that the interface has gone, and the membership with it.
	ifi := &net.Interface{Index: index}
	switch {
	case f == ip6:
		_ = s.v6.LeaveGroup(ifi, net.UDPAddrFromAddrPort(groups[f]))
	case s.v4 != nil:
		_ = s.v4.LeaveGroup(ifi, net.UDPAddrFromAddrPort(groups[f]))
	}
}

func (s *sockets) send(index int, f family, to netip.AddrPort, from netip.Addr, b []byte) error {
	deadline := time.Now().Add(sendPatience)
	// The index determines the interface. The name in a zone may belong to another interface by now.
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr().WithZone(""), to.Port()))
	var err error
	switch {
	case f == ip6:
		_ = s.v6.SetWriteDeadline(deadline)
		_, err = s.v6.WriteTo(b, &ipv6.ControlMessage{IfIndex: index, Src: from.AsSlice()}, addr)
	case s.v4 != nil:
		_ = s.v4.SetWriteDeadline(deadline)
		_, err = s.v4.WriteTo(b, &ipv4.ControlMessage{IfIndex: index, Src: from.AsSlice()}, addr)
	}
	return err
}

// read waits for the next packet of a family and puts it into b. A packet that is
// larger than b is truncated, and so malformed.
func (s *sockets) read(f family, b []byte) (packet, error) {
	if f == ip6 {
		return read6(s.v6, b)
	}
	return read4(s.v4, b)
}

func read6(c *ipv6.PacketConn, b []byte) (packet, error) {
	n, cm, from, err := c.ReadFrom(b)
	if err != nil {
		return packet{}, err
	}
	p := packet{family: ip6, from: addrPort(from), data: b[:n]}
	if cm != nil {
		p.index, p.hopLimit, p.to = cm.IfIndex, cm.HopLimit, unicastTo(cm.Dst)
	}
	return p, nil
}

func read4(c *ipv4.PacketConn, b []byte) (packet, error) {
	n, cm, from, err := c.ReadFrom(b)
	if err != nil {
		return packet{}, err
	}
	p := packet{family: ip4, from: addrPort(from), data: b[:n]}
	if cm != nil {
		p.index, p.hopLimit, p.to = cm.IfIndex, cm.TTL, unicastTo(cm.Dst)
	}
	return p, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := u.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// unicastTo returns the destination of a packet, or the zero Addr if it is a group.
func unicastTo(dst net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(dst)
	if a = a.Unmap(); a.IsMulticast() {
		return netip.Addr{}
	}
	return a
}
