// Package tlv reads and writes Matter TLV, appendix A of the Core
// Specification.
//
// [Writer] appends to a buffer that the caller owns and allocates nothing of
// its own. [Reader] is a cursor over bytes that stay where they are: what it
// returns for strings points into them. Both keep the first error and do
// nothing after it, so that a caller checks once, at the end.
//
// A Reader accepts any integer width and any order of tags; a Writer emits the
// shortest width. Input is bounded: [MaxDepth] levels, lengths within the
// buffer, nothing after the top element.
package tlv
