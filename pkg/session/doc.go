// Package session implements the sessions of a node: their keys, message counters
// and replay windows, and the table that holds them (Core Specification, sections
// 4.6 to 4.8 and 4.13).
//
// [Table.Receive] takes a received datagram. It returns a message with a known
// sender, or the reason for dropping the datagram. A datagram that fails
// authentication leaves no trace. [Session.Seal] is the opposite direction.
//
// Unsecured sessions carry handshakes. Anybody can make the node create one, so
// their number is small, and a new one replaces the least recently used.
//
// Messages to groups belong to no session. They are decrypted with the keys passed
// to [Table.SetGroupKeys] and are never answered.
//
// One goroutine owns a Table and its Sessions.
package session
