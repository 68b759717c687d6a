package mdns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// discard counts packets and drops them.
type discard struct{ packets *int }

func (discard) join(int, family) error { return nil }
func (discard) leave(int, family)      {}

func (d discard) send(int, family, netip.AddrPort, netip.Addr, []byte) error {
	*d.packets++
	return nil
}

func packed(b *testing.B, m *dns.Msg) []byte {
	b.Helper()
	m.Compress = true
	data, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkForeignQuery measures questions and answers of others, of which a home
// has many.
func BenchmarkForeignQuery(b *testing.B) {
	query := &dns.Msg{}
	response := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	for i := range 10 {
		name := fmt.Sprintf("_service%d._tcp.local.", i)
		query.Question = append(query.Question, dns.Question{Name: name, Qtype: dns.TypePTR, Qclass: dns.ClassINET})
		query.Answer = append(query.Answer, rr(b, name+" 4500 IN PTR thing."+name))
		response.Answer = append(response.Answer, rr(b, name+" 4500 IN PTR thing."+name), rr(b, "thing."+name+" 120 IN SRV 0 0 80 thing.local."))
	}
	for what, m := range map[string]*dns.Msg{"query": query, "response": response} {
		for _, n := range []int{1, 254} {
			b.Run(fmt.Sprintf("%s/services=%d", what, n), func(b *testing.B) {
				e := settled(b, []linkInfo{linkA()}, operationals(n)...)
				p := packet{index: 2, from: peerAddr, hopLimit: 255, data: packed(b, m)}
				b.ReportAllocs()
				for b.Loop() {
					e.now = e.now.Add(time.Millisecond)
					if e.receive(e.now, p) {
						b.Fatal("taken for ours")
					}
				}
			})
		}
	}
}

// BenchmarkTypeQuery measures a complete answer to a controller that looks for all
// nodes.
func BenchmarkTypeQuery(b *testing.B) {
	for _, n := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			e := settled(b, []linkInfo{linkA()}, operationals(n)...)
			p := packet{index: 2, from: peerAddr, hopLimit: 255, data: packed(b, asking(full(tcp), dns.TypePTR))}
			packets := 0
			e.engine.net = discard{&packets}
			b.ReportAllocs()
			for b.Loop() {
				e.now = e.now.Add(2 * time.Second)
				e.receive(e.now, p)
				e.now = e.now.Add(jitterMax)
				e.advance(e.now)
			}
			b.ReportMetric(float64(packets)/float64(b.N), "packets/op")
		})
	}
}

// BenchmarkInstanceQuery measures the question that a controller asks before every
// session.
func BenchmarkInstanceQuery(b *testing.B) {
	e := settled(b, []linkInfo{linkA()}, operationals(254)...)
	p := packet{index: 2, from: peerAddr, hopLimit: 255, data: packed(b, asking(full(instO), dns.TypeSRV))}
	packets := 0
	e.engine.net = discard{&packets}
	b.ReportAllocs()
	for b.Loop() {
		e.now = e.now.Add(2 * time.Second)
		e.receive(e.now, p)
	}
}
