// Package mdns makes the node's services known by Multicast DNS (RFC 6762) and
// DNS-based Service Discovery (RFC 6763), as Matter wants them (Core
// Specification, section 4.3).
//
// One Responder per process holds one IPv6 and one IPv4 socket, whatever the
// number of services and interfaces. Set says what is wanted; the Responder
// probes for the names, announces them, answers questions, defends the names,
// withdraws what is not wanted any more, and follows the interfaces and
// addresses of the host.
//
// The parts, from the inside out: wire.go reads packets, pack.go writes them;
// link.go holds the records of one interface, claim.go follows the life of a
// name there, query.go answers, conflict.go defends, own.go knows the records
// of the host's other links. Together they are the engine, which knows neither
// sockets nor clocks. socket.go and unicast.go have the sockets, interfaces.go
// the interfaces, responder.go the goroutine that runs the engine; check.go
// looks records up from the wire, announcer.go decides when.
//
// Choices where the RFCs leave one:
//
//   - Host records and SRV live 120 seconds, PTR and TXT 75 minutes, as RFC
//     6762, section 10 recommends; other Matter stacks use 120 seconds for all.
//   - A name is never changed on conflict, as it follows from the fabric:
//     the service is not announced on that interface, and tried again up to a
//     minute later. The host name is drawn anew.
//   - A name that is announced and then contested is probed for again, at most
//     once in ten seconds; in between the answer to a contest is one more
//     announcement.
//   - Nothing is announced on an interface without an IPv6 address.
//   - A record that is announced on any interface of this host, or was a short
//     while ago, is no other host's claim, whoever repeats it.
//   - Goodbyes have no cache-flush bit: on a network that two interfaces of the
//     host are on, it would end the records of the other one, too.
//   - Unicast to port 5353 is answered while no other program takes it.
package mdns
