package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// probeEvery is how long a probe waits for an answer before it sends the question
// again.
const probeEvery = 300 * time.Millisecond

var errDeaf = errors.New("a datagram to the node's own UDP port was not answered")

// Prober sends the node a question over its own UDP port. It keeps one socket, and
// so uses one unsecured session of the node.
type Prober struct {
	node     *Node
	target   func() (netip.AddrPort, bool)
	mu       sync.Mutex
	conn     *net.UDPConn
	peer     netip.AddrPort // of conn
	source   matter.NodeID
	counter  uint32 // of every question on conn
	exchange uint16 // of the last question
}

// NewProber returns a Prober of a node. target returns an address that the node
// serves, or false if there is none.
func NewProber(n *Node, target func() (netip.AddrPort, bool)) *Prober {
	return &Prober{node: n, target: target}
}

// Probe sends a message to the node's own UDP port and waits for the
// acknowledgement until ctx ends. If the loop answers, it also returns nil when a
// flood of datagrams keeps the loop busy, or when no interface can carry a datagram
// to the node. It may be called from any goroutine except the loop's.
func (p *Prober) Probe(ctx context.Context) error {
	before, err := p.received(ctx)
	if err != nil {
		return fmt.Errorf("the event loop does not answer: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	target, ok := p.target()
	if !ok {
		return nil
	}
	if err := p.open(target); err != nil {
		return err
	}
	if err = p.ask(ctx); err == nil {
		return nil
	}
	p.close() // the next probe uses another socket
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeEvery)
	defer cancel()
	if after, aerr := p.received(ctx); aerr == nil && after-before > transport.QueueLen {
		return nil
	}
	return err
}

// Close closes the socket.
func (p *Prober) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
}

// received returns the number of datagrams that the loop has handled.
func (p *Prober) received(ctx context.Context) (n uint64, err error) {
	err = p.node.Ask(ctx, func(time.Time) error {
		n = p.node.Received()
		return nil
	})
	return n, err
}

// open connects the socket, unless it is connected to target.
func (p *Prober) open(target netip.AddrPort) error {
	if p.conn != nil && p.peer == target {
		return nil
	}
	p.close()
	id, err := mcrypto.RandomUint32(p.node.opt.Rand)
	if err != nil {
		return err
	}
	if p.counter, err = mcrypto.RandomUint32(p.node.opt.Rand); err != nil {
		return err
	}
	p.source, p.counter = matter.MinOperationalNodeID+matter.NodeID(id), p.counter&(1<<28-1)+1
	if p.conn, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(target)); err != nil {
		return fmt.Errorf("opening a socket to the node's own UDP port: %w", err)
	}
	p.peer = target
	return nil
}

func (p *Prober) close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// ask repeats the question until there is an answer or ctx ends.
func (p *Prober) ask(ctx context.Context) error {
	buf := make([]byte, message.MaxSize)
	first := p.exchange + 1
	for ctx.Err() == nil {
		p.exchange++
		if _, err := p.conn.Write(p.question()); err != nil {
			return fmt.Errorf("%w: %w", errDeaf, err)
		}
		wait := time.Now().Add(probeEvery)
		if d, ok := ctx.Deadline(); ok && d.Before(wait) {
			wait = d
		}
		if err := p.conn.SetReadDeadline(wait); err != nil {
			return err
		}
		for {
			n, err := p.conn.Read(buf)
			if err != nil {
				break // no answer yet, or the port is closed
			}
			if p.answers(buf[:n], first) {
				return nil
			}
		}
	}
	return errDeaf
}

// question returns a reliable message of an exchange that the node does not accept
// but acknowledges (section 4.12.5.2.2). All questions after the first are
// duplicates by their counter. They are acknowledged too, and are not counted as
// refused.
func (p *Prober) question() []byte {
	h := message.Header{Counter: p.counter, HasSource: true, Source: p.source}
	e := message.ProtocolHeader{Initiator: true, Reliable: true, Exchange: p.exchange, Protocol: matter.ProtocolSecureChannel, Opcode: message.OpcodeStatusReport}
	report := message.StatusReport{General: message.GeneralSuccess}
	return report.AppendTo(e.AppendTo(h.AppendTo(nil)))
}

// answers reports whether b acknowledges the question on exchange first or a later one.
func (p *Prober) answers(b []byte, first uint16) bool {
	h, size, err := message.ParseHeader(b)
	if err != nil || !h.Unsecured() || !h.HasDest || h.Dest != p.source {
		return false
	}
	e, _, err := message.ParseProtocolHeader(b[size:])
	return err == nil && e.HasAck && e.Ack == p.counter && e.Exchange-first <= p.exchange-first
}
