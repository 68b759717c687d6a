package mdns

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// settle is how long changes are collected: an interface that comes up
	// makes a dozen of them.
	settle = 50 * time.Millisecond
	// rescan is how often the interfaces are looked at without being told to,
	// as netlink may lose messages.
	rescan = time.Minute
	// retry is the wait after netlink failed.
	retry = time.Second

	// Addresses published on a link at most; a packet must hold them all.
	maxAddrs6, maxAddrs4 = 8, 4
)

// watcher follows the interfaces of the host.
type watcher struct {
	allowed func(name string) bool
	log     *slog.Logger
	out     chan<- []linkInfo
	done    <-chan struct{}

	links chan netlink.LinkUpdate
	addrs chan netlink.AddrUpdate
	end   chan struct{} // of the two subscriptions
	down  map[int]bool  // seen down since the last look
}

// run reports all interfaces at every change until done is closed. The first
// report is the caller's.
func (w *watcher) run() {
	w.subscribe()
	defer func() { w.unsubscribe() }()
	timer := time.NewTimer(settle) // what changed before the subscription
	defer timer.Stop()
	for {
		select {
		case <-w.done:
			return
		case u, ok := <-w.links:
			if !ok {
				w.links = nil
				timer.Reset(retry)
				continue
			}
			if u.Header.Type == unix.RTM_DELLINK || !running(u.Link.Attrs()) {
				w.down[u.Link.Attrs().Index] = true
			}
			timer.Reset(settle)
		case _, ok := <-w.addrs:
			if !ok {
				w.addrs = nil
				timer.Reset(retry)
				continue
			}
			timer.Reset(settle)
		case <-timer.C:
			if w.links == nil || w.addrs == nil {
				w.unsubscribe()
				w.subscribe()
			}
			timer.Reset(w.report())
		}
	}
}

// report looks and tells; it returns when to look again at the latest.
func (w *watcher) report() time.Duration {
	infos, err := scan(w.allowed)
	if err != nil {
		w.log.Error("cannot list the network interfaces", "error", err)
		return retry
	}
	for i := range infos {
		infos[i].flapped = w.down[infos[i].index]
	}
	clear(w.down)
	select {
	case w.out <- infos:
	case <-w.done:
	}
	return rescan
}

func (w *watcher) subscribe() {
	w.end = make(chan struct{})
	w.links, w.addrs = make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	lost := func(err error) { w.log.Debug("netlink", "error", err) }
	if err := netlink.LinkSubscribeWithOptions(w.links, w.end, netlink.LinkSubscribeOptions{ErrorCallback: lost}); err != nil {
		w.log.Error("cannot follow the network interfaces", "error", err)
		w.links = nil
	}
	if err := netlink.AddrSubscribeWithOptions(w.addrs, w.end, netlink.AddrSubscribeOptions{ErrorCallback: lost}); err != nil {
		w.log.Error("cannot follow the network addresses", "error", err)
		w.addrs = nil
	}
}

// unsubscribe ends both subscriptions and waits for them.
func (w *watcher) unsubscribe() {
	close(w.end)
	if w.links != nil {
		for range w.links { // its sender may be waiting for us
		}
	}
	if w.addrs != nil {
		for range w.addrs {
		}
	}
}

func running(a *netlink.LinkAttrs) bool {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return a.RawFlags&up == up
}

// scan reads the interfaces and addresses of the host.
func scan(allowed func(name string) bool) ([]linkInfo, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the links: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	var out []linkInfo
	for _, link := range links {
		a := link.Attrs()
		if a.Flags&net.FlagLoopback != 0 || (allowed != nil && !allowed(a.Name)) {
			continue
		}
		info := linkInfo{name: a.Name, index: a.Index, mtu: a.MTU}
		if len(a.HardwareAddr) == 6 {
			info.host = fmt.Sprintf("%X", []byte(a.HardwareAddr))
		}
		for _, addr := range addrs {
			if addr.LinkIndex == a.Index {
				info.addAddr(addr)
			}
		}
		info.finish(a)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b linkInfo) int { return cmp.Compare(a.index, b.index) })
	return out, nil
}

// addAddr takes an address of the link; only one that is there to stay is
// published.
func (i *linkInfo) addAddr(a netlink.Addr) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return
	}
	ip = ip.Unmap()
	i.own = append(i.own, ip)
	if ones, bits := a.Mask.Size(); bits == ip.BitLen() {
		i.prefixes = append(i.prefixes, netip.PrefixFrom(ip, ones).Masked())
	}
	const passing = unix.IFA_F_TENTATIVE | unix.IFA_F_DEPRECATED | unix.IFA_F_TEMPORARY | unix.IFA_F_DADFAILED
	if ip.Is6() && a.Flags&passing != 0 {
		return
	}
	if ip.IsLoopback() || ip.IsMulticast() || ip.IsUnspecified() {
		return
	}
	i.addrs = append(i.addrs, ip)
}

// finish puts the addresses into order and decides whether the link can be
// used.
func (i *linkInfo) finish(a *netlink.LinkAttrs) {
	// IPv6 first, and what is most likely to reach us before the rest:
	// link-local, private, global.
	slices.SortFunc(i.addrs, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b))
	})
	v6 := slices.IndexFunc(i.addrs, netip.Addr.Is4)
	if v6 < 0 {
		v6 = len(i.addrs)
	}
	six, four := i.addrs[:v6], i.addrs[v6:]
	i.addrs = slices.Concat(six[:min(len(six), maxAddrs6)], four[:min(len(four), maxAddrs4)])
	switch {
	case a.Flags&net.FlagMulticast == 0:
		i.reason = "it cannot multicast"
	case !running(a):
		i.reason = "it is down"
	case v6 == 0:
		i.reason = "it has no usable IPv6 address yet"
	}
	if i.reason != "" {
		i.addrs = nil
	}
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
