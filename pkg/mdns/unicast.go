package mdns

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// unicastSockets receive the packets to port 5353 of the host's own addresses. They are
// closed while another program of the host, such as avahi-daemon, receives these: only
// one program can.
type unicastSockets struct {
	v6 *ipv6.PacketConn
	v4 *ipv4.PacketConn // nil if the host has no IPv4

	inodes []uint64
}

func openUnicast() (*unicastSockets, error) {
	s := &unicastSockets{}
	c6, err := open(unix.AF_INET6, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		// Packets to the groups are received by the other sockets.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet6{Port: port})
	})
	if err != nil {
		return nil, fmt.Errorf("open the IPv6 unicast mDNS socket: %w", err)
	}
	s.add(c6)
	s.v6 = ipv6.NewPacketConn(c6)
	if err := s.v6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit|ipv6.FlagDst, true); err != nil {
		s.close()
		return nil, fmt.Errorf("set up the IPv6 unicast mDNS socket: %w", err)
	}
	c4, err := open(unix.AF_INET, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	})
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return s, nil
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open the IPv4 unicast mDNS socket: %w", err)
	}
	s.add(c4)
	s.v4 = ipv4.NewPacketConn(c4)
	if err := s.v4.SetControlMessage(ipv4.FlagInterface|ipv4.FlagTTL|ipv4.FlagDst, true); err != nil {
		s.close()
		return nil, fmt.Errorf("set up the IPv4 unicast mDNS socket: %w", err)
	}
	return s, nil
}

// add remembers the inode of a socket.
func (s *unicastSockets) add(c net.PacketConn) {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		if unix.Fstat(int(fd), &st) == nil {
			s.inodes = append(s.inodes, st.Ino)
		}
	})
}

// close makes pending reads return, too.
func (s *unicastSockets) close() {
	if s.v6 != nil {
		s.v6.Close()
	}
	if s.v4 != nil {
		s.v4.Close()
	}
}

// followUnicast opens the sockets for unicast if no other program has such sockets, and
// closes them if one does.
func (r *Responder) followUnicast() {
	var own []uint64
	if r.input.unicast != nil {
		own = r.input.unicast.inodes
	}
	want := len(r.engine.links) > 0 && !host.TakesUnicast(port, own...)
	switch {
	case want && r.input.unicast == nil:
		s, err := openUnicast()
		if err != nil {
			r.log.Debug("unicast queries are not received", "error", err)
			return
		}
		r.input.unicast = s
		r.input.readers.Go(func() { r.read(func(b []byte) (packet, error) { return read6(s.v6, b) }) })
		if s.v4 != nil {
			r.input.readers.Go(func() { r.read(func(b []byte) (packet, error) { return read4(s.v4, b) }) })
		}
	case !want && r.input.unicast != nil:
		r.input.unicast.close()
		r.input.unicast = nil
	}
}
