package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// The echo is the floor of a read: a process that does only what every node must do
// for a read, with blocking system calls on one thread. It decrypts a request, encrypts
// and sends an answer, and decrypts the acknowledgement.

const (
	echoPort = 5599
	// Sizes of a read of one attribute.
	requestSize = 51
	answerSize  = 70
	ackSize     = 34
	// Sizes of one message of a wildcard read and of the status that answers it.
	statusSize  = 42
	answerLarge = 1184

	header = 8 // not encrypted
)

// The first octet of a datagram says what answers it.
const (
	kindRead     byte = iota // an answer as of a read of one attribute
	kindWildcard             // one as of a wildcard read
	kindAck                  // none
)

var echoSizes = map[byte]int{kindRead: answerSize, kindWildcard: answerLarge}

// serveEcho is the process. It does not use package unix for datagrams, which announces
// each call to Go's scheduler: the scheduler's threads would take more time than the work.
func serveEcho() error {
	runtime.LockOSThread()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: echoPort}); err != nil {
		return err
	}
	aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
	if err != nil {
		return err
	}
	fmt.Println("listening")
	nonce := make([]byte, mcrypto.NonceSize)
	in, out := make([]byte, 2048), make([]byte, 2048)
	var from unix.RawSockaddrInet6
	for {
		length := uint32(unix.SizeofSockaddrInet6)
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&in[0])), uintptr(len(in)), 0,
			uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&length)))
		switch {
		case errno == unix.EINTR, errno == 0 && n < header:
			continue
		case errno != 0:
			return os.NewSyscallError("recvfrom", errno)
		}
		if _, err := aead.Open(in[header:header], nonce, in[header:n], in[:header]); err != nil {
			return err
		}
		size := echoSizes[in[0]]
		if size == 0 {
			continue
		}
		aead.Seal(out[header:header], nonce, out[header:size-mcrypto.MICSize], out[:header])
		if _, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&out[0])), uintptr(size), 0,
			uintptr(unsafe.Pointer(&from)), uintptr(length)); errno != 0 {
			return os.NewSyscallError("sendto", errno)
		}
	}
}

// echo is the process and its client.
type echo struct {
	*process
	client *thin
}

func startEcho(ns *netns.Namespace) (*echo, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"="+roleEcho)
	out := new(output)
	p, err := startIn(ns, cmd, out)
	if err != nil {
		return nil, err
	}
	e := &echo{process: p}
	if _, err = out.await(e.process, "listening", 5*time.Second); err == nil {
		e.client, err = newThin(netip.AddrPortFrom(deviceAddr, echoPort))
	}
	if err != nil {
		e.signal(os.Kill)
		return nil, err
	}
	return e, nil
}

func (e *echo) stop() {
	e.client.close()
	e.signal(os.Kill)
}

// sealed returns an encrypted datagram. Its first octet is kind.
func sealed(kind byte, size int) []byte {
	aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
	if err != nil {
		panic("BUG: bench: " + err.Error())
	}
	b := make([]byte, size-mcrypto.MICSize, size)
	b[0] = kind
	return b[:header+len(aead.Seal(b[header:header], make([]byte, mcrypto.NonceSize), b[header:], b[:header]))]
}

// measure returns the CPU time of one of n conversations, of the given number of answers.
func (e *echo) measure(kind byte, n, answers int) (float64, error) {
	var c conversation
	for i := range answers {
		size := statusSize
		if i == 0 {
			size = requestSize
		}
		c = append(c, sealed(kind, size))
	}
	c = append(c, sealed(kindAck, ackSize))
	t, err := e.spent(repeat(n, func() error {
		size, err := e.client.have(c)
		if err == nil && size != echoSizes[kind] {
			err = fmt.Errorf("floor: %d octets came back, not %d", size, echoSizes[kind])
		}
		return err
	}))
	return float64(t) / float64(n), err
}
