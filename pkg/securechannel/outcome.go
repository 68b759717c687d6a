package securechannel

import (
	"net/netip"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// Result is how a handshake ended. The set is fixed, so that a result can be
// the label of a metric.
type Result uint8

// The results.
const (
	// Success: there is a session.
	Success Result = iota
	// InvalidParameter: a message was malformed, out of order or not genuine; the
	// peer was told.
	InvalidParameter
	// WrongPasscode: the peer used another passcode than the window's, as it found
	// itself, or was told. PASE only.
	WrongPasscode
	// NoSharedRoot: the peer looks for a node on a fabric that is not here; it was
	// told.
	NoSharedRoot
	// Busy: there are as many handshakes as may be; the peer was told to wait.
	Busy
	// Displaced: another peer needed the place; this one was told to try again.
	Displaced
	// NoRoom: the session table is full and every session in use; the peer was
	// told.
	NoRoom
	// PeerFailed: the peer reported a failure, or success out of turn.
	PeerFailed
	// NoAck: the peer acknowledged none of the transmissions of a message.
	NoAck
	// Timeout: the handshake took longer than HandshakeTime.
	Timeout
	// Aborted: the handshake lost what it needs: the unsecured session, the
	// commissioning window or the fabric.
	Aborted

	results
)

var resultNames = [results]string{
	Success:          "success",
	InvalidParameter: "invalid_parameter",
	WrongPasscode:    "wrong_passcode",
	NoSharedRoot:     "no_shared_root",
	Busy:             "busy",
	Displaced:        "displaced",
	NoRoom:           "no_room",
	PeerFailed:       "peer_failed",
	NoAck:            "no_ack",
	Timeout:          "timeout",
	Aborted:          "aborted",
}

// Results returns the results that a handshake of a kind can have.
func Results(k session.Kind) (all []Result) {
	for r := range results {
		if r != WrongPasscode || k == session.PASE {
			all = append(all, r)
		}
	}
	return all
}

// String returns the result as a label: lower case, words joined by underscores.
func (r Result) String() string { return resultNames[r] }

// Outcome is what the operator learns of a handshake.
type Outcome struct {
	Kind     session.Kind   // PASE or CASE
	Peer     netip.AddrPort // that began it
	Result   Result
	Resumed  bool          // the CASE session was resumed
	Duration time.Duration // from the first message to the last
	Err      error         // why there is no session; nil with Success
}

func successReport() message.StatusReport {
	return message.StatusReport{General: message.GeneralSuccess, Code: message.CodeSessionEstablished}
}

// report returns what the peer is told about a failure.
func (h *handshake) report(r Result) message.StatusReport {
	report := message.StatusReport{General: message.GeneralFailure, Code: message.CodeInvalidParameter}
	switch r {
	case NoSharedRoot:
		report.Code = message.CodeNoSharedTrustRoots
	case Busy, Displaced:
		return message.Busy(uint16((h.wait + time.Millisecond - 1) / time.Millisecond))
	case NoRoom:
		report.Code = message.CodeGeneralFailure
	}
	return report
}
