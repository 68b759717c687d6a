package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

// searchIn returns a search in the peer's namespace.
func searchIn(t *testing.T, lab *netlab.Lab, s Service, names ...string) *search {
	t.Helper()
	var links []InterfaceStatus
	for _, name := range names {
		links = append(links, InterfaceStatus{Name: name, Index: lab.Index(name)})
	}
	var q *search
	var err error
	lab.Do(func() { q, err = newSearch(links, s) })
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestResolve(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	for _, name := range []string{"eth0", "eth1"} {
		lab.Join(name)
	}
	lab.AddAddr("eth0", "fd00:1::a/64")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	r := start(t, operational(1), operational(2))
	untilAnnounced(t, r)

	asked := time.Now()
	got, err := searchIn(t, lab, operational(2), "eth0", "eth1").run(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	// One link-local address on each link, then the others, IPv4 last.
	if len(got) != 4 || got[0].Addr().Zone()+got[1].Addr().Zone() != "eth0eth1" && got[0].Addr().Zone()+got[1].Addr().Zone() != "eth1eth0" || got[2].Addr() != netip.MustParseAddr("fd00:1::a") ||
		got[3].Addr() != netip.MustParseAddr("10.0.1.1") || slices.ContainsFunc(got, func(a netip.AddrPort) bool { return a.Port() != 5540 }) {
		t.Errorf("found %v", got)
	}
	for _, a := range got[:2] {
		if !a.Addr().IsLinkLocalUnicast() {
			t.Errorf("%v is not link-local", a)
		}
	}
	t.Logf("found after %v", time.Since(asked))

	if _, err := searchIn(t, lab, operational(3), "eth0").run(within(t, 300*time.Millisecond)); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody is there: %v", err)
	}
	// A node on the same host is found too.
	if got, err := r.Resolve(within(t, patience), operational(1)); err != nil || len(got) != 4 {
		t.Errorf("the node itself: %v, %v", got, err)
	}
}

// A lost question is sent again.
func TestResolveAsksAgain(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	q := searchIn(t, lab, operational(1), "eth0")
	l := listenTo(t, lab, "eth0")
	go func() {
		if m := <-l.in; m == nil || m.Response {
			t.Errorf("the first packet: %v", m)
		}
		start(t, operational(1))
	}()
	if got, err := q.run(within(t, patience)); err != nil || len(got) != 1 {
		t.Errorf("found %v, %v", got, err)
	}
}

func TestResolveWithoutInterface(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	netlab.New(t)
	r := start(t)
	if _, err := r.Resolve(within(t, patience), operational(1)); err == nil {
		t.Error("found without a network")
	}
}

// The effect of each answer on a search.
func TestResolveAnswers(t *testing.T) {
	const index = 7
	name, host := operational(1).name(), "B75AFB458ECD.local."
	srv := &dns.SRV{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSRV, Class: dns.ClassINET | topBit, Ttl: 120}, Port: 5540, Target: host}
	aaaa := func(a string) dns.RR {
		return &dns.AAAA{Hdr: dns.RR_Header{Name: "b75afb458ecd.LOCAL.", Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: 120}, AAAA: net.ParseIP(a)}
	}
	answer := func(change func(m *dns.Msg, p *packet), records ...dns.RR) packet {
		m := dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: records}
		p := packet{index: index, from: netip.MustParseAddrPort("[fe80::1]:5353"), hopLimit: 255}
		if change != nil {
			change(&m, &p)
		}
		var err error
		if p.data, err = m.Pack(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	gone := dns.Copy(srv)
	gone.Header().Ttl = 0
	other := dns.Copy(srv)
	other.Header().Name = operational(2).name()
	none := dns.Copy(srv).(*dns.SRV)
	none.Port = 0
	for what, tt := range map[string]struct {
		packets []packet
		want    string
	}{
		"all in one":          {[]packet{answer(nil, srv, aaaa("fe80::5"))}, "[fe80::5%eth7]:5540"},
		"address first":       {[]packet{answer(nil, aaaa("fe80::5"), srv)}, "[fe80::5%eth7]:5540"},
		"in two":              {[]packet{answer(nil, srv), answer(nil, aaaa("fe80::5"))}, "[fe80::5%eth7]:5540"},
		"global":              {[]packet{answer(nil, srv, aaaa("2001:db8::5"))}, "[2001:db8::5]:5540"},
		"address of nobody":   {[]packet{answer(nil, aaaa("fe80::5"))}, ""},
		"goodbye":             {[]packet{answer(nil, gone, aaaa("fe80::5"))}, ""},
		"another service":     {[]packet{answer(nil, other, aaaa("fe80::5"))}, ""},
		"no port":             {[]packet{answer(nil, none, aaaa("fe80::5"))}, ""},
		"useless addresses":   {[]packet{answer(nil, srv, aaaa("::"), aaaa("::1"), aaaa("ff02::1"), aaaa("::ffff:1.2.3.4"))}, ""},
		"a question":          {[]packet{answer(func(m *dns.Msg, _ *packet) { m.Response = false }, srv, aaaa("fe80::5"))}, ""},
		"from another port":   {[]packet{answer(func(_ *dns.Msg, p *packet) { p.from = netip.MustParseAddrPort("[fe80::1]:999") }, srv, aaaa("fe80::5"))}, ""},
		"hop limit 1":         {[]packet{answer(func(_ *dns.Msg, p *packet) { p.hopLimit = 1 }, srv, aaaa("fe80::5"))}, "[fe80::5%eth7]:5540"},
		"on another link":     {[]packet{answer(func(_ *dns.Msg, p *packet) { p.index = 8 }, srv, aaaa("fe80::5"))}, ""},
		"the first SRV stays": {[]packet{answer(nil, srv), answer(nil, &dns.SRV{Hdr: srv.Hdr, Port: 1, Target: "evil.local."}, aaaa("fe80::5"))}, "[fe80::5%eth7]:5540"},
	} {
		q := &search{name: name, links: map[int]*searchLink{index: {zone: "eth7"}}}
		for _, p := range tt.packets {
			q.receive(p)
			for n := range p.data { // hostile input has no effect
				cut := p
				cut.data = p.data[:n]
				(&search{name: q.name, links: map[int]*searchLink{index: {}}}).receive(cut)
			}
		}
		got := ""
		if list := q.found(); len(list) > 0 {
			got = list[0].String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
	// A search ends with enough addresses, however many there are.
	q := &search{name: name, links: map[int]*searchLink{index: {zone: "eth7"}}}
	q.receive(answer(nil, srv))
	for i := range 100 {
		q.receive(answer(nil, aaaa(netip.AddrFrom16([16]byte{0xFE, 0x80, 15: byte(i + 1)}).String())))
	}
	if n := len(q.found()); n != maxHostAddrs {
		t.Errorf("%d addresses", n)
	}
}
