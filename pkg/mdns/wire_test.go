package mdns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestReadName(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)
	for _, tc := range []struct {
		what string
		b    string
		off  int
		want string
		end  int
		ok   bool
	}{
		{"root", "\x00", 0, "", 1, true},
		{"labels", "\x01A\x02bC\x00rest", 0, "a.bc.", 6, true},
		{"a dot is no separator", "\x03a.b\x00", 0, "a\x00b.", 5, true},
		{"bytes beyond ASCII stay", "\x02\xc3\x89\x00", 0, "\xc3\x89.", 4, true},
		{"pointer", "\x01a\x00\x01b\xc0\x00", 3, "b.a.", 7, true},
		{"pointer to a pointer", "\x01a\x00\xc0\x00\xc0\x03", 5, "a.", 7, true},
		{"longest", long + "\x3d" + strings.Repeat("b", 61) + "\x00", 0, strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + ".", 255, true},
		{"too long", long + "\x3e" + strings.Repeat("b", 62) + "\x00", 0, "", 0, false},
		{"nothing", "", 0, "", 0, false},
		{"no end", "\x01a", 0, "", 0, false},
		{"cut label", "\x05ab", 0, "", 0, false},
		{"cut pointer", "\x01a\xc0", 0, "", 0, false},
		{"pointer to itself", "\xc0\x00", 0, "", 0, false},
		{"pointer into itself", "\x01a\xc0\x00", 0, "", 0, false},
		{"pointer forward", "\xc0\x02\x01a\x00", 0, "", 0, false},
		{"loop of two", "\x01a\xc0\x04\x01b\xc0\x00", 4, "", 0, false},
		{"unknown label type", "\x40\x00", 0, "", 0, false},
	} {
		name, end, ok := readName(nil, []byte(tc.b), tc.off)
		if ok != tc.ok || (ok && (string(name) != tc.want || end != tc.end)) {
			t.Errorf("%s: %q, %d, %v; want %q, %d, %v", tc.what, name, end, ok, tc.want, tc.end, tc.ok)
		}
	}
}

// hostile returns seeds for the fuzzer and the truncation tests.
func hostile(t testing.TB) [][]byte {
	var out [][]byte
	add := func(m *dns.Msg) {
		m.Compress = true
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	q := asking(full(tcp), dns.TypePTR)
	q.Answer = []dns.RR{rr(t, full(tcp)+" 4500 IN PTR "+full(instO))}
	q.Truncated = true
	add(q)
	p := asking(full(instO), dns.TypeANY)
	p.Ns = []dns.RR{rr(t, srvOther), rr(t, full(instO)+` 4500 IN TXT "x"`)}
	add(p)
	r := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	r.Answer = []dns.RR{rr(t, srvOther), rr(t, full(tcp)+" 0 IN PTR "+full(instO)), rr(t, full(hostA)+" 120 IN AAAA fe80::9")}
	r.Extra = []dns.RR{rr(t, full(instO)+" 120 IN NSEC "+full(instO)+" TXT SRV")}
	add(r)
	return out
}

// feed passes data to an engine that announces and to one that probes, on all
// paths.
func feed(t testing.TB, data []byte) {
	for _, wait := range []time.Duration{300 * time.Millisecond, 10 * time.Second} {
		b := newBench(t, []linkInfo{linkA()}, operational(1))
		b.run(wait)
		for i, from := range []string{"[fe80::99]:5353", "[fe80::99]:9999", "192.168.1.99:5353", "[fe80::1]:5353"} {
			b.receive(b.now, packet{index: 2, family: family(i / 2 % 2), from: netip.MustParseAddrPort(from), hopLimit: 255, data: data})
			b.run(time.Second)
		}
		if n := len(b.sent); n > 100 {
			t.Errorf("%d packets sent for four", n)
		}
		b.run(2 * time.Minute)
		if n := len(b.links[2].truncated) + len(b.links[2].pending[ip6].records); n != 0 {
			t.Errorf("%d things never end", n)
		}
	}
}

func TestCutAndFlippedPackets(t *testing.T) {
	for _, data := range hostile(t) {
		for n := range data {
			feed(t, data[:n])
			flipped := bytes.Clone(data)
			flipped[n] ^= 1 << (n % 8)
			feed(t, flipped)
			flipped[n] = 0xFF
			feed(t, flipped)
		}
	}
}

func TestCountsBeyondTheBounds(t *testing.T) {
	var m message
	ok := func(b []byte) bool { return m.parse(b, func([]byte) *node { return nil }) }
	b := make([]byte, headerSize)
	if !ok(b) {
		t.Error("an empty message is refused")
	}
	for i := range 4 {
		clear(b)
		binary.BigEndian.PutUint16(b[4+2*i:], 1)
		if ok(b) {
			t.Errorf("count %d of 1 with nothing behind it", i)
		}
		binary.BigEndian.PutUint16(b[4+2*i:], 0xFFFF)
		if ok(b) {
			t.Errorf("count %d of 65535", i)
		}
	}
	if ok(make([]byte, maxPacket+1)) {
		t.Error("a packet larger than any")
	}
}

func FuzzPacket(f *testing.F) {
	for _, b := range hostile(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) { feed(t, data) })
}

// FuzzServices: every service that Validate accepts is announced and found
// unchanged.
func FuzzServices(f *testing.F) {
	f.Add("_matter._tcp", "A-1", "_IA", uint16(5540), "SII=5000", `DN=a\b"c`)
	f.Add("_x._udp", strings.Repeat("a", 63), strings.Repeat("b", 63), uint16(1), strings.Repeat("c", 255), "\x00\xff")
	f.Fuzz(func(t *testing.T, typ, instance, sub string, p uint16, txt1, txt2 string) {
		s := Service{Type: typ, Instance: instance, Subtypes: []string{sub}, Port: p, TXT: []string{txt1, txt2}}
		if s.Validate() != nil {
			return
		}
		b := settled(t, []linkInfo{linkA()}, s)
		got := b.ask(
			dns.Question{Name: sub + "._sub." + s.typeName(), Qtype: dns.TypePTR, Qclass: dns.ClassINET},
			dns.Question{Name: s.name(), Qtype: dns.TypeTXT, Qclass: dns.ClassINET},
		)
		var want []byte
		for _, item := range s.TXT {
			want = append(append(want, byte(len(item))), item...)
		}
		for _, r := range answers(got) {
			if txt, ok := r.(*dns.TXT); ok && !bytes.Equal(txtDataOf(txt.Txt), want) {
				t.Errorf("TXT %q read back as %q", s.TXT, txt.Txt)
			}
		}
		if n := len(answers(got)); n != 2 {
			t.Errorf("%d answers", n)
		}
	})
}
