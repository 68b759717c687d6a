// Package attestation implements device attestation: DAC, PAI and certification
// declaration, and the structures that are signed with the DAC's key (Core Specification,
// sections 6.2, 6.3 and 11.18.4).
//
// [Generate] makes credentials for development under a root whose private key is
// published. [Verify] checks credentials as a commissioner does.
package attestation
