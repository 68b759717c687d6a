package host

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interfaces reads the interfaces of this host and applies Choose.
func Interfaces(names []string) ([]Interface, error) {
	list, err := scan()
	if err != nil {
		return nil, err
	}
	return Choose(list, names), nil
}

// scan reads the interfaces and their addresses from the kernel.
func scan() ([]Interface, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the network addresses: %w", err)
	}
	out := make([]Interface, 0, len(links))
	for _, link := range links {
		out = append(out, interfaceOf(link, links))
	}
	slices.SortFunc(out, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	for _, a := range addrs {
		n, ok := slices.BinarySearchFunc(out, a.LinkIndex, func(i Interface, index int) int { return cmp.Compare(i.Index, index) })
		if ok {
			out[n].addAddr(a)
		}
	}
	return out, nil
}

func interfaceOf(link netlink.Link, all []netlink.Link) Interface {
	a := link.Attrs()
	i := Interface{Name: a.Name, Index: a.Index, MTU: a.MTU, Flags: a.Flags, Kind: link.Type(), HardwareAddr: a.HardwareAddr}
	if a.RawFlags&unix.IFF_RUNNING != 0 {
		i.Flags |= net.FlagRunning
	}
	for _, master := range all {
		if m := master.Attrs(); m.Index == a.MasterIndex && takesFrames(master.Type()) {
			i.Port = m.Name
		}
	}
	return i
}

// takesFrames reports whether an interface of a kind receives the frames of its
// ports. A VRF, for example, does not.
func takesFrames(kind string) bool {
	return slices.Contains([]string{"bridge", "bond", "team", "openvswitch", "batadv", "hsr"}, kind)
}

func (i *Interface) addAddr(a netlink.Addr) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return
	}
	ip = ip.Unmap()
	ones, bits := a.Mask.Size()
	if bits != ip.BitLen() {
		ones = ip.BitLen()
	}
	const passing = unix.IFA_F_TENTATIVE | unix.IFA_F_DEPRECATED | unix.IFA_F_TEMPORARY | unix.IFA_F_DADFAILED
	// The flag of a temporary IPv6 address marks a secondary address in IPv4.
	i.Addrs = append(i.Addrs, Address{netip.PrefixFrom(ip, ones), ip.Is6() && a.Flags&passing != 0})
}
