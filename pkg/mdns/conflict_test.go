package mdns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// says passes the bench a response of another host.
func (b *bench) says(from netip.AddrPort, records ...string) {
	b.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	for _, text := range records {
		m.Answer = append(m.Answer, rr(b, text))
	}
	b.receiveFrom(from, m)
}

func (b *bench) stateOf(instance string) State {
	b.Helper()
	for _, s := range b.status().Interfaces[0].Services {
		if s.Instance == instance {
			return s.State
		}
	}
	b.Fatalf("no service %s", instance)
	return 0
}

const srvOther = instO + ".local. 120 IN SRV 0 0 5540 02AABBCCDD99.local."

func TestConflictWhileProbing(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operational(1), commissionable())
	b.run(400 * time.Millisecond)
	b.says(peerAddr, srvOther)
	if b.stateOf(operational(1).Instance) != Conflict {
		t.Fatalf("%+v", b.status())
	}
	b.take()
	b.run(4 * time.Second)
	for _, r := range answers(b.take()) {
		if strings.Contains(r.String(), operational(1).Instance) {
			t.Errorf("announced in spite of the conflict: %v", r)
		}
	}
	if b.stateOf(operational(1).Instance) != Conflict || b.stateOf(commissionable().Instance) != Announced || b.status().Announced() {
		t.Errorf("%+v", b.status())
	}
	// The other host leaves.
	b.run(20 * time.Second)
	if b.stateOf(operational(1).Instance) != Announced {
		t.Error("not tried again")
	}
}

func TestConflictThatStays(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operational(1))
	probed := 0
	for end := b.now.Add(10 * time.Minute); b.now.Before(end); b.run(50 * time.Millisecond) {
		for _, s := range b.take() {
			if len(s.Answer) > 0 && strings.Contains(s.Msg.String(), "SRV") {
				t.Fatalf("announced: %v", s.Msg)
			}
			for _, q := range s.Question {
				if s.family == ip6 && q.Name == full(instO) {
					probed++
					b.says(peerAddr, srvOther)
				}
			}
		}
	}
	if probed < 8 || probed > 30 {
		t.Errorf("probed %d times in ten minutes", probed)
	}
	if n := b.stats.conflicts.Load(); n != uint64(probed) {
		t.Errorf("%d conflicts, %d probes", n, probed)
	}
}

func TestSimultaneousProbes(t *testing.T) {
	const same = instO + ".local. 120 IN SRV 0 0 5540 " + hostA + ".local."
	const txt = instO + `.local. 4500 IN TXT "SII=5000" "SAI=300"`
	for _, tc := range []struct {
		what     string
		proposed []string
		lose     bool
	}{
		{"the same", []string{same, txt}, false},
		{"lower port", []string{strings.Replace(same, "5540", "5539", 1), txt}, false},
		{"higher port", []string{strings.Replace(same, "5540", "5541", 1), txt}, true},
		{"fewer records", []string{txt}, false},
		{"more records", []string{same, txt, instO + ".local. 120 IN AAAA fe80::99"}, false}, // AAAA (28) before SRV (33)
		{"greater type", []string{same, txt, instO + ".local. 120 IN NSEC a.local. A"}, true},
		{"other names", []string{"x.local. 120 IN AAAA fe80::99"}, false},
	} {
		b := newBench(t, []linkInfo{linkA()}, operational(1))
		b.run(300 * time.Millisecond)
		b.take()
		m := asking(full(instO), dns.TypeANY)
		for _, text := range tc.proposed {
			m.Ns = append(m.Ns, rr(t, text))
		}
		start := b.now
		b.receiveFrom(peerAddr, m)
		b.run(900 * time.Millisecond)
		if got := b.stateOf(operational(1).Instance); (got != Announced) != tc.lose {
			t.Errorf("%s: after 0.9 s %v", tc.what, got)
		}
		if !tc.lose {
			continue
		}
		b.take()
		b.run(10 * time.Second)
		var first time.Time
		for _, s := range b.take() {
			if !s.Response && first.IsZero() {
				first = s.at
			}
		}
		if first.Sub(start) != time.Second || b.stateOf(operational(1).Instance) != Announced {
			t.Errorf("%s: probed again after %v", tc.what, first.Sub(start))
		}
	}
}

func TestConflictWithAnnouncedName(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	b.says(peerAddr, srvOther)
	if b.stateOf(operational(1).Instance) != Probing {
		t.Fatal("no doubt about the name")
	}
	b.run(2 * time.Second)
	if b.stateOf(operational(1).Instance) != Announced {
		t.Fatal("nobody defended the name, and it is not ours")
	}
	// Repeated conflicts would silence this host.
	b.run(4 * time.Second)
	b.take()
	b.says(peerAddr, srvOther)
	b.says(peerAddr, srvOther)
	if b.stateOf(operational(1).Instance) != Announced {
		t.Error("gave way once more within ten seconds")
	}
	b.run(500 * time.Millisecond)
	wantRecords(t, "defence", answers(b.take()), instO+" SRV 0 0 5540 "+hostA, instO+` TXT "SII=5000" "SAI=300"`)
}

func TestNotAConflict(t *testing.T) {
	own := netip.AddrPortFrom(addrLL, port)
	for what, tc := range map[string]struct {
		from netip.AddrPort
		rec  string
	}{
		"the same":                    {peerAddr, instO + ".local. 120 IN SRV 0 0 5540 " + hostA + ".local."},
		"the same in other letters":   {peerAddr, strings.ToLower(instO) + ".LOCAL. 120 IN SRV 0 0 5540 " + strings.ToLower(hostA) + ".local."},
		"a goodbye":                   {peerAddr, strings.Replace(srvOther, "120", "0", 1)},
		"another type":                {peerAddr, instO + ".local. 120 IN AAAA fe80::99"},
		"another class":               {peerAddr, instO + ".local. 120 CH SRV 0 0 1 x.local."},
		"an instance of the type":     {peerAddr, tcp + ".local. 4500 IN PTR other._matter._tcp.local."},
		"this host, by another stack": {own, hostA + ".local. 120 IN AAAA fe80::1234"},
	} {
		b := settled(t, []linkInfo{linkA()}, operational(1))
		b.says(tc.from, tc.rec)
		b.run(time.Second)
		if b.stats.conflicts.Load() != 0 || len(b.take()) != 0 {
			t.Errorf("%s: taken for a conflict", what)
		}
	}
}

func TestHostNameConflict(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operational(1))
	b.run(300 * time.Millisecond)
	b.says(peerAddr, hostA+".local. 120 IN AAAA fe80::99")
	b.run(10 * time.Second)
	s := b.status()
	host := s.Interfaces[0].Host
	if !s.Announced() || host == full(hostA) || len(host) != len(full(hostA)) {
		t.Fatalf("%+v", s)
	}
	wantRecords(t, "SRV", answers(b.askFor(full(instO), dns.TypeSRV)), instO+" SRV 0 0 5540 "+strings.TrimSuffix(host, ".local."))
	// A host that claims every name does not cause a busy loop.
	b = newBench(t, []linkInfo{linkA()}, operational(1))
	for end := b.now.Add(10 * time.Minute); b.now.Before(end); b.run(50 * time.Millisecond) {
		for _, s := range b.take() {
			for _, q := range s.Question {
				if s.family == ip6 && !strings.Contains(q.Name, "_") {
					b.says(peerAddr, q.Name+" 120 IN AAAA fe80::99")
				}
			}
		}
	}
	if n := b.stats.conflicts.Load(); n < 5 || n > 30 {
		t.Errorf("%d host names in ten minutes", n)
	}
}

func TestHostNameConflictWhenAnnounced(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	b.says(peerAddr, hostA+".local. 120 IN AAAA fe80::99")
	b.run(300 * time.Millisecond)
	b.says(peerAddr, hostA+".local. 120 IN AAAA fe80::99") // it defends the name
	b.run(10 * time.Second)
	if s := b.status(); !s.Announced() || s.Interfaces[0].Host == full(hostA) {
		t.Fatalf("%+v", s)
	}
}

// TestFarewellByAnother: another responder of this host ends and withdraws the
// shared host records, which are still needed (RFC 6762, section 6.6).
func TestFarewellByAnother(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	b.says(netip.AddrPortFrom(addrLL, port),
		hostA+".local. 0 IN AAAA fe80::1", tcp+".local. 0 IN PTR "+instO+".local.", tcp+".local. 2000 IN PTR "+instO+".local.")
	b.run(time.Second)
	wantRecords(t, "rescued", answers(b.take()), hostA+" AAAA fe80::1", tcp+" PTR "+instO)
	if b.stats.conflicts.Load() != 0 {
		t.Error("a conflict")
	}
}

// TestRescueWithinASecond: a goodbye of another responder takes effect after one
// second, even if the record was sent just before (RFC 6762, section 10.1).
func TestRescueWithinASecond(t *testing.T) {
	b := settled(t, []linkInfo{linkA()}, operational(1))
	own := netip.AddrPortFrom(addrLL, port)
	for range 3 {
		if len(b.askFor(full(hostA), dns.TypeAAAA)) != 1 {
			t.Fatal("the host record is not answered")
		}
		b.says(own, hostA+".local. 0 IN AAAA fe80::1")
		b.run(900 * time.Millisecond)
		wantRecords(t, "rescued", answers(b.take()), hostA+" AAAA fe80::1")
		b.run(10 * time.Second)
		b.take()
	}
	// Two hosts that contradict each other do not flood the network.
	n := 0
	for end := b.now.Add(10 * time.Minute); b.now.Before(end); b.run(50 * time.Millisecond) {
		got := b.take()
		n += len(got)
		if len(got) > 0 {
			b.says(own, hostA+".local. 0 IN AAAA fe80::1")
		}
		if n == 0 {
			b.says(own, hostA+".local. 0 IN AAAA fe80::1")
		}
	}
	if n < 3 || n > 40 {
		t.Errorf("%d packets in ten minutes", n)
	}
}

func TestOwnPacketsComeBack(t *testing.T) {
	b := newBench(t, []linkInfo{linkA()}, operationals(254)...)
	for range 100 {
		b.run(100 * time.Millisecond)
		for _, s := range b.take() {
			b.receive(b.now, packet{index: 2, family: s.family, from: netip.AddrPortFrom(addrLL, port), hopLimit: 255, data: s.data})
		}
	}
	if s := b.status(); !s.Announced() || b.stats.conflicts.Load() != 0 || b.stats.dropped.Load() != 0 {
		t.Errorf("own packets disturb: %+v", b.stats.snapshot())
	}
}
