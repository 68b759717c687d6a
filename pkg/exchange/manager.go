package exchange

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Defaults of Options.
const (
	// DefaultMaxPerSession is more than the number of endpoints that a controller
	// addresses at once. The replay window must be large enough for that many
	// messages, their acknowledgements, and all others until the last
	// retransmission.
	DefaultMaxPerSession = 512
	// DefaultMaxInitiated is a limit, not a recommendation: a node should keep to 5
	// (section 4.10.2).
	DefaultMaxInitiated = 32
	// DefaultMax limits the memory of exchanges, about 2 KB each.
	DefaultMax = 4096
	// DefaultInFlight leaves the other half of the peer's window to acknowledgements.
	// They cannot wait: two nodes would wait for each other's for ever. It also keeps
	// ten sessions on one socket within the socket's buffer, about 250 datagrams.
	DefaultInFlight = peerWindow / 2
)

// Guaranteed is the number of exchanges that the peer may begin on a session when
// Options.Max is reached. On an unsecured session it is the limit at any time.
const Guaranteed = 32

// maxFree is the number of buffers kept for reuse.
const maxFree = 64

// Options of a Manager. Send, Accept and Rand are required.
type Options struct {
	// Send sends a datagram. It must not keep the bytes or call the Manager.
	Send func(transport.Path, []byte)
	// Accept returns the handler for an exchange that the peer begins with the
	// given message. The handler receives the message next. If Accept returns nil,
	// the message is acknowledged and dropped. If it returns Busy, the message is
	// not acknowledged, so that the peer sends it again. Accept must not modify the
	// exchange.
	Accept func(now time.Time, x *Exchange, m Message) Handler
	// Rand is the source of jitter and of the first exchange id. It must not
	// fail.
	Rand io.Reader
	// MaxPerSession is the number of exchanges that the peer may begin on one
	// session. 0: DefaultMaxPerSession.
	MaxPerSession int
	// MaxInitiated is the number of exchanges that this node may begin on one
	// session. 0: DefaultMaxInitiated.
	MaxInitiated int
	// InFlight limits the message counter of a reliable message on a secured session:
	// it is less than InFlight after that of the oldest message that the peer has not
	// acknowledged. Others wait. 0: DefaultInFlight, which suits every peer.
	InFlight int
	// Max is the number of all exchanges together, apart from those guaranteed to
	// each session. 0: DefaultMax.
	Max int
}

// Busy is returned by Accept while there is no room for an exchange.
var Busy Handler = busy{}

type busy struct{}

func (busy) Receive(time.Time, *Exchange, Message) { panic("BUG: exchange: Busy was used") }
func (busy) Closed(time.Time, *Exchange, error)    { panic("BUG: exchange: Busy was used") }

// Stats are counts for metrics.
type Stats struct {
	Open            int    // open exchanges, including closed ones with unacknowledged messages
	Retransmissions uint64 // retransmitted messages
	Timeouts        uint64 // messages that were never acknowledged
	Acks            uint64 // standalone acknowledgements sent
	Duplicates      uint64 // messages received more than once
	Refused         uint64 // messages beyond a limit, or without a handler
	Unmatched       uint64 // messages for exchanges that do not exist
	NotPermitted    uint64 // messages on the wrong kind of session
}

// Manager holds the exchanges of a node.
type Manager struct {
	opt     Options
	table   map[key]*Exchange
	counts  map[countKey]int
	flights map[uint64]*flight // by session
	queue   queue
	nextID  uint16
	serial  uint64
	stats   Stats
	free    [][]byte
	scratch []byte  // for messages that are sent once
	random  [4]byte // scratch: on the stack it would escape through the io.Reader
}

// key identifies an exchange. The two roles have separate ids.
type key struct {
	session   uint64
	id        uint16
	initiator bool
}

type countKey struct {
	session   uint64
	initiator bool
}

// New returns a Manager without exchanges. It panics if a required option is
// missing.
func New(opt Options) *Manager {
	if opt.Send == nil || opt.Accept == nil || opt.Rand == nil {
		panic("BUG: exchange: required option is missing")
	}
	opt.MaxPerSession = cmp.Or(opt.MaxPerSession, DefaultMaxPerSession)
	opt.MaxInitiated = cmp.Or(opt.MaxInitiated, DefaultMaxInitiated)
	opt.InFlight = cmp.Or(opt.InFlight, DefaultInFlight)
	opt.Max = cmp.Or(opt.Max, DefaultMax)
	m := &Manager{
		opt:     opt,
		table:   make(map[key]*Exchange),
		counts:  make(map[countKey]int),
		flights: make(map[uint64]*flight),
		scratch: make([]byte, 0, message.MaxSize),
	}
	m.nextID = uint16(m.rand())
	return m
}

func (m *Manager) rand() uint32 {
	if _, err := io.ReadFull(m.opt.Rand, m.random[:]); err != nil {
		panic(fmt.Sprintf("BUG: exchange: the random source fails: %v", err))
	}
	return binary.LittleEndian.Uint32(m.random[:])
}

// backoff returns the wait after the last transmission of x.
func (m *Manager) backoff(x *Exchange, now time.Time) time.Duration {
	return backoff(x.session.RetryInterval(now), x.out.sent-1, float64(m.rand())/(1<<32))
}

// Receive handles a message that a session received. Messages to groups do not
// belong to a session and are not passed to it, as they are never answered.
func (m *Manager) Receive(now time.Time, in session.Incoming) {
	p := &in.Protocol
	if !permitted(in.Session.Kind, p) {
		m.stats.NotPermitted++
		return
	}
	if x := m.table[key{in.Session.Serial, p.Exchange, !p.Initiator}]; x != nil {
		x.receive(now, &in)
	} else {
		m.unmatched(now, &in)
	}
	m.resume(now, in.Session)
}

// permitted reports whether a message may arrive on a session of kind k. The
// unsecured session carries the messages of handshakes only, and no other session
// carries them (section 4.14).
func permitted(k session.Kind, p *message.ProtocolHeader) bool {
	channel := p.Vendor == 0 && p.Protocol == matter.ProtocolSecureChannel
	handshake := channel && message.Handshake(p.Opcode)
	if k != session.Unsecured {
		return !handshake
	}
	return handshake || channel && (p.Opcode == message.OpcodeStatusReport || p.Opcode == message.OpcodeMRPStandaloneAck)
}

// unmatched handles a message that belongs to no exchange and may begin one.
func (m *Manager) unmatched(now time.Time, in *session.Incoming) {
	p := &in.Protocol
	if standaloneAck(p) {
		return // of an exchange that has ended
	}
	switch {
	case in.Duplicate:
		m.stats.Duplicates++
		if in.Late {
			return // possibly a new request, but it cannot be answered
		}
	case !p.Initiator:
		m.stats.Unmatched++
	case p.Vendor != 0:
		m.stats.Refused++
	default:
		if m.begin(now, in) {
			return
		}
	}
	// The message would be dropped however often it arrives, so acknowledge it.
	if p.Reliable {
		m.sendAck(in.Session, p.Exchange, !p.Initiator, in.Header.Counter)
	}
}

// begin begins an exchange with a message. It returns false if there is no handler
// for it. If there is no room, the message counts as not received, so that the peer
// sends it again.
func (m *Manager) begin(now time.Time, in *session.Incoming) (done bool) {
	p := &in.Protocol
	x := &Exchange{manager: m, session: in.Session, id: p.Exchange}
	x.handler = Busy
	if !m.full(in.Session) {
		x.handler = m.opt.Accept(now, x, Message{Protocol: p.Protocol, Opcode: p.Opcode, Payload: in.Payload})
	}
	switch {
	case x.handler == Busy:
		m.stats.Refused++
		in.Reject()
		return true
	case x.handler == nil || in.Session.Gone():
		m.stats.Refused++
		return false
	}
	m.add(x)
	x.receive(now, in)
	return true
}

// full reports whether the peer has reached its limit of exchanges on s.
func (m *Manager) full(s *session.Session) bool {
	n := m.counts[countKey{s.Serial, false}]
	return n >= m.opt.MaxPerSession || n >= Guaranteed && (s.Kind == session.Unsecured || len(m.table) >= m.opt.Max)
}

// Initiate begins an exchange on s. Errors are ErrTooMany and ErrSessionGone.
func (m *Manager) Initiate(now time.Time, s *session.Session, h Handler) (*Exchange, error) {
	switch {
	case h == nil:
		panic("BUG: exchange: no handler")
	case s.Gone():
		return nil, ErrSessionGone
	case m.counts[countKey{s.Serial, true}] >= m.opt.MaxInitiated:
		return nil, ErrTooMany
	}
	k := key{session: s.Serial, initiator: true}
	for {
		k.id = m.nextID
		m.nextID++
		if m.table[k] == nil {
			break
		}
	}
	x := &Exchange{manager: m, session: s, id: k.id, initiator: true, handler: h}
	m.add(x)
	return x, nil
}

func (m *Manager) add(x *Exchange) {
	m.serial++
	x.serial = m.serial
	m.table[key{x.session.Serial, x.id, x.initiator}] = x
	m.counts[countKey{x.session.Serial, x.initiator}]++
}

// forget removes x.
func (m *Manager) forget(x *Exchange) {
	delete(m.table, key{x.session.Serial, x.id, x.initiator})
	c := countKey{x.session.Serial, x.initiator}
	if m.counts[c]--; m.counts[c] == 0 {
		delete(m.counts, c)
	}
	m.queue.set(x, time.Time{})
	m.release(x.out.datagram)
	m.release(x.held.payload)
	x.out, x.held = transmission{}, heldMessage{}
}

// SessionGone ends all exchanges of a removed session, the oldest first. It sends
// nothing.
func (m *Manager) SessionGone(now time.Time, s *session.Session) {
	delete(m.flights, s.Serial)
	if !m.Outstanding(s) {
		return
	}
	var gone []*Exchange
	for k, x := range m.table {
		if k.session == s.Serial {
			gone = append(gone, x)
		}
	}
	slices.SortFunc(gone, func(a, b *Exchange) int { return cmp.Compare(a.serial, b.serial) })
	for _, x := range gone {
		x.end(now, ErrSessionGone)
	}
}

// Outstanding reports whether s has an exchange that is open or has an
// unacknowledged message.
func (m *Manager) Outstanding(s *session.Session) bool {
	return m.counts[countKey{s.Serial, false}]+m.counts[countKey{s.Serial, true}] > 0
}

// Advance does the work that is due at now: retransmissions, acknowledgements,
// timeouts.
func (m *Manager) Advance(now time.Time) {
	for len(m.queue) > 0 && !m.queue[0].wake.After(now) {
		x := m.queue[0]
		x.advance(now)
		m.resume(now, x.session)
	}
}

// Deadline returns the time at which Advance must be called next, and whether there
// is one.
func (m *Manager) Deadline() (time.Time, bool) {
	if len(m.queue) == 0 {
		return time.Time{}, false
	}
	return m.queue[0].wake, true
}

// Stats returns the current counts.
func (m *Manager) Stats() Stats {
	s := m.stats
	s.Open = len(m.table)
	return s
}

// sendAck sends a standalone acknowledgement. It carries the id of an exchange that
// may have ended or may never have existed.
func (m *Manager) sendAck(s *session.Session, exchange uint16, initiator bool, counter uint32) {
	p := message.ProtocolHeader{
		Initiator: initiator,
		HasAck:    true,
		Ack:       counter,
		Opcode:    message.OpcodeMRPStandaloneAck,
		Exchange:  exchange,
		Protocol:  matter.ProtocolSecureChannel,
	}
	datagram, _, err := s.Seal(m.scratch[:0], &p, nil)
	if err != nil {
		m.sealFailed(s, err)
		return
	}
	m.stats.Acks++
	m.opt.Send(s.Path, datagram)
}

// sealFailed marks a session that cannot send any more, and returns err.
func (m *Manager) sealFailed(s *session.Session, err error) error {
	if errors.Is(err, session.ErrCounterExhausted) {
		s.Defunct = true
	}
	return err
}

// buffer returns an empty buffer with room for a datagram.
func (m *Manager) buffer() []byte {
	if n := len(m.free); n > 0 {
		b := m.free[n-1]
		m.free = m.free[:n-1]
		return b
	}
	return make([]byte, 0, message.MaxSize)
}

// release returns a buffer to the pool. b may be nil.
func (m *Manager) release(b []byte) {
	if b != nil && len(m.free) < maxFree {
		m.free = append(m.free, b[:0])
	}
}
