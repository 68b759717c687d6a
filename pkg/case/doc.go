// Package casesession implements certificate-authenticated session establishment (section
// 4.14.2 of the Core Specification) in both roles. Its folder is named case, which is a
// keyword and cannot be the name of the package.
//
// A [Responder] or an [Initiator] is used for one handshake. Its methods take the payload
// of a message and return the payload of the next one. They do no I/O and use no clock. A
// step out of order is an error. After an error the value cannot be used any more, and
// nothing else has changed.
//
//	initiator                                     responder
//	Start ----------------- Sigma1 --------------> Sigma1
//	Sigma2 <--------------- Sigma2 ----------------
//	      ----------------- Sigma3 --------------> Sigma3
//	      <------ StatusReport: success ---------- (the caller's)
//
// An initiator with a record of an earlier session may offer to resume it. If the
// responder has the record as well, and the offer is genuine, it accepts. Otherwise the
// handshake continues as above.
//
//	Start ------- Sigma1 with a resumption id ---> Sigma1
//	Sigma2Resume <------- Sigma2_Resume -----------
//	      ------ StatusReport: success ----------> Resumed
//
// Both sides keep the [Record] of a Result. When a session is established, it replaces the
// record for the same fabric and peer.
package casesession
