package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	operational = "_matter._tcp.local."
	mdnsPort    = 5353
)

var mdnsGroup = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: mdnsPort, Zone: link}

// resolver queries instances of the operational service.
type resolver struct{ conn *net.UDPConn }

// newResolver opens a socket. It behaves as an mDNS peer or, if simple is set, as a
// program that only knows DNS, which is answered at once.
func newResolver(simple bool) (*resolver, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); cerr != nil {
			return cerr
		}
		return err
	}}
	port := mdnsPort
	if simple {
		port = 0
	}
	pc, err := lc.ListenPacket(context.Background(), "udp6", fmt.Sprintf("[::]:%d", port))
	if err != nil {
		return nil, err
	}
	r := &resolver{conn: pc.(*net.UDPConn)}
	eth, err := net.InterfaceByName(link)
	if err != nil {
		return nil, err
	}
	p := ipv6.NewPacketConn(pc)
	if err := errors.Join(p.SetMulticastInterface(eth), p.SetMulticastHopLimit(255), p.SetMulticastLoopback(false)); err != nil {
		return nil, err
	}
	if simple {
		return r, nil
	}
	return r, p.JoinGroup(eth, mdnsGroup)
}

func (r *resolver) ask() error {
	var m dns.Msg
	m.SetQuestion(operational, dns.TypePTR)
	m.Id, m.RecursionDesired = 0, false
	b, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = r.conn.WriteTo(b, mdnsGroup)
	return err
}

// hear adds the instances in answers to found until the deadline, or until there
// are want. The error is os.ErrDeadlineExceeded if there are fewer.
func (r *resolver) hear(found map[string]bool, want int, deadline time.Time) error {
	if err := r.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	b := make([]byte, 9000)
	for len(found) < want {
		n, err := r.conn.Read(b)
		if err != nil {
			return err
		}
		var m dns.Msg
		if m.Unpack(b[:n]) != nil || !m.Response {
			continue
		}
		for _, rr := range append(m.Answer, m.Extra...) {
			if ptr, ok := rr.(*dns.PTR); ok && ptr.Hdr.Name == operational && ptr.Hdr.Ttl > 0 {
				found[ptr.Ptr] = true
			}
		}
	}
	return nil
}

// firstAnswer sends queries until there is an answer, from before the device has
// started. It returns the time since the device's start.
func (l *load) firstAnswer() (time.Duration, error) {
	r, err := newResolver(true)
	if err != nil {
		return 0, err
	}
	defer r.conn.Close()
	for end := time.Now().Add(startLimit); time.Now().Before(end) && l.ctx.Err() == nil; {
		if err := r.ask(); err != nil {
			return 0, err
		}
		switch err := r.hear(map[string]bool{}, 1, time.Now().Add(20*time.Millisecond)); {
		case err == nil:
			return time.Since(l.device.begin), nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
	}
	return 0, fmt.Errorf("no answer within %v", startLimit)
}

// browse measures the answer to a query for all n operational instances.
func (l *load) browse(n int) (sample, error) {
	r, err := newResolver(false)
	if err != nil {
		return nil, err
	}
	defer r.conn.Close()
	var all sample
	for range l.rounds + 1 {
		time.Sleep(1100 * time.Millisecond) // a record is multicast once a second at most
		found := map[string]bool{}
		t, err := l.device.spent(func() error {
			if err := r.ask(); err != nil {
				return err
			}
			return r.hear(found, n, time.Now().Add(time.Second))
		})
		if err != nil {
			return nil, fmt.Errorf("%d of %d instances: %w", len(found), n, err)
		}
		all = append(all, float64(t))
	}
	return all[1:], nil
}
