package mdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Times of a search (RFC 6762, section 5.2).
const (
	askAgain   = time.Second            // doubles each time
	waitOthers = 100 * time.Millisecond // for more addresses after the first
)

// maxHostAddrs bounds the addresses of one host on one link.
const maxHostAddrs = 8

// Resolve asks on all interfaces in use for the addresses of a service instance, until
// there is an answer or ctx ends. It returns them in the order in which to try them:
// link-local IPv6 with its zone, other IPv6, IPv4. Only Type and Instance of s are used.
// It may be called from any goroutine.
func (r *Responder) Resolve(ctx context.Context, s Service) ([]netip.AddrPort, error) {
	var links []InterfaceStatus
	for _, i := range r.Status().Interfaces {
		if i.Reason == "" {
			links = append(links, i)
		}
	}
	q, err := newSearch(links, s)
	if err != nil {
		return nil, err
	}
	return q.run(ctx)
}

// search looks for one service instance. It has its own sockets: packets to the groups
// come to every socket that has joined them.
type search struct {
	name    string // as it was given: not every responder ignores the case
	sockets *sockets
	links   map[int]*searchLink
	readers sync.WaitGroup
	packets chan packet
	done    chan struct{} // closed when the search is over
}

// searchLink is what is known from one interface.
type searchLink struct {
	zone  string
	port  uint16
	host  string // of the SRV record, as it was received; empty if none was
	addrs []netip.Addr
}

func newSearch(links []InterfaceStatus, s Service) (*search, error) {
	if len(links) == 0 {
		return nil, errors.New("no network interface can be used for mDNS")
	}
	socks, err := openSockets()
	if err != nil {
		return nil, err
	}
	q := &search{
		name: s.name(), sockets: socks, links: make(map[int]*searchLink),
		packets: make(chan packet, queue), done: make(chan struct{}),
	}
	for _, i := range links {
		// An interface that has gone in the meantime is left out.
		if errors.Join(socks.join(i.Index, ip6), socks.join(i.Index, ip4)) == nil {
			q.links[i.Index] = &searchLink{zone: i.Name}
		}
	}
	return q, nil
}

// run asks until there is an answer.
func (q *search) run(ctx context.Context) ([]netip.AddrPort, error) {
	q.readers.Go(func() { q.read(ip6) })
	if q.sockets.v4 != nil {
		q.readers.Go(func() { q.read(ip4) })
	}
	defer func() {
		close(q.done)
		q.sockets.close()
		q.readers.Wait()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	found := false
	for pause := askAgain; ; {
		select {
		case <-ctx.Done():
			if list := q.found(); len(list) > 0 {
				return list, nil
			}
			return nil, fmt.Errorf("%w for %s", ErrNotFound, q.name)
		case <-timer.C:
			if found {
				return q.found(), nil
			}
			q.ask()
			timer.Reset(pause)
			pause *= 2
		case p := <-q.packets:
			news := q.receive(p)
			switch {
			case !news || found:
			case len(q.found()) > 0:
				found = true
				timer.Reset(waitOthers)
			default:
				q.ask() // for the addresses of the host
			}
		}
	}
}

// read passes packets of one family to run.
func (q *search) read(f family) {
	for {
		p, err := q.sockets.read(f, make([]byte, maxPacket+1))
		if err != nil {
			return // closed; any other error ends this search as well
		}
		select {
		case q.packets <- p:
		case <-q.done:
			return
		}
	}
}

// ask sends a question on every link that has no addresses yet: for the service, or for
// the addresses of its host.
func (q *search) ask() {
	for index, l := range q.links {
		m := dns.Msg{Question: []dns.Question{{Name: q.name, Qtype: dns.TypeSRV, Qclass: dns.ClassINET}}}
		switch {
		case len(l.addrs) > 0:
			continue
		case l.host != "":
			m.Question = []dns.Question{
				{Name: l.host, Qtype: dns.TypeAAAA, Qclass: dns.ClassINET},
				{Name: l.host, Qtype: dns.TypeA, Qclass: dns.ClassINET},
			}
		}
		b, err := m.Pack()
		if err != nil {
			continue // a host name that cannot be asked for
		}
		// A question that is lost is asked again.
		_ = q.sockets.send(index, ip6, groups[ip6], netip.Addr{}, b)
		_ = q.sockets.send(index, ip4, groups[ip4], netip.Addr{}, b)
	}
}

// receive handles an answer and reports whether it has something new. The hop limit does
// not matter: a packet to the group has not passed a router, and matter.js sends answers
// with a hop limit of 1.
func (q *search) receive(p packet) (news bool) {
	l := q.links[p.index]
	if l == nil || p.from.Port() != port || len(p.data) > maxPacket {
		return false
	}
	var m dns.Msg
	if m.Unpack(p.data) != nil || !m.Response {
		return false
	}
	records := slices.Concat(m.Answer, m.Extra)
	for _, rr := range records {
		srv, ok := rr.(*dns.SRV)
		if ok && l.host == "" && srv.Hdr.Ttl > 0 && srv.Port != 0 && fold(srv.Hdr.Name) == fold(q.name) {
			l.host, l.port, news = srv.Target, srv.Port, true
		}
	}
	for _, rr := range records {
		if l.host != "" && rr.Header().Ttl > 0 && fold(rr.Header().Name) == fold(l.host) {
			news = l.addAddress(rr) || news
		}
	}
	return news
}

func (l *searchLink) addAddress(rr dns.RR) bool {
	var a netip.Addr
	switch rr := rr.(type) {
	case *dns.AAAA:
		a, _ = netip.AddrFromSlice(rr.AAAA.To16())
	case *dns.A:
		a, _ = netip.AddrFromSlice(rr.A.To4())
	}
	if !a.IsValid() || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || len(l.addrs) >= maxHostAddrs || slices.Contains(l.addrs, a) {
		return false
	}
	l.addrs = append(l.addrs, a)
	return true
}

// found returns the addresses, the best first.
func (q *search) found() (list []netip.AddrPort) {
	for _, l := range q.links {
		for _, a := range l.addrs {
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(l.zone)
			}
			if at := netip.AddrPortFrom(a, l.port); !slices.Contains(list, at) {
				list = append(list, at)
			}
		}
	}
	slices.SortFunc(list, func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(preference(a.Addr()), preference(b.Addr())), a.Compare(b))
	})
	return list
}

// preference orders addresses: link-local ones need no router and no prefix, so they
// come first.
func preference(a netip.Addr) int {
	switch {
	case a.Is4():
		return 2
	case a.IsLinkLocalUnicast():
		return 0
	}
	return 1
}
