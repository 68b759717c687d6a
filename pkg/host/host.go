// Package host has the facts of the machine that a node runs on, as Linux shows them:
// its network interfaces, what a link is and has counted, which run of the kernel this
// is, and whether something keeps the clock right.
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

// How old the facts may be. A read of everything asks for them a dozen times, and the
// kernel takes longer to answer than all the rest. It reports changes, but not what it
// counts.
const (
	hostAge   = time.Minute
	countsAge = time.Second
)

// Adapter is a network interface with an address of its own hardware.
type Adapter struct {
	Name            string
	Operational     bool
	HardwareAddress []byte // 6 or 8 octets
	Addresses       []netip.Addr
	WiFi            bool
	Ethernet        bool
}

// Link is the state of an interface. Nil members are not known.
type Link struct {
	Megabits   *uint32 // a second
	FullDuplex *bool
	Carrier    *bool
	Counts     Counts
}

// Counts are what an interface has counted since the host started.
type Counts struct {
	RxPackets, TxPackets, TxErrors, Collisions, Overruns uint64
}

// Host is a machine. It belongs to one goroutine.
type Host struct {
	read func() []Interface // nil: the host has no interfaces

	served  map[servedAddr]bool // when Changed was called last
	list    []Adapter
	state   Link
	listed  time.Time // when list was made
	looked  time.Time // when state was
	primary string    // name of the interface that Primary returned
	mode    string    // name of the interface whose speed state holds, since list was made
}

// New returns the machine that the program runs on. read returns its interfaces, as
// Watcher.Interfaces does; nil stands for a machine without interfaces, which a node on
// the network of a test has.
func New(read func() []Interface) *Host {
	h := &Host{read: read}
	h.served = h.servedAddrs()
	return h
}

// Networked reports whether the host can have interfaces.
func (h *Host) Networked() bool { return h.read != nil }

// Adapters returns the network interfaces, those that carry the node first. They may be
// up to a minute old if nobody has called Changed. The slice is not to be changed.
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
			continue // a tunnel, say
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

// Primary returns the name of the first interface that carries the node, and from then
// on that one for as long as there is such an interface, and whether it is operational.
// The name is empty until there was one.
func (h *Host) Primary() (name string, operational bool) {
	list := h.Adapters()
	i := slices.IndexFunc(list, func(n Adapter) bool { return n.Name == h.primary })
	if i < 0 && len(list) > 0 {
		i, h.primary = 0, list[0].Name
	}
	return h.primary, i >= 0 && list[i].Operational
}

// Changed says that what was seen last is out of date. It reports whether an interface
// that is served has come, or come back, or has a new address.
func (h *Host) Changed() (came bool) {
	h.listed, h.looked = time.Time{}, time.Time{}
	before := h.served
	h.served = h.servedAddrs()
	for a := range h.served {
		came = came || !before[a]
	}
	return came
}

// Served reports whether an interface is served now. A host without interfaces counts as
// one that has a network.
func (h *Host) Served() bool { return !h.Networked() || len(h.served) > 0 }

// servedAddr is an address of an interface since it was down last.
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

// linkMode returns how fast a link is, and whether in both directions at once.
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
		return nil, c // it has gone meanwhile
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

// BootID names this run of the host's kernel. It is empty where it cannot be known.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
