// Package pase is passcode-authenticated session establishment (section 4.14.1
// of the Core Specification), both roles.
//
// A [Responder] or an [Initiator] serves one handshake. Its methods take the
// payload of a message and return the payload of the next one; they do no I/O
// and know no clock. Steps out of order are errors, and after an error nothing
// more is possible with that value.
//
//	initiator                                        responder
//	Start ------------- PBKDFParamRequest ----------> PBKDFParamRequest
//	PBKDFParamResponse <-- PBKDFParamResponse --------
//	      ------------------- Pake1 ----------------> Pake1
//	Pake2 <------------------ Pake2 ------------------
//	      ------------------- Pake3 ----------------> Pake3
//	      <------- StatusReport: success ------------ (the caller's)
//
// Every error of the responder is the same to the peer: a StatusReport with
// InvalidParameter, so that it learns nothing about the passcode.
package pase
