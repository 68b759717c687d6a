package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/netns"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// attackers are hosts on the link, each with its own address, or a program on the
// device's host.
type attackers struct {
	conns []*net.UDPConn
	local bool
	to    netip.AddrPort
	next  int
	r     *rand.Rand
	sent  atomic.Uint64
	done  sync.WaitGroup
}

// newAttackers returns n hosts.
func newAttackers(n int, to string, seed uint64) (*attackers, error) {
	x := &attackers{to: deviceAt(to), r: rand.New(rand.NewPCG(seed, 1))}
	for i := range n {
		ip := fmt.Sprintf("fd00:6f70:6372:736b::bad:%x", i+1)
		if err := netns.AddAddress(link, ip+"/64"); err != nil {
			return nil, err
		}
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(ip)})
		if err != nil {
			return nil, err
		}
		x.conns = append(x.conns, c)
	}
	return x, nil
}

// localAttacker returns an attacker without an address on the link. It must be
// called in the device's namespace.
func localAttacker(seed uint64) (*attackers, error) {
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return nil, err
	}
	return &attackers{conns: []*net.UDPConn{c}, to: deviceAt("::1"), r: rand.New(rand.NewPCG(seed, 1)), local: true}, nil
}

func (x *attackers) close() {
	for i, c := range x.conns {
		c.Close()
		if x.local {
			continue
		}
		_ = netns.DeleteAddress(link, fmt.Sprintf("fd00:6f70:6372:736b::bad:%x/64", i+1)) // the link may have been replaced
	}
	x.done.Wait()
}

// acknowledge makes the attackers acknowledge messages that request it, so that the
// device takes them for real peers.
func (x *attackers) acknowledge() {
	for _, c := range x.conns {
		x.done.Go(func() {
			b := make([]byte, message.MaxSize)
			counter := uint32(1 << 30)
			for {
				n, _, err := c.ReadFromUDPAddrPort(b)
				if err != nil {
					if errors.Is(err, net.ErrClosed) {
						return
					}
					continue
				}
				h, size, err := message.ParseHeader(b[:n])
				if err != nil || !h.HasDest {
					continue
				}
				p, _, err := message.ParseProtocolHeader(b[size:n])
				if err != nil || !p.Reliable {
					continue
				}
				counter++
				ack := message.ProtocolHeader{Initiator: true, HasAck: true, Ack: h.Counter, Opcode: message.OpcodeMRPStandaloneAck, Exchange: p.Exchange}
				out := message.Header{Counter: counter, HasSource: true, Source: h.Dest}
				_, _ = c.WriteToUDPAddrPort(ack.AppendTo(out.AppendTo(nil)), x.to)
			}
		})
	}
}

// send sends a datagram from each attacker in turn.
func (x *attackers) send(b []byte) {
	c := x.conns[x.next%len(x.conns)]
	x.next++
	x.sent.Add(1)
	_, _ = c.WriteToUDPAddrPort(b, x.to) // fails while the link is down
}

// handshake sends a Sigma1 as a new handshake.
func (x *attackers) handshake(sigma1 []byte) {
	h := message.Header{Counter: x.r.Uint32() >> 4, HasSource: true, Source: matter.NodeID(x.r.Uint64()>>1 | 1)}
	p := message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1, Exchange: uint16(x.r.Uint32())}
	x.send(append(p.AppendTo(h.AppendTo(nil)), sigma1...))
}

// noise sends random octets, half of them with a valid header.
func (x *attackers) noise() {
	b := make([]byte, x.r.IntN(200))
	for i := range b {
		b[i] = byte(x.r.Uint32())
	}
	if len(b) > 4 && x.r.IntN(2) == 0 {
		b[0], b[3] = b[0]&4, b[3]&0x40
		if x.r.IntN(2) == 0 {
			b[1], b[2] = 0, 0
		}
	}
	x.send(b)
}

// every calls f perSecond times a second until ctx ends.
func every(ctx context.Context, perSecond int, f func()) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin, n := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for due := int(time.Since(begin).Seconds() * float64(perSecond)); n < due; n++ {
				f()
			}
		}
	}
}

// recorded returns a Sigma1 for the device from a handshake that was never
// completed.
func (m *member) recorded() ([]byte, error) {
	return casesession.NewInitiator(m.a.Initiator(7, m.node, nil)).Start()
}
