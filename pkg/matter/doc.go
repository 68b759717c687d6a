// Package matter defines the terms and numbers of the Matter specification that
// several packages need: identifiers, privileges, protocol numbers and status
// codes.
//
// Section numbers in this module's comments are those of the Matter Core
// Specification 1.6.
package matter
