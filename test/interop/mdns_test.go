//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

var (
	mdnsGroup4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	mdnsGroup6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353, Zone: link}
)

// resolver sends questions by multicast DNS on one address family. It uses only
// answers from others that arrive after the question.
type resolver struct {
	conn  net.PacketConn
	group *net.UDPAddr
	own   []netip.Addr

	mu    sync.Mutex
	heard []dns.RR
	news  chan struct{} // closed and replaced when a record was received
}

// newResolver joins the group of the network, "udp4" or "udp6". Messages from the
// addresses own are ignored.
func (n *namespace) newResolver(network string, own []netip.Addr) (*resolver, error) {
	r := &resolver{own: own, news: make(chan struct{}), group: mdnsGroup6}
	address := "[::]:5353"
	if network == "udp4" {
		r.group, address = mdnsGroup4, "0.0.0.0:5353"
	}
	err := n.Do(func() (err error) {
		eth, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			var sockErr error
			err := c.Control(func(fd uintptr) {
				sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			})
			if err != nil {
				return err
			}
			return sockErr
		}}
		if r.conn, err = shared.ListenPacket(context.Background(), network, address); err != nil {
			return err
		}
		return r.join(eth)
	})
	if err != nil {
		if r.conn != nil {
			r.conn.Close()
		}
		return nil, fmt.Errorf("mDNS resolver: %w", err)
	}
	go r.listen()
	return r, nil
}

func (r *resolver) join(eth *net.Interface) error {
	if r.group == mdnsGroup4 {
		p := ipv4.NewPacketConn(r.conn)
		if err := p.SetMulticastInterface(eth); err != nil {
			return err
		}
		if err := p.SetMulticastTTL(255); err != nil {
			return err
		}
		return p.JoinGroup(eth, r.group)
	}
	p := ipv6.NewPacketConn(r.conn)
	if err := p.SetMulticastInterface(eth); err != nil {
		return err
	}
	if err := p.SetMulticastHopLimit(255); err != nil {
		return err
	}
	return p.JoinGroup(eth, r.group)
}

func (r *resolver) close() { r.conn.Close() }

func (r *resolver) listen() {
	b := make([]byte, 9000)
	for {
		n, from, err := r.conn.ReadFrom(b)
		if err != nil {
			return
		}
		var m dns.Msg
		source := from.(*net.UDPAddr).AddrPort()
		if slices.Contains(r.own, source.Addr().Unmap().WithZone("")) || m.Unpack(b[:n]) != nil || !m.Response {
			continue
		}
		r.mu.Lock()
		r.heard = append(append(r.heard, m.Answer...), m.Extra...)
		close(r.news)
		r.news = make(chan struct{})
		r.mu.Unlock()
	}
}

// since returns the records after mark, and a channel that is closed when there are
// more.
func (r *resolver) since(mark int) (records, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard[mark:]), r.news
}

func (r *resolver) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.heard)
}

// ask sends the questions, and repeats them, until enough returns nil for the
// records since mark; its error describes what is missing. If earlier records are
// enough, ask sends nothing, since a responder would not repeat them within a
// second.
func (r *resolver) ask(ctx context.Context, mark int, questions []dns.Question, enough func(records) error) (records, error) {
	if got, _ := r.since(mark); enough(got) == nil {
		return got, nil
	}
	query := dns.Msg{Question: questions}
	packet, err := query.Pack()
	if err != nil {
		return nil, err
	}
	for _, pause := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, time.Second, time.Second} {
		if _, err := r.conn.WriteTo(packet, r.group); err != nil {
			return nil, fmt.Errorf("mDNS query: %w", err)
		}
		if got, err := r.wait(ctx, mark, pause, enough); err == nil || ctx.Err() != nil {
			return got, err
		}
	}
	got, _ := r.since(mark)
	return got, enough(got)
}

// wait waits until enough returns nil for the records since mark.
func (r *resolver) wait(ctx context.Context, mark int, limit time.Duration, enough func(records) error) (records, error) {
	timeout := time.After(limit)
	for {
		got, news := r.since(mark)
		err := enough(got)
		if err == nil {
			return got, nil
		}
		select {
		case <-news:
		case <-timeout:
			return got, err
		case <-ctx.Done():
			return got, context.Cause(ctx)
		}
	}
}

func question(kind uint16, names ...string) []dns.Question {
	var q []dns.Question
	for _, name := range names {
		q = append(q, dns.Question{Name: name, Qtype: kind, Qclass: dns.ClassINET})
	}
	return q
}

// records are resource records in the order in which they were received.
type records []dns.RR

// pointers returns the targets of name, without those that a goodbye removed.
func (rs records) pointers(name string) (targets []string) {
	for _, rr := range rs {
		p, ok := rr.(*dns.PTR)
		if !ok || !strings.EqualFold(p.Hdr.Name, name) {
			continue
		}
		targets = slices.DeleteFunc(targets, func(t string) bool { return t == p.Ptr })
		if p.Hdr.Ttl > 0 {
			targets = append(targets, p.Ptr)
		}
	}
	return targets
}

// goodbye reports whether a goodbye removed the pointer from name to target.
func (rs records) goodbye(name, target string) bool {
	return slices.ContainsFunc(rs, func(rr dns.RR) bool {
		p, ok := rr.(*dns.PTR)
		return ok && p.Hdr.Ttl == 0 && strings.EqualFold(p.Hdr.Name, name) && p.Ptr == target
	})
}

func (rs records) service(instance string) (host string, port uint16, ok bool) {
	for _, rr := range rs {
		if s, is := rr.(*dns.SRV); is && s.Hdr.Ttl > 0 && s.Hdr.Name == instance {
			host, port, ok = s.Target, s.Port, true
		}
	}
	return host, port, ok
}

func (rs records) text(instance string) (map[string]string, bool) {
	var found map[string]string
	for _, rr := range rs {
		if t, is := rr.(*dns.TXT); is && t.Hdr.Ttl > 0 && t.Hdr.Name == instance {
			found = make(map[string]string)
			for _, entry := range t.Txt {
				key, value, _ := strings.Cut(entry, "=")
				found[strings.ToUpper(key)] = value
			}
		}
	}
	return found, found != nil
}

func (rs records) hosts(host string) (found []netip.Addr) {
	for _, rr := range rs {
		if !strings.EqualFold(rr.Header().Name, host) || rr.Header().Ttl == 0 {
			continue
		}
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok && !slices.Contains(found, a.Unmap()) {
			found = append(found, a.Unmap())
		}
	}
	return found
}
