package mdns

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/grandcat/zeroconf"
	"github.com/miekg/dns"
	"golang.org/x/net/ipv6"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

// listener receives from the IPv6 group in the peer's namespace and can send
// questions there.
type listener struct {
	t    *testing.T
	conn *net.UDPConn
	zone string
	in   chan *dns.Msg
}

func listenTo(t *testing.T, lab *netlab.Lab, name string) *listener {
	t.Helper()
	return listen(t, lab, name, true)
}

// listen returns a listener. With alone, every response on the link is the node's,
// and its form is checked.
func listen(t *testing.T, lab *netlab.Lab, name string, alone bool) *listener {
	t.Helper()
	index := lab.Index(name)
	l := &listener{t: t, zone: fmt.Sprint(index), in: make(chan *dns.Msg, 1000)}
	var err error
	var pc *ipv6.PacketConn
	lab.Do(func() {
		// Bind to the wildcard with REUSEADDR, as simple programs do.
		if l.conn, err = net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("ff02::"), Port: port}); err != nil {
			return
		}
		pc = ipv6.NewPacketConn(l.conn)
		if err = pc.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
			return
		}
		if err = pc.JoinGroup(&net.Interface{Index: index}, net.UDPAddrFromAddrPort(groups[ip6])); err == nil {
			err = pc.SetMulticastInterface(&net.Interface{Index: index})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.conn.Close() })
	if err := l.conn.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.in)
		b := make([]byte, 10_000)
		for {
			n, cm, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			m := new(dns.Msg)
			if m.Unpack(b[:n]) != nil {
				continue
			}
			if u := from.(*net.UDPAddr); alone && m.Response && (cm.HopLimit != hopLimit || !u.IP.IsLinkLocalUnicast() || u.Port != port) {
				t.Errorf("a response from %v with hop limit %d", u, cm.HopLimit)
			}
			l.in <- m
		}
	}()
	return l
}

// ask sends a question to the group.
func (l *listener) ask(name string, typ uint16) {
	l.t.Helper()
	b, err := asking(name, typ).Pack()
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.conn.WriteTo(b, &net.UDPAddr{IP: groups[ip6].Addr().AsSlice(), Port: port, Zone: l.zone}); err != nil {
		l.t.Fatal(err)
	}
}

// answer sends a response to the group.
func (l *listener) answer(records ...dns.RR) {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: records}
	b, err := m.Pack()
	if err == nil {
		_, err = l.conn.WriteTo(b, &net.UDPAddr{IP: groups[ip6].Addr().AsSlice(), Port: port, Zone: l.zone})
	}
	if err != nil {
		l.t.Error(err)
	}
}

// hear waits for a message.
func (l *listener) hear(what string, match func(*dns.Msg) bool) {
	l.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case m := <-l.in:
			if match(m) {
				return
			}
		case <-timer.C:
			l.t.Fatalf("never heard: %s", what)
		}
	}
}

// hearRecord waits for the announcement of a record, or for its end.
func (l *listener) hearRecord(want string, ends bool) {
	l.t.Helper()
	l.hear(fmt.Sprintf("%s, ends: %v", want, ends), func(m *dns.Msg) bool {
		return slices.ContainsFunc(m.Answer, func(r dns.RR) bool {
			return m.Response && brief(r) == want && (r.Header().Ttl == 0) == ends
		})
	})
}

// hearProbe waits for a probe for a name.
func (l *listener) hearProbe(name string) {
	l.t.Helper()
	l.hear("probe for "+name, func(m *dns.Msg) bool {
		return !m.Response && len(m.Ns) > 0 && slices.ContainsFunc(m.Question, func(q dns.Question) bool { return q.Name == name })
	})
}

// forget drops the messages received so far.
func (l *listener) forget() {
	for len(l.in) > 0 {
		<-l.in
	}
}

// browse finds instances with zeroconf in the peer's namespace.
func browse(t *testing.T, lab *netlab.Lab, service string, want int) map[string]*zeroconf.ServiceEntry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry)
	var err error
	lab.Do(func() {
		var resolver *zeroconf.Resolver
		if resolver, err = zeroconf.NewResolver(); err == nil {
			err = resolver.Browse(ctx, service, "local.", entries)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*zeroconf.ServiceEntry{}
	for e := range entries {
		found[e.Instance] = e
		if len(found) == want {
			cancel()
		}
	}
	return found
}
