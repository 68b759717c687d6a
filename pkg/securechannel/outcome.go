package securechannel

import (
	"net/netip"
	"time"

	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// Result is how a handshake ended. The set is fixed, so that a result can be a
// metric label.
type Result uint8

// The results.
const (
	// Success: a session was established.
	Success Result = iota
	// InvalidParameter: a message was malformed, out of order or not genuine. The
	// peer gets a report.
	InvalidParameter
	// WrongPasscode: the peer used another passcode than the window's. Either side
	// may have found out. PASE only.
	WrongPasscode
	// NoSharedRoot: the destination is not a fabric of this node. The peer gets a
	// report.
	NoSharedRoot
	// Busy: too many handshakes are in progress. The peer was asked to wait.
	Busy
	// Displaced: another peer needed the place. This one was asked to try again.
	Displaced
	// NoRoom: the session table is full and every session is in use. The peer gets
	// a report.
	NoRoom
	// PeerFailed: the peer reported a failure, or reported success at the wrong
	// time.
	PeerFailed
	// NoAck: the peer acknowledged no transmission of a message.
	NoAck
	// Timeout: the handshake took longer than HandshakeTime.
	Timeout
	// Aborted: the handshake lost something that it needs: the unsecured session,
	// the commissioning window or the fabric.
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

// String returns the result in lower case, with underscores. It is used as a metric
// label.
func (r Result) String() string { return resultNames[r] }

// Outcome describes a finished handshake for the operator.
type Outcome struct {
	Kind     session.Kind   // PASE or CASE
	Peer     netip.AddrPort // the initiator
	Result   Result
	Resumed  bool          // the CASE session was resumed
	Duration time.Duration // from the first message to the last
	Err      error         // the reason for the failure; nil with Success
}

func successReport() message.StatusReport {
	return message.StatusReport{General: message.GeneralSuccess, Code: message.CodeSessionEstablished}
}

// report returns the StatusReport for a failure.
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
