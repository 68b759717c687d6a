// Package host reads the facts of the Linux machine that a node runs on: its
// network interfaces, the state and counters of a link, the boot id of the kernel,
// and whether the clock is synchronized.
package host

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
)

// How old the facts may be. A read of all attributes needs them a dozen times, and
// the kernel's answer takes longer than everything else. The kernel notifies of
// changes, but not of its counters.
const (
	hostAge   = time.Minute
	countsAge = time.Second
)

// Adapter is a network interface with a hardware address.
type Adapter struct {
	Name            string
	Operational     bool
	HardwareAddress []byte // 6 or 8 octets
	Addresses       []netip.Addr
	WiFi            bool
	Ethernet        bool
}

// Link is the state of an interface. A nil member is not known.
type Link struct {
	Megabits   *uint32 // per second
	FullDuplex *bool
	Carrier    *bool
	Counts     Counts
}

// Counts are the counters of an interface since the host started.
type Counts struct {
	RxPackets, TxPackets, TxErrors, Collisions, Overruns uint64
}

// Host is a machine. One goroutine owns it.
type Host struct {
	read func() []Interface // nil: the host has no interfaces

	served  map[servedAddr]bool // at the last call of Changed
	list    []Adapter
	state   Link
	listed  time.Time // when list was read
	looked  time.Time // when state was read
	primary string    // name of the interface that Primary returned
	mode    string    // interface whose speed is in state, since list was read
}

// New returns the machine that the program runs on. read returns its interfaces, as
// Watcher.Interfaces does. It may be nil in tests, for a machine without
// interfaces.
func New(read func() []Interface) *Host {
	h := &Host{read: read}
	h.served = h.servedAddrs()
	return h
}

// Networked reports whether the host can have interfaces.
func (h *Host) Networked() bool { return h.read != nil }

// Adapters returns the network interfaces, beginning with those that the node
// serves. The result may be up to a minute old, unless Changed was called. The
// caller must not modify the slice.
func (h *Host) Adapters() []Adapter {
	if now := time.Now(); h.Networked() && now.Sub(h.listed) >= hostAge {
		h.list, h.listed, h.mode = h.look(), now, ""
	}
	return h.list
}

func (h *Host) look() []Adapter {
	var first, rest []Adapter
	for _, i := range h.read() {
		if n := len(i.HardwareAddr); i.Flags&net.FlagLoopback != 0 || n != 6 && n != 8 {
			continue // for example a tunnel
		}
		n := Adapter{
			Name:            i.Name,
			Operational:     i.Flags&net.FlagRunning != 0,
			HardwareAddress: bytes.Clone(i.HardwareAddr),
			WiFi:            wireless(i.Name),
		}
		n.Ethernet = !n.WiFi && len(i.HardwareAddr) == 6
		for _, a := range i.Addrs {
			n.Addresses = append(n.Addresses, a.Addr())
		}
		if n.Operational && i.Candidate {
			first = append(first, n)
		} else {
			rest = append(rest, n)
		}
	}
	return append(first, rest...)
}

// Primary returns the name of the first interface that the node serves, and whether
// it is operational. It returns the same one as long as that exists. The name is
// empty until there is one.
func (h *Host) Primary() (name string, operational bool) {
	list := h.Adapters()
	i := slices.IndexFunc(list, func(n Adapter) bool { return n.Name == h.primary })
	if i < 0 && len(list) > 0 {
		i, h.primary = 0, list[0].Name
	}
	return h.primary, i >= 0 && list[i].Operational
}

// Changed discards cached facts. It reports whether a served interface has
// appeared, has come up again, or has a new address.
func (h *Host) Changed() (came bool) {
	h.listed, h.looked = time.Time{}, time.Time{}
	before := h.served
	h.served = h.servedAddrs()
	for a := range h.served {
		came = came || !before[a]
	}
	return came
}

// Served reports whether the node serves an interface now. A host without
// interfaces is treated as connected.
func (h *Host) Served() bool { return !h.Networked() || len(h.served) > 0 }

// servedAddr is an address of an interface, with the number of times that it went
// down.
type servedAddr struct {
	index int
	downs uint64
	addr  netip.Prefix
}

func (h *Host) servedAddrs() map[servedAddr]bool {
	if !h.Networked() {
		return nil
	}
	list := map[servedAddr]bool{}
	for _, i := range h.read() {
		for _, a := range i.Addrs {
			if i.Use && !a.Passing {
				list[servedAddr{i.Index, i.Downs, a.Prefix}] = true
			}
		}
	}
	return list
}

// Link returns the state of the primary interface. It may be up to a second old.
func (h *Host) Link() Link {
	now := time.Now()
	if now.Sub(h.looked) < countsAge {
		return h.state
	}
	h.Primary() // names the interface
	h.looked = now
	if h.mode != h.primary {
		h.state = linkMode(h.primary)
		h.mode = h.primary
	}
	h.state.Carrier, h.state.Counts = linkCounts(h.primary)
	return h.state
}

// linkMode returns the speed of a link and whether it is full-duplex.
func linkMode(name string) (l Link) {
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

func linkCounts(name string) (carrier *bool, c Counts) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, c // it was removed in the meantime
	}
	a := l.Attrs()
	up := a.RawFlags&unix.IFF_LOWER_UP != 0
	if n := a.Statistics; n != nil {
		c = Counts{
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

// BootID returns the kernel's boot id, or "" if it is not known.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
