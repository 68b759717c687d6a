package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const hostB = "02AABBCCDD02"

var (
	addrB  = netip.MustParseAddr("fe80::2")
	addrB6 = netip.MustParseAddr("fd00:b::1")
	addrB4 = netip.MustParseAddr("192.168.2.10")
)

// linkB is a second interface of the host, on a different network from linkA.
func linkB() linkInfo {
	return linkInfo{
		name: "eth1", index: 3, mtu: 1500, host: hostB,
		addrs:    []netip.Addr{addrB, addrB6, addrB4},
		own:      []netip.Addr{addrB, addrB6, addrB4},
		prefixes: []netip.Prefix{netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix("fd00:b::/64"), netip.MustParsePrefix("192.168.2.0/24")},
	}
}

// vlans returns two interfaces that share a hardware address, and so the link-local
// address and the host name.
func vlans() []linkInfo {
	a, b := linkA(), linkB()
	b.host, b.addrs[0], b.own[0] = a.host, addrLL, addrLL
	return []linkInfo{a, b}
}

// reflector repeats packets of one of two links on the other.
type reflector struct {
	what string
	// own: it runs on this host and sends from its addresses.
	own bool
	// families: it repeats packets of one family in both.
	families bool
	// pack returns the packets to send for a received one.
	pack func(t testing.TB, s sent) [][]byte
}

// verbatim returns the packet unchanged, as mdns-repeater does.
func verbatim(_ testing.TB, s sent) [][]byte { return [][]byte{s.data} }

// byRecord builds new packets, one for each record, and omits link-local addresses,
// as avahi does.
func byRecord(t testing.TB, s sent) (out [][]byte) { return byRecordWithTTL(t, s, 4500) }

func byRecordWithTTL(t testing.TB, s sent, ttl uint32) (out [][]byte) {
	pack := func(m *dns.Msg) {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	linkLocal := func(rr dns.RR) bool {
		a, ok := rr.(*dns.AAAA)
		return ok && a.AAAA.IsLinkLocalUnicast()
	}
	for _, rr := range slices.Concat(s.Answer, s.Extra) {
		if !linkLocal(rr) {
			rr = dns.Copy(rr)
			rr.Header().Ttl = min(rr.Header().Ttl, ttl)
			pack(&dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: []dns.RR{rr}})
		}
	}
	for _, q := range s.Question {
		if len(s.Ns) == 0 {
			pack(&dns.Msg{Question: []dns.Question{q}})
		}
	}
	for _, rr := range s.Ns {
		if !linkLocal(rr) {
			pack(&dns.Msg{Question: []dns.Question{{Name: rr.Header().Name, Qtype: dns.TypeANY, Qclass: dns.ClassINET}}, Ns: []dns.RR{rr}})
		}
	}
	return out
}

var reflectors = []reflector{
	{"as mdns-repeater", false, false, verbatim},
	{"as mdns-repeater, on this host", true, false, verbatim},
	{"as avahi", false, false, byRecord},
	{"as avahi, on this host", true, false, byRecord},
	{"as avahi, IPv4 to IPv6", false, true, byRecord},
	{"IPv4 to IPv6 in the same octets", false, true, verbatim},
	{"with a short life", false, false, func(t testing.TB, s sent) [][]byte { return byRecordWithTTL(t, s, 10) }},
}

// repeat passes the engine what the reflector makes of s.
func (r *reflector) repeat(b *bench, s sent) {
	index := 5 - s.index // the other link: 2 or 3
	l := b.links[index]
	if s.to.Port() != port || !s.to.Addr().IsMulticast() || l == nil {
		return
	}
	for f := range families {
		if f != s.family && !r.families {
			continue
		}
		from := map[family]string{ip6: "fe80::77", ip4: "192.168.1.77"}[f]
		if index == 3 && f == ip4 {
			from = "192.168.2.77"
		}
		a := netip.MustParseAddr(from)
		if r.own {
			a = l.info.own[slices.IndexFunc(l.info.own, func(a netip.Addr) bool { return a.Is4() == (f == ip4) })]
		}
		for _, data := range r.pack(b, s) {
			b.receive(b.now, packet{index: index, family: f, from: netip.AddrPortFrom(a, port), hopLimit: 255, data: data})
			b.advance(b.now)
		}
	}
}

// runReflected advances the time with a reflector between two links.
func (b *bench) runReflected(d time.Duration, r *reflector) (all []sent) {
	const step = 5 * time.Millisecond
	for end := b.now.Add(d); b.now.Before(end); {
		b.run(step)
		heard := b.take()
		all = append(all, heard...)
		for _, s := range heard {
			r.repeat(b, s)
		}
		if len(all) > 20_000 {
			b.Fatalf("%s: the links do not come to rest", r.what)
		}
	}
	return all
}

// wantServed checks that every service is announced on both links and that there
// was no conflict.
func (b *bench) wantServed(what string) {
	b.Helper()
	for _, i := range b.status().Interfaces {
		for _, s := range i.Services {
			if s.State != Announced {
				b.Errorf("%s: %s on %s: %v", what, s.Instance, i.Name, s.State)
			}
		}
	}
	if n := b.stats.conflicts.Load(); n != 0 {
		b.Errorf("%s: %d conflicts", what, n)
	}
}

func TestReflectorBetweenTwoLinks(t *testing.T) {
	for _, r := range reflectors {
		for what, links := range map[string][]linkInfo{"two cards": {linkA(), linkB()}, "two VLANs of one card": vlans()} {
			what := r.what + ", " + what
			b := newBench(t, links, commissionable(), operational(1))
			b.runReflected(30*time.Second, &r)
			b.wantServed(what)
			if n := len(b.runReflected(5*time.Minute, &r)); n > 40 {
				t.Errorf("%s: %d packets at rest in 5 minutes", what, n)
			}
			b.wantServed(what + ", later")
			// One link is added later than the other.
			b.setLinks(b.now, links[:1])
			b.runReflected(30*time.Second, &r)
			b.setLinks(b.now, links)
			b.runReflected(time.Minute, &r)
			b.wantServed(what + ", after one was away")
		}
	}
}

// TestReflectorRepeatsWhatWas: caches repeat what was announced on another link
// until it expires.
func TestReflectorRepeatsWhatWas(t *testing.T) {
	links := vlans()
	b := settled(t, links, operational(1))
	changed := vlans()
	changed[0].addrs[1] = netip.MustParseAddr("fd00:9::1") // the provider's prefix
	b.setLinks(b.now, changed)
	b.run(10 * time.Second)
	old := map[string]string{
		"address":             hostA + ".local. 110 IN AAAA fd00::1",
		"address of the card": hostA + ".local. 110 IN A 192.168.1.10",
	}
	for what, text := range old {
		for _, index := range []int{2, 3} {
			b.saysOn(index, peerAddr, text)
			b.run(time.Second)
			b.wantServed(what)
		}
	}
	// A name that was changed after a conflict.
	b = settled(t, []linkInfo{linkA(), linkB()}, operational(1))
	b.saysOn(2, peerAddr, hostA+".local. 120 IN AAAA fe80::99")
	b.run(300 * time.Millisecond)
	b.saysOn(2, peerAddr, hostA+".local. 120 IN AAAA fe80::99")
	b.run(20 * time.Second)
	if b.status().Interfaces[0].Host == full(hostA) {
		t.Fatal("the host name was not given up")
	}
	n := b.stats.conflicts.Load()
	b.saysOn(3, peerAddr, instO+".local. 110 IN SRV 0 0 5540 "+hostA+".local.")
	b.saysOn(2, peerAddr, instO+".local. 110 IN SRV 0 0 5540 "+hostA+".local.")
	b.run(time.Second)
	if got := b.stats.conflicts.Load(); got != n {
		t.Error("the service at the former host name is taken for another host's")
	}
	// A record that has expired everywhere belongs to another host.
	b.run(10 * time.Minute)
	b.saysOn(2, peerAddr, instO+".local. 110 IN SRV 0 0 5540 "+hostA+".local.")
	if got := b.stats.conflicts.Load(); got != n+1 {
		t.Error("a record that ended ten minutes ago counts as the node's own")
	}
}

// saysOn passes the bench a response of another host on a link.
func (b *bench) saysOn(index int, from netip.AddrPort, records ...string) {
	b.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	for _, text := range records {
		m.Answer = append(m.Answer, rr(b, text))
	}
	data, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.receive(b.now, packet{index: index, family: ip6, from: from, hopLimit: 255, data: data})
	b.advance(b.now)
}

// TestCloneOnOneLink: a genuine claim of another host is a conflict, on its link
// only.
func TestCloneOnOneLink(t *testing.T) {
	b := settled(t, []linkInfo{linkA(), linkB()}, operational(1), commissionable())
	for range 4 { // the clone defends the name
		b.saysOn(3, peerAddr, srvOther)
		b.run(300 * time.Millisecond)
	}
	for _, i := range b.status().Interfaces {
		for _, s := range i.Services {
			contested := i.Name == "eth1" && s.Type == tcp
			if got := s.State == Conflict; got != contested {
				t.Errorf("%s on %s: %v", s.Instance, i.Name, s.State)
			}
			if contested && s.Rival != peerAddr.Addr() || !contested && s.Rival.IsValid() {
				t.Errorf("%s on %s: rival %v", s.Instance, i.Name, s.Rival)
			}
		}
		want := ""
		if i.Name == "eth1" {
			want = strings.TrimSuffix(operational(1).name(), ".local.") + " is announced by another host, too (fe80::99)"
		}
		if got := i.Problem(); got != want {
			t.Errorf("%s: problem %q, want %q", i.Name, got, want)
		}
	}
}

// TestCloneProbes: a clone that starts later probes for the name and loses. The
// node reports that there is one.
func TestCloneProbes(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	m := asking(full(instO), dns.TypeANY)
	m.Ns = []dns.RR{rr(t, srvOther)}
	b.receiveFrom(peerAddr, m)
	if s := b.status().Interfaces[0].Services[0]; s.State != Announced || s.Rival != peerAddr.Addr() {
		t.Errorf("%+v", s)
	}
	b.run(10 * time.Minute)
	b.receiveFrom(peerAddr, asking(full(instO), dns.TypeSRV))
	if s := b.status().Interfaces[0].Services[0]; s.Rival.IsValid() {
		t.Errorf("ten minutes later: %+v", s)
	}
}
