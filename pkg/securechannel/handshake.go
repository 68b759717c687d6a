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

// handshake is what PASE and CASE have in common: an exchange that ends with a
// session or without one.
type handshake struct {
	c         *Channel
	kind      session.Kind
	id        uint16 // reserved for the session
	began     time.Time
	exchange  *exchange.Exchange
	peer      netip.AddrPort
	source    netip.Addr    // of the peer
	wait      time.Duration // that it is told with Busy
	responder responder     // nil when the handshake is over
	answer    bool          // the last message is not a StatusReport, which has no answer
	lingering bool          // the exchange still tells the peer about a failure
}

// responder is the part of a handshake that knows its messages.
type responder interface {
	// take takes a message of the initiator and says what follows from it.
	take(m exchange.Message) (next, error)
	// params returns what the initiator told of itself, once it has.
	params() message.SessionParameters
	// established is called with the session in the table and before the peer is
	// told; an error takes it out again.
	established() error
	// ended is called once, last: the secrets go.
	ended(now time.Time, r Result)
}

// next is what follows from a message: an answer, or a session. A session with
// confirm is one that the initiator has still to be told about.
type next struct {
	opcode  uint8
	payload []byte
	session *session.Config
	confirm bool
	resumed bool
}

var (
	errPeerReport = errors.New("the peer reported")
	errUnexpected = errors.New("a message that has no place in the handshake")
)

// resultError is an error with the result it stands for; others are
// InvalidParameter.
type resultError struct {
	Result Result
	Err    error
}

func (e *resultError) Error() string { return e.Err.Error() }
func (e *resultError) Unwrap() error { return e.Err }

// begin returns the handshake that r serves, nil if there is no session id left.
func (c *Channel) begin(now time.Time, x *exchange.Exchange, kind session.Kind, r func(id uint16) responder) *handshake {
	id, err := c.opt.Sessions.ReserveID()
	if err != nil {
		return nil
	}
	return &handshake{c: c, kind: kind, id: id, began: now, exchange: x, peer: x.Session().Path.Peer, source: x.Session().Path.Source(), responder: r(id)}
}

// Receive takes the next message of the handshake.
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

// clamp returns the parameters by which messages of the handshake are sent again.
func clamp(p message.SessionParameters) message.SessionParameters {
	p.IdleInterval = min(p.IdleInterval, maxRetryInterval)
	p.ActiveInterval = min(p.ActiveInterval, maxRetryInterval)
	return p
}

// Closed ends a handshake whose exchange ended before it.
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

// establish makes the session and tells the initiator, if it does not know yet.
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

// fail ends the handshake and tells the peer why, if that may be. The report is
// sent again until it is acknowledged, as long as few exchanges do that: a
// stranger must not occupy the node with its own mistakes.
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
		// That the node is busy is said once: what was sent must not occupy the
		// room that is missing.
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

// end frees what the handshake held. Its exchange may live on.
func (h *handshake) end(now time.Time, o Outcome) {
	h.responder.ended(now, o.Result)
	h.responder = nil
	h.c.cases = slices.DeleteFunc(h.c.cases, func(x *handshake) bool { return x == h })
	h.c.opt.Sessions.ReleaseID(h.id) // a session has taken it, if there is one
	o.Kind, o.Peer, o.Duration = h.kind, h.peer, now.Sub(h.began)
	h.c.opt.OnHandshake(now, o)
}

// peerReport returns the error that ends a handshake in which the peer sends a
// StatusReport.
func peerReport(payload []byte) error {
	r, err := message.ParseStatusReport(payload)
	if err != nil {
		return &resultError{PeerFailed, fmt.Errorf("a malformed status report: %w", err)}
	}
	return &resultError{PeerFailed, fmt.Errorf("%w %v", errPeerReport, &r)}
}
