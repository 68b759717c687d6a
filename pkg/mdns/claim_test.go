package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// to returns the packets to one family's group.
func to(list []sent, f family) []sent {
	return slices.DeleteFunc(slices.Clone(list), func(s sent) bool { return s.to != groups[f] })
}

// goodbyes returns the records of list with a TTL of 0.
func goodbyes(list []sent) []dns.RR {
	return slices.DeleteFunc(answers(list), func(r dns.RR) bool { return r.Header().Ttl != 0 })
}

// lasting returns the records of list with another TTL.
func lasting(list []sent) []dns.RR {
	return slices.DeleteFunc(answers(list), func(r dns.RR) bool { return r.Header().Ttl == 0 })
}

func TestStartUp(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	b := newBench(t, []linkInfo{linkA()}, commissionable(), operational(1))
	b.run(20 * time.Second)
	all := b.take()
	for f := range families {
		packets := to(all, f)
		var at []time.Duration
		var kinds []string
		for _, s := range packets {
			kind := "announcement"
			if !s.Response {
				kind = "probe"
			}
			kinds = append(kinds, kind)
			at = append(at, s.at.Sub(packets[0].at))
		}
		if !slices.Equal(kinds, []string{"probe", "probe", "probe", "announcement", "announcement", "announcement"}) {
			t.Fatalf("packets: %v", kinds)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 250 * ms, 500 * ms, 750 * ms, 1750 * ms, 3750 * ms}; !slices.Equal(at, want) {
			t.Errorf("times %v, want %v", at, want)
		}
		if first := packets[0].at.Sub(start); first > 250*ms {
			t.Errorf("first probe after %v", first)
		}
		probe := packets[0]
		var asked []string
		for _, q := range probe.Question {
			if q.Qtype != dns.TypeANY || q.Qclass != dns.ClassINET {
				t.Errorf("question %v", q)
			}
			asked = append(asked, strings.TrimSuffix(q.Name, ".local."))
		}
		slices.Sort(asked)
		if !slices.Equal(asked, []string{hostA, instO, instC}) {
			t.Errorf("probed for %v", asked)
		}
		wantRecords(t, "proposed", probe.Ns,
			hostA+" AAAA fe80::1", hostA+" AAAA fd00::1", hostA+" A 192.168.1.10",
			instO+" SRV 0 0 5540 "+hostA, instO+` TXT "SII=5000" "SAI=300"`,
			instC+" SRV 0 0 5540 "+hostA, instC+` TXT "D=3840" "CM=1" "VP=65521+32769" "DN=a\\b \"\195\169\""`)
		for _, r := range probe.Ns {
			if r.Header().Class != dns.ClassINET {
				t.Errorf("cache-flush bit in a probe: %v", r)
			}
		}
		for _, s := range packets[3:] {
			if len(s.Answer) != 3+2*2+2+5+2 || !s.Authoritative {
				t.Errorf("announced %v", briefs(s.Answer))
			}
		}
	}
}

func TestSilentBeforeItIsAnnounced(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operational(1))
	b.run(300 * time.Millisecond)
	for _, q := range []string{tcp, instO, hostA, "_services._dns-sd._udp"} {
		b.receiveFrom(peerAddr, asking(full(q), dns.TypeANY))
	}
	b.run(200 * time.Millisecond)
	if got := answers(b.take()); len(got) != 0 {
		t.Errorf("answered while probing: %v", briefs(got))
	}
}

func TestNothingToAnnounceIsSilence(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()})
	b.run(time.Minute)
	if got := b.take(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
	b.setServices(b.now, []Service{operational(1)})
	b.run(10 * time.Second)
	if got := lasting(b.take()); len(got) == 0 {
		t.Error("the first service is not announced")
	}
}

func TestWithdrawingOneFabricKeepsTheHost(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1), operational(2))
	b.setServices(b.now, []Service{operational(2)})
	got := b.take()
	if len(lasting(got)) != 0 {
		t.Errorf("sent again: %v", briefs(lasting(got)))
	}
	sub := "_I" + cfid + "._sub." + tcp
	for f := range families {
		wantRecords(t, "goodbye", goodbyes(to(got, f)), tcp+" PTR "+instO, sub+" PTR "+instO,
			instO+" SRV 0 0 5540 "+hostA, instO+` TXT "SII=5000" "SAI=300"`)
	}
	if n := len(answers(b.askFor(full(hostA), dns.TypeAAAA))); n != 2 {
		t.Errorf("%d addresses after one fabric left", n)
	}
	if n := len(answers(b.askFor(full(instO), dns.TypeANY))); n != 0 {
		t.Error("what is withdrawn is answered")
	}
	wantRecords(t, "type", answers(b.askFor(full(tcp), dns.TypePTR)), tcp+" PTR "+strings.TrimSuffix(operational(2).name(), ".local."))
	b.run(2 * time.Second)
	b.take()

	b.setServices(b.now, nil)
	got = b.take()
	if n := len(goodbyes(to(got, ip6))); n != 4+1+3 {
		t.Errorf("the last goodbye: %v", briefs(goodbyes(to(got, ip6))))
	}
	b.run(time.Hour)
	if got := b.take(); len(got) != 0 || len(b.links[2].names) != 1 {
		t.Errorf("sent %d packets after the end; names left: %v", len(got), b.links[2].names)
	}
}

func TestExchangedServiceKeepsTheHost(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, commissionable())
	other := commissionable()
	other.Instance = "0123456789ABCDEF" // a new window
	b.setServices(b.now, []Service{other})
	b.run(10 * time.Second)
	got := to(b.take(), ip6)
	for _, r := range goodbyes(got) {
		if strings.HasPrefix(brief(r), hostA) || strings.HasPrefix(brief(r), "_services") {
			t.Errorf("took back %s", brief(r))
		}
	}
	if len(got) != 1+probes+announcements || !b.status().Announced() {
		t.Errorf("%d packets, %+v", len(got), b.status())
	}
	// Another spelling of the same name.
	other.Instance = "0123456789abcdef"
	b.setServices(b.now, []Service{other})
	b.run(10 * time.Second)
	if got := b.take(); len(goodbyes(got)) != 0 {
		t.Errorf("took back %v", briefs(goodbyes(got)))
	}
	if n := len(answers(b.askFor(full(udp), dns.TypePTR))); n != 1 {
		t.Errorf("%d instances", n)
	}
}

func TestChangedServiceIsAnnouncedAgain(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, commissionable())
	s := commissionable()
	s.Subtypes = s.Subtypes[:3] // without _CM
	s.TXT = []string{"D=3840", "CM=0"}
	b.setServices(b.now, []Service{s})
	b.run(10 * time.Second)
	got := to(b.take(), ip6)
	wantRecords(t, "goodbye", goodbyes(got), "_CM._sub."+udp+" PTR "+instC)
	n := 0
	for _, p := range got {
		if !p.Response {
			t.Error("a name that is ours is probed for")
		}
		for _, r := range p.Answer {
			if txt, ok := r.(*dns.TXT); ok && r.Header().Ttl != 0 {
				n++
				if !slices.Equal(txt.Txt, s.TXT) {
					t.Errorf("announced %v", txt)
				}
			}
		}
	}
	if n < 2 {
		t.Errorf("announced %d times", n)
	}
	b.setServices(b.now, []Service{s})
	b.run(10 * time.Second)
	if got := b.take(); len(got) != 0 {
		t.Error("an unchanged set is announced again")
	}
}

func TestChangesInARowAreNotAFlood(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	s := operational(1)
	for i := range 40 { // in four seconds
		s.Port = uint16(6000 + i)
		b.setServices(b.now, []Service{s})
		b.run(100 * time.Millisecond)
	}
	got := to(b.take(), ip6)
	if len(got) < 4 || len(got) > 5 {
		t.Errorf("%d announcements in four seconds", len(got))
	}
	b.run(5 * time.Second)
	wantRecords(t, "the last", answers(b.askFor(s.name(), dns.TypeSRV)), instO+" SRV 0 0 6039 "+hostA)
}

func TestServiceThatCannotBeAnnounced(t *testing.T) {
	bad := operational(2)
	bad.Instance = "a.b"
	b := settled(t, []linkInfo{linkA()}, operational(1), bad)
	if n := len(b.status().Interfaces[0].Services); n != 1 {
		t.Errorf("%d services", n)
	}
}

func TestAddressesAreFollowed(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	info := linkA()
	fresh := netip.MustParseAddr("2001:db8::7")
	info.addrs = []netip.Addr{addrLL, fresh, addr4}
	b.setLinks(b.now, []linkInfo{info})
	b.run(10 * time.Second)
	got := to(b.take(), ip6)
	wantRecords(t, "goodbye", goodbyes(got), hostA+" AAAA fd00::1")
	if n := len(got); n != 1+announcements {
		t.Errorf("%d packets", n)
	}
	wantRecords(t, "announced", lasting(got[:2]), hostA+" AAAA fe80::1", hostA+" AAAA 2001:db8::7", hostA+" A 192.168.1.10")
	wantRecords(t, "AAAA", answers(b.askFor(full(hostA), dns.TypeAAAA)), hostA+" AAAA fe80::1", hostA+" AAAA 2001:db8::7")
	// Without changes there is no traffic.
	b.run(2 * time.Second)
	b.take()
	b.setLinks(b.now, []linkInfo{info})
	b.run(time.Minute)
	if got := b.take(); len(got) != 0 {
		t.Errorf("sent %d packets for nothing new", len(got))
	}
}

func TestNothingWithoutIPv6Address(t *testing.T) {
	down := linkInfo{name: "eth0", index: 2, reason: "it has no usable IPv6 address yet", own: []netip.Addr{addr4}}
	b := newBench(t, []linkInfo{down}, operational(1))
	b.run(time.Minute)
	if got := b.take(); len(got) != 0 {
		t.Errorf("sent %d packets", len(got))
	}
	if s := b.status(); s.Announced() || s.Interfaces[0].Reason == "" {
		t.Errorf("status %+v", s)
	}
	b.setLinks(b.now, []linkInfo{linkA()})
	b.run(10 * time.Second)
	if !b.status().Announced() || !b.member[[2]int{2, int(ip6)}] || !b.member[[2]int{2, int(ip4)}] {
		t.Error("not announced when the address came")
	}
	b.take()
	b.setLinks(b.now, []linkInfo{down})
	if n := len(goodbyes(to(b.take(), ip4))); n != 4+1+3 {
		t.Errorf("%d records taken back when the address went", n)
	}
	if len(b.member) != 0 {
		t.Errorf("still in groups: %v", b.member)
	}
	if len(answers(b.askFor(full(tcp), dns.TypePTR))) != 0 {
		t.Error("answers without an address")
	}
}

// While another interface probes for its names, the node can be found.
func TestInterfaceThatComesLater(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	other := linkA()
	other.name, other.index, other.host = "eth1", 3, "02AABBCCDD33"
	b.setLinks(b.now, []linkInfo{linkA(), other})
	if s := b.status(); !s.Announced() || s.Interfaces[1].Services[0].State == Announced {
		t.Errorf("%+v", s)
	}
	b.setLinks(b.now, []linkInfo{other})
	if b.status().Announced() {
		t.Error("announced where it is not yet")
	}
}

func TestInterfaceThatFlapped(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	info := linkA()
	info.flapped = true
	b.setLinks(b.now, []linkInfo{info})
	b.run(10 * time.Second)
	got := b.take()
	if len(goodbyes(got)) != 0 {
		t.Error("took back what is still so")
	}
	if n := len(to(got, ip6)); n != probes+announcements {
		t.Errorf("%d packets", n)
	}
	// It returns as another interface.
	info.flapped, info.index, info.host = false, 7, "02AABBCCDD77"
	b.setLinks(b.now, []linkInfo{info})
	b.run(10 * time.Second)
	for _, r := range lasting(b.take()) {
		if srv, ok := r.(*dns.SRV); ok && srv.Target != "02AABBCCDD77.local." {
			t.Errorf("%v", r)
		}
	}
	if s := b.status(); len(s.Interfaces) != 1 || s.Interfaces[0].Index != 7 || !s.Announced() {
		t.Errorf("%+v", s)
	}
}

func TestTwoInterfaces(t *testing.T) {
	other := linkInfo{
		name: "wlan0", index: 3, mtu: 1500, host: "02AABBCCDD02",
		addrs: []netip.Addr{netip.MustParseAddr("fe80::2")}, own: []netip.Addr{netip.MustParseAddr("fe80::2")},
	}
	b := settled(t, []linkInfo{linkA(), other}, operational(1))
	data, err := asking(full(tcp), dns.TypePTR).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for index, want := range map[int][]string{
		2: {instO + " SRV 0 0 5540 " + hostA, instO + ` TXT "SII=5000" "SAI=300"`, hostA + " AAAA fe80::1", hostA + " AAAA fd00::1", hostA + " A 192.168.1.10"},
		3: {instO + " SRV 0 0 5540 02AABBCCDD02", instO + ` TXT "SII=5000" "SAI=300"`, "02AABBCCDD02 AAAA fe80::2", "02AABBCCDD02 NSEC 02AABBCCDD02.local. AAAA"},
	} {
		b.receive(b.now, packet{index: index, from: peerAddr, hopLimit: 255, data: data})
		b.run(time.Second)
		got := b.take()
		wantRecords(t, "extras", extras(got), want...)
		for _, s := range got {
			if s.index != index {
				t.Errorf("asked on %d, answered on %d", index, s.index)
			}
		}
	}
	// Both are on one network and receive each other's packets.
	b.setServices(b.now, []Service{operational(1), commissionable()})
	for range 10 {
		b.run(250 * time.Millisecond)
		for _, s := range b.take() {
			from := addrLL
			if s.index == 2 {
				from = netip.MustParseAddr("fe80::2")
			}
			b.receive(b.now, packet{index: 5 - s.index, from: netip.AddrPortFrom(from, port), hopLimit: 255, data: s.data})
		}
	}
	if s := b.status(); !s.Announced() || b.stats.conflicts.Load() != 0 {
		t.Errorf("quarrels with itself: %+v", s)
	}
}

func TestShutdown(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1), commissionable())
	b.shutdown(b.now)
	got := to(b.take(), ip6)
	if n := len(goodbyes(got)); n != 3+2*2+2+5+2 {
		t.Errorf("took back %v", briefs(goodbyes(got)))
	}
	if len(lasting(got)) != 0 || len(b.member) != 0 || !b.deadline().IsZero() {
		t.Error("something goes on")
	}
}

func TestNetworkThatTakesNothing(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operational(1))
	b.failing = true
	b.run(10 * time.Second)
	if b.stats.unsent.Load() == 0 || !b.status().Announced() {
		t.Errorf("%+v", b.status())
	}
}

func Test254ServicesStartUp(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operationals(254)...)
	b.run(20 * time.Second)
	count := map[bool]int{}
	seen := map[string]int{}
	for _, s := range to(b.take(), ip6) {
		count[s.Response]++
		for _, r := range s.Answer {
			seen[brief(r)]++
		}
	}
	if n := len(seen); n != 254*4+3+1 {
		t.Errorf("announced %d records", n)
	}
	for r, n := range seen {
		if n != announcements {
			t.Errorf("%s announced %d times", r, n)
		}
	}
	t.Logf("%d packets of probes, %d of announcements", count[false], count[true])
	if count[false] > 3*40 || count[true] > 3*40 {
		t.Errorf("%d packets of probes, %d of announcements", count[false], count[true])
	}
}
