// Package cert holds Matter operational certificates: the TLV form that
// travels (section 6.5 of the Core Specification), the X.509 form that is
// signed, and the rules that make a chain of them worth believing.
//
// [Parse] and [FromDER] read the two forms and accept nothing that would not
// convert back to the same octets, integers of more than the needed width
// excepted, which the TLV form tolerates. What they return is well formed, not
// yet trusted: [CheckRoot] and [VerifyChain] hold the rules. A certificate with a
// critical extension that this package does not know cannot be had at all.
//
// [NewCSR] and [ParseCSR] are the certificate signing request of section 6.4.7.
// [Authority] issues certificates; a device needs it for tests only, a
// commissioner for good.
package cert
