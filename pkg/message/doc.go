// Package message is the codec of what frames every Matter message: the message
// header (Core Specification, section 4.4.1), the protocol header
// (section 4.4.3), the session parameters that both sides of a handshake
// exchange (section 4.13.1) and the StatusReport (appendix D).
//
// Decoders take bytes from the network as they are: every length is bounded by
// the input, nothing is copied, nothing allocated. Encoders append to a buffer
// of the caller.
package message
