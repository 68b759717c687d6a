package mdns

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func Test254Services(t *testing.T) {
	list := operationals(254)
	b := settled(t, []linkInfo{linkA()}, list...)
	got := b.askFor(tcp+".local.", dns.TypePTR)
	seen := map[string]bool{}
	for _, s := range got {
		// A client that processes the packets separately finds complete groups of
		// records.
		have := map[string]bool{}
		for _, r := range s.Extra {
			have[r.Header().Name+dns.TypeToString[r.Header().Rrtype]] = true
		}
		for _, r := range s.Answer {
			name := r.(*dns.PTR).Ptr
			seen[name] = true
			if !have[name+"SRV"] || !have[name+"TXT"] || !have[hostA+".local.AAAA"] {
				t.Errorf("packet lacks what belongs to %s", name)
			}
		}
	}
	if len(seen) != len(list) {
		t.Errorf("%d of %d instances answered", len(seen), len(list))
	}
	if len(got) > 32 {
		t.Errorf("%d packets", len(got))
	}
	t.Logf("%d packets, the first of %d octets", len(got), got[0].size)
}

func TestFloodIsBounded(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operationals(254)...)
	qu, err := (&dns.Msg{Question: []dns.Question{{Name: tcp + ".local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET | topBit}}}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	worked := 0
	for i := range 10_000 {
		var ip [16]byte
		copy(ip[:], addrLL.AsSlice())
		ip[15], ip[14] = byte(i), byte(i>>8)
		ip[13] = 1
		if b.receive(b.now, packet{index: 2, from: netip.AddrPortFrom(netip.AddrFrom16(ip), port), hopLimit: 255, data: qu}) {
			worked++
		}
	}
	octets := 0
	for _, s := range b.take() {
		octets += s.size
	}
	if worked > maxConcerning || octets > maxUnicast {
		t.Errorf("worked on %d questions, sent %d octets", worked, octets)
	}
	if len(b.limits.sources) > maxSources+1 {
		t.Errorf("remembers %d sources", len(b.limits.sources))
	}
	// A flood from one source does not silence others in the next second, nor, if
	// it is the only flood, in this one.
	b.now = b.now.Add(time.Second)
	for range 1000 {
		b.receive(b.now, packet{index: 2, from: peerAddr, hopLimit: 255, data: qu})
	}
	b.take()
	if got := b.askFor(hostA+".local.", dns.TypeAAAA); len(got) != 0 {
		t.Error("the one who floods is still served")
	}
	b.receiveFrom(netip.MustParseAddrPort("[fe80::42]:5353"), asking(hostA+".local.", dns.TypeAAAA))
	if len(b.take()) == 0 {
		t.Error("another asker is not served")
	}
}
