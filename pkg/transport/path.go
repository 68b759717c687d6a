package transport

import "net/netip"

// Path says which way a datagram came, so that its answer can go back the same
// way. The zero Path names nobody. Paths are comparable.
type Path struct {
	// Peer is the other side. A link-local IPv6 address keeps its zone; IPv4
	// addresses are never in their IPv4-mapped form.
	Peer netip.AddrPort
	// Local is our address that the peer used, without a zone. The zero Addr
	// lets the kernel choose.
	Local netip.Addr
	// Interface is the index of the network interface; 0 lets the kernel (or
	// the zone of Peer) choose.
	Interface int
}

// PacketConn moves datagrams. Listen makes real ones, tests replace them.
// ReadFrom is for one goroutine at a time; WriteTo and Close may be called
// beside it and beside each other.
type PacketConn interface {
	// ReadFrom waits for the next datagram and puts it into b. Of a datagram that
	// is larger than b it returns nothing but the path, with an n of 0: its source
	// is to be held to account, but a part of it is no message. After Close the
	// error is net.ErrClosed.
	ReadFrom(b []byte) (n int, p Path, err error)
	// WriteTo sends b along p.
	WriteTo(b []byte, p Path) error
	// SetGroups makes groups the multicast groups whose datagrams the conn
	// receives too, on all interfaces that the node serves at this moment. What
	// can be joined is joined; the error says what cannot. It is for one goroutine
	// at a time.
	SetGroups(groups []netip.Addr) error
	// Port is the local UDP port.
	Port() uint16
	// Close ends the conn and unblocks ReadFrom.
	Close() error
}
