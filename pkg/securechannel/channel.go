package securechannel

import (
	"io"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/window"
)

const (
	// DefaultMaxHandshakes is the default number of concurrent CASE handshakes. One
	// source may have half of them.
	DefaultMaxHandshakes = 32
	// HandshakeTime is the maximum duration of a handshake, from the first message
	// to the last (section 5.5 for PASE).
	HandshakeTime = 60 * time.Second
	// maxLingering limits the exchanges that retransmit a report of failure.
	maxLingering = 8
	// maxRetryInterval limits the retransmission intervals of an initiator that is
	// not authenticated yet: they determine how long exchanges linger.
	maxRetryInterval = 2 * time.Second
)

// Resumptions holds the records of CASE sessions that can be resumed.
type Resumptions interface {
	// Find returns the record with a resumption id of 16 octets.
	Find(id []byte) (casesession.Record, bool)
	// Of returns the record for a fabric and peer.
	Of(fabric matter.FabricIndex, peer matter.NodeID) (casesession.Record, bool)
	// Put stores a record and replaces that for the same fabric and peer. It is
	// called before the peer gets the report that its handshake has succeeded.
	Put(casesession.Record)
}

// Options of a Channel. All are required except MaxHandshakes, OnClosed and
// OnHandshake.
type Options struct {
	Sessions    *session.Table
	Exchanges   *exchange.Manager
	Window      *window.Window
	Fabrics     casesession.Fabrics
	Resumptions Resumptions
	Rand        io.Reader
	// Parameters are this node's session parameters.
	Parameters message.SessionParameters
	// Validity returns the options for checking the validity periods of a peer's
	// certificates.
	Validity func(now time.Time) cert.VerifyOptions
	// MaxHandshakes is the maximum number of concurrent CASE handshakes. 0:
	// DefaultMaxHandshakes.
	MaxHandshakes int
	// OnSession is called with every new session, after the peer was notified.
	OnSession func(now time.Time, s *session.Session)
	// OnClosed, if not nil, is called when a peer closes a session, before the
	// session is removed.
	OnClosed func(now time.Time, s *session.Session)
	// OnHandshake, if not nil, is called at the end of every handshake that a peer
	// began.
	OnHandshake func(now time.Time, o Outcome)
}

func (o *Options) complete() bool {
	return o.Sessions != nil && o.Exchanges != nil && o.Window != nil && o.Fabrics != nil && o.Resumptions != nil &&
		o.Rand != nil && o.Validity != nil && o.OnSession != nil
}

// Channel runs protocol 0 of a node. One goroutine owns it.
type Channel struct {
	opt       Options
	pase      responder    // of the latest PASE handshake; nil: none
	cases     []*handshake // CASE handshakes in progress, the oldest first
	lingering int          // exchanges that still retransmit a report of failure
}

// New returns a Channel without handshakes. It panics if a required option is
// missing.
func New(opt Options) *Channel {
	if !opt.complete() {
		panic("BUG: securechannel: required option is missing")
	}
	if opt.MaxHandshakes == 0 {
		opt.MaxHandshakes = DefaultMaxHandshakes
	}
	if opt.OnHandshake == nil {
		opt.OnHandshake = func(time.Time, Outcome) {}
	}
	if opt.OnClosed == nil {
		opt.OnClosed = func(time.Time, *session.Session) {}
	}
	return &Channel{opt: opt}
}

// Accept returns the handler for an exchange that a peer begins with a secure
// channel message, or nil if the message is not to be answered (section 4.11.1).
func (c *Channel) Accept(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
	unsecured := x.Session().Kind == session.Unsecured
	switch {
	case m.Opcode == message.OpcodePBKDFParamRequest && unsecured:
		return c.acceptPASE(now, x)
	case m.Opcode == message.OpcodeSigma1 && unsecured:
		return c.acceptCASE(now, x)
	case m.Opcode == message.OpcodeStatusReport && !unsecured && closes(m.Payload):
		return closing{c}
	}
	return nil
}

// CloseSession sends CloseSession to the peer of a session, once and without
// waiting for an acknowledgement. Then it removes the session and its exchanges. It
// does nothing if the session was removed.
func (c *Channel) CloseSession(now time.Time, s *session.Session) {
	if s.Gone() {
		return
	}
	if s.Kind != session.Unsecured {
		// If it cannot be sent, the peer will time out.
		if x, err := c.opt.Exchanges.Initiate(now, s, silent{}); err == nil {
			report := message.StatusReport{General: message.GeneralSuccess, Code: message.CodeCloseSession}
			_ = x.SendUnreliable(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
			x.Close(now)
		}
	}
	c.remove(now, s)
}

// Forget removes a session and its exchanges without notifying the peer. It does
// nothing if the session was removed.
func (c *Channel) Forget(now time.Time, s *session.Session) {
	if !s.Gone() {
		c.remove(now, s)
	}
}

func (c *Channel) remove(now time.Time, s *session.Session) {
	c.opt.Sessions.Remove(s)
	c.opt.Exchanges.SessionGone(now, s)
}

// closes reports whether a StatusReport is CloseSession.
func closes(payload []byte) bool {
	r, err := message.ParseStatusReport(payload)
	return err == nil && r.General == message.GeneralSuccess && r.Protocol == 0 && r.Code == message.CodeCloseSession
}

// closing handles CloseSession from the peer.
type closing struct{ c *Channel }

func (h closing) Receive(now time.Time, x *exchange.Exchange, _ exchange.Message) {
	h.c.opt.OnClosed(now, x.Session())
	h.c.remove(now, x.Session())
}

func (closing) Closed(time.Time, *exchange.Exchange, error) {}

// silent is the handler of an exchange that expects no messages.
type silent struct{}

func (silent) Receive(time.Time, *exchange.Exchange, exchange.Message) {}
func (silent) Closed(time.Time, *exchange.Exchange, error)             {}
