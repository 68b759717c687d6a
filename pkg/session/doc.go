// Package session keeps the sessions of a node: their keys, message counters,
// replay windows and the table that finds them (Core Specification,
// sections 4.6 to 4.8 and 4.13).
//
// [Table.Receive] takes a datagram as it came and gives back a message whose
// sender is known, or the reason why there is none. Nothing is remembered of a
// datagram that fails authentication. [Session.Seal] is the way back.
//
// Unsecured sessions carry handshakes. Anybody can make the node keep one, so
// they are few, and the one used least recently gives way.
//
// Messages to groups have no session: they are opened with the keys that
// [Table.SetGroupKeys] was given, and are never answered.
//
// A Table and its Sessions belong to one goroutine.
package session
