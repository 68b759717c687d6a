// Package message encodes and decodes the parts of every Matter message: the
// message header (Core Specification, section 4.4.1), the protocol header (section
// 4.4.3), the session parameters of a handshake (section 4.13.1) and the
// StatusReport (appendix D).
//
// The decoders accept any bytes from the network. They check every length against
// the input, copy nothing and allocate nothing. The encoders append to a buffer of
// the caller.
package message
