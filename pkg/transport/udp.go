package transport

import "errors"

// Options of Listen.
type Options struct {
	// Port is the UDP port; 0 picks a free one, the same for IPv6 and IPv4.
	Port uint16
	// Interfaces, if any, names the interfaces to serve; datagrams that come
	// in by another one are not delivered.
	Interfaces []string
}

// Listen opens an IPv6 and, if the host has IPv4, an IPv4 conn on one port.
func Listen(opt Options) ([]PacketConn, error) {
	return nil, errors.ErrUnsupported
}
