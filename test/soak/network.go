package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The link between the controllers, here, and the device, in its own namespace.
const (
	link       = "eth0"
	deviceULA  = "fd00:6f70:6372:736b::a"
	controlULA = "fd00:6f70:6372:736b::b"
	usable     = 10 * time.Second // until the kernel lets an address be used
)

// network is the device's namespace: a goroutine that owns an OS thread in it. What
// it opens or starts belongs to the namespace.
type network struct {
	calls chan func()
	fd    int
}

func newNetwork() (*network, error) {
	n := &network{calls: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		started <- err
		for f := range n.calls {
			f()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	lo := func() error { return up("lo") }
	return n, errors.Join(lo(), n.do(lo), n.join())
}

// do runs f in the device's namespace. f must not start goroutines that open sockets.
func (n *network) do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// join makes the link between the namespaces.
func (n *network) join() error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: link},
		PeerName:      link,
		PeerNamespace: netlink.NsFd(n.fd),
	})
	if err != nil {
		return fmt.Errorf("veth pair: %w", err)
	}
	return errors.Join(setUp(controlULA), n.do(func() error { return setUp(deviceULA) }), awaitAddress(), n.do(awaitAddress))
}

// part takes the link away, with everything that depends on it.
func (n *network) part() error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func down(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetDown(l)
}

// setUp configures this end of the link.
func setUp(ula string) error {
	// Without duplicate address detection the addresses can be used at once.
	// Addresses survive that the link goes down, as those of a router's prefix do
	// that announces it again.
	for _, f := range [][2]string{{"accept_dad", "0"}, {"keep_addr_on_down", "1"}} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/"+f[0], []byte(f[1]), 0)
	}
	if err := address(ula, true); err != nil {
		return err
	}
	return up(link)
}

// address adds or removes an address of this end.
func address(ip string, add bool) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(ip + "/64")
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD
	if add {
		return netlink.AddrReplace(l, a)
	}
	return netlink.AddrDel(l, a)
}

// awaitAddress waits until this end has a link-local address that can be used.
func awaitAddress() error {
	for end := time.Now().Add(usable); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(l, netlink.FAMILY_V6)
		if err != nil {
			return err
		}
		for _, a := range list {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("no usable link-local address on %s after %v", link, usable)
}

// lose makes the link lose datagrams, each way: by netem or, in a kernel without it,
// by a rule for what comes in.
func (n *network) lose(percent int) error {
	rules := [][]string{{"tc", "qdisc", "replace", "dev", link, "root", "netem", "loss", strconv.Itoa(percent) + "%"}}
	if !hasNetem() {
		rules = [][]string{{"ip6tables", "-F", "INPUT"}}
		if percent > 0 {
			rules = append(rules, []string{
				"ip6tables", "-A", "INPUT", "-i", link, "-p", "udp", "-m", "statistic", "--mode", "random",
				"--probability", fmt.Sprintf("0.%02d", percent), "-j", "DROP",
			})
		}
	}
	apply := func() error {
		for _, r := range rules {
			if out, err := exec.Command(r[0], r[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%v: %w: %s", r, err, out)
			}
		}
		return nil
	}
	return errors.Join(apply(), n.do(apply))
}

// hasNetem tries netem on the link.
var hasNetem = sync.OnceValue(func() bool {
	return exec.Command("tc", "qdisc", "replace", "dev", link, "root", "netem", "loss", "0%").Run() == nil
})

func deviceAt(ip string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), udpPort)
}
