package host

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	const up = net.FlagUp | net.FlagRunning | net.FlagMulticast | net.FlagBroadcast
	ll := []Address{address("192.168.1.2/24"), address("fe80::1/64")}
	v4 := ll[:1]
	links := map[string]Interface{}
	add := func(name string, flags net.Flags, addrs []Address) {
		links[name] = Interface{Name: name, Index: len(links) + 1, Flags: flags, Addrs: addrs}
	}
	add("lo", net.FlagUp|net.FlagLoopback, []Address{address("::1/128")})
	add("eth0", up, ll)
	add("bond1", up, ll)
	add("br0", up, ll) // a home server's own bridge, not a container's
	add("eth9", up, v4)
	add("wlan0", net.FlagMulticast, ll)
	add("docker0", up, ll)
	add("docker_gwbridge", up, ll)
	add("br-0a1b2c3d4e5f", up, ll)
	add("vethdeadbee", up, ll)
	add("virbr0", up, ll)
	add("tun0", up|net.FlagPointToPoint, ll)
	add("wg0", up, ll)
	add("tailscale0", up, ll)
	add("gre7", up|net.FlagPointToPoint, ll)
	add("can0", net.FlagUp, ll)

	for _, tc := range []struct {
		names []string
		use   map[string]string // name and a word of the reason; all others are not used
	}{
		{nil, map[string]string{"eth0": "up", "bond1": "up", "br0": "up"}},
		{[]string{"eth0"}, map[string]string{"eth0": "named"}},
		{[]string{"docker0", "gre7", "wlan0", "eth9", "lo", "can0"}, map[string]string{"docker0": "named", "gre7": "named"}},
	} {
		var all []Interface
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
	const up = net.FlagUp | net.FlagRunning | net.FlagMulticast
	ll := []Address{address("fe80::1/64")}
	for _, tc := range []struct {
		link  Interface
		names []string
		want  string
	}{
		{Interface{Name: "eth0", Addrs: ll}, nil, "down"},
		{Interface{Name: "eth0", Flags: net.FlagUp | net.FlagRunning, Addrs: ll}, nil, "multicast"},
		{Interface{Name: "eth0", Flags: up}, nil, "link-local"},
		{Interface{Name: "eth0", Flags: up}, []string{"eth0"}, "link-local"},
		{Interface{Name: "eth0", Flags: up, Addrs: ll}, []string{"eth1"}, "not among"},
		{Interface{Name: "docker0", Flags: up, Addrs: ll}, nil, "container"},
		{Interface{Name: "wg0", Flags: up, Addrs: ll}, nil, "VPN"},
		{Interface{Name: "lo", Flags: up | net.FlagLoopback}, nil, "loopback"},
	} {
		got := Choose([]Interface{tc.link}, tc.names)[0]
		if got.Use || !strings.Contains(got.Reason, tc.want) {
			t.Errorf("%s %v: use %v, reason %q, want %q in it", tc.link.Name, tc.names, got.Use, got.Reason, tc.want)
		}
	}
	missing := Choose(nil, []string{"eth7"})
	if len(missing) != 1 || missing[0].Use || missing[0].Name != "eth7" || !strings.Contains(missing[0].Reason, "no such") {
		t.Errorf("a name that is not there: %+v", missing)
	}
}

func address(text string) Address { return Address{Prefix: netip.MustParsePrefix(text)} }

// TestServesByName uses the interface names of common hosts: networks with
// controllers, containers, virtual machines, VPNs and radios.
func TestServesByName(t *testing.T) {
	serves := func(name string, names ...string) bool {
		i := Interface{Name: name, Index: 2, Flags: net.FlagUp | net.FlagRunning | net.FlagMulticast, Addrs: []Address{address("fe80::1/64")}}
		return Choose([]Interface{i}, names)[0].Use
	}
	for host, names := range map[string]struct{ served, not []string }{
		"any": {
			served: []string{"eth0", "eno1", "enp3s0", "enp3s0f0np0", "ens18", "enx00e04c680001", "end0", "wlan0", "wlp2s0", "wlx00c0caab1234", "usb0", "lan", "host0", "mv0", "mac0", "ipvl0"},
			not:    []string{"dummy0", "tun0", "tap0", "ppp0"},
		},
		"bonds, teams, VLANs, bridges": {
			served: []string{"bond0", "bond0.20", "team0", "team0.7", "eth0.20", "enp3s0.20", "vlan20", "lan.20", "br0", "br1.20", "bridge0"},
		},
		"macvlan": {
			served: []string{"macvlan0", "macvlan-shim", "shim-br0"}, // the host's own access to the LAN
			not:    []string{"macvtap0", "ipvtap0"},                  // the packets belong to a virtual machine
		},
		"OpenWrt": {
			served: []string{"br-lan", "br-iot", "br-guest", "br-lan.10", "lan1", "phy0-ap0", "phy1-ap0-1"},
			not:    []string{"pppoe-wan", "wwan0"},
		},
		"batman and other meshes": {
			served: []string{"bat0", "bat0.10", "mesh0", "br-mesh"},
			not:    []string{"wpan0", "lowpan0"},
		},
		"mobile networks": {
			not: []string{"wwan0", "wwan0_1", "wwp0s20f0u3i12", "wwx0c5b8f279a64", "rmnet_data0", "rmnet0", "qmimux0", "ppp0"},
		},
		"Proxmox": {
			served: []string{"vmbr0", "vmbr1", "vmbr0.30", "vmbr0v30", "nic0"},
			not:    []string{"tap100i0", "veth101i0", "fwbr100i0", "fwpr100p0", "fwln100i0", "fwln101o0"},
		},
		"Incus and LXD": {
			served: []string{"eth-1"},
			not:    []string{"incusbr0", "incusbr-1000", "lxdbr0", "lxcbr0", "lxdfan0", "vethf1a2b3c4", "tap8f9a2b1c"},
		},
		"Docker": {
			served: []string{"br-0a1b2c", "br-0a1b2c3d4e5f6", "br-0A1B2C3D4E5F", "br-livingroom1"}, // not 12 lower-case hexadecimal digits
			not:    []string{"docker0", "docker_gwbridge", "docker-0a1b2c3d", "br-0a1b2c3d4e5f", "veth0a1b2c3", "dm-0a1b2c3d4e5f", "hassio"},
		},
		"Podman, nspawn": {
			not: []string{"podman0", "podman1", "cni-podman0", "ve-web", "vb-web", "vz-zone"},
		},
		"k3s and Kubernetes": {
			not: []string{
				"cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "kube-ipvs0", "kube-bridge", "kube-dummy-if", "nodelocaldns",
				"cali0a1b2c3d4e5", "vxlan.calico", "tunl0", "cilium_host", "cilium_net", "cilium_vxlan",
				"lxc0a1b2c3d4e5f", "lxc_health", "weave", "vxlan-6784", "antrea-gw0", "ovn-k8s-mp0", "ovn0", "genev_sys_6081", "vxlan_sys_4789",
			},
		},
		"Open vSwitch": {
			served: []string{"br-ex", "ovs_eth0"}, // the LAN interfaces of OpenShift and Synology
			not:    []string{"ovs-system"},
		},
		"virtual machines": {
			served: []string{"xenbr0", "enX0"},
			not:    []string{"virbr0", "virbr0-nic", "vnet0", "vmnet1", "vmnet8", "vboxnet0", "vif1.0", "mpqemubr0", "waydroid0"},
		},
		"VPNs": {
			not: []string{"tailscale0", "wg0", "wg-home", "zt5u4ptmrp", "nebula1", "ham0", "gretap0", "ip6gretap0", "erspan0"},
		},
	} {
		for _, name := range names.served {
			if !serves(name) {
				t.Errorf("%s: %s is not served", host, name)
			}
		}
		for _, name := range names.not {
			if serves(name) {
				t.Errorf("%s: %s is served", host, name)
			}
			if !serves(name, name) {
				t.Errorf("%s: %s is not served, though it is named", host, name)
			}
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
