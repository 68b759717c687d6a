// Package exchange matches messages to exchanges and makes their delivery reliable.
// It implements the message reliability protocol (Core Specification, sections 4.10
// and 4.12).
//
// A [Manager] receives every message of every session and passes it to the
// [Handler] of its exchange. An [Exchange] sends messages. It retransmits a message
// until the peer acknowledges it or the last transmission has failed. An exchange
// has at most one unacknowledged message at a time.
//
// The package knows only the opcodes that it needs: the standalone acknowledgement,
// and those that belong to the unsecured session.
//
// One goroutine owns a Manager. The methods of a Handler may call the Manager and
// its exchanges. The Send function may not.
package exchange
