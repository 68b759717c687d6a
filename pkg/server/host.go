package server

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/cluster/ethernetdiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// How old what is told of the host may be. A read of everything asks for it a dozen
// times, and the kernel takes longer to tell than all the rest. It tells of changes,
// but not of what it counts.
const (
	hostAge   = time.Minute
	countsAge = time.Second
)

// host tells the model of the machine it runs on. A node on a test's network has
// none.
type host struct {
	none   bool
	serves func(name string) bool

	list    []generaldiagnostics.Interface
	state   ethernetdiagnostics.Link
	listed  time.Time // when list was made
	looked  time.Time // when state was
	primary string    // name of the interface that network tells of
	mode    string    // name of the interface whose speed state holds, since list was made
}

func newHost(opt *Options) *host {
	return &host{none: opt.Conns != nil, serves: transport.Serves(opt.Interfaces)}
}

// interfaces returns the network interfaces, those that carry the node first. The
// slice is not to be changed.
func (h *host) interfaces() []generaldiagnostics.Interface {
	if now := time.Now(); !h.none && now.Sub(h.listed) >= hostAge {
		h.list, h.listed, h.mode = h.look(), now, ""
	}
	return h.list
}

func (h *host) look() []generaldiagnostics.Interface {
	list, err := net.Interfaces()
	if err != nil {
		return nil // there is nothing to tell
	}
	var first, rest []generaldiagnostics.Interface
	for _, ifi := range list {
		if n := len(ifi.HardwareAddr); ifi.Flags&net.FlagLoopback != 0 || n != 6 && n != 8 {
			continue // a tunnel, say: only those that have such an address can be told of
		}
		n := generaldiagnostics.Interface{
			Name:            ifi.Name,
			Operational:     ifi.Flags&net.FlagRunning != 0,
			HardwareAddress: bytes.Clone(ifi.HardwareAddr),
			WiFi:            wireless(ifi.Name),
		}
		n.Ethernet = !n.WiFi && len(ifi.HardwareAddr) == 6
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.Addresses = append(n.Addresses, p.Addr().Unmap())
			}
		}
		if n.Operational && h.serves(n.Name) {
			first = append(first, n)
		} else {
			rest = append(rest, n)
		}
	}
	return append(first, rest...)
}

// noNetwork names the interface of a host that has none.
const noNetwork = "ethernet"

// network is the interface that Network Commissioning tells of: the first that
// carries the node, and from then on that one, for as long as there is such an
// interface. There must always be one (section 11.9.6.2).
func (h *host) network() networkcommissioning.Network {
	list := h.interfaces()
	i := slices.IndexFunc(list, func(n generaldiagnostics.Interface) bool { return n.Name == h.primary })
	switch {
	case i < 0 && len(list) > 0:
		i, h.primary = 0, list[0].Name
	case i < 0 && h.primary == "":
		return networkcommissioning.Network{Name: noNetwork}
	case i < 0:
		return networkcommissioning.Network{Name: h.primary}
	}
	return networkcommissioning.Network{Name: h.primary, Connected: list[i].Operational}
}

// changed says that what was seen last is out of date.
func (h *host) changed() { h.listed, h.looked = time.Time{}, time.Time{} }

// link is the state of the same interface, as the kernel shows it.
func (h *host) link() ethernetdiagnostics.Link {
	now := time.Now()
	if now.Sub(h.looked) < countsAge {
		return h.state
	}
	h.network() // names the interface
	h.looked = now
	if h.mode != h.primary {
		h.state = linkMode(h.primary)
		h.mode = h.primary
	}
	h.state.Carrier, h.state.Counts = linkCounts(h.primary)
	return h.state
}

// linkMode returns how fast a link is, and whether in both directions at once.
func linkMode(name string) (l ethernetdiagnostics.Link) {
	if v, ok := sysInt(name, "speed"); ok && v > 0 {
		m := uint32(v)
		l.Megabits = &m
	}
	if v, ok := sysText(name, "duplex"); ok && v != "unknown" {
		full := v == "full"
		l.FullDuplex = &full
	}
	return l
}

func linkCounts(name string) (carrier *bool, c ethernetdiagnostics.Counts) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, c // it has gone meanwhile
	}
	a := l.Attrs()
	up := a.RawFlags&unix.IFF_LOWER_UP != 0
	if n := a.Statistics; n != nil {
		c = ethernetdiagnostics.Counts{
			RxPackets: n.RxPackets, TxPackets: n.TxPackets, TxErrors: n.TxErrors,
			Collisions: n.Collisions, Overruns: n.RxOverErrors,
		}
	}
	return &up, c
}

func sysText(name, file string) (string, bool) {
	if name == "" || strings.ContainsRune(name, '/') {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join("/sys/class/net", name, file))
	return strings.TrimSpace(string(b)), err == nil
}

func sysInt(name, file string) (int64, bool) {
	s, ok := sysText(name, file)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}

func wireless(name string) bool {
	if strings.ContainsRune(name, '/') {
		return false
	}
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "wireless"))
	return err == nil
}

// bootID names this run of the host's kernel; empty where it cannot be known.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
