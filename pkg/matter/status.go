package matter

import (
	"errors"
	"fmt"
)

// Status is an Interaction Model status code (section 8.10). As an error it is sent
// to the peer. Errors for the operator have other types.
type Status uint8

// The status codes.
const (
	StatusSuccess                Status = 0x00
	StatusFailure                Status = 0x01
	StatusInvalidSubscription    Status = 0x7D
	StatusUnsupportedAccess      Status = 0x7E
	StatusUnsupportedEndpoint    Status = 0x7F
	StatusInvalidAction          Status = 0x80
	StatusUnsupportedCommand     Status = 0x81
	StatusInvalidCommand         Status = 0x85
	StatusUnsupportedAttribute   Status = 0x86
	StatusConstraintError        Status = 0x87
	StatusUnsupportedWrite       Status = 0x88
	StatusResourceExhausted      Status = 0x89
	StatusNotFound               Status = 0x8B
	StatusUnreportableAttribute  Status = 0x8C
	StatusInvalidDataType        Status = 0x8D
	StatusUnsupportedRead        Status = 0x8F
	StatusDataVersionMismatch    Status = 0x92
	StatusTimeout                Status = 0x94
	StatusUnsupportedNode        Status = 0x9B
	StatusBusy                   Status = 0x9C
	StatusAccessRestricted       Status = 0x9D
	StatusUnsupportedCluster     Status = 0xC3
	StatusNoUpstreamSubscription Status = 0xC5
	StatusNeedsTimedInteraction  Status = 0xC6
	StatusUnsupportedEvent       Status = 0xC7
	StatusPathsExhausted         Status = 0xC8
	StatusTimedRequestMismatch   Status = 0xC9
	StatusFailsafeRequired       Status = 0xCA
	StatusInvalidInState         Status = 0xCB
	StatusNoCommandResponse      Status = 0xCC
	StatusDynamicConstraintError Status = 0xCF
	StatusAlreadyExists          Status = 0xD0
	StatusInvalidTransportType   Status = 0xD1
)

var statusNames = map[Status]string{
	StatusSuccess:                "SUCCESS",
	StatusFailure:                "FAILURE",
	StatusInvalidSubscription:    "INVALID_SUBSCRIPTION",
	StatusUnsupportedAccess:      "UNSUPPORTED_ACCESS",
	StatusUnsupportedEndpoint:    "UNSUPPORTED_ENDPOINT",
	StatusInvalidAction:          "INVALID_ACTION",
	StatusUnsupportedCommand:     "UNSUPPORTED_COMMAND",
	StatusInvalidCommand:         "INVALID_COMMAND",
	StatusUnsupportedAttribute:   "UNSUPPORTED_ATTRIBUTE",
	StatusConstraintError:        "CONSTRAINT_ERROR",
	StatusUnsupportedWrite:       "UNSUPPORTED_WRITE",
	StatusResourceExhausted:      "RESOURCE_EXHAUSTED",
	StatusNotFound:               "NOT_FOUND",
	StatusUnreportableAttribute:  "UNREPORTABLE_ATTRIBUTE",
	StatusInvalidDataType:        "INVALID_DATA_TYPE",
	StatusUnsupportedRead:        "UNSUPPORTED_READ",
	StatusDataVersionMismatch:    "DATA_VERSION_MISMATCH",
	StatusTimeout:                "TIMEOUT",
	StatusUnsupportedNode:        "UNSUPPORTED_NODE",
	StatusBusy:                   "BUSY",
	StatusAccessRestricted:       "ACCESS_RESTRICTED",
	StatusUnsupportedCluster:     "UNSUPPORTED_CLUSTER",
	StatusNoUpstreamSubscription: "NO_UPSTREAM_SUBSCRIPTION",
	StatusNeedsTimedInteraction:  "NEEDS_TIMED_INTERACTION",
	StatusUnsupportedEvent:       "UNSUPPORTED_EVENT",
	StatusPathsExhausted:         "PATHS_EXHAUSTED",
	StatusTimedRequestMismatch:   "TIMED_REQUEST_MISMATCH",
	StatusFailsafeRequired:       "FAILSAFE_REQUIRED",
	StatusInvalidInState:         "INVALID_IN_STATE",
	StatusNoCommandResponse:      "NO_COMMAND_RESPONSE",
	StatusDynamicConstraintError: "DYNAMIC_CONSTRAINT_ERROR",
	StatusAlreadyExists:          "ALREADY_EXISTS",
	StatusInvalidTransportType:   "INVALID_TRANSPORT_TYPE",
}

// String returns the name of the status in the specification.
func (s Status) String() string {
	if n, ok := statusNames[s]; ok {
		return n
	}
	return fmt.Sprintf("STATUS_0x%02X", uint8(s))
}

func (s Status) Error() string { return s.String() }

// ClusterStatus is a status together with a cluster-specific code (section 8.10.2).
type ClusterStatus struct {
	Status Status
	Code   uint8
}

func (c ClusterStatus) Error() string {
	return fmt.Sprintf("%v, cluster status 0x%02X", c.Status, c.Code)
}

// StatusOf returns the status to send for an error of a handler: the Status or
// ClusterStatus that the error wraps, SUCCESS for nil, and FAILURE for any other
// error.
func StatusOf(err error) ClusterStatus {
	if err == nil {
		return ClusterStatus{Status: StatusSuccess}
	}
	var s Status
	if errors.As(err, &s) {
		return ClusterStatus{Status: s}
	}
	var c ClusterStatus
	if errors.As(err, &c) {
		return c
	}
	return ClusterStatus{Status: StatusFailure}
}
