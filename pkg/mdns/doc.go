// Package mdns announces the node's services by Multicast DNS (RFC 6762) and DNS-based
// Service Discovery (RFC 6763), as Matter requires (Core Specification, section 4.3).
//
// A Responder has one IPv6 and one IPv4 socket for multicast, and as many for unicast,
// for any number of services and interfaces. It probes for the names of the services that
// Set gives it, announces them, answers questions, defends the names, and withdraws the
// services that are no longer wanted. It follows the interfaces and addresses of the host.
//
// The files, from the inside out: wire.go reads packets, pack.go writes them. link.go has
// the records of one interface, claim.go probes for a name there and announces it,
// query.go answers, conflict.go defends, own.go knows the records of the host's other
// links. Together they are the engine, which uses neither sockets nor clocks. socket.go
// and unicast.go have the sockets, interfaces.go converts the interfaces, responder.go has
// the goroutine that runs the engine. check.go looks up the node's own records, and
// announcer.go decides when.
//
// Where the RFCs leave a choice:
//
//   - Host records and SRV live 120 seconds, PTR and TXT 75 minutes, as RFC 6762,
//     section 10 recommends. Other Matter stacks use 120 seconds for all.
//   - An instance name is not changed on conflict, as it follows from the fabric. The
//     service is not announced on that interface, and tried again within a minute. A
//     new host name is drawn at random.
//   - After a conflict about an announced name, the Responder probes for it again, at
//     most once in ten seconds. Until then it answers conflicts by an announcement.
//   - An interface without an IPv6 link-local address is not used.
//   - A record that is announced on any interface of this host, or was recently, is not
//     another host's claim, whichever host repeats it.
//   - Goodbyes have no cache-flush bit. On a network with two interfaces of the host, it
//     would end the records of the other interface, too.
//   - Unicast to port 5353 is answered while no other program receives it.
package mdns
