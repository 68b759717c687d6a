// Package failsafe holds the fail-safe context: what a commissioner has staged,
// and when it is taken back (Core Specification, sections 11.10.7.2 and
// 11.18.6).
//
// Nothing staged here is in the store before [FailSafe.Complete], so that an
// expired fail-safe and a reboot come to the same state. What follows from the
// end of a fail-safe outside of it (sessions, announcements, events) is not done
// here: the end is recorded, and whoever settles the node's affairs takes it with
// [FailSafe.TakeEnded].
package failsafe
