package session

// DropReason is why Receive gave no message. The set is fixed, so that a reason
// can be the label of a metric. It is an error only for the caller: nothing is
// ever answered to a dropped datagram.
type DropReason uint8

// The reasons.
const (
	// DropMalformed: a header that cannot be decoded or breaks a rule of its
	// session type.
	DropMalformed DropReason = iota
	// DropUnknownSession: no session has the id. Peers find out by the silence.
	DropUnknownSession
	// DropAuthentication: the message integrity check fails.
	DropAuthentication
	// DropPrivacy: a unicast message with privacy.
	DropPrivacy
	// DropGroup: a message to a group for which there is no key.
	DropGroup
	// DropReplay: a message to a group that was received before.
	DropReplay
	// DropCopy: a message to a group that another interface has brought already.
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
