package link

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Types of MQTT control packets, the upper half of their first octet.
const (
	typeConnack = 2
	typePublish = 3
)

// errOldBroker is returned by reads if the broker answers with a CONNACK of MQTT
// 3.1.1, which has two octets. That of MQTT 5 has at least three.
var errOldBroker = errors.New("the broker speaks MQTT 3.1.1 only; MQTT 5 is needed, as mosquitto has it from 1.6 on")

// framed is a connection that finds the boundaries of MQTT packets. It skips
// published messages beyond a size before memory is allocated for them, and closes
// the connection on any other packet that is too large. What paho writes between
// Lock and Unlock is one packet, and is sent in one piece.
type framed struct {
	net.Conn
	mu  sync.Mutex // held while a packet is written
	w   bytes.Buffer
	err error // of the last write; returned by the next one

	r         *bufio.Reader
	max       int           // octets of a packet
	left      int           // octets of the packet being read
	first     bool          // nothing has been read so far
	skipped   *atomic.Int64 // counts skipped packets
	published atomic.Int64  // published messages whose first octet has been read
	handled   atomic.Int64  // those that have been put into the queue
}

func newFramed(conn net.Conn, limit int, skipped *atomic.Int64) *framed {
	return &framed{Conn: conn, r: bufio.NewReaderSize(conn, 16<<10), max: limit, first: true, skipped: skipped}
}

// Lock begins a packet.
func (f *framed) Lock() { f.mu.Lock() }

// Unlock ends a packet and sends it. If that fails, the next write returns the
// error, and the connection ends.
func (f *framed) Unlock() {
	if f.w.Len() > 0 && f.err == nil {
		// Without a deadline, a peer that is gone would also block pings.
		f.err = f.Conn.SetWriteDeadline(time.Now().Add(packetTimeout))
		if f.err == nil {
			_, f.err = f.Conn.Write(f.w.Bytes())
		}
	}
	if f.w.Reset(); f.w.Cap() > 64<<10 {
		f.w = bytes.Buffer{}
	}
	f.mu.Unlock()
}

// Write adds to the packet.
func (f *framed) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.w.Write(p)
}

// Read does not read beyond the end of a packet.
func (f *framed) Read(p []byte) (int, error) {
	for f.left == 0 {
		header, err := f.header()
		if err != nil {
			return 0, err
		}
		size := remaining(header) + len(header)
		if size <= f.max {
			f.left = size
			if header[0]>>4 == typePublish {
				f.published.Add(1)
			}
			break
		}
		if header[0]>>4 != typePublish {
			return 0, errors.New("the broker sends a packet that is too large")
		}
		f.skipped.Add(1)
		if _, err := f.r.Discard(size); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// header returns the fixed header of the next packet without reading it: one octet for
// the type, one to four for the length of the rest (MQTT 5.0, 2.1).
func (f *framed) header() ([]byte, error) {
	for n := 2; ; n++ {
		b, err := f.r.Peek(n)
		switch {
		case err != nil && len(b) > 0 && errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case b[n-1] < 0x80:
			if f.first && b[0]>>4 == typeConnack && b[1] == 2 {
				return nil, errOldBroker
			}
			f.first = false
			return b, nil
		case n == 5:
			return nil, errors.New("the broker sends a malformed length")
		}
	}
}

// remaining decodes the length in a fixed header.
func remaining(header []byte) int {
	n := 0
	for i, b := range header[1:] {
		n |= int(b&0x7f) << (7 * i)
	}
	return n
}
