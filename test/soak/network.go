package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// The link between the controllers, in this namespace, and the device, in its own.
const (
	link       = "eth0"
	deviceULA  = "fd00:6f70:6372:736b::a"
	controlULA = "fd00:6f70:6372:736b::b"
)

// network is the device's namespace, with the link to it.
type network struct{ *netns.Namespace }

func newNetwork() (*network, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, err
	}
	n := &network{ns}
	return n, errors.Join(netns.Loopback(), n.join())
}

// join creates the link between the namespaces.
func (n *network) join() error {
	end := func(n *netns.Namespace, ula string) netns.End {
		return netns.End{Namespace: n, Prefixes: []string{ula + "/64"}, Also: []func(string) error{netns.KeepAddresses}}
	}
	return netns.Connect(link, end(nil, controlULA), end(n.Namespace, deviceULA))
}

// part removes the link and everything that depends on it.
func (n *network) part() error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

// await waits until the addresses on this side are usable.
func await() error {
	_, err := netns.Await(link)
	return err
}

// lose makes the link lose datagrams in each direction, with netem or, if the
// kernel has none, with a rule for incoming ones.
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
	return errors.Join(apply(), n.Do(apply))
}

// hasNetem reports whether netem works on the link.
var hasNetem = sync.OnceValue(func() bool {
	return exec.Command("tc", "qdisc", "replace", "dev", link, "root", "netem", "loss", "0%").Run() == nil
})

func deviceAt(ip string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), udpPort)
}
