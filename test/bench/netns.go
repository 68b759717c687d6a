package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The interface at both ends of the pair, and the addresses besides the
// link-local ones.
const (
	link       = "eth0"
	deviceULA  = "fd00:6f70:6372:6564::a"
	controlULA = "fd00:6f70:6372:6564::b"
)

var deviceAddr = netip.MustParseAddr(deviceULA)

// namespace is the devices' network namespace: a goroutine that owns an OS
// thread in it. What it opens or starts belongs to the namespace. The kernel
// removes it with the last process in it.
type namespace struct {
	calls chan func()
	fd    int
}

// newNetwork makes the devices' namespace and joins it to that of this process.
func newNetwork() (*namespace, error) {
	n := &namespace{calls: make(chan func())}
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
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: link},
		PeerName:      link,
		PeerNamespace: netlink.NsFd(n.fd),
	})
	if err == nil {
		err = setUp(controlULA, "10.83.7.2")
	}
	if err == nil {
		err = n.do(func() error { return setUp(deviceULA, "10.83.7.1") })
	}
	if err == nil {
		err = awaitAddress()
	}
	if err == nil {
		err = n.do(awaitAddress)
	}
	if err != nil {
		return nil, fmt.Errorf("veth pair: %w", err)
	}
	return n, nil
}

// do runs f in the namespace. f must not start goroutines that open sockets.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// setUp configures this end of the pair.
func setUp(ula, v4 string) error {
	// Without duplicate address detection the addresses can be used at once. Where
	// /proc/sys is read-only, awaitAddress does instead.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/accept_dad", []byte("0"), 0)
	for _, i := range []struct {
		name     string
		prefixes []string
	}{{"lo", nil}, {link, []string{ula + "/64", v4 + "/24"}}} {
		l, err := netlink.LinkByName(i.name)
		if err != nil {
			return err
		}
		for _, p := range i.prefixes {
			a, err := netlink.ParseAddr(p)
			if err != nil {
				return err
			}
			if a.IP.To4() == nil {
				a.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, a); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
	}
	return nil
}

// awaitAddress waits until this end has a link-local address that can be used.
func awaitAddress() error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	for range 100 {
		list, err := netlink.AddrList(l, netlink.FAMILY_V6)
		if err != nil {
			return err
		}
		for _, a := range list {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no usable link-local address on %s after 5 s", link)
}

// start starts cmd in the namespace; it is killed with this process. out takes
// what it writes.
func (n *namespace) start(cmd *exec.Cmd, out io.Writer) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = out, out
	begin := time.Now()
	if err := n.do(cmd.Start); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, begin: begin, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState tells more
		close(p.done)
	}()
	return p, nil
}
