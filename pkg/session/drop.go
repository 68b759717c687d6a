package session

// DropReason is the reason why Receive returned no message. The set is fixed, so
// that a reason can be a metric label. It is an error for the caller only; a
// dropped datagram is never answered.
type DropReason uint8

// The reasons.
const (
	// DropMalformed: a header cannot be decoded or breaks a rule of its session
	// type.
	DropMalformed DropReason = iota
	// DropUnknownSession: no session has the id. The peer gets no answer and times
	// out.
	DropUnknownSession
	// DropAuthentication: the message integrity check failed.
	DropAuthentication
	// DropPrivacy: a unicast message with privacy.
	DropPrivacy
	// DropGroup: a message to a group for which there is no key.
	DropGroup
	// DropReplay: a message to a group that was received before.
	DropReplay
	// DropCopy: a copy of a message to a group that arrived on another interface
	// before.
	DropCopy
	// DropUnsecuredFull: every unsecured session is in use.
	DropUnsecuredFull

	dropReasons
)

var dropNames = [dropReasons]string{
	DropMalformed:      "malformed",
	DropUnknownSession: "unknown_session",
	DropAuthentication: "authentication",
	DropPrivacy:        "privacy",
	DropGroup:          "group",
	DropReplay:         "replay",
	DropCopy:           "copy",
	DropUnsecuredFull:  "unsecured_full",
}

// DropReasons returns all reasons.
func DropReasons() []DropReason {
	all := make([]DropReason, dropReasons)
	for i := range all {
		all[i] = DropReason(i)
	}
	return all
}

// String returns the reason as a label: lower case, words joined by underscores.
func (d DropReason) String() string { return dropNames[d] }

func (d DropReason) Error() string { return "datagram dropped: " + dropNames[d] }
