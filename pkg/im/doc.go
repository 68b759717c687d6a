// Package im is the Interaction Model (chapter 8): it decodes what a peer asks,
// expands paths, decides on access, calls the clusters and sends what they say.
//
// An [Engine] holds the node's endpoints, their clusters and the subscriptions
// to them. The owner of the conversations opens an [Interaction] for every
// exchange of this protocol that a peer starts, and hands it the messages. The
// Engine is the only place that asks pkg/acl; clusters are called for what is
// allowed and exists, and for nothing else.
//
// The Engine is owned by one goroutine. It reads no clock: time comes in with
// each call, [Engine.Deadline] says when it wants to be called again. What a
// request or an event changed leaves in [Engine.Settle].
//
// A request message is decoded whole before anything is done. Its parts may
// come in any order; unknown ones are ignored; one that is there twice, of the
// wrong type or missing makes the message INVALID_ACTION.
//
// Not there, because nothing in a node without groups needs it: paths with an
// omitted endpoint in writes and commands, which only groups may send.
package im
