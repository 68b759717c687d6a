// Package transport moves datagrams between the network and the node: UDP
// sockets that know by which address and interface each datagram came in, so
// that the answer leaves the same way (Core Specification, section 4.3
// and 4.4), and the rule that picks the interfaces a node serves.
//
// It knows nothing of what the datagrams mean.
package transport
