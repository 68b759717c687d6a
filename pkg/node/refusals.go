package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// logHandshake logs a failed handshake of a peer.
func (n *Node) logHandshake(now time.Time, o securechannel.Outcome) {
	log := n.log.With("address", o.Peer)
	if o.Kind != session.PASE { // anybody can make CASE handshakes fail
		log.Debug("handshake failed", "result", o.Result.String(), "cause", o.Err)
		return
	}
	missed, ok := n.failures.Allow(now)
	if !ok {
		return
	}
	// The count is 0 if the last attempt has closed the window and the initial one
	// has followed it.
	attempt := cmp.Or(n.trust.window.Failures(), window.MaxAttempts)
	log = log.With("attempt", fmt.Sprintf("%d of %d", attempt, window.MaxAttempts), "not_logged_before", missed)
	if o.Result == securechannel.WrongPasscode {
		log.Warn("pairing failed: the commissioner used another code")
		return
	}
	log.Warn("pairing failed", "result", o.Result.String(), "cause", o.Err)
}

// refusals records which refusals were logged as a warning, by the serial number of
// a session. A client that repeats its request must not fill the log.
type refusals map[uint64]map[string]bool

// first records a refusal on a session and reports whether it is the first of its
// kind.
func (r refusals) first(serial uint64, what string) bool {
	if r[serial][what] {
		return false
	}
	if r[serial] == nil {
		r[serial] = map[string]bool{}
	}
	r[serial][what] = true
	return true
}

// logRefusal logs a refusal on the session whose message is being handled: the
// first as a warning, later ones at level debug.
func (n *Node) logRefusal(msg, what string, attrs ...any) {
	x := n.talk.current
	if x == nil { // a message to a group has no session
		return
	}
	level := slog.LevelDebug
	if n.refusals.first(x.Serial, what) {
		level = slog.LevelWarn
	}
	log := n.log
	if f := n.trust.fabrics.Get(x.Fabric); f != nil {
		log = log.With("fabric", f.Index, "label", f.Label)
	}
	if x.Kind == session.CASE {
		log = log.With("peer", x.PeerNode)
	}
	log.With("address", x.Path.Peer).Log(context.Background(), level, msg, attrs...)
}

// executed counts a command of the Operational Credentials cluster and logs a
// refusal.
func (n *Node) executed(command, status string, cause error) {
	n.count.commands[CommandKey{Command: command, Status: status}]++
	if cause != nil {
		n.logRefusal("command refused", command+" "+status, "command", command, "status", status, "cause", cause)
	}
}

// logRequest logs a request that fails for lack of access or of resources. Other
// failures are normal: clients request elements that a node need not have.
func (n *Node) logRequest(a im.Action, status matter.Status) {
	switch status {
	case matter.StatusUnsupportedAccess, matter.StatusBusy, matter.StatusResourceExhausted, matter.StatusPathsExhausted:
		n.logRefusal("request refused", a.String()+" "+status.String(), "action", a.String(), "status", status.String())
	}
}
