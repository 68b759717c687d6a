package transport

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Link is what the choice of interfaces looks at.
type Link struct {
	Name         string
	Index        int
	Flags        net.Flags
	HardwareAddr net.HardwareAddr
	Addrs        []netip.Addr
}

// Interface is a link and what was decided about it.
type Interface struct {
	Link
	// Use says whether the node serves this interface.
	Use bool
	// Reason says why, or why not, in words for the operator.
	Reason string
}

// foreignNames match the interfaces that containers, virtual machines, VPNs, mobile
// networks and mesh radios bring along: no controller is found behind them, and some
// would carry the node's names to strangers. An operator can still name one. Most
// tunnels need no entry, as they are point-to-point.
var foreignNames = []struct{ pattern, what string }{
	{"docker*", "a container bridge"},
	// Docker names a bridge after the first 12 digits of its network's id. OpenWrt's
	// bridges are br-lan and the like.
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

// Serves returns the part of the rule that only needs a name: with names it
// accepts these, without it accepts every name that is not of a container, a virtual
// machine, a VPN or a radio. It fits interfaces that come later.
func Serves(names []string) func(name string) bool {
	names = slices.Clone(names)
	return func(name string) bool {
		if len(names) > 0 {
			return slices.Contains(names, name)
		}
		_, yes := foreignName(name)
		return !yes
	}
}

func foreignName(name string) (what string, yes bool) {
	for _, f := range foreignNames {
		if ok, _ := path.Match(f.pattern, name); ok {
			return f.what, true
		}
	}
	return "", false
}

// Choose decides for each link whether the node serves it. With names only
// these are considered, and a name that no link has is reported at the end of
// the result as an unused interface with index 0.
func Choose(links []Link, names []string) []Interface {
	out := make([]Interface, 0, len(links))
	for _, l := range links {
		i := Interface{Link: l}
		i.Use, i.Reason = judge(l, names)
		out = append(out, i)
	}
	for _, name := range names {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Name == name }) {
			out = append(out, Interface{Link: Link{Name: name}, Reason: "named, but there is no such interface"})
		}
	}
	return out
}

func judge(l Link, names []string) (bool, string) {
	named := slices.Contains(names, l.Name)
	what, isForeign := foreignName(l.Name)
	switch {
	case len(names) > 0 && !named:
		return false, "not among the interfaces named"
	case !named && l.Flags&net.FlagLoopback != 0:
		return false, "loopback"
	case !named && isForeign:
		return false, fmt.Sprintf("%s by its name", what)
	case !named && l.Flags&net.FlagPointToPoint != 0:
		return false, "a point-to-point link, such as a tunnel"
	case l.Flags&net.FlagUp == 0:
		return false, "down"
	case l.Flags&net.FlagMulticast == 0:
		return false, "cannot multicast"
	case !slices.ContainsFunc(l.Addrs, linkLocal6):
		return false, "no IPv6 link-local address (IPv6 turned off, or the cable out)"
	case named:
		return true, "named, up, with an IPv6 link-local address"
	}
	return true, "up, multicast, with an IPv6 link-local address"
}

func linkLocal6(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

// Interfaces reads the links of this host and applies Choose.
func Interfaces(names []string) ([]Interface, error) {
	ifis, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	links := make([]Link, 0, len(ifis))
	for _, ifi := range ifis {
		l := Link{Name: ifi.Name, Index: ifi.Index, Flags: ifi.Flags, HardwareAddr: ifi.HardwareAddr}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // gone between the two calls
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					l.Addrs = append(l.Addrs, ip.Unmap())
				}
			}
		}
		links = append(links, l)
	}
	return Choose(links, names), nil
}
