package exchange

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// Reasons for the end of an exchange that was not closed, for [Handler.Closed].
var (
	// ErrNoAck: the peer acknowledged no transmission of a message.
	ErrNoAck = errors.New("exchange: no acknowledgement from the peer")
	// ErrNoResponse: the deadline of AwaitResponse has passed.
	ErrNoResponse = errors.New("exchange: no response from the peer")
	// ErrSessionGone: the session was removed.
	ErrSessionGone = errors.New("exchange: session is gone")
)

// Errors of Send and Initiate, besides those of [session.Session.Seal].
var (
	// ErrClosed: the exchange was closed or has ended.
	ErrClosed = errors.New("exchange: closed")
	// ErrOutstanding: one message waits for its acknowledgement and another one
	// waits for that one.
	ErrOutstanding = errors.New("exchange: a message is outstanding and another one held")
	// ErrTooMany: the session has reached its limit of exchanges.
	ErrTooMany = errors.New("exchange: too many exchanges on the session")
)

// Message is a received message.
type Message struct {
	Protocol uint16 // of the standard vendor
	Opcode   uint8
	Payload  []byte // valid only during the call
}

// Handler handles the messages of an exchange.
type Handler interface {
	// Receive is called for each new message of the exchange, but not for
	// standalone acknowledgements.
	Receive(now time.Time, x *Exchange, m Message)
	// Closed is the last call, and is made once. err is nil after Close, when
	// everything that was sent has been acknowledged; that may be before Close
	// returns. If the exchange ended otherwise, err is ErrNoAck, ErrNoResponse or
	// ErrSessionGone, or the error of [session.Session.Seal] for a message that was
	// held back.
	Closed(now time.Time, x *Exchange, err error)
}

// Exchange is one exchange with a peer.
type Exchange struct {
	manager   *Manager
	session   *session.Session
	id        uint16
	initiator bool
	serial    uint64 // grows with each new exchange
	handler   Handler

	ack      acknowledgement
	out      transmission
	held     heldMessage
	response time.Time // deadline of AwaitResponse; zero: none
	patient  bool      // the deadline is that of AwaitRequest
	closing  bool      // Close was called; the exchange ends when nothing is outstanding
	ended    bool

	wake  time.Time // time of the place in the queue
	place int       // index in the queue plus one; 0: not in it
}

// acknowledgement is the acknowledgement that the node owes the peer.
type acknowledgement struct {
	counter uint32 // of the last message that requested one
	known   bool   // there was such a message
	due     bool   // it was not acknowledged yet
	at      time.Time
	latest  time.Time // when it must be sent, while a message waits for room
}

// transmission is a reliable message that is not acknowledged yet.
type transmission struct {
	datagram []byte // as sent, from the Manager's pool; nil: none
	counter  uint32
	acks     uint32 // counter of the message that it acknowledges
	sent     int
	at       time.Time // of the next transmission, or of giving up
}

// heldMessage is a message that waits for the acknowledgement of the one before it,
// as at most one may be unacknowledged (section 4.10), or for room, see peerWindow. The
// first is needed for peers that send the next message although their acknowledgement
// was lost.
type heldMessage struct {
	protocol uint16
	opcode   uint8
	payload  []byte // from the Manager's pool; nil: none
}

// Session returns the session that the exchange is on.
func (x *Exchange) Session() *session.Session { return x.session }

// ID returns the exchange id.
func (x *Exchange) ID() uint16 { return x.id }

// Initiator reports whether this node began the exchange.
func (x *Exchange) Initiator() bool { return x.initiator }

// SetHandler replaces the exchange's handler.
func (x *Exchange) SetHandler(h Handler) { x.handler = h }

// Send sends a reliable message of the standard vendor. It is retransmitted until
// the peer acknowledges it. If the peer has not acknowledged an earlier message, this
// one is held until then, and so it is if too many messages of the session are not
// acknowledged; a further one fails with ErrOutstanding. payload is not kept. Errors are
// ErrClosed, ErrOutstanding and those of [session.Session.Seal].
func (x *Exchange) Send(now time.Time, protocol uint16, opcode uint8, payload []byte) error {
	switch {
	case x.closing || x.ended:
		return ErrClosed
	case x.held.payload != nil:
		return ErrOutstanding
	case x.out.datagram == nil && x.manager.room(x.session):
		return x.transmit(now, protocol, opcode, payload)
	case len(payload) > message.MaxSize:
		return session.ErrTooLarge
	}
	x.held = heldMessage{protocol: protocol, opcode: opcode, payload: append(x.manager.buffer(), payload...)}
	if x.waiting() {
		x.manager.wait(x)
		if x.ack.due {
			x.ackLater(now, heldAckTimeout)
			x.ack.latest = now.Add(heldAckLatest)
			x.reschedule()
		}
	}
	return nil
}

// SendUnreliable sends a message once, without asking for an acknowledgement.
// payload is not kept. Errors are ErrClosed and those of [session.Session.Seal].
func (x *Exchange) SendUnreliable(now time.Time, protocol uint16, opcode uint8, payload []byte) error {
	if x.closing || x.ended {
		return ErrClosed
	}
	m := x.manager
	p := x.header(protocol, opcode)
	datagram, _, err := x.session.Seal(m.scratch[:0], &p, payload)
	if err != nil {
		return m.sealFailed(x.session, err)
	}
	x.sending(now, datagram)
	x.reschedule()
	return nil
}

// AwaitResponse ends the exchange with ErrNoResponse if no message arrives by the
// deadline. The next message removes the deadline, and so does the zero time.
func (x *Exchange) AwaitResponse(deadline time.Time) { x.await(deadline, false) }

// AwaitRequest is like AwaitResponse, but for a request that may take long and that
// carries the acknowledgement. The exchange does not end if there is no
// acknowledgement before the deadline.
func (x *Exchange) AwaitRequest(deadline time.Time) { x.await(deadline, true) }

func (x *Exchange) await(deadline time.Time, patient bool) {
	if x.closing || x.ended {
		return
	}
	x.response, x.patient = deadline, patient
	x.reschedule()
}

// Close closes the exchange. Nothing more is received on it. It ends when
// everything that was sent is acknowledged. A second call has no effect.
func (x *Exchange) Close(now time.Time) {
	if x.closing || x.ended {
		return
	}
	x.closing = true
	x.response = time.Time{}
	if !x.waiting() {
		x.flushAck(now)
	}
	if x.out.datagram == nil && x.held.payload == nil {
		x.end(now, nil)
		return
	}
	x.reschedule()
}

// header returns the protocol header of the next message. Every message repeats the
// last acknowledgement, as the standalone one may have been lost.
func (x *Exchange) header(protocol uint16, opcode uint8) message.ProtocolHeader {
	return message.ProtocolHeader{
		Initiator: x.initiator,
		HasAck:    x.ack.known,
		Ack:       x.ack.counter,
		Opcode:    opcode,
		Exchange:  x.id,
		Protocol:  protocol,
	}
}

// sending sends a message that carries the owed acknowledgement.
func (x *Exchange) sending(now time.Time, datagram []byte) {
	x.ack.due = false
	x.session.LastUsed = now
	x.manager.opt.Send(x.session.Path, datagram)
}

func (x *Exchange) transmit(now time.Time, protocol uint16, opcode uint8, payload []byte) error {
	m := x.manager
	p := x.header(protocol, opcode)
	p.Reliable = true
	buf := m.buffer()
	datagram, counter, err := x.session.Seal(buf, &p, payload)
	if err != nil {
		m.release(buf)
		return m.sealFailed(x.session, err)
	}
	x.out = transmission{datagram: datagram, counter: counter, acks: p.Ack, sent: 1}
	x.out.at = now.Add(m.backoff(x, now))
	m.sent(x)
	x.sending(now, datagram)
	x.reschedule()
	return nil
}

// transmitHeld sends the held message.
func (x *Exchange) transmitHeld(now time.Time) {
	held := x.held
	x.held = heldMessage{}
	err := x.transmit(now, held.protocol, held.opcode, held.payload)
	x.manager.release(held.payload)
	if err != nil {
		x.end(now, err)
	}
}

// receive handles a message of the exchange.
func (x *Exchange) receive(now time.Time, in *session.Incoming) {
	p, m := &in.Protocol, x.manager
	bare := standaloneAck(p)
	switch {
	case bare || !p.Reliable:
	case in.Duplicate:
		m.stats.Duplicates++
		last := x.ack.known && x.ack.counter == in.Header.Counter
		switch {
		case last && x.waiting():
			if !x.ack.due {
				x.ackLater(now, heldAckInterval)
			}
		case last && x.out.datagram != nil && x.out.acks == in.Header.Counter && !m.room(x.session):
			// The message that is not acknowledged yet acknowledges this one.
		case last || !in.Late: // a late message may never have been received
			m.sendAck(x.session, x.id, x.initiator, in.Header.Counter)
			x.ack.due = x.ack.due && !last
		}
	default:
		// Only one acknowledgement can be owed at a time. Send the earlier one by
		// itself.
		x.flushAck(now)
		x.ack = acknowledgement{counter: in.Header.Counter, known: true, due: true, at: now.Add(standaloneAckTimeout)}
	}
	if p.HasAck {
		x.acknowledged(now, p.Ack)
	}
	if x.ended {
		return
	}
	if x.closing && !x.waiting() {
		x.flushAck(now)
	}
	if x.closing || bare || in.Duplicate || p.Vendor != 0 {
		x.reschedule()
		return
	}
	x.response = time.Time{}
	x.reschedule()
	x.handler.Receive(now, x, Message{Protocol: p.Protocol, Opcode: p.Opcode, Payload: in.Payload})
}

// acknowledged handles an acknowledgement from the peer. If it is not for the
// outstanding message, it is an old one.
func (x *Exchange) acknowledged(now time.Time, counter uint32) {
	if x.out.datagram == nil || counter != x.out.counter {
		return
	}
	m := x.manager
	m.release(x.out.datagram)
	x.out = transmission{}
	switch {
	case x.held.payload != nil && m.room(x.session):
		x.transmitHeld(now)
	case x.held.payload != nil:
		m.wait(x)
		x.reschedule()
	case x.closing:
		x.end(now, nil)
	default:
		x.reschedule()
	}
}

// waiting reports whether a message waits for room.
func (x *Exchange) waiting() bool { return x.out.datagram == nil && x.held.payload != nil }

// ackLater makes the acknowledgement of the last message due after d.
func (x *Exchange) ackLater(now time.Time, d time.Duration) { x.ack.due, x.ack.at = true, now.Add(d) }

// flushAck sends the owed acknowledgement, if there is one.
func (x *Exchange) flushAck(now time.Time) {
	if !x.ack.due {
		return
	}
	x.ack.due = false
	x.manager.sendAck(x.session, x.id, x.initiator, x.ack.counter)
}

// advance does the work that is due at now.
func (x *Exchange) advance(now time.Time) {
	m := x.manager
	switch due := x.ack.due && !now.Before(x.ack.at); {
	case due && x.waiting() && m.span(x.session) >= heldAckSpan && now.Before(x.ack.latest):
		x.ackLater(now, heldAckInterval) // too many to acknowledge all of them at once
	case due:
		x.flushAck(now)
	}
	switch due := x.out.datagram != nil && !now.Before(x.out.at); {
	case due && x.out.sent < maxTransmissions:
		x.out.sent++
		x.out.at = now.Add(m.backoff(x, now))
		m.stats.Retransmissions++
		m.opt.Send(x.session.Path, x.out.datagram)
	case due:
		m.stats.Timeouts++
		if x.session.Kind == session.CASE {
			x.session.Defunct = true
		}
		if x.response.IsZero() || !x.patient || x.held.payload != nil {
			x.end(now, ErrNoAck)
			return
		}
		m.release(x.out.datagram)
		x.out = transmission{}
	}
	if !x.response.IsZero() && !now.Before(x.response) {
		x.end(now, ErrNoResponse)
		return
	}
	x.reschedule()
}

// reschedule moves the exchange to its place in the queue.
func (x *Exchange) reschedule() {
	if x.ended {
		return
	}
	at := x.response
	if x.out.datagram != nil && (at.IsZero() || x.out.at.Before(at)) {
		at = x.out.at
	}
	if x.ack.due && (at.IsZero() || x.ack.at.Before(at)) {
		at = x.ack.at
	}
	x.manager.queue.set(x, at)
}

// end removes the exchange from the Manager and calls the handler's Closed.
func (x *Exchange) end(now time.Time, err error) {
	if x.ended {
		return
	}
	if err != ErrSessionGone {
		x.flushAck(now)
	}
	x.ended = true
	x.manager.forget(x)
	x.handler.Closed(now, x, err)
}

// standaloneAck reports whether p is the header of a standalone acknowledgement. It
// never needs an acknowledgement itself, whatever its flags are.
func standaloneAck(p *message.ProtocolHeader) bool {
	return p.Vendor == 0 && p.Protocol == matter.ProtocolSecureChannel && p.Opcode == message.OpcodeMRPStandaloneAck
}
