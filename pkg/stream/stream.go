// Package stream reads and writes stream sockets at a low cost for a process that is mostly
// idle. Package net announces each system call to the Go scheduler as one that may block.
// If the process was idle, the scheduler's monitor thread then wakes up, watches the call
// for a while and goes to sleep again, which takes a fifth of the time of a short request.
// The sockets of package net never block, so nothing is lost if that is left out: if there
// is nothing to read or no room to write, the goroutine waits in the poller.
package stream

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// politeEvery is the number of reads without a pause after which one is announced to the
// scheduler, so that it looks at other goroutines, sockets and timers while this goroutine
// is never idle.
const politeEvery = 64

// callSize is the number of octets that one system call reads or writes at most, since
// the scheduler waits for it.
const callSize = 64 << 10

// Listen returns a listener whose connections are those of l, as Conn returns them.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Conn(c), nil
}

// Conn returns a connection that reads and writes c with system calls that are not
// announced to the scheduler. c must be a TCP or Unix connection of package net; any other
// one, such as a TLS connection, is returned as it is.
func Conn(c net.Conn) net.Conn {
	var raw syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return c
	}
	if err != nil {
		return c // closed already: its calls return errors
	}
	q := &conn{Conn: c, raw: raw}
	q.in.try, q.out.try = q.read, q.write
	return q
}

type conn struct {
	net.Conn
	raw     syscall.RawConn
	in, out direction
	run     int // reads since the socket was empty
}

// direction is the state of the call that reads or writes. It is kept in the conn, as it
// would otherwise be allocated for each call.
type direction struct {
	mu  sync.Mutex
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d := &c.in
	d.mu.Lock()
	defer d.mu.Unlock()
	d.b = b[:min(len(b), callSize)]
	n, err := d.finish("read", c, c.raw.Read(d.try))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	d := &c.out
	d.mu.Lock()
	defer d.mu.Unlock()
	d.b = b
	return d.finish("write", c, c.raw.Write(d.try))
}

// CloseWrite closes the direction that is written, as that of [net.TCPConn].
func (c *conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// finish returns the outcome of a call. err is the poller's.
func (d *direction) finish(op string, c *conn, err error) (int, error) {
	n, failed := d.n, d.err
	d.b, d.n, d.err = nil, 0, nil
	switch e, ok := err.(*net.OpError); {
	case ok:
		e.Op = op // not raw-read or raw-write
	case err == nil && failed != nil:
		err = &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, failed)}
	}
	return n, err
}

// read makes one system call. It returns false if there is nothing to read.
func (c *conn) read(fd uintptr) bool {
	d := &c.in
	c.run++
	var empty bool
	if d.n, empty, d.err = call(unix.SYS_READ, fd, d.b, c.run%politeEvery == 0); empty {
		c.run = 0
	}
	return !empty
}

// write makes system calls until all is written. It returns false if there is no room.
func (c *conn) write(fd uintptr) bool {
	d := &c.out
	for d.n < len(d.b) && d.err == nil {
		rest := d.b[d.n:]
		n, full, err := call(unix.SYS_WRITE, fd, rest[:min(len(rest), callSize)], false)
		if full {
			return false
		}
		d.n += n
		d.err = err
	}
	return true
}

// call makes a system call. It reports whether the call would have to wait.
func call(trap, fd uintptr, b []byte, polite bool) (n int, wait bool, err error) {
	for {
		var r uintptr
		var errno syscall.Errno
		if polite {
			r, _, errno = unix.Syscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		} else {
			r, _, errno = unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		}
		switch errno {
		case 0:
			return int(r), false, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, errno
		}
	}
}
