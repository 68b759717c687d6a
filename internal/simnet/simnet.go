// Package simnet implements a lossy network in memory, for tests in a
// testing/synctest bubble. Its conns block only on channels, so the bubble's clock
// advances while all goroutines wait. With real sockets it would stop.
//
// Each direction between two addresses has its own random generator, derived from
// the network's seed. Runs with the same seed lose the same datagrams, independent
// of other traffic.
package simnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/transport"
)

// inboxSize is the number of datagrams that a conn queues. Further ones are lost,
// as in a socket's buffer.
const inboxSize = 1024

// overtake is the maximum additional delay of a reordered datagram, so that later
// ones overtake it.
const overtake = 20 * time.Millisecond

// Conditions are the properties of the network. The zero value delivers every
// datagram at once and in order.
type Conditions struct {
	Loss      float64       // probability that a datagram is lost, 0 to 1
	Duplicate float64       // probability of a duplicate
	Reorder   float64       // probability of up to 20 ms additional delay
	Delay     time.Duration // of every datagram
	Jitter    time.Duration // additional, uniform; can reorder datagrams, too
}

// Datagram is what a tap sees.
type Datagram struct {
	From, To netip.AddrPort
	Payload  []byte // valid during the call only
}

// Stats are counts of datagrams.
type Stats struct {
	Sent      int // by WriteTo
	Lost      int // by Conditions.Loss
	Tapped    int // dropped by the tap
	Delivered int // into an inbox; duplicates count twice
	Dropped   int // there is no listener, or its inbox is full
}

// Network connects conns.
type Network struct {
	mu      sync.Mutex
	seed    uint64
	c       Conditions
	tap     func(Datagram) bool
	conns   map[netip.AddrPort]*conn
	flows   map[flow]*rand.Rand
	flights []flight // by arrival, then as sent
	order   uint64
	stats   Stats
}

type flow struct{ from, to netip.AddrPort }

type flight struct {
	at       time.Time
	order    uint64
	from, to netip.AddrPort
	payload  []byte
}

// New returns a network without conns. It must be called in the bubble that uses
// it.
func New(seed uint64, c Conditions) *Network {
	return &Network{
		seed:  seed,
		c:     c,
		conns: make(map[netip.AddrPort]*conn),
		flows: make(map[flow]*rand.Rand),
	}
}

// SetConditions changes the conditions for later datagrams.
func (n *Network) SetConditions(c Conditions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.c = c
}

// SetTap calls f for every datagram when it is sent. If f returns false, the
// datagram is dropped. f must not call the network. nil removes the tap.
func (n *Network) SetTap(f func(Datagram) (deliver bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Stats returns the current counts.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Listen returns a conn with the given address; port 0 selects a free port. It
// panics if the address is in use.
func (n *Network) Listen(addr netip.AddrPort) transport.PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		for port := uint16(49152); ; port++ {
			addr = netip.AddrPortFrom(addr.Addr(), port)
			if n.conns[addr] == nil {
				break
			}
		}
	}
	if n.conns[addr] != nil {
		panic(fmt.Sprintf("simnet: %v is taken", addr))
	}
	c := &conn{network: n, addr: addr, inbox: make(chan received, inboxSize), closed: make(chan struct{})}
	n.conns[addr] = c
	return c
}

// Inject sends a datagram with any sender address, as an attacker can with UDP.
func (n *Network) Inject(from, to netip.AddrPort, b []byte) { n.send(from, to, b) }

// send decides what happens to one datagram.
func (n *Network) send(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Sent++
	// Every datagram uses the same number of random values, so that the conditions
	// and the tap do not affect later datagrams.
	r := n.flow(from, to)
	lost, doubled, late := r.Float64(), r.Float64(), r.Float64()
	first, second := n.delay(r, late), n.delay(r, 1)
	if n.tap != nil && !n.tap(Datagram{From: from, To: to, Payload: b}) {
		n.stats.Tapped++
		return
	}
	if lost < n.c.Loss {
		n.stats.Lost++
		return
	}
	payload := slices.Clone(b)
	n.launch(flight{from: from, to: to, payload: payload}, first)
	if doubled < n.c.Duplicate {
		n.launch(flight{from: from, to: to, payload: payload}, second)
	}
}

func (n *Network) flow(from, to netip.AddrPort) *rand.Rand {
	f := flow{from, to}
	r := n.flows[f]
	if r == nil {
		h := fnv.New64a()
		fmt.Fprint(h, from, to)
		var s [8]byte
		binary.LittleEndian.PutUint64(s[:], n.seed)
		h.Write(s[:])
		r = rand.New(rand.NewPCG(n.seed, h.Sum64()))
		n.flows[f] = r
	}
	return r
}

// delay returns how long a datagram takes; late is a uniform random value.
func (n *Network) delay(r *rand.Rand, late float64) time.Duration {
	jitter, extra := r.Float64(), r.Float64()
	d := n.c.Delay + time.Duration(jitter*float64(n.c.Jitter))
	if late < n.c.Reorder {
		d += 1 + time.Duration(extra*float64(overtake-1))
	}
	return d
}

// launch schedules the delivery of a datagram. Datagrams that arrive at the same
// time keep their order.
func (n *Network) launch(f flight, d time.Duration) {
	if d <= 0 {
		n.deliver(f)
		return
	}
	f.at = time.Now().Add(d)
	n.order++
	f.order = n.order
	i, _ := slices.BinarySearchFunc(n.flights, f, compareFlights)
	n.flights = slices.Insert(n.flights, i, f)
	time.AfterFunc(d, n.land)
}

func compareFlights(a, b flight) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order))
}

// land delivers all datagrams that are due.
func (n *Network) land() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	landed := 0
	for _, f := range n.flights {
		if f.at.After(now) {
			break
		}
		n.deliver(f)
		landed++
	}
	n.flights = slices.Delete(n.flights, 0, landed)
}

func (n *Network) deliver(f flight) {
	if f.to.Addr().IsMulticast() {
		n.deliverGroup(f)
		return
	}
	c := n.conns[f.to]
	if c == nil {
		n.stats.Dropped++
		return
	}
	n.put(c, f)
}

// deliverGroup delivers a datagram to all conns on its port that joined the group,
// except the sender.
func (n *Network) deliverGroup(f flight) {
	for addr, c := range n.conns {
		if addr != f.from && addr.Port() == f.to.Port() && slices.Contains(c.groups, f.to.Addr()) {
			n.put(c, f)
		}
	}
}

func (n *Network) put(c *conn, f flight) {
	select {
	case c.inbox <- received{from: f.from, payload: f.payload}:
		n.stats.Delivered++
	default:
		n.stats.Dropped++
	}
}

type received struct {
	from    netip.AddrPort
	payload []byte
}

// conn is one address of the network.
type conn struct {
	network *Network
	addr    netip.AddrPort
	inbox   chan received
	closed  chan struct{}
	once    sync.Once
	groups  []netip.Addr
}

// ReadFrom implements transport.PacketConn.
func (c *conn) ReadFrom(b []byte) (int, transport.Path, error) {
	for {
		select {
		case <-c.closed:
			return 0, transport.Path{}, net.ErrClosed
		default:
		}
		select {
		case <-c.closed:
		case r := <-c.inbox:
			n := 0
			if len(r.payload) <= len(b) {
				n = copy(b, r.payload)
			}
			return n, transport.Path{Peer: r.from, Local: c.addr.Addr().WithZone(""), Interface: 1}, nil
		}
	}
}

// WriteTo implements transport.PacketConn. It is not an error if no conn has the
// address p.Peer.
func (c *conn) WriteTo(b []byte, p transport.Path) error {
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	c.network.send(c.addr, p.Peer, b)
	return nil
}

// SetGroups implements transport.PacketConn.
func (c *conn) SetGroups(groups []netip.Addr) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.groups = slices.Clone(groups)
	return nil
}

// Port implements transport.PacketConn.
func (c *conn) Port() uint16 { return c.addr.Port() }

// Close implements transport.PacketConn.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.network.mu.Lock()
		defer c.network.mu.Unlock()
		delete(c.network.conns, c.addr)
	})
	return nil
}
