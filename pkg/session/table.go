package session

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Options of a Table. Rand, Max and MaxUnsecured are required.
type Options struct {
	Rand io.Reader // must not fail
	// Max bounds the PASE and CASE sessions together. For the capability that
	// every node announces it is at least three for each supported fabric, and
	// one.
	Max int
	// MaxUnsecured bounds the unsecured sessions. It must be above the number
	// of handshakes that may be under way.
	MaxUnsecured int
	// IDs says which session ids are handed out. 0: all of them.
	IDs IDs
	// Guaranteed is how many PASE and CASE sessions every fabric keeps, whatever
	// others ask for.
	Guaranteed int
	// Busy reports whether a session is in use, and is not to be evicted. nil:
	// none ever is.
	Busy func(*Session) bool
	// Carries reports whether something depends on a session while it is idle, so
	// that others had better go first. nil: nothing does.
	Carries func(*Session) bool
	// Removed learns of each PASE or CASE session that is no more. It must not
	// call the Table. nil: nobody does.
	Removed func(*Session)
}

// IDs is a set of session ids. A session's id is authenticated with its messages:
// where sets do not meet, no message of the one is ever taken for one of the other,
// not even under the same keys.
type IDs uint8

// The sets.
const (
	AllIDs IDs = iota
	EvenIDs
	OddIDs
)

// first returns id or its neighbour in the set.
func (s IDs) first(id uint16) uint16 {
	switch s {
	case EvenIDs:
		return id &^ 1
	case OddIDs:
		return id | 1
	}
	return id
}

// step is how far it is from one id of the set to the next.
func (s IDs) step() uint16 {
	if s == AllIDs {
		return 1
	}
	return 2
}

// Table holds the sessions of a node.
type Table struct {
	opt    Options
	serial uint64

	secure   map[uint16]*Session // by local id; nil for reserved ids
	list     []*Session          // the secure sessions, oldest first; replaced, never shrunk in place
	nextID   uint16
	reserved int

	initiators  map[matter.NodeID]*Session // unsecured, by our ephemeral id
	responders  map[unsecuredKey]*Session  // unsecured, by the peer's ephemeral id
	freed       past                       // responders that were freed
	unencrypted uint32                     // the global unencrypted message counter: last sent

	groups groups

	evicted []*Session
}

// unsecuredKey finds an unsecured session as responder. The peer's address is
// part of it so that nobody elsewhere can speak into a handshake by its id. The
// local address is not: a peer may reach two of them with one message.
type unsecuredKey struct {
	ephemeral matter.NodeID
	peer      netip.AddrPort
}

// NewTable returns an empty table. Options that break their rules panic.
func NewTable(opt Options) *Table {
	if opt.Rand == nil || opt.Max < 1 || opt.MaxUnsecured < 1 {
		panic("BUG: session: table without randomness or without room")
	}
	if opt.Busy == nil {
		opt.Busy = func(*Session) bool { return false }
	}
	if opt.Carries == nil {
		opt.Carries = func(*Session) bool { return false }
	}
	if opt.Removed == nil {
		opt.Removed = func(*Session) {}
	}
	t := &Table{
		opt:        opt,
		secure:     make(map[uint16]*Session),
		initiators: make(map[matter.NodeID]*Session),
		responders: make(map[unsecuredKey]*Session),
	}
	t.nextID = opt.IDs.first(uint16(t.random()))
	t.unencrypted = t.randomCounter()
	return t
}

func (t *Table) random() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(t.opt.Rand, b[:]); err != nil {
		panic(fmt.Sprintf("BUG: session: the random source fails: %v", err))
	}
	return binary.LittleEndian.Uint64(b[:])
}

// randomCounter returns a start value for a message counter: 1 to 2^28 (section
// 4.6.1.1). It counts as used.
func (t *Table) randomCounter() uint32 { return uint32(t.random()&(1<<28-1)) + 1 }

// ReserveID returns a session id that no session has, for a handshake, and
// keeps it from others until Add or ReleaseID. ErrFull: there is none left.
func (t *Table) ReserveID() (uint16, error) {
	// Ids are handed out in a circle, so that an id comes back as late as
	// possible.
	for range 1 << 16 {
		id := t.nextID
		t.nextID += t.opt.IDs.step()
		if _, used := t.secure[id]; !used && id != 0 {
			t.secure[id] = nil
			t.reserved++
			return id, nil
		}
	}
	return 0, ErrFull
}

// ReleaseID gives back an id of a handshake that failed. An id that is not
// reserved is left alone.
func (t *Table) ReleaseID(id uint16) {
	if s, used := t.secure[id]; used && s == nil {
		delete(t.secure, id)
		t.reserved--
	}
}

// Add makes the session that a handshake agreed on. Its LocalID must be
// reserved; it is the session's from now on. When the table is full another
// session is evicted, see [Table.TakeEvicted]; ErrFull if all are in use, and
// the id is released.
func (t *Table) Add(now time.Time, c Config) (*Session, error) {
	if s, used := t.secure[c.LocalID]; !used || s != nil {
		panic("BUG: session: id is not reserved")
	}
	if c.Kind != PASE && c.Kind != CASE {
		panic("BUG: session: a handshake makes PASE and CASE sessions only")
	}
	for len(t.list) >= t.opt.Max {
		victim := t.victim(c.Fabric, c.PeerNode)
		if victim == nil {
			t.ReleaseID(c.LocalID)
			return nil, ErrFull
		}
		t.evict(victim)
	}
	s := &Session{
		Kind:                 c.Kind,
		Initiator:            c.Initiator,
		LocalID:              c.LocalID,
		PeerID:               c.PeerID,
		Fabric:               c.Fabric,
		LocalNode:            c.LocalNode,
		PeerNode:             c.PeerNode,
		CATs:                 c.CATs,
		AttestationChallenge: c.Keys.AttestationChallenge,
		Params:               c.Params,
		Path:                 c.Path,
		LastReceived:         now, // the handshake's last message, or the answer to it
	}
	seal, open := c.Keys.R2I, c.Keys.I2R
	if c.Initiator {
		seal, open = open, seal
	}
	s.crypto = secrets{
		seal: newAEAD(&seal), open: newAEAD(&open),
		self: c.LocalNode, peer: c.PeerNode,
		counter: t.randomCounter(),
	}
	t.adopt(now, s)
	t.secure[s.LocalID] = s
	t.reserved--
	t.list = append(t.list, s)
	return s, nil
}

func newAEAD(key *[mcrypto.KeySize]byte) cipher.AEAD {
	a, err := mcrypto.NewAEAD(key[:])
	if err != nil {
		panic(fmt.Sprintf("BUG: session: %v", err))
	}
	clear(key[:])
	return a
}

// adopt fills in what all kinds of sessions share.
func (t *Table) adopt(now time.Time, s *Session) {
	t.serial++
	s.Serial, s.table = t.serial, t
	s.Created, s.LastUsed = now, now
}

// Unsecured returns a new unsecured session as initiator, with an ephemeral
// node id of its own, for one handshake with the peer at p. Remove it when the
// handshake is over.
func (t *Table) Unsecured(now time.Time, p transport.Path) *Session {
	if t.Len(Unsecured) >= t.opt.MaxUnsecured {
		// The bound is against strangers; what this node begins is bounded by
		// itself.
		t.evictUnsecured()
	}
	s := &Session{Kind: Unsecured, Initiator: true, Params: message.DefaultParameters(), Path: p}
	for !s.ephemeral.Operational() || t.initiators[s.ephemeral] != nil {
		s.ephemeral = matter.NodeID(t.random())
	}
	t.adopt(now, s)
	t.initiators[s.ephemeral] = s
	return s
}

// Remove removes s, whose keys are forgotten. Removing it again does nothing.
func (t *Table) Remove(s *Session) {
	if s.gone {
		return
	}
	t.detach(s)
	s.gone = true
	s.crypto = secrets{}
	clear(s.AttestationChallenge[:])
	if s.Kind != Unsecured {
		t.opt.Removed(s)
	}
}

// detach makes s receive nothing any more. If that was done before, its id may
// be somebody else's by now.
func (t *Table) detach(s *Session) {
	key := unsecuredKey{s.ephemeral, s.peer}
	switch {
	case t.secure[s.LocalID] == s:
		delete(t.secure, s.LocalID)
		// A new list: somebody may be ranging over the old one.
		t.list = slices.DeleteFunc(slices.Clone(t.list), func(o *Session) bool { return o == s })
	case t.initiators[s.ephemeral] == s:
		delete(t.initiators, s.ephemeral)
	case t.responders[key] == s:
		delete(t.responders, key)
	}
}

// FreeUnsecured removes the unsecured sessions that are not in use any more. The
// loop calls it after every event. A message that comes late is still known as a
// duplicate, and begins no handshake.
func (t *Table) FreeUnsecured() {
	for _, s := range t.initiators {
		if !t.opt.Busy(s) {
			t.Remove(s)
		}
	}
	for key, s := range t.responders {
		if !t.opt.Busy(s) {
			t.Remove(s)
			t.freed.put(key, s.in)
		}
	}
}

// All returns the PASE and CASE sessions, oldest first. Sessions may be added
// and removed on the way; new ones are not seen, removed ones are skipped.
func (t *Table) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, s := range t.list {
			if t.secure[s.LocalID] == s && !yield(s) {
				return
			}
		}
	}
}

// Len returns the number of sessions of one kind.
func (t *Table) Len(k Kind) int {
	if k == Unsecured {
		return len(t.initiators) + len(t.responders)
	}
	n := 0
	for _, s := range t.list {
		if s.Kind == k {
			n++
		}
	}
	return n
}

// TakeEvicted returns the sessions that the table evicted since the last call.
// They receive nothing any more, but can still send: the peer is to be told
// CloseSession (section 4.11.1). The loop calls this after every event, tells
// the peers, ends what hangs on the sessions and removes them.
func (t *Table) TakeEvicted() []*Session {
	e := t.evicted
	t.evicted = nil
	return e
}

func (t *Table) evict(s *Session) {
	t.detach(s)
	t.evicted = append(t.evicted, s)
}
