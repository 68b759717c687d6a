// Package fabric implements the fabric table (section 11.18): the stored fabrics and the
// one fabric that the fail-safe has staged. There is no other copy.
//
// A change is on the disk before it is visible. A staged fabric is not on the disk before
// Commit, so that the expiry of the fail-safe and a restart have the same result.
// Generation shows that the table has changed.
//
// The table belongs to the goroutine that owns the protocol state. A [Fabric] never
// changes; every change makes a new one.
package fabric
