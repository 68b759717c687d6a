// Package opcreds is the Operational Credentials cluster, 0x003E (Core
// Specification, section 11.18): how a node shows where it comes from, is
// given its operational identity in a fabric, and gives it up again.
//
// The cluster keeps nothing of its own. What it tells is the fabric table's
// content and what the fail-safe stages; what follows from its commands for
// sessions, subscriptions and announcements is derived from the same two by
// whoever settles the node's affairs.
package opcreds
