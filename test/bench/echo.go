package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// The echo is the floor of a read: a process that does only what every node must do
// for a read, with blocking system calls. It decrypts a request, encrypts and sends
// an answer, and decrypts the acknowledgement.

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

// echoSizes are the sizes of the answers to a datagram, by its first octet.
var echoSizes = map[byte]int{0: answerSize, 1: answerLarge, 2: 0}

func echo() error {
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
	for {
		n, from, err := unix.Recvfrom(fd, in, 0)
		if err != nil {
			return err
		}
		if n < header {
			continue
		}
		if _, err := aead.Open(in[header:header], nonce, in[header:n], in[:header]); err != nil {
			return err
		}
		size := echoSizes[in[0]]
		if size == 0 {
			continue
		}
		sealed := aead.Seal(out[header:header], nonce, out[header:size-mcrypto.MICSize], out[:header])
		if err := unix.Sendto(fd, out[:header+len(sealed)], 0, from); err != nil {
			return err
		}
	}
}

// measureEcho measures the echo of a read, and that of one message of a wildcard
// read, which only the next message acknowledges.
func measureEcho(rounds int, ns *netns.Namespace) (small, large float64, err error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"="+roleEcho)
	out := new(output)
	p, err := startIn(ns, cmd, out)
	if err != nil {
		return 0, 0, err
	}
	defer p.signal(os.Kill)
	if _, err := out.await(p, "listening", 5*time.Second); err != nil {
		return 0, 0, err
	}
	c, err := net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(deviceAddr, echoPort)))
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
	if err != nil {
		return 0, 0, err
	}
	datagram := func(kind byte, size int) []byte {
		b := make([]byte, size-mcrypto.MICSize, size)
		b[0] = kind
		sealed := aead.Seal(b[header:header], make([]byte, mcrypto.NonceSize), b[header:], b[:header])
		return b[:header+len(sealed)]
	}
	ack, buf := datagram(2, ackSize), make([]byte, 2048)
	one := func(request []byte, answer int, acknowledge bool) func() error {
		return func() error {
			if _, err := c.Write(request); err != nil {
				return err
			}
			if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			n, err := c.Read(buf)
			if err != nil || n != answer || bytes.Equal(buf[header:n], request) {
				return fmt.Errorf("%d octets came back, not %d: %w", n, answer, err)
			}
			if acknowledge {
				_, err = c.Write(ack)
			}
			return err
		}
	}
	const n = 1000
	l := &load{rounds: rounds, device: p}
	s, err := l.each(n, repeat(n, one(datagram(0, requestSize), answerSize, true)))
	if err != nil {
		return 0, 0, err
	}
	b, err := l.each(n, repeat(n, one(datagram(1, statusSize), answerLarge, false)))
	return s.median(), b.median(), err
}
