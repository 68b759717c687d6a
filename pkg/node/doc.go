// Package node is a Matter node: the protocol state and the one goroutine that owns
// it, the loop. It knows neither HTTP nor the operator's side; whoever makes a Node
// brings the store, the sockets and the announcer.
//
// Handlers below change state. After every event settle compares what changed and
// derives the effects: sessions that end, records that are announced, reports that are
// due.
package node
