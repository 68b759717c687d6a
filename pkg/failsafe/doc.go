// Package failsafe implements the fail-safe context: what a commissioner has staged, and
// when it is rolled back (Core Specification, sections 11.10.7.2 and 11.18.6).
//
// Nothing staged is in the store before [FailSafe.Complete], so that an expired fail-safe
// and a reboot lead to the same state. The end of a fail-safe has effects on sessions,
// announcements and events. This package only records the end; the node takes it with
// [FailSafe.TakeEnded] and derives the effects.
package failsafe
