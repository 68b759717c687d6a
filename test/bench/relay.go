package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// relay is the floor: a process that receives a message of the broker, sends a report and
// acknowledges its answer.
type relay struct {
	*process
	load *load
	conn *net.UDPConn
	buf  []byte
}

const relayPort = 5598

func (b *bench) newRelay(broker string) (*relay, error) {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(controlULA), Port: relayPort})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	// Go's monitor watches a thread that waits in a call of which the scheduler does not know,
	// and would interrupt it.
	cmd.Env = append(os.Environ(), roleVar+"="+roleRelay, brokerVar+"="+broker, "GODEBUG=asyncpreemptoff=1")
	out := new(output)
	p, err := startIn(b.ns, cmd, out)
	if err != nil {
		return nil, err
	}
	p.first = true
	if _, err := out.await(p, "listening", 5*time.Second); err != nil {
		return nil, err
	}
	return &relay{process: p, load: &load{rounds: b.rounds, device: p}, conn: conn, buf: make([]byte, 2048)}, nil
}

func (r *relay) close() {
	r.conn.Close()
	_ = r.signal(os.Kill)
}

// one publishes a message and waits for its acknowledgement.
func (r *relay) one(p publisher) error {
	if err := p.publish("relay", lampState(true), false); err != nil {
		return err
	}
	for range 2 {
		if err := r.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, from, err := r.conn.ReadFromUDPAddrPort(r.buf)
		if err != nil {
			return err
		}
		if n == ackSize {
			return nil
		}
		if _, err := r.conn.WriteToUDPAddrPort(sealed(kindAck, statusSize), from); err != nil {
			return err
		}
	}
	return errors.New("the relay sends no acknowledgement")
}

// serveRelay is the process. Its system calls block, and are not announced to the scheduler.
func serveRelay() error {
	p, err := newPublisher(os.Getenv(brokerVar), "relay")
	if err != nil {
		return err
	}
	file, err := p.Conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	broker := int(file.Fd()) // which makes it block
	udp, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(udp, &unix.SockaddrInet6{Port: relayPort, Addr: netip.MustParseAddr(controlULA).As16()}); err != nil {
		return err
	}
	aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
	if err != nil {
		return err
	}
	nonce, in, out := make([]byte, mcrypto.NonceSize), make([]byte, 2048), make([]byte, 2048)
	send := func(size int) error {
		aead.Seal(out[header:header], nonce, out[header:size-mcrypto.MICSize], out[:header])
		_, err := blocking(unix.SYS_WRITE, udp, out[:size])
		return err
	}
	if err := p.packet(0x82, []byte{0, 1}, text("relay"), []byte{0}); err != nil {
		return err
	}
	if _, err := blocking(unix.SYS_READ, broker, in); err != nil { // SUBACK
		return err
	}
	fmt.Println("listening")
	for {
		if n, err := blocking(unix.SYS_READ, broker, in); err != nil || n == 0 {
			return errors.Join(err, errors.New("the broker has closed the connection"))
		}
		if err := send(answerSize); err != nil {
			return err
		}
		n, err := blocking(unix.SYS_READ, udp, in)
		if err != nil {
			return err
		}
		if _, err := aead.Open(in[header:header], nonce, in[header:n], in[:header]); err != nil {
			return err
		}
		if err := send(ackSize); err != nil {
			return err
		}
	}
}

// blocking makes a system call.
func blocking(trap uintptr, fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
