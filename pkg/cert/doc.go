// Package cert implements Matter operational certificates: the TLV form that is
// transmitted (section 6.5 of the Core Specification), the X.509 form that is signed,
// and the rules for chains.
//
// [Parse] and [FromDER] read the two forms. They accept only what converts back to the
// same octets, except for integers in TLV that are wider than necessary. The result is
// well formed and not yet trusted: [CheckRoot] and [VerifyChain] check the rules. Both
// return an error for a certificate with an unknown critical extension.
//
// [NewCSR] and [ParseCSR] implement the certificate signing request of section 6.4.7.
// [Authority] issues certificates. A commissioner needs that, a device only in tests.
package cert
