package transport

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	const up = net.FlagUp | net.FlagMulticast | net.FlagBroadcast
	ll := []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("fe80::1")}
	v4 := ll[:1]
	links := map[string]Link{}
	add := func(name string, flags net.Flags, addrs []netip.Addr) {
		links[name] = Link{Name: name, Index: len(links) + 1, Flags: flags, Addrs: addrs}
	}
	add("lo", net.FlagUp|net.FlagLoopback, []netip.Addr{netip.IPv6LinkLocalAllNodes(), netip.MustParseAddr("::1")})
	add("eth0", up, ll)
	add("bond1", up, ll)
	add("br0", up, ll) // a home server's own bridge, not a container's
	add("eth9", up, v4)
	add("wlan0", net.FlagMulticast, ll)
	add("docker0", up, ll)
	add("docker_gwbridge", up, ll)
	add("br-0a1b2c", up, ll)
	add("vethdeadbee", up, ll)
	add("virbr0", up, ll)
	add("tun0", up|net.FlagPointToPoint, ll)
	add("wg0", up, ll)
	add("tailscale0", up, ll)
	add("gre7", up|net.FlagPointToPoint, ll)
	add("can0", net.FlagUp, ll)

	for _, tc := range []struct {
		names []string
		use   map[string]string // name: word of the reason; everything else is unused
	}{
		{nil, map[string]string{"eth0": "up", "bond1": "up", "br0": "up"}},
		{[]string{"eth0"}, map[string]string{"eth0": "named"}},
		{[]string{"docker0", "gre7", "wlan0", "eth9", "lo", "can0"}, map[string]string{"docker0": "named", "gre7": "named"}},
	} {
		var all []Link
		for _, l := range links {
			all = append(all, l)
		}
		for _, got := range Choose(all, tc.names) {
			word, use := tc.use[got.Name]
			if got.Use != use || !strings.Contains(got.Reason, word) {
				t.Errorf("names %v: %s: use %v, reason %q", tc.names, got.Name, got.Use, got.Reason)
			}
			if got.Reason == "" {
				t.Errorf("names %v: %s: no reason", tc.names, got.Name)
			}
		}
	}
}

func TestChooseReasons(t *testing.T) {
	const up = net.FlagUp | net.FlagMulticast
	ll := []netip.Addr{netip.MustParseAddr("fe80::1")}
	for _, tc := range []struct {
		link  Link
		names []string
		want  string
	}{
		{Link{Name: "eth0", Addrs: ll}, nil, "down"},
		{Link{Name: "eth0", Flags: net.FlagUp, Addrs: ll}, nil, "multicast"},
		{Link{Name: "eth0", Flags: up}, nil, "link-local"},
		{Link{Name: "eth0", Flags: up}, []string{"eth0"}, "link-local"},
		{Link{Name: "eth0", Flags: up, Addrs: ll}, []string{"eth1"}, "not among"},
		{Link{Name: "docker0", Flags: up, Addrs: ll}, nil, "container"},
		{Link{Name: "wg0", Flags: up, Addrs: ll}, nil, "VPN"},
		{Link{Name: "lo", Flags: up | net.FlagLoopback}, nil, "loopback"},
	} {
		got := Choose([]Link{tc.link}, tc.names)[0]
		if got.Use || !strings.Contains(got.Reason, tc.want) {
			t.Errorf("%s %v: use %v, reason %q, want %q in it", tc.link.Name, tc.names, got.Use, got.Reason, tc.want)
		}
	}
	missing := Choose(nil, []string{"eth7"})
	if len(missing) != 1 || missing[0].Use || missing[0].Name != "eth7" || !strings.Contains(missing[0].Reason, "no such") {
		t.Errorf("a name that is not there: %+v", missing)
	}
}

func TestServes(t *testing.T) {
	auto, named := Serves(nil), Serves([]string{"wg0"})
	for name, want := range map[string][2]bool{"eth0": {true, false}, "wg0": {false, true}, "br-12": {false, false}} {
		if got := [2]bool{auto(name), named(name)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestInterfacesOfThisHost(t *testing.T) {
	all, err := Interfaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Name == "lo" {
			if i.Use || i.Index == 0 || len(i.Addrs) == 0 {
				t.Errorf("lo: %+v", i)
			}
			return
		}
	}
	t.Error("no loopback found")
}
