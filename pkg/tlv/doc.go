// Package tlv reads and writes Matter TLV, appendix A of the Core
// Specification.
//
// [Writer] appends to a buffer that the caller owns and allocates nothing of
// its own. [Reader] is a cursor over bytes that stay where they are: what it
// returns for strings points into them. It keeps the first error and does
// nothing after it, so that a caller checks once, at the end. What a caller of a
// Writer can do wrong is a bug, and panics.
//
// A Reader accepts any integer width and any order of tags; a Writer emits the
// shortest width. Input is bounded: [MaxDepth] levels, lengths within the
// buffer, nothing after the top element.
package tlv
