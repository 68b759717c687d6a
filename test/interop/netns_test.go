//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// link is the name of the interface at both ends of the pair.
const link = "eth0"

// namespace is a network namespace: a goroutine that owns an OS thread in it.
// What that goroutine opens or starts belongs to the namespace, wherever it is
// used from. Nothing on the host names it, so the kernel removes it with the
// last thread and process in it, however the test ends.
type namespace struct {
	calls chan func()
	fd    int
}

func newNamespace() (*namespace, error) {
	n := &namespace{calls: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		started <- err
		if err != nil {
			return
		}
		for f := range n.calls {
			f()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return n, nil
}

// do runs f in the namespace. f must not start goroutines that open sockets.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// close ends the thread; processes started in the namespace get SIGKILL with it.
func (n *namespace) close() {
	close(n.calls)
	unix.Close(n.fd)
}

// newPair returns two namespaces joined by a veth pair, with an IPv6 link-local
// address, a ULA and an IPv4 address at each end, and no way out.
func newPair() (device, controller *namespace, err error) {
	if device, err = newNamespace(); err != nil {
		return nil, nil, err
	}
	if controller, err = newNamespace(); err != nil {
		device.close()
		return nil, nil, err
	}
	err = device.do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: link},
			PeerName:      link,
			PeerNamespace: netlink.NsFd(controller.fd),
		})
	})
	if err == nil {
		err = device.do(func() error { return configure("fd00:6f70:6372:6564::a/64", "10.83.7.1/24") })
	}
	if err == nil {
		err = controller.do(func() error { return configure("fd00:6f70:6372:6564::b/64", "10.83.7.2/24") })
	}
	if err != nil {
		device.close()
		controller.close()
		return nil, nil, fmt.Errorf("veth pair: %w", err)
	}
	return device, controller, nil
}

func configure(addresses ...string) error {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return errors.New("this kernel has IPv6 switched off (boot parameter ipv6.disable)")
	}
	// Without duplicate address detection the addresses can be used at once. Where
	// /proc/sys is read-only, waiting below does instead.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/accept_dad", []byte("0"), 0)
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte("0"), 0)

	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	eth, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	for _, s := range addresses {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(eth, a); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if err := netlink.LinkSetUp(eth); err != nil {
		return err
	}
	_, multicast, err := net.ParseCIDR("224.0.0.0/4")
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: multicast, Scope: netlink.SCOPE_LINK})
}

// addresses returns every address of the namespace's end of the link, once all
// of them can be used.
func (n *namespace) addresses() (found []netip.Addr, err error) {
	err = n.do(func() error {
		for range 100 {
			var tentative bool
			if found, tentative, err = linkAddresses(); err != nil {
				return err
			}
			if !tentative {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return fmt.Errorf("no usable IPv6 link-local address on %s after 5 s", link)
	})
	return found, err
}

func linkAddresses() (found []netip.Addr, tentative bool, err error) {
	eth, err := netlink.LinkByName(link)
	if err != nil {
		return nil, false, err
	}
	list, err := netlink.AddrList(eth, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, err
	}
	linkLocal := false
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			return nil, false, fmt.Errorf("address %v", a.IP)
		}
		ip = ip.Unmap()
		linkLocal = linkLocal || ip.Is6() && ip.IsLinkLocalUnicast()
		tentative = tentative || a.Flags&unix.IFA_F_TENTATIVE != 0
		found = append(found, ip)
	}
	return found, tentative || !linkLocal, nil
}
