// Package window holds the commissioning window: when a commissioner may open a
// PASE session, with which passcode, and what is announced meanwhile (Core
// Specification, sections 5.4.2 and 11.19).
//
// A window is initial, basic or enhanced; the two former use the passcode that
// the node was made with. It closes when its time is up, when it is revoked or
// has served, and after [MaxAttempts] failures. The end of its time only ends
// announcement and acceptance: a commissioning under way goes on.
package window
