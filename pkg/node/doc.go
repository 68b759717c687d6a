// Package node implements a Matter node: the protocol state and the one goroutine
// that owns it, the loop. It contains neither HTTP nor the operator's interface.
// The caller of New provides the store, the sockets and the announcer.
//
// Handlers in lower packages change state. After every event, settle compares the
// state with the one before and derives the effects: sessions to close, records to
// announce, reports to send.
package node
