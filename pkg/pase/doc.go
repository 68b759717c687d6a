// Package pase implements passcode-authenticated session establishment (section 4.14.1 of
// the Core Specification) in both roles.
//
// A [Responder] or an [Initiator] is used for one handshake. Its methods take the payload
// of a message and return the payload of the next one. They do no I/O and use no clock. A
// step out of order is an error. After an error the value cannot be used any more.
//
//	initiator                                        responder
//	Start ------------- PBKDFParamRequest ----------> PBKDFParamRequest
//	PBKDFParamResponse <-- PBKDFParamResponse --------
//	      ------------------- Pake1 ----------------> Pake1
//	Pake2 <------------------ Pake2 ------------------
//	      ------------------- Pake3 ----------------> Pake3
//	      <------- StatusReport: success ------------ (the caller's)
//
// The peer gets the same StatusReport, InvalidParameter, for every error of the
// responder, so that it learns nothing about the passcode.
package pase
