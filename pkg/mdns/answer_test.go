package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	instC = "DD200C20D25AE5F7._matterc._udp"
	instO = cfid + "-0000000000000001._matter._tcp"
	tcp   = "_matter._tcp"
	udp   = "_matterc._udp"
)

func TestQuestionsAndAnswers(t *testing.T) {
	var (
		ptrC   = udp + " PTR " + instC
		ptrO   = tcp + " PTR " + instO
		srvC   = instC + " SRV 0 0 5540 " + hostA
		srvO   = instO + " SRV 0 0 5540 " + hostA
		txtC   = instC + ` TXT "D=3840" "CM=1" "VP=65521+32769" "DN=a\\b \"\195\169\""`
		txtO   = instO + ` TXT "SII=5000" "SAI=300"`
		ll     = hostA + " AAAA fe80::1"
		ula    = hostA + " AAAA fd00::1"
		v4     = hostA + " A 192.168.1.10"
		hosts  = []string{ll, ula, v4}
		withC  = append([]string{srvC, txtC}, hosts...)
		withO  = append([]string{srvO, txtO}, hosts...)
		enum   = []string{udp, tcp, "_S15._sub." + udp, "_L3840._sub." + udp, "_V65521._sub." + udp, "_CM._sub." + udp, "_I" + cfid + "._sub." + tcp}
		denial = " NSEC "
	)
	for i := range enum {
		enum[i] = "_services._dns-sd._udp PTR " + enum[i]
	}
	for _, tc := range []struct {
		name   string
		typ    uint16
		want   []string
		extras []string
	}{
		{udp, dns.TypePTR, []string{ptrC}, withC},
		{tcp, dns.TypePTR, []string{ptrO}, withO},
		{"_L3840._sub." + udp, dns.TypePTR, []string{"_L3840._sub." + ptrC}, withC},
		{"_S15._sub." + udp, dns.TypePTR, []string{"_S15._sub." + ptrC}, withC},
		{"_CM._sub." + udp, dns.TypePTR, []string{"_CM._sub." + ptrC}, withC},
		{"_I" + cfid + "._sub." + tcp, dns.TypePTR, []string{"_I" + cfid + "._sub." + ptrO}, withO},
		{"_L3841._sub." + udp, dns.TypePTR, nil, nil},
		{"_sub." + udp, dns.TypePTR, nil, nil},
		{"_services._dns-sd._udp", dns.TypePTR, enum, nil},
		{"_services._dns-sd._udp", dns.TypeANY, enum, nil},
		{instC, dns.TypeSRV, []string{srvC}, hosts},
		{instC, dns.TypeTXT, []string{txtC}, append([]string{srvC}, hosts...)},
		{instC, dns.TypeANY, []string{srvC, txtC}, hosts},
		{instO, dns.TypeSRV, []string{srvO}, hosts},
		{hostA, dns.TypeAAAA, []string{ll, ula}, []string{v4}},
		{hostA, dns.TypeA, []string{v4}, []string{ll, ula}},
		{hostA, dns.TypeANY, hosts, nil},
		// a type that the name does not have
		{hostA, dns.TypeTXT, []string{hostA + denial + hostA + ".local. A AAAA"}, nil},
		{instC, dns.TypeAAAA, []string{instC + denial + instC + ".local. TXT SRV"}, nil},
		{udp, dns.TypeSRV, nil, nil},
		{"02AABBCCDD02", dns.TypeAAAA, nil, nil},
		{"local", dns.TypePTR, nil, nil},
		// names are compared without case, and answered in this host's spelling
		{"_MATTERC._Udp", dns.TypePTR, []string{ptrC}, withC},
		{"_l3840._SUB._matterc._udp", dns.TypePTR, []string{"_L3840._sub." + ptrC}, withC},
		{strings.ToLower(instO), dns.TypeSRV, []string{srvO}, hosts},
		{strings.ToLower(hostA), dns.TypeA, []string{v4}, []string{ll, ula}},
	} {
		t.Run(tc.name+"/"+dns.TypeToString[tc.typ], func(t *testing.T) {
			b := settled(t, []linkInfo{linkA()}, commissionable(), operational(1))
			got := b.askFor(full(tc.name), tc.typ)
			wantRecords(t, "answers", answers(got), tc.want...)
			wantRecords(t, "additionals", extras(got), tc.extras...)
			for _, s := range got {
				if !s.Response || !s.Authoritative || s.Id != 0 || len(s.Question) != 0 || s.to != groups[ip6] {
					t.Errorf("header %+v to %v", s.MsgHdr, s.to)
				}
			}
		})
	}
}

// TestSubtypesAreListed: the list of types includes subtypes, which RFC 6763 omits
// but the certification tests of Matter require (TC-SC-4.1). They are only in
// answers to questions for the list.
func TestSubtypesAreListed(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, commissionable(), operational(1), operational(2))
	list := func(records []dns.RR) (found []string) {
		for _, r := range records {
			if strings.EqualFold(r.Header().Name, enumeration) {
				found = append(found, strings.TrimSuffix(r.(*dns.PTR).Ptr, ".local."))
			}
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	b.run(20 * time.Second)
	if got, want := list(answers(b.take())), []string{tcp, udp}; !slices.Equal(got, want) {
		t.Errorf("announced: %v, want %v", got, want)
	}
	other := commissionable()
	other.Subtypes = []string{"_S15", "_CM"}
	b.setServices(b.now, []Service{other, operational(1), operational(2)})
	b.run(20 * time.Second)
	if got := list(goodbyes(b.take())); len(got) != 0 {
		t.Errorf("taken back, though nobody has heard it: %v", got)
	}
	if got, want := list(answers(b.askFor(enumeration, dns.TypePTR))), []string{"_CM._sub." + udp, "_I" + cfid + "._sub." + tcp, "_S15._sub." + udp, tcp, udp}; !slices.Equal(got, want) {
		t.Errorf("listed: %v, want %v", got, want)
	}
	// The window closes and one of two fabrics is removed: shared records stay.
	b.setServices(b.now, []Service{operational(2)})
	b.run(20 * time.Second)
	if got, want := list(goodbyes(b.take())), []string{"_CM._sub." + udp, "_S15._sub." + udp, udp}; !slices.Equal(got, want) {
		t.Errorf("taken back: %v, want %v", got, want)
	}
	if got, want := list(answers(b.askFor(enumeration, dns.TypePTR))), []string{"_I" + cfid + "._sub." + tcp, tcp}; !slices.Equal(got, want) {
		t.Errorf("listed at the end: %v, want %v", got, want)
	}
}

func TestTimesToLiveAndCacheFlush(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, commissionable())
	got := b.ask(
		dns.Question{Name: udp + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		dns.Question{Name: enumeration, Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		dns.Question{Name: hostA + ".local.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET},
	)
	seen := map[uint16]bool{}
	for _, r := range append(answers(got), extras(got)...) {
		h := r.Header()
		seen[h.Rrtype] = true
		want := map[uint16]uint32{
			dns.TypePTR: 4500, dns.TypeTXT: 4500,
			dns.TypeSRV: 120, dns.TypeA: 120, dns.TypeAAAA: 120, dns.TypeNSEC: 120,
		}[h.Rrtype]
		flush := h.Class&topBit != 0
		if h.Ttl != want || flush != (h.Rrtype != dns.TypePTR) {
			t.Errorf("%s: TTL %d, want %d; cache-flush %v", brief(r), h.Ttl, want, flush)
		}
	}
	if len(seen) != 6 {
		t.Errorf("types seen: %v", seen)
	}
}

func TestServiceWithoutTXT(t *testing.T) {
	s := operational(1)
	s.TXT = nil
	b := settled(t, []linkInfo{linkA()}, s)
	wantRecords(t, "TXT", answers(b.askFor(s.name(), dns.TypeTXT)), instO+` TXT ""`)
}

func TestHostWithoutIPv4IsDenied(t *testing.T) {
	info := linkA()
	info.addrs = info.addrs[:2]
	b := settled(t, []linkInfo{info}, operational(1))
	const nsec = hostA + " NSEC " + hostA + ".local. AAAA"
	wantRecords(t, "A", answers(b.askFor(hostA+".local.", dns.TypeA)), nsec)
	b.run(time.Second)
	wantRecords(t, "extras of SRV", extras(b.askFor(operational(1).name(), dns.TypeSRV)),
		hostA+" AAAA fe80::1", hostA+" AAAA fd00::1", nsec)
}

func TestOtherClassesAndMessagesAreIgnored(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	chaos := dns.Question{Name: tcp + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassCHAOS}
	if got := b.ask(chaos); len(got) != 0 {
		t.Errorf("class CHAOS is answered: %v", answers(got))
	}
	for what, change := range map[string]func(*dns.Msg){
		"opcode":   func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate },
		"rcode":    func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		"response": func(m *dns.Msg) { m.Response = true },
	} {
		m := asking(tcp+".local.", dns.TypePTR)
		change(m)
		b.receiveFrom(peerAddr, m)
		b.run(time.Second)
		if got := b.take(); len(got) != 0 {
			t.Errorf("%s: answered %v", what, answers(got))
		}
	}
	anyClass := dns.Question{Name: tcp + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassANY}
	if got := b.ask(anyClass); len(answers(got)) != 1 {
		t.Errorf("class ANY: %v", answers(got))
	}
}

func TestJitterOnlyForSharedRecords(t *testing.T) {
	var seen []time.Duration
	b := settled(t, []linkInfo{linkA()}, operational(1))
	for range 100 {
		b.run(2 * time.Second)
		start := b.now
		got := b.askFor(tcp+".local.", dns.TypePTR)
		if len(got) != 1 {
			t.Fatalf("%d packets", len(got))
		}
		seen = append(seen, got[0].at.Sub(start))
	}
	slices.Sort(seen)
	if low, high := seen[0], seen[len(seen)-1]; low < 20*time.Millisecond || high > 120*time.Millisecond || high-low < 50*time.Millisecond {
		t.Errorf("shared records answered after %v to %v", low, high)
	}
	b.run(2 * time.Second)
	start := b.now
	got := b.ask(
		dns.Question{Name: instO + ".local.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
		dns.Question{Name: hostA + ".local.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET},
	)
	if len(got) != 1 || got[0].at != start {
		t.Errorf("unique records: %d packets", len(got))
	}
}

func TestQuestionsMeanwhileShareAnAnswer(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1), commissionable())
	for i, name := range []string{tcp, udp, tcp} {
		from := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fe80::%d", 100+i)), port)
		b.receiveFrom(from, asking(name+".local.", dns.TypePTR))
		b.run(time.Millisecond)
	}
	b.run(time.Second)
	got := b.take()
	if len(got) != 1 {
		t.Fatalf("%d packets", len(got))
	}
	wantRecords(t, "answers", got[0].Answer, tcp+" PTR "+instO, udp+" PTR "+instC)
}

func TestNoRecordTwiceWithinASecond(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	for _, q := range []struct {
		name string
		typ  uint16
	}{{tcp + ".local.", dns.TypePTR}, {instO + ".local.", dns.TypeSRV}} {
		b.run(2 * time.Second)
		if n := len(b.askFor(q.name, q.typ)); n != 1 {
			t.Fatalf("%s: %d packets", q.name, n)
		}
		if n := len(b.askFor(q.name, q.typ)); n != 0 {
			t.Errorf("%s: sent again after half a second", q.name)
		}
		b.run(time.Second)
		if n := len(b.askFor(q.name, q.typ)); n != 1 {
			t.Errorf("%s: silent after more than a second", q.name)
		}
	}
	// Each family has its own group.
	b.run(2 * time.Second)
	b.askFor(instO+".local.", dns.TypeSRV)
	b.receiveFrom(peer4, asking(instO+".local.", dns.TypeSRV))
	if got := b.take(); len(got) != 1 || got[0].to != groups[ip4] {
		t.Errorf("IPv4 asker after an IPv6 answer: %+v", got)
	}
}

func TestProbeIsAnsweredSooner(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	probe := func() int {
		m := asking(instO+".local.", dns.TypeANY)
		m.Ns = []dns.RR{rr(t, instO+".local. 120 IN SRV 0 0 1 other.local.")}
		b.take()
		b.receiveFrom(peerAddr, m)
		return len(b.take()) // at once
	}
	if probe() != 1 {
		t.Fatal("a probe for our name is not answered at once")
	}
	b.run(200 * time.Millisecond)
	if probe() != 0 {
		t.Error("answered twice within 250 ms")
	}
	b.run(50 * time.Millisecond)
	if probe() != 1 {
		t.Error("the second probe is not answered")
	}
}

func TestKnownAnswersAreNotTold(t *testing.T) {
	known := func(ttl uint32, name string) dns.RR {
		return rr(t, fmt.Sprintf("%s.local. %d IN PTR %s.local.", tcp, ttl, name))
	}
	two := cfid + "-0000000000000002._matter._tcp"
	for _, tc := range []struct {
		what  string
		known []dns.RR
		want  []string
	}{
		{"one", []dns.RR{known(4500, instO)}, []string{tcp + " PTR " + two}},
		{"half its life", []dns.RR{known(2250, instO)}, []string{tcp + " PTR " + two}},
		{"less", []dns.RR{known(2249, instO)}, []string{tcp + " PTR " + instO, tcp + " PTR " + two}},
		{"other case", []dns.RR{known(4500, strings.ToLower(instO))}, []string{tcp + " PTR " + two}},
		{"all", []dns.RR{known(4500, instO), known(4500, two)}, nil},
		{"strangers", []dns.RR{known(4500, "x._matter._tcp"), rr(t, "x.local. 120 IN A 1.2.3.4")}, []string{tcp + " PTR " + instO, tcp + " PTR " + two}},
		{"of another name", []dns.RR{rr(t, "_I"+cfid+"._sub."+tcp+".local. 4500 IN PTR "+instO+".local.")}, []string{tcp + " PTR " + instO, tcp + " PTR " + two}},
	} {
		b := settled(t, []linkInfo{linkA()}, operational(1), operational(2))
		m := asking(tcp+".local.", dns.TypePTR)
		m.Answer = tc.known
		b.receiveFrom(peerAddr, m)
		b.run(time.Second)
		wantRecords(t, tc.what, answers(b.take()), tc.want...)
	}
	// The same for unique records and additional ones.
	b := settled(t, []linkInfo{linkA()}, operational(1))
	m := asking(instO+".local.", dns.TypeSRV)
	m.Answer = []dns.RR{rr(t, hostA+".local. 120 IN AAAA fe80::1")}
	b.receiveFrom(peerAddr, m)
	wantRecords(t, "extras", extras(b.take()), hostA+" AAAA fd00::1", hostA+" A 192.168.1.10")
	b.run(2 * time.Second)
	m.Answer = []dns.RR{rr(t, instO+".local. 120 IN SRV 0 0 5540 "+strings.ToLower(hostA)+".local.")}
	b.receiveFrom(peerAddr, m)
	wantRecords(t, "known SRV", answers(b.take()))
}

func TestTruncatedQueryWaitsForItsKnownAnswers(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operationals(3)...)
	ptr := func(i int) dns.RR {
		return rr(t, fmt.Sprintf("%s.local. 4500 IN PTR %s.", tcp, strings.TrimSuffix(operational(uint64(i)).name(), ".")))
	}
	m := asking(tcp+".local.", dns.TypePTR)
	m.Truncated, m.Answer = true, []dns.RR{ptr(1)}
	start := b.now
	b.receiveFrom(peerAddr, m)
	b.run(100 * time.Millisecond)
	b.receiveFrom(peerAddr, &dns.Msg{Answer: []dns.RR{ptr(2)}})
	b.receiveFrom(netip.MustParseAddrPort("[fe80::98]:5353"), &dns.Msg{Answer: []dns.RR{ptr(3)}}) // another's
	b.run(time.Second)
	got := b.take()
	if len(got) != 1 {
		t.Fatalf("%d packets", len(got))
	}
	if d := got[0].at.Sub(start); d < 400*time.Millisecond || d > 500*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
	wantRecords(t, "answers", got[0].Answer, tcp+" PTR "+strings.TrimSuffix(operational(3).name(), ".local."))
}

func TestTruncatedQueriesAreBounded(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	m := asking(tcp+".local.", dns.TypePTR)
	m.Truncated = true
	for i := range 100 {
		from := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fe80::1:%x", i)), port)
		b.receiveFrom(from, m)
	}
	for range 50 {
		b.receiveFrom(netip.MustParseAddrPort("[fe80::1:0]:5353"), m)
	}
	l := b.links[2]
	if len(l.truncated) != maxHeld {
		t.Errorf("%d queries held", len(l.truncated))
	}
	for _, q := range l.truncated {
		if q.size > maxHeldBytes {
			t.Errorf("%d octets held for one", q.size)
		}
	}
	b.run(time.Second)
	if len(l.truncated) != 0 || len(b.take()) != 1 {
		t.Error("held queries are not answered together")
	}
}

func TestUnicastAnswers(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	qu := dns.Question{Name: tcp + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET | topBit}
	got := b.ask(qu)
	if len(got) != 1 || got[0].to != peerAddr {
		t.Fatalf("QU after the announcements: %+v", got)
	}
	wantRecords(t, "answers", got[0].Answer, tcp+" PTR "+instO)
	if got[0].Id != 0 || len(got[0].Question) != 0 || len(got[0].Extra) == 0 {
		t.Errorf("%v", got[0].Msg)
	}
	// It is multicast if that has not happened for a quarter of its time to live.
	b.run(ttlOther * time.Second / 4)
	if got := b.ask(qu); len(got) != 1 || got[0].to != groups[ip6] {
		t.Errorf("QU after a long silence: %+v", got)
	}
	// An address of another network gets only multicast answers.
	b.receiveFrom(netip.MustParseAddrPort("[2001:db8::1]:5353"), &dns.Msg{Question: []dns.Question{qu}})
	b.run(2 * time.Second)
	for _, s := range b.take() {
		if s.to != groups[ip6] {
			t.Errorf("unicast left the link: to %v", s.to)
		}
	}
}

func TestLegacyAnswers(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	m := asking(strings.ToUpper(tcp)+".local.", dns.TypePTR)
	m.Id = 4711
	from := netip.MustParseAddrPort("192.168.1.77:40000")
	for range 3 { // whenever it was last sent
		b.receiveFrom(from, m)
		got := b.take()
		if len(got) != 1 || got[0].to != from || got[0].family != ip4 {
			t.Fatalf("%+v", got)
		}
		s := got[0]
		if s.Id != 4711 || len(s.Question) != 1 || s.Question[0] != m.Question[0] {
			t.Errorf("id %d, question %v", s.Id, s.Question)
		}
		wantRecords(t, "answers", s.Answer, tcp+" PTR "+instO)
		if len(s.Extra) != 5 {
			t.Errorf("additionals %v", briefs(s.Extra))
		}
		for _, r := range append(s.Answer, s.Extra...) {
			if r.Header().Ttl > 10 || r.Header().Class != dns.ClassINET {
				t.Errorf("%v", r)
			}
		}
	}
	// A packet to the group comes from this link, whatever its source address. But
	// a unicast answer to that address could leave the link.
	b.run(2 * time.Second)
	b.receiveFrom(netip.MustParseAddrPort("203.0.113.1:40000"), m)
	b.run(time.Second)
	got := b.take()
	if len(got) != 1 || got[0].to != groups[ip4] || got[0].Id != 0 || len(got[0].Question) != 0 {
		t.Fatalf("an asker of another network: %+v", got)
	}
	wantRecords(t, "answers to all", got[0].Answer, tcp+" PTR "+instO)
}

// TestLegacyQuestions sends several questions in one message from an ephemeral
// port.
func TestLegacyQuestions(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1), commissionable())
	m := asking(full(instO), dns.TypeSRV)
	m.Id, m.Compress = 4711, true
	m.Question = append(m.Question,
		dns.Question{Name: full(strings.ToLower(instC)), Qtype: dns.TypeTXT, Qclass: dns.ClassINET},
		dns.Question{Name: "printer.local.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, // another host's
		dns.Question{Name: full(udp), Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		dns.Question{Name: full(instO), Qtype: dns.TypeSRV, Qclass: dns.ClassINET}, // asked twice
	)
	b.receiveFrom(netip.MustParseAddrPort("192.168.1.77:40000"), m)
	got := b.take()
	if len(got) != 1 || got[0].Id != 4711 || !slices.Equal(got[0].Question, m.Question) {
		t.Fatalf("%+v", got)
	}
	wantRecords(t, "answers", got[0].Answer, instO+" SRV 0 0 5540 "+hostA,
		instC+` TXT "D=3840" "CM=1" "VP=65521+32769" "DN=a\\b \"\195\169\""`, udp+" PTR "+instC)
	// A message full of questions leaves no room for answers.
	for len(m.Question) < 60 {
		m.Question = append(m.Question, dns.Question{Name: full(fmt.Sprintf("a-name-that-is-not-short-%d", len(m.Question))), Qtype: dns.TypeA, Qclass: dns.ClassINET})
	}
	b.receiveFrom(netip.MustParseAddrPort("192.168.1.77:40000"), m)
	if got := b.take(); len(got) != 0 {
		t.Errorf("%d packets, %v", len(got), got[0].Msg)
	}
}

// TestUnicastQuestions: a unicast question is answered to its sender alone, if that
// is on the link (RFC 6762, section 5.5).
func TestUnicastQuestions(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	ask := func(from, to string, m *dns.Msg) []sent {
		t.Helper()
		data, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		p := packet{index: 2, family: ip6, from: netip.MustParseAddrPort(from), to: netip.MustParseAddr(to), hopLimit: 64, data: data}
		if p.to.Is4() {
			p.family = ip4
		}
		b.receive(b.now, p)
		b.run(time.Second)
		return b.take()
	}
	srv := asking(full(instO), dns.TypeSRV)
	for _, tc := range []struct {
		from, to string
		want     bool
	}{
		{"[fe80::99]:5353", "fe80::1", true},
		{"[fd00::99]:5353", "fd00::1", true},
		{"192.168.1.99:5353", "192.168.1.10", true},
		{"192.168.1.99:40000", "192.168.1.10", true}, // legacy
		{"[fd00:9::99]:5353", "fd00::1", false},      // behind a router
		{"203.0.113.1:40000", "192.168.1.10", false},
	} {
		for range 2 { // even if it was sent recently
			got := ask(tc.from, tc.to, srv)
			if (len(got) == 1) != tc.want || len(got) > 1 {
				t.Errorf("%s asks %s: %d packets", tc.from, tc.to, len(got))
				continue
			}
			if !tc.want {
				continue
			}
			if got[0].to != netip.MustParseAddrPort(tc.from) || got[0].from != netip.MustParseAddr(tc.to) {
				t.Errorf("%s asks %s: answered from %v to %v", tc.from, tc.to, got[0].from, got[0].to)
			}
			wantRecords(t, "answers", got[0].Answer, instO+" SRV 0 0 5540 "+hostA)
			if legacy := netip.MustParseAddrPort(tc.from).Port() != port; legacy != (len(got[0].Question) == 1) {
				t.Errorf("%s: questions %v", tc.from, got[0].Question)
			}
		}
	}
	// Unsolicited unicast responses are ignored.
	if ask("[fe80::99]:5353", "fe80::1", &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: []dns.RR{rr(t, srvOther)}}); b.stats.conflicts.Load() != 0 {
		t.Error("a unicast response makes a conflict")
	}
}

func TestLegacyAnswerThatDoesNotFit(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operationals(100)...)
	b.receiveFrom(netip.MustParseAddrPort("[fe80::77]:40000"), asking(tcp+".local.", dns.TypePTR))
	got := b.take()
	if len(got) != 1 || !got[0].Truncated || len(got[0].Answer) < 5 {
		t.Fatalf("%d packets", len(got))
	}
}

func TestHopLimit(t *testing.T) {
	ask := func(from netip.AddrPort, hops int, m *dns.Msg) int {
		b := settled(t, []linkInfo{linkA()}, operational(1))
		data, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		b.receive(b.now, packet{index: 2, from: from, hopLimit: hops, data: data})
		b.run(2 * time.Second)
		return len(b.take())
	}
	q := asking(instO+".local.", dns.TypeSRV)
	away := netip.MustParseAddrPort("[2001:db8::1]:5353")
	conflict := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: []dns.RR{rr(t, instO+".local. 120 IN SRV 0 0 1 x.local.")}}
	for _, tc := range []struct {
		what string
		from netip.AddrPort
		hops int
		m    *dns.Msg
		want bool
	}{
		{"asker of the link", peerAddr, 255, q, true},
		{"simple asker of the link", peerAddr, 1, q, true},
		{"asker of elsewhere on the link", away, 255, q, true},
		{"asker of another network", away, 64, q, true},
		{"response", peerAddr, 255, conflict, true},
		{"response of the link", peerAddr, 1, conflict, true},
		{"response of elsewhere on the link", away, 255, conflict, true},
		{"response of another network", away, 64, conflict, true},
		{"response from another port", netip.MustParseAddrPort("[fe80::99]:5354"), 255, conflict, false},
	} {
		if got := ask(tc.from, tc.hops, tc.m) > 0; got != tc.want {
			t.Errorf("%s: something done: %v", tc.what, got)
		}
	}
}
