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
	// Max is the maximum number of PASE and CASE sessions together. The capability
	// that every node announces requires at least three for each supported fabric,
	// plus one.
	Max int
	// MaxUnsecured is the maximum number of unsecured sessions. It must be larger
	// than the number of concurrent handshakes.
	MaxUnsecured int
	// IDs is the set of session ids to use. 0: all of them.
	IDs IDs
	// Guaranteed is the number of PASE and CASE sessions that every fabric can keep
	// against the others.
	Guaranteed int
	// Busy reports whether a session is in use and must not be evicted. nil: none
	// is.
	Busy func(*Session) bool
	// Carries reports whether something depends on an idle session, so that others
	// should be evicted first. nil: nothing does.
	Carries func(*Session) bool
	// Removed is called for each PASE or CASE session that was removed. It must not
	// call the Table. It may be nil.
	Removed func(*Session)
}

// IDs is a set of session ids. A session's id is authenticated with its messages.
// If two sets are disjoint, no message for a session of one is accepted by a
// session of the other, even with the same keys.
type IDs uint8

// The sets.
const (
	AllIDs IDs = iota
	EvenIDs
	OddIDs
)

// first returns id, or its neighbour if only that is in the set.
func (s IDs) first(id uint16) uint16 {
	switch s {
	case EvenIDs:
		return id &^ 1
	case OddIDs:
		return id | 1
	}
	return id
}

// step is the distance between two ids of the set.
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
	list     []*Session          // the secure sessions, oldest first; never shortened in place
	nextID   uint16
	reserved int

	initiators  map[matter.NodeID]*Session // unsecured, by our ephemeral id
	responders  map[unsecuredKey]*Session  // unsecured, by the peer's ephemeral id
	freed       past                       // freed responders
	unencrypted uint32                     // the global unencrypted message counter: last used

	groups groups

	evicted []*Session
}

// unsecuredKey identifies an unsecured session of a responder. It contains the
// peer's address, so that nobody at another address can take part in a handshake.
// It does not contain the local address: retransmissions of a peer may arrive at
// another one.
type unsecuredKey struct {
	ephemeral matter.NodeID
	peer      netip.AddrPort
}

// NewTable returns an empty table. It panics if the options are invalid.
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

// randomCounter returns an initial message counter from 1 to 2^28 (section
// 4.6.1.1). It counts as used.
func (t *Table) randomCounter() uint32 { return uint32(t.random()&(1<<28-1)) + 1 }

// ReserveID returns an unused session id for a handshake and reserves it until Add
// or ReleaseID. The error is ErrFull if there is none.
func (t *Table) ReserveID() (uint16, error) {
	// Ids are used in a circle, so that an id is reused as late as possible.
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

// ReleaseID releases the id of a handshake that failed. It does nothing if the id
// is not reserved.
func (t *Table) ReleaseID(id uint16) {
	if s, used := t.secure[id]; used && s == nil {
		delete(t.secure, id)
		t.reserved--
	}
}

// Add creates the session of a completed handshake. Its LocalID must be reserved
// and is owned by the session from now on. If the table is full, another session is
// evicted; see [Table.TakeEvicted]. If all are in use, Add releases the id and
// returns ErrFull.
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
		LastReceived:         now, // the last message of the handshake, or its answer
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

// adopt sets the fields that all kinds of sessions share.
func (t *Table) adopt(now time.Time, s *Session) {
	t.serial++
	s.Serial, s.table = t.serial, t
	s.Created, s.LastUsed = now, now
}

// Unsecured returns a new unsecured session for one handshake as initiator with the
// peer at p. It has its own ephemeral node id. The caller removes it when the
// handshake ends.
func (t *Table) Unsecured(now time.Time, p transport.Path) *Session {
	if t.Len(Unsecured) >= t.opt.MaxUnsecured {
		// The limit is for strangers. The node limits the handshakes that it begins
		// elsewhere.
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

// Remove removes s and erases its keys. A second call has no effect.
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

// detach removes s from the look-ups. If that was done before, another session may
// have its id by now.
func (t *Table) detach(s *Session) {
	key := unsecuredKey{s.ephemeral, s.peer}
	switch {
	case t.secure[s.LocalID] == s:
		delete(t.secure, s.LocalID)
		// The caller may be iterating over the old list.
		t.list = slices.DeleteFunc(slices.Clone(t.list), func(o *Session) bool { return o == s })
	case t.initiators[s.ephemeral] == s:
		delete(t.initiators, s.ephemeral)
	case t.responders[key] == s:
		delete(t.responders, key)
	}
}

// FreeUnsecured removes unsecured sessions that are no longer in use. The loop
// calls it after every event. A delayed message is still recognized as a duplicate
// and begins no handshake.
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

// All returns the PASE and CASE sessions, oldest first. Sessions may be added and
// removed during the iteration; new ones are not included, removed ones are
// skipped.
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

// TakeEvicted returns the sessions evicted since the last call. They receive
// nothing but can still send. The peer must be sent CloseSession (section 4.11.1).
// After every event the loop calls TakeEvicted, notifies the peers, ends what
// depends on the sessions and removes them.
func (t *Table) TakeEvicted() []*Session {
	e := t.evicted
	t.evicted = nil
	return e
}

func (t *Table) evict(s *Session) {
	t.detach(s)
	t.evicted = append(t.evicted, s)
}
