// Package im implements the Interaction Model (chapter 8). It decodes requests,
// expands paths, checks access, calls the clusters and sends their answers.
//
// An [Engine] holds the node's endpoints, their clusters and the subscriptions to
// them. The node calls [Engine.Open] for each exchange of this protocol that a peer
// starts, and passes the peer's messages to the [Interaction] that it returns. The
// Engine is the only caller of pkg/acl. It calls a cluster only for operations that
// are allowed and elements that exist.
//
// One goroutine owns the Engine. The Engine reads no clock: every call passes the
// time, and [Engine.Deadline] returns when the next call is due. [Engine.Settle]
// sends the reports that follow from a request or an event.
//
// A request message is decoded completely before it has any effect. Its parts may
// be in any order, and unknown parts are ignored. A message is answered with
// INVALID_ACTION if one of its parts is repeated, missing or of the wrong type.
//
// A write or command may omit the endpoint from its path only in a message to a
// group (see groupRequest). On a session such a path makes the message
// INVALID_ACTION. The other wildcards are allowed only in reads and subscriptions.
package im
