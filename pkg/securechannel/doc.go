// Package securechannel is protocol 0 of a node: it runs the handshakes that make
// sessions, and closes sessions (Core Specification, sections 4.11.1, 4.14.1
// and 4.14.2).
//
// The exchange layer asks [Channel.Accept] about every exchange that a peer
// begins with a secure channel message. A handshake is the handler of its
// exchange; it feeds the messages to a responder of package pase or casesession,
// which holds all cryptography, sends what that returns, and in the end adds a
// session to the table. Until then it has changed nothing but its own state and
// the commissioning window's count.
//
// Handshakes cost strangers nothing, so they are few: one PASE handshake, and a
// bounded number of CASE handshakes, of which one source may have half. Beyond
// that the oldest handshake of the source that has the most ends, or the initiator
// is told to wait. Each has [HandshakeTime] in all.
//
// [Channel.Call] is the other direction: this node calls one that has a
// subscription, to go on with it.
//
// Whatever goes wrong in a handshake is one of a few StatusReports to the peer,
// and an [Outcome] with its reason to the operator. StatusReports are never
// answered.
package securechannel
