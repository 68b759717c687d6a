package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

func TestWhichAddressesArePublished(t *testing.T) {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	attrs := netlink.LinkAttrs{Flags: net.FlagUp | net.FlagMulticast, RawFlags: up}
	type address struct {
		prefix string
		flags  int
	}
	ll := address{"fe80::1/64", unix.IFA_F_PERMANENT}
	for _, tc := range []struct {
		what   string
		change func(*netlink.LinkAttrs)
		addrs  []address
		want   []string
		reason string
	}{
		{"all kinds, in order", nil, []address{{"10.0.0.1/24", unix.IFA_F_PERMANENT}, {"2001:db8::1/64", 0}, {"fd00::1/64", unix.IFA_F_MANAGETEMPADDR}, ll},
			[]string{"fe80::1", "fd00::1", "2001:db8::1", "10.0.0.1"}, ""},
		{"tentative", nil, []address{ll, {"fd00::1/64", unix.IFA_F_TENTATIVE}}, []string{"fe80::1"}, ""},
		{"optimistic", nil, []address{ll, {"fd00::1/64", unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC}}, []string{"fe80::1"}, ""},
		{"deprecated", nil, []address{ll, {"fd00::1/64", unix.IFA_F_DEPRECATED}}, []string{"fe80::1"}, ""},
		{"temporary", nil, []address{ll, {"fd00::1/64", unix.IFA_F_TEMPORARY}}, []string{"fe80::1"}, ""},
		{"duplicate", nil, []address{ll, {"fd00::1/64", unix.IFA_F_DADFAILED}}, []string{"fe80::1"}, ""},
		{"secondary IPv4", nil, []address{ll, {"10.0.0.2/24", unix.IFA_F_SECONDARY}}, []string{"fe80::1", "10.0.0.2"}, ""}, // the same bit as temporary
		{"loopback", nil, []address{ll, {"::1/128", 0}, {"127.0.0.1/8", 0}}, []string{"fe80::1"}, ""},
		{"IPv4 only", nil, []address{{"10.0.0.1/24", 0}}, nil, "no usable IPv6 address"},
		{"still tentative", nil, []address{{"fe80::1/64", unix.IFA_F_TENTATIVE}}, nil, "no usable IPv6 address"},
		{"down", func(a *netlink.LinkAttrs) { a.RawFlags = 0 }, []address{ll}, nil, "down"},
		{"no carrier", func(a *netlink.LinkAttrs) { a.RawFlags = unix.IFF_UP }, []address{ll}, nil, "down"},
		{"no multicast", func(a *netlink.LinkAttrs) { a.Flags = net.FlagUp }, []address{ll}, nil, "multicast"},
	} {
		a := attrs
		if tc.change != nil {
			tc.change(&a)
		}
		var info linkInfo
		for _, addr := range tc.addrs {
			n, err := netlink.ParseIPNet(addr.prefix)
			if err != nil {
				t.Fatal(err)
			}
			info.addAddr(netlink.Addr{IPNet: n, Flags: addr.flags})
		}
		info.finish(&a)
		var got []string
		for _, addr := range info.addrs {
			got = append(got, addr.String())
		}
		if !slices.Equal(got, tc.want) || !strings.Contains(info.reason, tc.reason) || (info.reason == "") != (tc.reason == "") {
			t.Errorf("%s: published %v, reason %q; want %v, %q", tc.what, got, info.reason, tc.want, tc.reason)
		}
		if len(info.own) != len(tc.addrs) {
			t.Errorf("%s: own %v", tc.what, info.own)
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	var info linkInfo
	for i := range 100 {
		for _, prefix := range []string{fmt.Sprintf("fd00::%x/64", i), fmt.Sprintf("10.0.0.%d/24", i)} {
			n, err := netlink.ParseIPNet(prefix)
			if err != nil {
				t.Fatal(err)
			}
			info.addAddr(netlink.Addr{IPNet: n})
		}
	}
	info.finish(&netlink.LinkAttrs{Flags: net.FlagMulticast, RawFlags: unix.IFF_UP | unix.IFF_RUNNING})
	if n := len(info.addrs); n != maxAddrs6+maxAddrs4 {
		t.Errorf("%d addresses published", n)
	}
	// Even these fit into one packet with the largest service.
	info.mtu, info.host = 1280, hostA
	s := commissionable()
	s.TXT = []string{strings.Repeat("a", 255), strings.Repeat("b", 255), strings.Repeat("c", 87)}
	for len(s.Subtypes) < maxSubtypes {
		s.Subtypes = append(s.Subtypes, fmt.Sprintf("_X%d", len(s.Subtypes)))
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	info.index = 2
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

// TestPassingAddressesOfTheKernel: what the kernel calls tentative and
// deprecated is seen as such.
func TestPassingAddressesOfTheKernel(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	for file, text := range map[string]string{"accept_dad": "1", "dad_transmits": "10"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/"+file, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	fresh := netip.MustParseAddr("fd00:1::1")
	if err := netlink.AddrAdd(lab.Link("eth0"), &netlink.Addr{IPNet: &net.IPNet{IP: fresh.AsSlice(), Mask: net.CIDRMask(64, 128)}}); err != nil {
		t.Fatal(err)
	}
	look := func() linkInfo {
		infos, err := scan(nil)
		if err != nil || len(infos) != 1 {
			t.Fatalf("%v, %v", infos, err)
		}
		return infos[0]
	}
	if i := look(); !slices.Contains(i.own, fresh) || slices.Contains(i.addrs, fresh) {
		t.Errorf("during duplicate address detection: %+v", i)
	}
	lab.AddAddr("eth0", "fd00:2::1/64")
	r := start(t, operational(1))
	second := netip.MustParseAddr("fd00:2::1")
	published := func() bool {
		s := r.Status()
		return len(s.Interfaces) == 1 && slices.Contains(s.Interfaces[0].Addrs, second)
	}
	until(t, "the address", published)
	// Its prefix is no longer announced by the router.
	old := &netlink.Addr{IPNet: &net.IPNet{IP: second.AsSlice(), Mask: net.CIDRMask(64, 128)}, ValidLft: 1000, PreferedLft: 0, Flags: unix.IFA_F_NODAD}
	if err := netlink.AddrReplace(lab.Link("eth0"), old); err != nil {
		t.Fatal(err)
	}
	until(t, "the deprecated address gone", func() bool { return !published() })
	if got := scanAllowed(t, func(name string) bool { return name != "eth0" }); len(got) != 0 {
		t.Errorf("an interface that is not allowed: %v", got)
	}
}

func scanAllowed(t *testing.T, allowed func(string) bool) []linkInfo {
	t.Helper()
	infos, err := scan(allowed)
	if err != nil {
		t.Fatal(err)
	}
	return infos
}
