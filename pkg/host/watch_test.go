package host

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

const patience = 10 * time.Second

// watch starts a Watcher in an isolated test.
func watch(t *testing.T, names ...string) *Watcher {
	t.Helper()
	w, err := NewWatcher(names, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// until waits for changes until ok returns true for the interface.
func until(t *testing.T, w *Watcher, changed <-chan struct{}, what, name string, ok func(Interface) bool) {
	t.Helper()
	for timer := time.After(patience); ; {
		i := slices.IndexFunc(w.Interfaces(), func(i Interface) bool { return i.Name == name })
		if i >= 0 && ok(w.Interfaces()[i]) {
			return
		}
		select {
		case <-changed:
		case <-timer:
			t.Fatalf("never seen: %s; %+v", what, w.Interfaces())
		}
	}
}

func (i Interface) has(a string, passing bool) bool {
	return slices.ContainsFunc(i.Addrs, func(x Address) bool { return x.String() == a && x.Passing == passing })
}

func TestWatcher(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	w := watch(t)
	a, cancelA := w.Subscribe()
	b, cancelB := w.Subscribe()
	defer cancelB()
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00::a/64")
	lab.AddAddr("eth0", "10.0.0.1/24")
	for what, changed := range map[string]<-chan struct{}{"one": a, "another": b} { // both are notified
		until(t, w, changed, what+": a link and its addresses", "eth0", func(i Interface) bool {
			return i.Use && i.Kind == "veth" && i.has("fd00::a/64", false) && i.has("10.0.0.1/24", false)
		})
	}
	downs := w.Interfaces()[1].Downs
	lab.SetDown("eth0")
	until(t, w, a, "down", "eth0", func(i Interface) bool { return !i.Use && i.Candidate && i.Reason == "down" && i.Downs > downs })
	lab.SetUp("eth0")
	until(t, w, a, "up again", "eth0", func(i Interface) bool { return i.Use })
	downs = w.Interfaces()[1].Downs
	lab.SetDown("eth0") // for a moment that reading the interfaces would miss
	lab.SetUp("eth0")
	until(t, w, a, "the blink", "eth0", func(i Interface) bool { return i.Use && i.Downs > downs })

	cancelA()
	for len(a) > 0 {
		<-a
	}
	lab.Join("eth1")
	until(t, w, b, "a new link", "eth1", func(i Interface) bool { return i.Use })
	if len(a) != 0 {
		t.Error("who has cancelled is notified")
	}
	w.Close()
	w.Close()
}

// TestPassingAddresses: tentative and deprecated addresses are recognized.
func TestPassingAddresses(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	for file, text := range map[string]string{"accept_dad": "1", "dad_transmits": "10"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/"+file, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t)
	changed, cancel := w.Subscribe()
	defer cancel()
	add := func(text string, change func(*netlink.Addr)) {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: netip.MustParseAddr(text).AsSlice(), Mask: net.CIDRMask(64, 128)}}
		change(a)
		if err := netlink.AddrReplace(lab.Link("eth0"), a); err != nil {
			t.Fatal(err)
		}
	}
	add("fd00:1::1", func(*netlink.Addr) {})
	until(t, w, changed, "an address in duplicate address detection", "eth0", func(i Interface) bool { return i.has("fd00:1::1/64", true) })
	add("fd00:2::1", func(a *netlink.Addr) { a.Flags = unix.IFA_F_NODAD })
	until(t, w, changed, "an address", "eth0", func(i Interface) bool { return i.has("fd00:2::1/64", false) })
	// Its prefix is no longer announced by the router.
	add("fd00:2::1", func(a *netlink.Addr) { a.ValidLft, a.PreferedLft, a.Flags = 1000, 0, unix.IFA_F_NODAD })
	until(t, w, changed, "the address deprecated", "eth0", func(i Interface) bool { return i.has("fd00:2::1/64", true) })
}

// TestPorts: packets that a port of a bridge receives belong to the bridge.
func TestPorts(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-lan"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMaster(lab.Link("eth0"), bridge); err != nil {
		t.Fatal(err)
	}
	lab.SetUp("br-lan")
	w := watch(t)
	changed, cancel := w.Subscribe()
	defer cancel()
	until(t, w, changed, "the bridge", "br-lan", func(i Interface) bool { return i.Use && i.Kind == "bridge" })
	until(t, w, changed, "its port", "eth0", func(i Interface) bool { return !i.Candidate && i.Reason == "a port of br-lan" })
	named := watch(t, "eth0")
	changed, cancel = named.Subscribe()
	defer cancel()
	until(t, named, changed, "the port, named", "eth0", func(i Interface) bool { return i.Candidate && !i.Use && i.Port == "br-lan" })
}
