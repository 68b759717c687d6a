package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// served returns a served interface with addresses such as "fd00::1/64"; "-" marks
// a temporary or deprecated one.
func served(addrs ...string) host.Interface {
	i := host.Interface{Name: "eth0", Index: 2, MTU: 1500, HardwareAddr: []byte{2, 0xAA, 0xBB, 0xCC, 0xDD, 1}, Candidate: true, Use: true}
	for _, a := range addrs {
		text, passing := strings.CutPrefix(a, "-")
		i.Addrs = append(i.Addrs, host.Address{Prefix: netip.MustParsePrefix(text), Passing: passing})
	}
	return i
}

func TestWhichAddressesArePublished(t *testing.T) {
	for what, tc := range map[string]struct {
		addrs, want []string
	}{
		"all kinds, in order": {[]string{"10.0.0.1/24", "2001:db8::1/64", "fd00::1/64", "fe80::1/64"}, []string{"fe80::1", "fd00::1", "2001:db8::1", "10.0.0.1"}},
		"passing":             {[]string{"fe80::1/64", "-fd00::1/64"}, []string{"fe80::1"}},
		"loopback":            {[]string{"fe80::1/64", "::1/128", "127.0.0.1/8"}, []string{"fe80::1"}},
	} {
		info := infoOf(served(tc.addrs...))
		var got []string
		for _, a := range info.addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, tc.want) || info.reason != "" || info.host != hostA {
			t.Errorf("%s: published %v of %q, reason %q; want %v", what, got, info.host, info.reason, tc.want)
		}
		if len(info.own) != len(tc.addrs) {
			t.Errorf("%s: own %v", what, info.own)
		}
	}
}

func TestWhichInterfacesAreFollowed(t *testing.T) {
	down, foreign := served("fe80::1/64"), served("fe80::2/64")
	down.Use, down.Reason = false, "down"
	foreign.Index, foreign.Candidate, foreign.Use, foreign.Reason = 3, false, false, "a container bridge by its name"
	var f follower
	got := f.links([]host.Interface{down, foreign})
	if len(got) != 1 || got[0].reason != "down" || len(got[0].addrs) != 0 || got[0].flapped {
		t.Fatalf("%+v", got)
	}
	for _, step := range []struct {
		downs uint64
		want  bool
	}{{1, true}, {1, false}, {3, true}, {3, false}} {
		up := served("fe80::1/64")
		up.Downs = step.downs
		if got := f.links([]host.Interface{up}); got[0].flapped != step.want {
			t.Errorf("down %d times: flapped %v", step.downs, got[0].flapped)
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	var addrs []string
	for i := range 100 {
		addrs = append(addrs, fmt.Sprintf("fd00::%x/64", i), fmt.Sprintf("10.0.0.%d/24", i))
	}
	info := infoOf(served(addrs...))
	if n := len(info.addrs); n != maxAddrs6+maxAddrs4 {
		t.Errorf("%d addresses published", n)
	}
	// Even these fit into one packet with the largest service.
	info.mtu = 1280
	s := commissionable()
	s.TXT = []string{strings.Repeat("a", 255), strings.Repeat("b", 255), strings.Repeat("c", 87)}
	for len(s.Subtypes) < maxSubtypes {
		s.Subtypes = append(s.Subtypes, fmt.Sprintf("_X%d", len(s.Subtypes)))
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	b := settled(t, []linkInfo{info}, s)
	for _, p := range b.askFor(s.typeName(), dns.TypePTR) {
		if p.size > 1280-48 {
			t.Errorf("a packet of %d octets", p.size)
		}
	}
}

func TestLinkLayerOnLink(t *testing.T) {
	info := linkA()
	for a, want := range map[string]bool{
		"fe80::77": true, "fe80::77%eth0": true, "fd00::5": true, "fd01::5": false,
		"192.168.1.3": true, "192.168.2.3": false, "169.254.3.4": true, "2001:db8::1": false,
	} {
		if got := info.onLink(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}
