// Package exchange matches messages to exchanges and makes them reliable: the
// message reliability protocol (Core Specification, sections 4.10 and
// 4.12).
//
// A [Manager] gets every message that a session received and gives it to the
// [Handler] of its exchange. An [Exchange] sends; it retransmits until the peer
// acknowledges or [Manager.Advance] has used up the transmissions. Messages of
// one exchange go back and forth: at most one is waiting for its
// acknowledgement.
//
// The package knows no opcode but the ones it needs itself: the standalone
// acknowledgement, and which ones belong to the unsecured session.
//
// A Manager belongs to one goroutine. Handlers may call it and its exchanges
// from within their methods; the Send function may not.
package exchange
