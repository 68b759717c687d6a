// Package netlab runs tests in a new network namespace, with a second one as its peer and
// veth pairs between the two. It requires root or unprivileged user namespaces. It is for
// tests only.
package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	handle "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// marker is set in the environment of a test binary that runs in its own namespace.
const marker = "OPCREDSD_NETLAB"

// The main thread must stay in the process's namespace, as /proc/self and /proc/net show
// the namespace of that thread. So it is kept for the main goroutine, which runs no test.
func init() { runtime.LockOSThread() }

// Isolated runs the calling test again, alone, in a process with its own network and mount
// namespaces (and user namespace, unless root), and reports the result as that of t. In
// that process it returns true. In the first process it returns false, and the test must
// return:
//
//	if !netlab.Isolated(t) {
//		return
//	}
//
// If there are no namespaces, t fails and the message says what is missing.
func Isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		prepare(t)
		return true
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.count=1", "-test.v=true", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), marker+"="+t.Name())
	cmd.SysProcAttr = netns.Isolation(unix.CLONE_NEWNS)
	// The parent-death signal belongs to the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		if testing.Verbose() {
			t.Logf("in its own namespace:\n%s", out)
		}
	case errors.As(err, &exit):
		t.Errorf("in its own namespace: %v\n%s", err, out)
	default:
		t.Fatalf("cannot make network namespaces: %v: %s", err, netns.Denied)
	}
	return false
}

// prepare brings up loopback and hides the host's /run, so that daemons of the test have
// their own sockets there.
func prepare(t *testing.T) {
	t.Helper()
	must(t, "make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, "mount /run", unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
	must(t, "bring up lo", netns.Loopback())
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("netlab: %s: %v", what, err)
	}
}

// Lab is the namespace of this process and that of its peer.
type Lab struct {
	t    testing.TB
	peer *netns.Namespace
	// Peer changes links and addresses in the peer's namespace.
	Peer *netlink.Handle
}

// New creates the peer's namespace. It must be called in an isolated test.
func New(t testing.TB) *Lab {
	t.Helper()
	peer, err := netns.New()
	must(t, "make the peer's namespace", err)
	t.Cleanup(peer.Close)
	l := &Lab{t: t, peer: peer}
	l.Peer, err = netlink.NewHandleAt(handle.NsHandle(peer.FD()))
	must(t, "open netlink in the peer's namespace", err)
	t.Cleanup(l.Peer.Close)
	return l
}

// Do calls f on a thread in the peer's namespace. Sockets that f opens and processes that
// it starts belong to that namespace. f must not call t.Fatal.
func (l *Lab) Do(f func()) {
	_ = l.peer.Do(func() error { f(); return nil })
}

// Start starts cmd in the peer's namespace and ends it with the test.
func (l *Lab) Start(cmd *exec.Cmd) {
	l.t.Helper()
	var err error
	l.Do(func() { err = cmd.Start() })
	must(l.t, "start "+cmd.Path, err)
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// Join creates a veth pair with the same name on both sides, brings it up, and
// waits until its link-local addresses are usable. If Join creates all links, a
// link has the same index on both sides.
func (l *Lab) Join(name string) {
	l.t.Helper()
	must(l.t, "make a veth pair", netns.Connect(name, netns.End{}, netns.End{Namespace: l.peer}))
}

// SetUp brings up a link on this side.
func (l *Lab) SetUp(name string) {
	l.t.Helper()
	must(l.t, "bring up "+name, netns.Up(name))
}

// SetDown takes down a link on this side.
func (l *Lab) SetDown(name string) {
	l.t.Helper()
	must(l.t, "bring down "+name, netns.Down(name))
}

// Link returns a link on this side.
func (l *Lab) Link(name string) netlink.Link {
	l.t.Helper()
	link, err := netlink.LinkByName(name)
	must(l.t, "find "+name, err)
	return link
}

// Index returns the index of a link on the peer's side.
func (l *Lab) Index(name string) int {
	l.t.Helper()
	link, err := l.Peer.LinkByName(name)
	must(l.t, "find the peer's "+name, err)
	return link.Attrs().Index
}

// AddAddr adds an address to a link on this side. The prefix has the form
// "fd00::a/64".
func (l *Lab) AddAddr(name, prefix string) {
	l.t.Helper()
	must(l.t, "add "+prefix, netns.AddAddress(name, prefix))
}

// DelAddr removes an address from a link on this side.
func (l *Lab) DelAddr(name, prefix string) {
	l.t.Helper()
	must(l.t, "remove "+prefix, netns.DeleteAddress(name, prefix))
}

// AddPeerAddr is AddAddr on the peer's side.
func (l *Lab) AddPeerAddr(name, prefix string) {
	l.t.Helper()
	must(l.t, "add the peer's "+prefix, l.peer.Do(func() error { return netns.AddAddress(name, prefix) }))
}

// LinkLocal returns the IPv6 link-local address of a link on this side, without a zone.
func (l *Lab) LinkLocal(name string) netip.Addr {
	l.t.Helper()
	a, err := linkLocal(netlink.AddrList(l.Link(name), netlink.FAMILY_V6))
	must(l.t, "link-local address of "+name, err)
	return a
}

// PeerLinkLocal is LinkLocal on the peer's side.
func (l *Lab) PeerLinkLocal(name string) netip.Addr {
	l.t.Helper()
	link, err := l.Peer.LinkByName(name)
	must(l.t, "find the peer's "+name, err)
	a, err := linkLocal(l.Peer.AddrList(link, netlink.FAMILY_V6))
	must(l.t, "link-local address of the peer's "+name, err)
	return a
}

func linkLocal(addrs []netlink.Addr, err error) (netip.Addr, error) {
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() {
			ip, _ := netip.AddrFromSlice(a.IP)
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no such address among %v", addrs)
}

// ListenUDP opens a UDP socket in the peer's namespace.
func (l *Lab) ListenUDP(network, address string) *net.UDPConn {
	l.t.Helper()
	var pc net.PacketConn
	var err error
	l.Do(func() { pc, err = net.ListenPacket(network, address) })
	must(l.t, "listen on "+address, err)
	l.t.Cleanup(func() { pc.Close() })
	return pc.(*net.UDPConn)
}
