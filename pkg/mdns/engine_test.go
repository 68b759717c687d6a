package mdns

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// sent is a packet that the engine sent.
type sent struct {
	at     time.Time
	index  int
	family family
	to     netip.AddrPort
	from   netip.Addr // the zero Addr: chosen by the kernel
	size   int
	data   []byte
	*dns.Msg
}

// bench runs an engine in fake time, with a network that records what is sent.
type bench struct {
	testing.TB
	*engine
	now       time.Time
	sent      []sent
	member    map[[2]int]bool
	failing   bool // every send fails
	failingOn int  // on this link only, if not 0
}

func (b *bench) join(index int, f family) error {
	b.member[[2]int{index, int(f)}] = true
	return nil
}

func (b *bench) leave(index int, f family) { delete(b.member, [2]int{index, int(f)}) }

func (b *bench) sendPacket(index int, f family, to netip.AddrPort, from netip.Addr, data []byte) error {
	if b.failing && (b.failingOn == 0 || b.failingOn == index) {
		return fmt.Errorf("no network")
	}
	m := new(dns.Msg)
	if err := m.Unpack(data); err != nil {
		b.Fatalf("sent what cannot be read: %v", err)
	}
	if len(data) > 1400 {
		b.Errorf("sent a packet of %d octets", len(data))
	}
	b.sent = append(b.sent, sent{b.now, index, f, to, from, len(data), slices.Clone(data), m})
	return nil
}

// fakeNet is the network of a bench. It has its own method send.
type fakeNet struct{ *bench }

func (n fakeNet) send(index int, f family, to netip.AddrPort, from netip.Addr, data []byte) error {
	return n.sendPacket(index, f, to, from, data)
}

const (
	hostA = "02AABBCCDD01"
	cfid  = "87E1B004E235A130"
)

var (
	addrLL  = netip.MustParseAddr("fe80::1")
	addrULA = netip.MustParseAddr("fd00::1")
	addr4   = netip.MustParseAddr("192.168.1.10")

	peerAddr = netip.MustParseAddrPort("[fe80::99]:5353")
	peer4    = netip.MustParseAddrPort("192.168.1.99:5353")
)

func linkA() linkInfo {
	return linkInfo{
		name: "eth0", index: 2, mtu: 1500, host: hostA,
		addrs:    []netip.Addr{addrLL, addrULA, addr4},
		own:      []netip.Addr{addrLL, addrULA, addr4},
		prefixes: []netip.Prefix{netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("192.168.1.0/24")},
	}
}

func commissionable() Service {
	return Service{
		Type: "_matterc._udp", Instance: "DD200C20D25AE5F7", Port: 5540,
		Subtypes: []string{"_S15", "_L3840", "_V65521", "_CM"},
		TXT:      []string{"D=3840", "CM=1", "VP=65521+32769", `DN=a\b "é"`},
	}
}

func operational(node uint64) Service {
	return Service{
		Type: "_matter._tcp", Instance: fmt.Sprintf("%s-%016X", cfid, node), Port: 5540,
		Subtypes: []string{"_I" + cfid}, TXT: []string{"SII=5000", "SAI=300"},
	}
}

func operationals(n int) []Service {
	out := make([]Service, n)
	for i := range out {
		out[i] = operational(uint64(i + 1))
	}
	return out
}

func newBench(t testing.TB, links []linkInfo, services ...Service) *bench {
	b := &bench{TB: t, now: time.Unix(1_000_000, 0), member: make(map[[2]int]bool)}
	b.engine = newEngine(fakeNet{b}, slog.New(slog.DiscardHandler), rand.New(rand.NewPCG(1, 2)))
	b.setServices(b.now, services)
	b.setLinks(b.now, links)
	return b
}

// settled is newBench after the announcements, whose packets are removed.
func settled(t testing.TB, links []linkInfo, services ...Service) *bench {
	b := newBench(t, links, services...)
	b.run(10 * time.Second)
	if s := b.status(); len(services) > 0 && !s.Announced() {
		t.Fatalf("not announced: %+v", s)
	}
	b.run(10 * time.Second)
	b.take()
	return b
}

// run advances the time and meets every deadline.
func (b *bench) run(d time.Duration) {
	end := b.now.Add(d)
	for n := 0; ; n++ {
		at := b.deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 10_000 {
			b.Fatal("the engine does not come to rest")
		}
		if at.After(b.now) {
			b.now = at
		}
		b.advance(b.now)
	}
	b.now = end
}

func (b *bench) take() []sent {
	out := b.sent
	b.sent = nil
	return out
}

// receiveFrom passes the engine a packet of another host.
func (b *bench) receiveFrom(from netip.AddrPort, m *dns.Msg) {
	b.Helper()
	data, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	f := ip6
	if from.Addr().Is4() {
		f = ip4
	}
	b.receive(b.now, packet{index: 2, family: f, from: from, hopLimit: 255, data: data})
	b.advance(b.now)
}

func asking(name string, typ uint16) *dns.Msg {
	m := new(dns.Msg)
	m.Question = []dns.Question{{Name: name, Qtype: typ, Qclass: dns.ClassINET}}
	return m
}

// ask sends questions and returns the answers within half a second.
func (b *bench) ask(questions ...dns.Question) []sent {
	b.Helper()
	b.take()
	b.receiveFrom(peerAddr, &dns.Msg{Question: questions})
	b.run(500 * time.Millisecond)
	return b.take()
}

func (b *bench) askFor(name string, typ uint16) []sent {
	b.Helper()
	return b.ask(dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET})
}

// brief returns a record as "name type data", without common parts.
func brief(rr dns.RR) string {
	h := rr.Header()
	data := strings.TrimPrefix(rr.String(), h.String())
	return strings.TrimSuffix(h.Name, ".local.") + " " + dns.TypeToString[h.Rrtype] + " " + strings.TrimSuffix(data, ".local.")
}

func briefs(list []dns.RR) []string {
	var out []string
	for _, rr := range list {
		out = append(out, brief(rr))
	}
	slices.Sort(out)
	return out
}

func wantRecords(t testing.TB, what string, got []dns.RR, want ...string) {
	t.Helper()
	slices.Sort(want)
	if g := briefs(got); !slices.Equal(g, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(g, "\n     "), strings.Join(want, "\n     "))
	}
}

// answers returns the answer sections of packets.
func answers(list []sent) []dns.RR {
	var out []dns.RR
	for _, s := range list {
		out = append(out, s.Answer...)
	}
	return out
}

func extras(list []sent) []dns.RR {
	var out []dns.RR
	for _, s := range list {
		out = append(out, s.Extra...)
	}
	return out
}

func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// full returns the full name of a name in the tables, which omit the domain.
func full(name string) string {
	if name == "local" {
		return domain
	}
	return name + "." + domain
}
