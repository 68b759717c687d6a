// Package tlv reads and writes Matter TLV, appendix A of the Core Specification.
//
// A [Writer] appends to a buffer of the caller and allocates nothing else.
// Incorrect use of a Writer panics. A [Reader] is a cursor over a byte slice. The
// strings that it returns point into the slice. A Reader keeps the first error and
// does nothing after it, so that callers check for an error once, at the end.
//
// A Reader accepts any width of integers and any order of tags. A Writer uses the
// shortest width. The input is bounded: at most [MaxDepth] levels, lengths within
// the buffer, nothing after the top element.
package tlv
