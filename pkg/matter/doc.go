// Package matter holds the nouns and numbers of the Matter specification that
// more than one floor of the house speaks: identifiers, privileges, protocol
// numbers and status codes.
//
// Section numbers in this module's comments are those of the Matter Core
// Specification 1.6.
package matter
