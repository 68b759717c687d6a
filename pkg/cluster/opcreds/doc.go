// Package opcreds implements the Operational Credentials cluster, 0x003E (Core
// Specification, section 11.18): a node's attestation, and its operational identities in
// fabrics.
//
// The cluster has no state of its own. It serves the content of the fabric table and of the
// fail-safe. The node derives the effects of its commands on sessions, subscriptions and
// announcements from the same two.
package opcreds
