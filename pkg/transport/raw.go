package transport

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls for a datagram are made here, and not by package net, which announces
// each of them to the scheduler as one that may block. In a process that was idle, the
// scheduler's monitor thread then wakes up, watches for a while whether the call blocks,
// and goes to sleep again, which took a third of the time of a short request. These calls
// do not block: if there is nothing to read or no room to write, the goroutine waits in
// the poller.

// politeEvery is the number of datagrams without a pause after which a call is announced
// to the scheduler, so that it looks at waiting sockets, timers and goroutines while this
// goroutine is never idle.
const politeEvery = 64

// packetMsg is a msghdr(3) and the buffers that it points to. It is reused, so that no
// memory is allocated for a datagram.
type packetMsg struct {
	hdr  unix.Msghdr
	iov  unix.Iovec
	name [unix.SizeofSockaddrInet6]byte // struct sockaddr_in6, or the shorter sockaddr_in
	oob  [controlReceived]byte
}

// point makes the header point to b and to the first octets of name and oob.
func (m *packetMsg) point(b []byte, name, oob int) {
	m.hdr = unix.Msghdr{Name: &m.name[0], Namelen: uint32(name), Iov: &m.iov}
	m.hdr.SetIovlen(1)
	m.iov = unix.Iovec{Base: unsafe.SliceData(b)}
	m.iov.SetLen(len(b))
	if oob > 0 {
		m.hdr.Control = &m.oob[0]
		m.hdr.SetControllen(oob)
	}
}

// call makes the system call. It reports false if it would block.
func (m *packetMsg) call(trap, fd uintptr, polite bool) (n int, done bool, err error) {
	for {
		var r uintptr
		var errno syscall.Errno
		if polite {
			r, _, errno = unix.Syscall(trap, fd, uintptr(unsafe.Pointer(&m.hdr)), unix.MSG_DONTWAIT)
		} else {
			r, _, errno = unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&m.hdr)), unix.MSG_DONTWAIT)
		}
		switch errno {
		case 0:
			return int(r), true, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, false, nil
		default:
			return 0, true, errno
		}
	}
}

// receiver receives for one goroutine at a time.
type receiver struct {
	packetMsg
	raw  syscall.RawConn
	try  func(fd uintptr) bool // made once, as a closure for each datagram would be allocated
	b    []byte
	n    int
	err  error
	run  int // datagrams since the socket was empty
	zone zones
}

func newReceiver(raw syscall.RawConn) *receiver {
	r := &receiver{raw: raw}
	r.try = func(fd uintptr) bool {
		r.point(r.b, len(r.name), len(r.oob))
		r.run++
		var done bool
		r.n, done, r.err = r.call(unix.SYS_RECVMSG, fd, r.run%politeEvery == 0)
		if !done {
			r.run = 0
		}
		return done
	}
	return r
}

// receive waits for a datagram and puts it into b. flags are those of recvmsg(2);
// the control messages are valid until the next call.
func (r *receiver) receive(b []byte) (n int, oob []byte, flags int, peer netip.AddrPort, err error) {
	r.b = b
	err = r.raw.Read(r.try)
	r.b, r.iov = nil, unix.Iovec{}
	if err == nil && r.err != nil {
		err = os.NewSyscallError("recvmsg", r.err)
	}
	if err != nil {
		return 0, nil, 0, netip.AddrPort{}, err
	}
	return r.n, r.oob[:r.hdr.Controllen], int(r.hdr.Flags), r.peer(), nil
}

// peer reads the address that the kernel has written.
func (r *receiver) peer() netip.AddrPort {
	port := binary.BigEndian.Uint16(r.name[2:])
	if binary.NativeEndian.Uint16(r.name[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(r.name[4:])), port)
	}
	a := netip.AddrFrom16([16]byte(r.name[8:]))
	if scope := binary.NativeEndian.Uint32(r.name[24:]); scope != 0 {
		a = a.WithZone(r.zone.name(int(scope)))
	}
	return netip.AddrPortFrom(a, port)
}

// zones remembers the names of interfaces for a while.
type zones struct {
	names map[int]string
	until time.Time
}

const zoneAge = time.Minute

func (z *zones) name(index int) string {
	now := time.Now()
	if now.After(z.until) {
		z.names, z.until = make(map[int]string), now.Add(zoneAge)
	}
	name, ok := z.names[index]
	if !ok {
		name = fmt.Sprint(index) // which package net understands as well
		if ifi, err := net.InterfaceByIndex(index); err == nil {
			name = ifi.Name
		}
		z.names[index] = name
	}
	return name
}

// sender sends for any number of goroutines.
type sender struct {
	packetMsg
	mu  sync.Mutex
	raw syscall.RawConn
	try func(fd uintptr) bool
	err error
}

func newSender(raw syscall.RawConn) *sender {
	s := &sender{raw: raw}
	s.try = func(fd uintptr) (done bool) {
		_, done, s.err = s.call(unix.SYS_SENDMSG, fd, false)
		return done
	}
	return s
}

// send sends b to peer, an address without a zone, with the given control
// messages.
func (s *sender) send(b, oob []byte, peer netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.name[:])
	binary.BigEndian.PutUint16(s.name[2:], peer.Port())
	size := unix.SizeofSockaddrInet6
	if a := peer.Addr(); a.Is4() {
		size = unix.SizeofSockaddrInet4
		binary.NativeEndian.PutUint16(s.name[:], unix.AF_INET)
		ip := a.As4()
		copy(s.name[4:], ip[:])
	} else {
		binary.NativeEndian.PutUint16(s.name[:], unix.AF_INET6)
		ip := a.As16()
		copy(s.name[8:], ip[:])
	}
	s.point(b, size, copy(s.oob[:], oob))
	err := s.raw.Write(s.try)
	s.iov = unix.Iovec{}
	if err == nil && s.err != nil {
		err = os.NewSyscallError("sendmsg", s.err)
	}
	return err
}
