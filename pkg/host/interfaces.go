package host

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Interface is a network interface, with the decision whether the node serves it.
type Interface struct {
	Name  string
	Index int
	MTU   int
	Flags net.Flags
	// Kind is the kernel's name for the kind of the interface, such as "veth".
	Kind string
	// Port is the name of the bridge, bond or mesh that the interface is a port of
	// and that receives its packets. It is empty if the interface is not a port.
	Port         string
	HardwareAddr net.HardwareAddr
	Addrs        []Address

	// Candidate means that the node serves the interface whenever it is usable: the
	// operator has named it, or nothing excludes it.
	Candidate bool
	// Use reports whether the node serves the interface.
	Use bool
	// Reason explains Use to the operator.
	Reason string

	// Downs is the number of times that a Watcher has seen the interface go down.
	Downs uint64
}

// Address is an address of an interface with the length of its prefix.
type Address struct {
	netip.Prefix
	// Passing means that the address is tentative, deprecated, temporary, or a
	// duplicate of another host's.
	Passing bool
}

// foreignNames match interfaces of containers, virtual machines, VPNs, mobile
// networks and mesh radios. No controllers are behind them, and on some the
// announcements would reach strangers. An operator can still name one of them. Most
// tunnels need no entry, as they are point-to-point.
var foreignNames = []struct{ pattern, what string }{
	{"docker*", "a container bridge"},
	// Docker names a bridge after the first 12 digits of its network's id. Other
	// bridges, such as OpenWrt's br-lan, are not excluded.
	{"br-" + hexDigits12, "a container bridge"},
	{"dm-" + hexDigits12, "a container network"},
	{"hassio", "a container bridge"},
	{"podman*", "a container bridge"},
	{"cni*", "a container bridge"},
	{"lxc*", "a container bridge"}, // Cilium's links to containers, too
	{"lxd*", "a container bridge"},
	{"incusbr*", "a container bridge"},
	{"vz-*", "a container bridge"},
	{"waydroid*", "a container bridge"},
	{"veth*", "a container's link"},
	{"ve-*", "a container's link"},
	{"vb-*", "a container's link"},
	{"flannel*", "a container network"},
	{"cali*", "a container network"},
	{"cilium*", "a container network"},
	{"kube*", "a container network"},
	{"nodelocaldns", "a container network"},
	{"weave*", "a container network"},
	{"antrea*", "a container network"},
	{"ovn*", "a container network"},
	{"ovs-system", "a virtual switch"},
	{"vxlan*", "an overlay network"},
	{"genev*", "an overlay network"},
	{"virbr*", "a virtual machine's bridge"},
	{"vmnet*", "a virtual machine's bridge"},
	{"vboxnet*", "a virtual machine's bridge"},
	{"mpqemubr*", "a virtual machine's bridge"},
	{"fwbr*", "a virtual machine's bridge"},
	{"fwln*", "a virtual machine's link"},
	{"fwpr*", "a virtual machine's link"},
	{"vnet*", "a virtual machine's link"},
	{"vif*", "a virtual machine's link"},
	{"macvtap*", "a virtual machine's link"},
	{"ipvtap*", "a virtual machine's link"},
	{"tun*", "a tunnel"},
	{"tap*", "a tunnel"},
	{"ppp*", "a tunnel"},
	{"gretap*", "a tunnel"},
	{"ip6gretap*", "a tunnel"},
	{"erspan*", "a tunnel"},
	{"wg*", "a VPN"},
	{"tailscale*", "a VPN"},
	{"zt*", "a VPN"},
	{"nebula*", "a VPN"},
	{"ham[0-9]*", "a VPN"},
	{"ww*", "a mobile network"},
	{"rmnet*", "a mobile network"},
	{"qmimux*", "a mobile network"},
	{"wpan*", "a mesh radio"},
	{"lowpan*", "a mesh radio"},
	{"dummy*", "a dummy"},
}

// hexDigits12 is the pattern of 12 lower-case hexadecimal digits.
var hexDigits12 = strings.Repeat("[0-9a-f]", 12)

// foreignKinds are kinds of interfaces that are excluded like those of foreignNames.
var foreignKinds = map[string]string{
	"tuntap": "a tunnel", "wireguard": "a VPN", "gretap": "a tunnel", "ip6gretap": "a tunnel", "erspan": "a tunnel",
	"vxlan": "an overlay network", "geneve": "an overlay network",
	"macvtap": "a virtual machine's link", "ipvtap": "a virtual machine's link",
	"dummy": "a dummy", "ifb": "a dummy",
}

// foreign reports whether an interface is excluded by its name or kind, and what it is.
func (i *Interface) foreign() (what, by string, yes bool) {
	for _, f := range foreignNames {
		if ok, _ := path.Match(f.pattern, i.Name); ok {
			return f.what, "name", true
		}
	}
	what, yes = foreignKinds[i.Kind]
	return what, "kind", yes
}

// Choose decides for each interface whether the node serves it. If names is not
// empty, only these are candidates. A name without an interface is added to the end
// of the result as an unused interface with index 0.
func Choose(list []Interface, names []string) []Interface {
	out := slices.Clone(list)
	for n := range out {
		i := &out[n]
		if i.Reason = i.exclude(names); i.Reason != "" {
			continue
		}
		i.Candidate = true
		if i.Reason = i.fault(); i.Reason != "" {
			continue
		}
		i.Use, i.Reason = true, "up, multicast, with an IPv6 link-local address"
		if len(names) > 0 {
			i.Reason = "named, up, with an IPv6 link-local address"
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(i Interface) bool { return i.Name == name }) {
			out = append(out, Interface{Name: name, Reason: "named, but there is no such interface"})
		}
	}
	return out
}

// exclude returns why an interface is not a candidate, or "" if it is one.
func (i *Interface) exclude(names []string) string {
	named := slices.Contains(names, i.Name)
	what, by, foreign := i.foreign()
	switch {
	case len(names) > 0 && !named:
		return "not among the interfaces named"
	case named:
		return ""
	case i.Flags&net.FlagLoopback != 0:
		return "loopback"
	case foreign:
		return fmt.Sprintf("%s by its %s", what, by)
	case i.Flags&net.FlagPointToPoint != 0:
		return "a point-to-point link, such as a tunnel"
	case i.Port != "":
		return "a port of " + i.Port
	}
	return ""
}

// fault returns why a candidate cannot be used, or "" if it can.
func (i *Interface) fault() string {
	switch {
	case i.Port != "":
		return fmt.Sprintf("a port of %s, which receives its packets: name that one", i.Port)
	case i.Flags&net.FlagUp == 0:
		return "down"
	case i.Flags&net.FlagRunning == 0:
		return "not connected"
	case i.Flags&net.FlagMulticast == 0:
		return "cannot multicast"
	case !slices.ContainsFunc(i.Addrs, Address.LinkLocal6):
		return "no IPv6 link-local address (IPv6 turned off, or just connected)"
	}
	return ""
}

// LinkLocal6 reports whether a is a usable IPv6 link-local address.
func (a Address) LinkLocal6() bool {
	return !a.Passing && a.Addr().Is6() && a.Addr().IsLinkLocalUnicast()
}
