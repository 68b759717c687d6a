// Package netns creates network namespaces, joined by veth pairs, for tests and
// measurements. They have no connection to the host's network. It requires root or
// unprivileged user namespaces.
package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace. It has a goroutine with an OS thread in it; the
// sockets and processes of that goroutine belong to the namespace. It has no name
// on the host, so the kernel removes it after the last thread and process in it
// have ended, even if the program crashes.
type Namespace struct {
	calls chan func()
	fd    int
}

// New creates a namespace with loopback.
func New() (*Namespace, error) {
	n := &Namespace{calls: make(chan func())}
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
	err := <-started
	if err == nil {
		if err = n.Do(Loopback); err != nil {
			n.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return n, nil
}

// Do calls f in the namespace, or in that of the process if n is nil. f must not start
// goroutines that open sockets.
func (n *Namespace) Do(f func() error) error {
	if n == nil {
		return f()
	}
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// FD returns a file descriptor of the namespace. It is open until Close.
func (n *Namespace) FD() int { return n.fd }

// Start starts cmd in the namespace. The process gets SIGKILL when the namespace is
// closed.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return n.Do(cmd.Start)
}

// Close ends the goroutine and the processes that Start has started.
func (n *Namespace) Close() {
	close(n.calls)
	unix.Close(n.fd)
}

// End is one end of a link.
type End struct {
	*Namespace // nil: that of the process
	// Prefixes are addresses such as "fd00::a/64", besides the link-local one.
	Prefixes []string
	// Also contains functions to call in the namespace with the name of the link,
	// when it is up.
	Also []func(name string) error
}

// Connect creates a veth pair with the same name at both ends, and waits until its
// addresses are usable. b's namespace must not be nil.
func Connect(name string, a, b End) error {
	err := a.Do(func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: name, PeerNamespace: netlink.NsFd(b.fd)}
		pair.Name = name
		return netlink.LinkAdd(pair)
	})
	if err != nil {
		return fmt.Errorf("veth pair %s: %w", name, err)
	}
	for _, e := range []End{a, b} {
		err = errors.Join(err, e.Do(func() error {
			err := Configure(name, e.Prefixes...)
			for _, f := range e.Also {
				err = errors.Join(err, f(name))
			}
			return err
		}))
	}
	for _, e := range []End{a, b} {
		if err == nil {
			err = e.Do(func() error {
				_, err := Await(name)
				return err
			})
		}
	}
	return err
}

// Loopback brings up the loopback interface of the thread's namespace.
func Loopback() error { return Up("lo") }

// Up brings up a link of the thread's namespace.
func Up(name string) error { return onLink(name, netlink.LinkSetUp) }

// Down takes down a link of the thread's namespace.
func Down(name string) error { return onLink(name, netlink.LinkSetDown) }

func onLink(name string, f func(netlink.Link) error) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return f(l)
}

// Configure adds addresses, such as "fd00::a/64", to a link of the thread's
// namespace and brings it up. Await waits until they are usable.
func Configure(name string, prefixes ...string) error {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return errors.New("this kernel has IPv6 switched off (boot parameter ipv6.disable)")
	}
	// Without duplicate address detection the addresses are usable at once. If
	// /proc/sys is read-only, Await takes longer.
	_ = set(name, "disable_ipv6", "0")
	_ = set(name, "accept_dad", "0")
	for _, p := range prefixes {
		if err := AddAddress(name, p); err != nil {
			return err
		}
	}
	return Up(name)
}

// KeepAddresses makes the kernel keep the IPv6 addresses of a link of the thread's
// namespace while it is down. A router's prefix also comes back with the link.
func KeepAddresses(name string) error { return set(name, "keep_addr_on_down", "1") }

func set(name, setting, value string) error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+setting, []byte(value), 0)
}

// AddAddress adds an address, such as "fd00::a/64", to a link of the thread's
// namespace.
func AddAddress(name, prefix string) error { return address(name, prefix, netlink.AddrReplace) }

// DeleteAddress removes an address from a link of the thread's namespace.
func DeleteAddress(name, prefix string) error { return address(name, prefix, netlink.AddrDel) }

func address(name, prefix string, f func(netlink.Link, *netlink.Addr) error) error {
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := onLink(name, func(l netlink.Link) error { return f(l, a) }); err != nil {
		return fmt.Errorf("address %s of %s: %w", prefix, name, err)
	}
	return nil
}

// settleTime is the maximum time for the kernel to make an address usable.
const settleTime = 10 * time.Second

// Await waits until a link of the thread's namespace has an IPv6 link-local address
// and all of its addresses are usable, and returns them.
func Await(name string) (found []netip.Addr, err error) {
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var usable bool
		if found, usable, err = addresses(name); usable || err != nil {
			return found, err
		}
	}
	return nil, fmt.Errorf("no usable IPv6 link-local address on %s after %v", name, settleTime)
}

func addresses(name string) (found []netip.Addr, usable bool, err error) {
	err = onLink(name, func(l netlink.Link) error {
		list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		for _, a := range list {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok {
				return fmt.Errorf("address %v of %s", a.IP, name)
			}
			ip = ip.Unmap()
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				found = nil
				return nil
			}
			usable = usable || ip.Is6() && ip.IsLinkLocalUnicast()
			found = append(found, ip)
		}
		return err
	})
	return found, usable && found != nil, err
}

// MulticastV4 routes all IPv4 multicast of the thread's namespace to a link.
func MulticastV4(name string) error {
	_, multicast, err := net.ParseCIDR("224.0.0.0/4")
	if err != nil {
		return err
	}
	return onLink(name, func(l netlink.Link) error {
		return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: multicast, Scope: netlink.SCOPE_LINK})
	})
}

// Denied explains how to permit Rerun and New.
const Denied = "run this as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, " +
	"user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0)"

// Rerun runs this program again with the same arguments and additional environment,
// in a new network namespace and the namespaces in flags (CLONE_NEWNS), and returns
// its exit status. It adds a user namespace if the privilege for that is missing,
// which is possible even for root.
func Rerun(flags uintptr, environment ...string) (int, error) {
	// Pdeathsig refers to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := func(a *syscall.SysProcAttr) (*exec.Cmd, error) {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), environment...)
		cmd.SysProcAttr = a
		return cmd, cmd.Start()
	}
	cmd, err := start(Isolation(flags))
	if errors.Is(err, unix.EPERM) && os.Geteuid() == 0 {
		cmd, err = start(asUser(Isolation(flags)))
	}
	if err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // an error means that the child has ended
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, nil
}

// Isolation returns the attributes of a child in a new network namespace and the
// namespaces in flags. The child is killed when the thread that has started it
// ends.
func Isolation(flags uintptr) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | flags, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		return asUser(a)
	}
	return a
}

// asUser adds a user namespace in which this user is root.
func asUser(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	return a
}
