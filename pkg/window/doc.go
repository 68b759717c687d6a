// Package window implements the commissioning window: when a commissioner may open a PASE
// session, with which passcode, and what is announced meanwhile (Core Specification,
// sections 5.4.2 and 11.19).
//
// A window is initial, basic or enhanced. The first two use the node's own passcode. A
// window closes when it times out, when it is revoked, after a commissioning, and after
// [MaxAttempts] failures. A timeout ends only the announcement and the acceptance of
// commissioners: a commissioning that has begun continues.
package window
