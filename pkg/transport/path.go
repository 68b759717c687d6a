package transport

import "net/netip"

// Path is the way that a datagram came, so that its answer can go back the same way. The
// zero Path is no way. Paths are comparable.
type Path struct {
	// Peer is the other side. A link-local IPv6 address has a zone. An IPv4 address is
	// never in its IPv4-mapped form.
	Peer netip.AddrPort
	// Local is this host's address that the peer used, without a zone. With the zero
	// Addr the kernel chooses it.
	Local netip.Addr
	// Interface is the index of the network interface. With 0 the zone of Peer or the
	// kernel determines it.
	Interface int
}

// PacketConn sends and receives datagrams. Listen returns real ones; tests have their own.
// ReadFrom must be called by one goroutine at a time. WriteTo and Close may be called
// concurrently.
type PacketConn interface {
	// ReadFrom waits for the next datagram and puts it into b. For a datagram that is
	// larger than b it returns the path and an n of 0, so that the limits can count it:
	// a part of a datagram is no message. After Close the error is net.ErrClosed.
	ReadFrom(b []byte) (n int, p Path, err error)
	// WriteTo sends b along p.
	WriteTo(b []byte, p Path) error
	// SetGroups replaces the multicast groups whose datagrams the conn receives, on all
	// interfaces that the node serves at this moment. If some groups cannot be joined,
	// the others are, and the error names them. It must be called by one goroutine at a
	// time.
	SetGroups(groups []netip.Addr) error
	// Port is the local UDP port.
	Port() uint16
	// Close closes the conn and unblocks ReadFrom.
	Close() error
}
