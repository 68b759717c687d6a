package session

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Incoming is a received message.
type Incoming struct {
	// Session is nil for a message to a group. Fabric is then the group's fabric,
	// and the header contains the group and the sender.
	Session  *Session
	Fabric   matter.FabricIndex
	Header   message.Header
	Protocol message.ProtocolHeader
	Payload  []byte // application payload; points into the datagram
	// Duplicate: the message was received before. It must be acknowledged if it
	// requests that, and is otherwise ignored. Messages to groups are never
	// acknowledged, and their duplicates are dropped.
	Duplicate bool
	// Late: the message is counted as a Duplicate because it is too old to know
	// whether it was received.
	Late bool
}

// Reject undoes the reception of the message, so that it is not a Duplicate when it
// arrives again. It must be called before the next message is received, and only
// for a message of a session that is not a Duplicate.
func (in *Incoming) Reject() {
	if s := in.Session; s.Kind == Unsecured {
		s.in.forget(in.Header.Counter)
	} else {
		s.replay.forget(in.Header.Counter)
	}
}

// securityFlagsOffset is the position of the security flags in a message.
const securityFlagsOffset = 3

// Receive finds the session of a datagram that arrived on path p. It authenticates
// and decrypts it in place and checks its counter against the replay window
// (section 4.7.2). The error is a [DropReason]. A datagram that fails changes
// nothing.
//
// A duplicate of an authentic message is not an error. It does not count as a sign
// of life, as it may be a replay.
func (t *Table) Receive(now time.Time, datagram []byte, p transport.Path) (Incoming, error) {
	if len(datagram) > message.MaxReceived {
		return Incoming{}, DropMalformed
	}
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

// unseal authenticates and decrypts a message in place. size is the length of its
// header.
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
		// The path of the handshake stays the same: nothing proves here that the
		// answer came from the peer.
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

// responder returns the unsecured session of a message from an initiator. It
// creates the session if it is new, and returns nil if there is no room.
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
