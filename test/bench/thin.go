package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// A datagram that finds its receiver asleep costs the receiver more than one that comes
// soon after the last: several times as much on a virtual machine, where a processor that
// sleeps is given away. So the pace of the client is a part of what is measured. Devices
// and their floor get the same client, which does not compute: it only sends datagrams
// that were made in advance, and waits for the answers.

// conversation is the datagrams of a client. The device answers each of them except the
// last.
type conversation [][]byte

// thin is a client that has conversations.
type thin struct {
	conn *net.UDPConn
	buf  [2048]byte
}

func newThin(device netip.AddrPort) (*thin, error) {
	c, err := net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(device))
	return &thin{conn: c}, err
}

func (c *thin) close() { c.conn.Close() }

// have has a conversation and returns the size of the last answer.
func (c *thin) have(all conversation) (n int, err error) {
	for i, b := range all {
		if _, err := c.conn.Write(b); err != nil {
			return 0, err
		}
		if i == len(all)-1 {
			break
		}
		if err := c.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return 0, err
		}
		if n, err = c.conn.Read(c.buf[:]); err != nil {
			return 0, fmt.Errorf("answer %d of %d: %w", i+1, len(all)-1, err)
		}
	}
	return n, nil
}

// counting is a conn that knows the message counter and the size of the last datagram that
// it received.
type counting struct {
	transport.PacketConn
	last, size atomic.Uint32
}

func (c *counting) ReadFrom(b []byte) (int, transport.Path, error) {
	n, p, err := c.PacketConn.ReadFrom(b)
	if err == nil && n >= header {
		c.size.Store(uint32(n))
		c.last.Store(binary.LittleEndian.Uint32(b[4:])) // section 4.4.1.3
	}
	return n, p, err
}

// beside measures reads of paths and, alternately, their floor: n of both in each round.
// floor is the kind of its requests.
func (b *bench) beside(l *load, n int, paths commissioner.Path, floor byte) (read, least sample, err error) {
	c, err := newThin(l.addr)
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	req := commissioner.ReadRequest{Attributes: []commissioner.Path{paths}}
	for round := range b.rounds + 1 {
		rep, err := l.s.Read(b.ctx, req)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range rep.Attributes {
			if a.Status.Status != matter.StatusSuccess {
				return nil, nil, a.Status
			}
		}
		time.Sleep(10 * time.Millisecond) // the acknowledgement, in the device
		all, err := l.s.Prepare(req, n, rep.Chunks, l.conn.last.Load())
		if err != nil {
			return nil, nil, err
		}
		i, usual := 0, int(l.conn.size.Load())
		t, err := l.device.spent(repeat(n, func() error {
			size, err := c.have(all[i])
			i++
			if err == nil && rep.Chunks == 1 && size != usual {
				err = fmt.Errorf("%d octets came back, not %d", size, usual)
			}
			return err
		}))
		if err != nil {
			return nil, nil, err
		}
		f, err := b.echo.measure(floor, n, rep.Chunks)
		if err != nil {
			return nil, nil, err
		}
		if round > 0 {
			read, least = append(read, float64(t)/float64(n)), append(least, f)
		}
	}
	return read, least, nil
}
