package session

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Incoming is a message that a session, or a group, received.
type Incoming struct {
	// Session is nil for a message to a group, which has none: Fabric is the
	// group's then, and the header names group and sender.
	Session  *Session
	Fabric   matter.FabricIndex
	Header   message.Header
	Protocol message.ProtocolHeader
	Payload  []byte // application payload; points into the datagram
	// Duplicate: the message was received before. It is to be acknowledged if
	// it asks for that, and otherwise forgotten. Messages to groups are never
	// acknowledged, and not passed on twice.
	Duplicate bool
	// Late: the message is a Duplicate only as it is so old that nobody knows
	// whether it was received.
	Late bool
}

// Reject takes back that the message was received, so that it is not a Duplicate
// when it comes again. It is to be called before the next message is received, for a
// message of a session that is no Duplicate.
func (in *Incoming) Reject() {
	if s := in.Session; s.Kind == Unsecured {
		s.in.forget(in.Header.Counter)
	} else {
		s.replay.forget(in.Header.Counter)
	}
}

// securityFlagsOffset is where a message has its security flags.
const securityFlagsOffset = 3

// Receive finds the session of a datagram that came by p, authenticates and
// decrypts it in place and checks its counter against the replay window
// (section 4.7.2). The error is a [DropReason]; a datagram that fails changes
// nothing.
//
// A duplicate of an authentic message is no error, but does not count as a sign
// of life: it may be a replay.
func (t *Table) Receive(now time.Time, datagram []byte, p transport.Path) (Incoming, error) {
	if toGroup(datagram) {
		return t.receiveGroup(datagram, p.Interface)
	}
	h, size, err := message.ParseHeader(datagram)
	switch {
	case err != nil:
		return Incoming{}, DropMalformed
	case h.Privacy:
		return Incoming{}, DropPrivacy
	case h.Unsecured():
		return t.receiveUnsecured(now, &h, datagram[size:], p)
	}
	s := t.secure[h.SessionID]
	if s == nil {
		return Incoming{}, DropUnknownSession
	}
	plain, reason, ok := s.unseal(&h, datagram, size)
	if !ok {
		return Incoming{}, reason
	}
	in, err := parse(s, &h, plain)
	if err != nil {
		return Incoming{}, err
	}
	v, latest := s.replay.accept(h.Counter)
	if v == fresh {
		s.received(now, p, latest)
	}
	in.Duplicate, in.Late = v != fresh, v == late
	return in, nil
}

// unseal authenticates and decrypts in place the message whose header has the
// given size.
func (s *Session) unseal(h *message.Header, datagram []byte, size int) ([]byte, DropReason, bool) {
	sealed := datagram[size:]
	if len(sealed) < message.MICSize {
		return nil, DropMalformed, false
	}
	c := &s.crypto
	c.nonce = mcrypto.MessageNonce(datagram[securityFlagsOffset], h.Counter, c.peer)
	plain, err := c.open.Open(sealed[:0], c.nonce[:], sealed, datagram[:size])
	if err != nil {
		return nil, DropAuthentication, false
	}
	return plain, 0, true
}

func parse(s *Session, h *message.Header, body []byte) (Incoming, error) {
	p, size, err := message.ParseProtocolHeader(body)
	if err != nil {
		return Incoming{}, DropMalformed
	}
	return Incoming{Session: s, Header: *h, Protocol: p, Payload: body[size:]}, nil
}

func (t *Table) receiveUnsecured(now time.Time, h *message.Header, body []byte, p transport.Path) (Incoming, error) {
	in, err := parse(nil, h, body)
	if err != nil {
		return Incoming{}, err
	}
	if h.HasDest {
		in.Session = t.initiators[h.Dest]
		if in.Session == nil {
			return Incoming{}, DropUnknownSession
		}
		// Messages keep going where the handshake began: nothing here proves
		// that the answer came from the peer.
		p = in.Session.Path
	} else {
		if !h.Source.Operational() {
			return Incoming{}, DropMalformed
		}
		in.Session = t.responder(now, h, p)
		if in.Session == nil {
			return Incoming{}, DropUnsecuredFull
		}
	}
	in.Duplicate = !in.Session.in.acceptUnsecured(h.Counter)
	if !in.Duplicate {
		in.Session.received(now, p, true)
	}
	return in, nil
}

// responder returns the unsecured session of a message from an initiator,
// making it if it is new; nil if there is no room.
func (t *Table) responder(now time.Time, h *message.Header, p transport.Path) *Session {
	key := unsecuredKey{h.Source, p.Peer}
	if s := t.responders[key]; s != nil {
		return s
	}
	if t.Len(Unsecured) >= t.opt.MaxUnsecured && !t.evictUnsecured() {
		return nil
	}
	s := &Session{
		Kind:      Unsecured,
		Params:    message.DefaultParameters(),
		Path:      p,
		ephemeral: h.Source,
		peer:      p.Peer,
		in:        t.freed.take(key),
	}
	t.adopt(now, s)
	t.responders[key] = s
	return s
}
