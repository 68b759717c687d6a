// Package fabric is the fabric table (section 11.18): what the store holds and,
// over it, the one fabric that the fail-safe has staged. There is no other copy.
//
// A change is on the disk before it can be seen, and a staged fabric never
// reaches the disk before Commit: expiry of the fail-safe and a restart come to
// the same. Who depends on the table watches Generation.
//
// The table belongs to the goroutine that owns the protocol state. A [Fabric]
// that has been handed out does not change; a change makes a new one.
package fabric
