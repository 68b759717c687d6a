package securechannel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// handshake is the common part of PASE and CASE: an exchange that ends with or
// without a session.
type handshake struct {
	c         *Channel
	kind      session.Kind
	id        uint16 // reserved for the session
	began     time.Time
	exchange  *exchange.Exchange
	peer      netip.AddrPort
	source    netip.Addr    // of the peer
	wait      time.Duration // minimum wait, for a Busy report
	responder responder     // nil when the handshake has ended
	answer    bool          // the peer expects an answer: its last message is not a StatusReport
	lingering bool          // the exchange still retransmits a report of failure
}

// responder is the part of a handshake that is specific to PASE or CASE.
type responder interface {
	// take handles a message of the initiator and returns the next step.
	take(m exchange.Message) (next, error)
	// params returns the initiator's session parameters, once they are known.
	params() message.SessionParameters
	// established is called when the session is in the table, before the peer is
	// notified. If it returns an error, the session is removed.
	established() error
	// ended is the last call, and is made once. It erases the secrets.
	ended(now time.Time, r Result)
}

// next is the next step after a message: an answer or a session. If confirm is set,
// the initiator must be notified of the session.
type next struct {
	opcode  uint8
	payload []byte
	session *session.Config
	confirm bool
	resumed bool
}

var (
	errPeerReport = errors.New("the peer reported")
	errUnexpected = errors.New("message out of order")
)

// resultError is an error with a Result. Other errors have the Result
// InvalidParameter.
type resultError struct {
	Result Result
	Err    error
}

func (e *resultError) Error() string { return e.Err.Error() }
func (e *resultError) Unwrap() error { return e.Err }

// begin returns the handshake for the responder r, or nil if there is no free
// session id.
func (c *Channel) begin(now time.Time, x *exchange.Exchange, kind session.Kind, r func(id uint16) responder) *handshake {
	id, err := c.opt.Sessions.ReserveID()
	if err != nil {
		return nil
	}
	return &handshake{c: c, kind: kind, id: id, began: now, exchange: x, peer: x.Session().Path.Peer, source: x.Session().Path.Source(), responder: r(id)}
}

// Receive handles the next message of the handshake.
func (h *handshake) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	h.answer = m.Opcode != message.OpcodeStatusReport
	n, err := h.responder.take(m)
	switch {
	case err != nil:
		h.fail(now, x, err)
	case n.session != nil:
		h.establish(now, x, &n)
	default:
		x.Session().Params = clamp(h.responder.params())
		if err := x.Send(now, matter.ProtocolSecureChannel, n.opcode, n.payload); err != nil {
			h.fail(now, x, &resultError{Aborted, err})
			return
		}
		x.AwaitResponse(h.began.Add(HandshakeTime))
	}
}

// clamp limits the parameters that are used for retransmissions during the
// handshake.
func clamp(p message.SessionParameters) message.SessionParameters {
	p.IdleInterval = min(p.IdleInterval, maxRetryInterval)
	p.ActiveInterval = min(p.ActiveInterval, maxRetryInterval)
	return p
}

// Closed ends a handshake whose exchange has ended early.
func (h *handshake) Closed(now time.Time, _ *exchange.Exchange, err error) {
	if h.lingering {
		h.lingering = false
		h.c.lingering--
	}
	if h.responder == nil {
		return
	}
	switch {
	case errors.Is(err, exchange.ErrNoAck):
		h.end(now, Outcome{Result: NoAck, Err: err})
	case errors.Is(err, exchange.ErrNoResponse):
		h.end(now, Outcome{Result: Timeout, Err: err})
	default:
		h.end(now, Outcome{Result: Aborted, Err: err})
	}
}

// establish creates the session and notifies the initiator, if necessary.
func (h *handshake) establish(now time.Time, x *exchange.Exchange, n *next) {
	cfg := n.session
	cfg.Kind, cfg.LocalID, cfg.Path = h.kind, h.id, x.Session().Path
	s, err := h.c.opt.Sessions.Add(now, *cfg)
	cfg.Keys = session.Keys{}
	if err != nil {
		h.fail(now, x, &resultError{NoRoom, err})
		return
	}
	if err := h.responder.established(); err != nil {
		h.c.remove(now, s)
		h.fail(now, x, &resultError{Aborted, err})
		return
	}
	if n.confirm {
		report := successReport()
		if err := x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil)); err != nil {
			h.c.remove(now, s)
			h.fail(now, x, &resultError{Aborted, err})
			return
		}
	}
	h.end(now, Outcome{Result: Success, Resumed: n.resumed})
	x.Close(now)
	h.c.opt.OnSession(now, s)
}

// fail ends the handshake and reports the reason to the peer, if that is allowed.
// The report is retransmitted until it is acknowledged, but only on a few exchanges
// at a time, so that a stranger cannot keep the node busy with invalid messages.
func (h *handshake) fail(now time.Time, x *exchange.Exchange, err error) {
	o := Outcome{Result: InvalidParameter, Err: err}
	var r *resultError
	if errors.As(err, &r) {
		o.Result = r.Result
	}
	h.end(now, o)
	if h.answer {
		report := h.report(o.Result)
		payload := report.AppendTo(nil)
		// Busy is sent only once: retransmissions would use up the resources that
		// are scarce.
		if o.Result != Busy && h.c.lingering < maxLingering {
			h.lingering = true
			h.c.lingering++
			_ = x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, payload)
		} else {
			_ = x.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, payload)
		}
	}
	x.Close(now)
}

// end releases the resources of the handshake. Its exchange may continue.
func (h *handshake) end(now time.Time, o Outcome) {
	h.responder.ended(now, o.Result)
	h.responder = nil
	h.c.cases = slices.DeleteFunc(h.c.cases, func(x *handshake) bool { return x == h })
	h.c.opt.Sessions.ReleaseID(h.id) // no effect if a session owns it
	o.Kind, o.Peer, o.Duration = h.kind, h.peer, now.Sub(h.began)
	h.c.opt.OnHandshake(now, o)
}

// peerReport returns the error for a StatusReport that ends the handshake.
func peerReport(payload []byte) error {
	r, err := message.ParseStatusReport(payload)
	if err != nil {
		return &resultError{PeerFailed, fmt.Errorf("a malformed status report: %w", err)}
	}
	return &resultError{PeerFailed, fmt.Errorf("%w %v", errPeerReport, &r)}
}
