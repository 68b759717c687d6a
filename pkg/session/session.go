package session

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Errors of Seal and Add.
var (
	// ErrCounterExhausted is returned by Seal when the session's message counter
	// has reached its maximum. A new session is needed.
	ErrCounterExhausted = errors.New("session: message counter exhausted")
	// ErrTooLarge is returned by Seal if the message does not fit into a datagram
	// of message.MaxSize octets.
	ErrTooLarge = errors.New("session: message larger than a datagram")
	// ErrGone is returned by Seal if the session was removed.
	ErrGone = errors.New("session: session was removed")
	// ErrFull is returned by Add if the table is full and every session is in use,
	// and by ReserveID if all ids are in use.
	ErrFull = errors.New("session: table is full")
)

// Kind is the way in which a session was established.
type Kind uint8

// The kinds. Messages to groups belong to no session.
const (
	Unsecured Kind = iota
	PASE
	CASE
)

var kindNames = [...]string{"unsecured", "pase", "case"}

// String returns the kind in lower case. It is used as a metric label.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Keys are the three keys derived by a handshake (section 4.14).
type Keys struct {
	I2R                  [mcrypto.KeySize]byte // messages of the session initiator
	R2I                  [mcrypto.KeySize]byte // messages of the session responder
	AttestationChallenge [16]byte
}

// Config is the result of a handshake, for [Table.Add].
type Config struct {
	Kind      Kind // PASE or CASE
	Initiator bool // this node began the handshake
	LocalID   uint16
	PeerID    uint16
	Fabric    matter.FabricIndex
	LocalNode matter.NodeID // 0 for PASE
	PeerNode  matter.NodeID // 0 for PASE
	CATs      [3]matter.CAT // unused ones are 0
	Keys      Keys
	Params    message.SessionParameters // of the peer
	Path      transport.Path
}

// Session is one session with one peer. Its fields are read-only except those whose
// comments say otherwise. The struct is flat in spite of its size, because handlers
// of messages need fields from different steps of the handshake.
type Session struct {
	Kind      Kind
	Initiator bool   // this node began the handshake
	Serial    uint64 // unique in the process, ascending, never 0
	LocalID   uint16 // 0 on unsecured sessions
	PeerID    uint16 // 0 on unsecured sessions
	// Fabric is 0 for unsecured and new PASE sessions. It may be set: a PASE
	// session gets the fabric that AddNOC created on it (section 4.14.1).
	Fabric    matter.FabricIndex
	LocalNode matter.NodeID
	PeerNode  matter.NodeID
	CATs      [3]matter.CAT

	AttestationChallenge [16]byte // zero on unsecured sessions

	// Params are the peer's. On unsecured sessions they are the defaults until the
	// handshake sets the received ones.
	Params message.SessionParameters
	// Path is where messages are sent: the path of the newest authentic message.
	Path         transport.Path
	Created      time.Time
	LastReceived time.Time // zero until something was received
	LastUsed     time.Time // when a message was last received or, by the exchange layer, sent
	// Defunct means that the peer did not answer in time and may have lost the
	// session. The exchange layer sets it, and an authentic message clears it.
	// Defunct sessions are evicted first.
	Defunct bool

	table     *Table
	gone      bool
	ephemeral matter.NodeID  // unsecured: the initiator's node id
	peer      netip.AddrPort // unsecured responder: the table key, together with ephemeral
	in        window         // unsecured
	replay    securedWindow  // PASE and CASE
	crypto    secrets
}

// counterReserve is the number of counters left when a session is to be replaced:
// enough to complete what is in progress and to close the session.
const counterReserve = 1024

// secrets are the keys and the counter of a secured session.
type secrets struct {
	seal, open cipher.AEAD
	self, peer matter.NodeID // nonce sources: always 0 on PASE sessions
	counter    uint32        // last sent
	// nonce is scratch space: an array on the stack would escape through the AEAD
	// interface and cost an allocation per message.
	nonce [mcrypto.NonceSize]byte
}

// AuthMode returns how the peer was authenticated. It returns false for an
// unsecured session.
func (s *Session) AuthMode() (matter.AuthMode, bool) {
	switch s.Kind {
	case PASE:
		return matter.AuthModePASE, true
	case CASE:
		return matter.AuthModeCASE, true
	}
	return 0, false
}

// Gone reports whether the session was removed. A removed session cannot send. An
// evicted one can, until it is removed.
func (s *Session) Gone() bool { return s.gone }

// LastCounter returns the message counter of the last message sealed on a secured
// session.
func (s *Session) LastCounter() uint32 { return s.crypto.counter }

// PeerActive reports whether the peer is considered active at now: it sent a
// message within its active threshold (section 4.12.2.1).
func (s *Session) PeerActive(now time.Time) bool {
	return !s.LastReceived.IsZero() && now.Sub(s.LastReceived) < s.Params.ActiveThreshold
}

// RetryInterval returns the peer's active or idle interval, the one that applies to
// retransmissions at now.
func (s *Session) RetryInterval(now time.Time) time.Duration {
	if s.PeerActive(now) {
		return s.Params.ActiveInterval
	}
	return s.Params.IdleInterval
}

// Seal appends the complete message for the peer to dst: header, protocol header
// and payload. On secured sessions it is encrypted and has a MIC. Seal returns the
// message counter that it used. payload must not overlap the free space of dst.
// Errors are ErrCounterExhausted, ErrTooLarge and ErrGone; dst is then returned
// unchanged, and no counter is used.
func (s *Session) Seal(dst []byte, p *message.ProtocolHeader, payload []byte) (datagram []byte, counter uint32, err error) {
	if s.gone {
		return dst, 0, ErrGone
	}
	if s.Kind == Unsecured {
		return s.sealUnsecured(dst, p, payload)
	}
	if s.crypto.counter == math.MaxUint32 {
		return dst, 0, ErrCounterExhausted
	}
	counter = s.crypto.counter + 1
	h := message.Header{SessionID: s.PeerID, Counter: counter}
	start := len(dst)
	out := h.AppendTo(dst)
	body := len(out)
	out = append(p.AppendTo(out), payload...)
	if len(out)-start+message.MICSize > message.MaxSize {
		return dst, 0, ErrTooLarge
	}
	if s.crypto.counter = counter; counter == math.MaxUint32-counterReserve {
		s.table.evict(s)
	}
	out = slices.Grow(out, message.MICSize)
	s.crypto.nonce = mcrypto.MessageNonce(h.SecurityFlags(), counter, s.crypto.self)
	sealed := s.crypto.seal.Seal(out[body:body], s.crypto.nonce[:], out[body:], out[start:body])
	return out[:body+len(sealed)], counter, nil
}

func (s *Session) sealUnsecured(dst []byte, p *message.ProtocolHeader, payload []byte) ([]byte, uint32, error) {
	counter := s.table.unencrypted + 1
	h := message.Header{Counter: counter}
	if s.Initiator {
		h.HasSource, h.Source = true, s.ephemeral
	} else {
		h.HasDest, h.Dest = true, s.ephemeral
	}
	start := len(dst)
	out := append(p.AppendTo(h.AppendTo(dst)), payload...)
	if len(out)-start > message.MaxSize {
		return dst, 0, ErrTooLarge
	}
	s.table.unencrypted = counter
	return out, counter, nil
}

// received records an authentic message that is not a duplicate. The path changes
// only with the newest message, so that an attacker cannot redirect it with a
// delayed message sent from another address.
func (s *Session) received(now time.Time, p transport.Path, latest bool) {
	s.LastReceived, s.LastUsed = now, now
	s.Defunct = false
	if latest {
		s.Path = p
	}
}
