// Package securechannel implements protocol 0 of a node. It runs the handshakes
// that establish sessions, and closes sessions (Core Specification, sections
// 4.11.1, 4.14.1 and 4.14.2).
//
// The exchange layer calls [Channel.Accept] for every exchange that a peer begins
// with a secure channel message. A handshake is the handler of its exchange. It
// passes the messages to a responder of package pase or casesession, which
// implements the cryptography, and sends the answers. At the end it adds a session
// to the table. Before that it has changed nothing except its own state and the
// failure count of the commissioning window.
//
// Handshakes cost strangers nothing, so their number is limited: one PASE
// handshake, and a fixed number of CASE handshakes, of which one source may have
// half. At the limit, either the oldest handshake of the source with the most
// handshakes is ended, or the initiator is asked to wait. A handshake may take
// [HandshakeTime] in all.
//
// [Channel.Call] is the other direction: this node calls a subscriber to resume its
// subscription.
//
// Any failure of a handshake becomes one of a few StatusReports to the peer, and an
// [Outcome] with the reason for the operator. StatusReports are never answered.
package securechannel
