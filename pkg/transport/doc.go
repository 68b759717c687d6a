// Package transport moves datagrams between the network and the node. Its UDP
// sockets report to which address and by which interface each datagram came, so
// that the answer leaves the same way (Core Specification, sections 4.3 and 4.4).
// Its [Inbox] bounds what waits for the node, and what one source may send.
//
// The package does not interpret the datagrams, apart from their headers.
package transport
