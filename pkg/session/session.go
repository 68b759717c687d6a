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
	// ErrCounterExhausted is returned by Seal when the session's message
	// counter has reached its end: the session must be established anew.
	ErrCounterExhausted = errors.New("session: message counter exhausted")
	// ErrTooLarge is returned by Seal when the message does not fit a datagram
	// of message.MaxSize octets.
	ErrTooLarge = errors.New("session: message larger than a datagram")
	// ErrGone is returned by Seal when the session was removed.
	ErrGone = errors.New("session: session was removed")
	// ErrFull is returned by Add when the table is full and every session in it
	// is in use, and by ReserveID when there is no id left.
	ErrFull = errors.New("session: table is full")
)

// Kind is how a session was established.
type Kind uint8

// The kinds. Messages to groups belong to no session.
const (
	Unsecured Kind = iota
	PASE
	CASE
)

var kindNames = [...]string{"unsecured", "pase", "case"}

// String returns the kind as a label, in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Keys are the three keys that a handshake yields (section 4.14).
type Keys struct {
	I2R                  [mcrypto.KeySize]byte // messages of the session initiator
	R2I                  [mcrypto.KeySize]byte // messages of the session responder
	AttestationChallenge [16]byte
}

// Config is what a handshake found out, for [Table.Add].
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

// Session is one session with one peer. Its fields are facts to read; the ones
// that a later layer may set are named. It is flat, for all their number, because
// everybody who handles a message reads s.Fabric and s.PeerNode, and none cares
// which handshake step the fact came from.
type Session struct {
	Kind      Kind
	Initiator bool   // this node began the handshake
	Serial    uint64 // unique in the process, ascending, never 0
	LocalID   uint16 // 0 on unsecured sessions
	PeerID    uint16 // 0 on unsecured sessions
	// Fabric is 0 for unsecured and new PASE sessions. It may be set: a PASE
	// session gets the fabric of the AddNOC it carried (section 4.14.1).
	Fabric    matter.FabricIndex
	LocalNode matter.NodeID
	PeerNode  matter.NodeID
	CATs      [3]matter.CAT

	AttestationChallenge [16]byte // zero on unsecured sessions

	// Params are the peer's. On unsecured sessions they are the defaults until
	// the handshake sets what the peer told.
	Params message.SessionParameters
	// Path is where messages go: what the newest authentic message took.
	Path         transport.Path
	Created      time.Time
	LastReceived time.Time // zero until something was received
	LastUsed     time.Time // last received or, set by the exchange layer, sent
	// Defunct says that the peer did not answer in time, and it may not know
	// the session any more. The exchange layer sets it, an authentic message
	// clears it. Eviction prefers defunct sessions.
	Defunct bool

	table     *Table
	gone      bool
	ephemeral matter.NodeID  // unsecured: the initiator's
	peer      netip.AddrPort // unsecured, as responder: with ephemeral the table key
	in        window         // unsecured
	replay    securedWindow  // PASE and CASE
	crypto    secrets
}

// counterReserve is how many counters are left when a session gives way to a new
// one: enough to finish what is under way and to say goodbye.
const counterReserve = 1024

// secrets is what secured sessions encrypt with.
type secrets struct {
	seal, open cipher.AEAD
	self, peer matter.NodeID // nonce sources: 0 on PASE sessions, for ever
	counter    uint32        // last sent
	// nonce is scratch space: an array on the stack would escape through the
	// AEAD interface, one allocation for each message.
	nonce [mcrypto.NonceSize]byte
}

// AuthMode returns how the peer proved who it is, and false on unsecured
// sessions, where it did not.
func (s *Session) AuthMode() (matter.AuthMode, bool) {
	switch s.Kind {
	case PASE:
		return matter.AuthModePASE, true
	case CASE:
		return matter.AuthModeCASE, true
	}
	return 0, false
}

// Gone reports whether the session was removed. It can send nothing any more;
// one that was evicted can, until it is removed.
func (s *Session) Gone() bool { return s.gone }

// PeerActive reports whether the peer is to be taken as active at now: it sent
// something within its active threshold (section 4.12.2.1).
func (s *Session) PeerActive(now time.Time) bool {
	return !s.LastReceived.IsZero() && now.Sub(s.LastReceived) < s.Params.ActiveThreshold
}

// RetryInterval returns the peer's interval for retransmissions that MRP starts
// from at now: the active or the idle one.
func (s *Session) RetryInterval(now time.Time) time.Duration {
	if s.PeerActive(now) {
		return s.Params.ActiveInterval
	}
	return s.Params.IdleInterval
}

// Seal appends to dst the whole message for the peer: header, protocol header
// and payload, on secured sessions encrypted and with its MIC. It takes the
// next message counter, and returns it. payload must not overlap the free space
// of dst. Errors are ErrCounterExhausted, ErrTooLarge and ErrGone; dst is
// returned unchanged then, and no counter is used.
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

// received notes an authentic message that is not a duplicate. The path follows
// the newest message only, so that one that was held back and sent on from
// elsewhere leads nowhere.
func (s *Session) received(now time.Time, p transport.Path, latest bool) {
	s.LastReceived, s.LastUsed = now, now
	s.Defunct = false
	if latest {
		s.Path = p
	}
}
