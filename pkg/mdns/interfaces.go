package mdns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// Most addresses that are published on a link. All of them fit one packet.
const maxAddrs6, maxAddrs4 = 8, 4

// follower converts the interfaces of a host.Watcher.
type follower struct {
	downs map[int]uint64 // of the last call of links
}

// links returns the interfaces that are in use, or would be if they could be used.
func (f *follower) links(list []host.Interface) (out []linkInfo) {
	downs := make(map[int]uint64, len(list))
	for _, i := range list {
		if !i.Candidate {
			continue
		}
		info := infoOf(i)
		before, known := f.downs[i.Index]
		info.flapped = known && before != i.Downs
		downs[i.Index] = i.Downs
		out = append(out, info)
	}
	f.downs = downs
	return out
}

func infoOf(i host.Interface) linkInfo {
	info := linkInfo{name: i.Name, index: i.Index, mtu: i.MTU}
	if len(i.HardwareAddr) == 6 {
		info.host = fmt.Sprintf("%X", []byte(i.HardwareAddr))
	}
	for _, a := range i.Addrs {
		ip := a.Addr()
		info.own = append(info.own, ip)
		info.prefixes = append(info.prefixes, a.Masked())
		if !a.Passing && !ip.IsLoopback() && !ip.IsMulticast() && !ip.IsUnspecified() {
			info.addrs = append(info.addrs, ip)
		}
	}
	if !i.Use {
		info.reason, info.addrs = i.Reason, nil
		return info
	}
	// IPv6 first, in the order of how likely they are reachable: link-local, private,
	// global.
	slices.SortFunc(info.addrs, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b))
	})
	six := slices.IndexFunc(info.addrs, netip.Addr.Is4)
	if six < 0 {
		six = len(info.addrs)
	}
	v6, v4 := info.addrs[:six], info.addrs[six:]
	info.addrs = slices.Concat(v6[:min(len(v6), maxAddrs6)], v4[:min(len(v4), maxAddrs4)])
	return info
}

func rank(a netip.Addr) int {
	switch {
	case a.Is4():
		return 3
	case a.IsLinkLocalUnicast():
		return 0
	case a.IsPrivate():
		return 1
	}
	return 2
}
