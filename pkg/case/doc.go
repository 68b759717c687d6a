// Package casesession is certificate-authenticated session establishment
// (section 4.14.2 of the Core Specification), both roles. Its folder is
// named case, which is a keyword.
//
// A [Responder] or an [Initiator] serves one handshake. Its methods take the
// payload of a message and return the payload of the next one; they do no I/O
// and know no clock. Steps out of order are errors, and after an error nothing
// more is possible with that value: it is thrown away, and nothing else has
// changed.
//
//	initiator                                     responder
//	Start ----------------- Sigma1 --------------> Sigma1
//	Sigma2 <--------------- Sigma2 ----------------
//	      ----------------- Sigma3 --------------> Sigma3
//	      <------ StatusReport: success ---------- (the caller's)
//
// An initiator that remembers a session may offer to resume it. A responder that
// remembers it too, and finds the offer genuine, agrees; otherwise the handshake
// goes on as above.
//
//	Start ------- Sigma1 with a resumption id ---> Sigma1
//	Sigma2Resume <------- Sigma2_Resume -----------
//	      ------ StatusReport: success ----------> Resumed
//
// What both remember is the [Record] of a Result: once a session is established
// it replaces the one for the same fabric and peer.
package casesession
