package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

// read returns what an ordinary socket of the peer receives.
func read(t *testing.T, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	b := make([]byte, 100)
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n]), from
}

// TestTwoLinksWithTheSameNeighbour: with two interfaces a link-local peer could be
// on either. The answer must use the interface of the question and the address that
// it was sent to, even if there are several.
func TestTwoLinksWithTheSameNeighbour(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	for i, name := range []string{"eth0", "eth1"} {
		lab.Join(name)
		lab.AddAddr(name, fmt.Sprintf("fd00:%d::a/64", i))
		lab.AddAddr(name, fmt.Sprintf("fd00:%d::aa/64", i))
		lab.AddPeerAddr(name, fmt.Sprintf("fd00:%d::b/64", i))
		lab.AddAddr(name, fmt.Sprintf("10.0.%d.1/24", i))
		lab.AddAddr(name, fmt.Sprintf("10.0.%d.11/24", i))
		lab.AddPeerAddr(name, fmt.Sprintf("10.0.%d.2/24", i))
	}
	conns := listen(t, Options{})
	for i, name := range []string{"eth0", "eth1"} {
		peerLL := lab.PeerLinkLocal(name).String()
		for _, tc := range []struct{ network, from, to string }{
			{"udp6", peerLL + "%" + name, lab.LinkLocal(name).String()},
			{"udp6", fmt.Sprintf("fd00:%d::b", i), fmt.Sprintf("fd00:%d::a", i)},
			{"udp6", fmt.Sprintf("fd00:%d::b", i), fmt.Sprintf("fd00:%d::aa", i)},
			{"udp4", fmt.Sprintf("10.0.%d.2", i), fmt.Sprintf("10.0.%d.1", i)},
			{"udp4", fmt.Sprintf("10.0.%d.2", i), fmt.Sprintf("10.0.%d.11", i)},
		} {
			conn := conns[0]
			if tc.network == "udp4" {
				conn = conns[1]
			}
			c := lab.ListenUDP(tc.network, net.JoinHostPort(tc.from, "0"))
			to := netip.AddrPortFrom(netip.MustParseAddr(tc.to), conn.Port())
			dst := net.UDPAddrFromAddrPort(to)
			if to.Addr().IsLinkLocalUnicast() {
				dst.Zone = fmt.Sprint(lab.Index(name))
			}
			if _, err := c.WriteTo([]byte("question"), dst); err != nil {
				t.Fatal(err)
			}
			_, p := receive(t, conn)
			if p.Local != to.Addr() || p.Interface != lab.Link(name).Attrs().Index {
				t.Errorf("%s: path %+v, want local %s and interface %s", tc.to, p, tc.to, name)
			}
			if err := conn.WriteTo([]byte("answer"), p); err != nil {
				t.Fatal(err)
			}
			got, from := read(t, c)
			if from.Addr().WithZone("") != to.Addr() || got != "answer" {
				t.Errorf("asked %s: %q came from %v", tc.to, got, from)
			}
			// The zone alone is sufficient too.
			if err := conn.WriteTo([]byte("again"), Path{Peer: p.Peer}); err != nil {
				t.Fatal(err)
			}
			if got, _ := read(t, c); got != "again" {
				t.Errorf("%s: %q", tc.to, got)
			}
		}
	}
}

// TestPathOutlivesItsAddress: a session keeps the path of its last datagram. After
// a change of the prefix, the node's messages must still arrive.
func TestPathOutlivesItsAddress(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00:1::a/64")
	lab.AddPeerAddr("eth0", "fd00:1::b/64")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	conns := listen(t, Options{})
	index := lab.Link("eth0").Attrs().Index
	peer6, peer4 := lab.ListenUDP("udp6", "[::]:0"), lab.ListenUDP("udp4", "0.0.0.0:0")
	port6 := uint16(peer6.LocalAddr().(*net.UDPAddr).Port)
	port4 := uint16(peer4.LocalAddr().(*net.UDPAddr).Port)
	for _, tc := range []struct {
		what  string
		conn  PacketConn
		peer  *net.UDPConn
		path  Path
		local string
	}{
		{"address gone", conns[0], peer6, Path{netip.AddrPortFrom(netip.MustParseAddr("fd00:1::b"), port6), netip.MustParseAddr("fd00:9::a"), index}, "fd00:1::a"},
		{"interface gone", conns[0], peer6, Path{netip.AddrPortFrom(netip.MustParseAddr("fd00:1::b"), port6), netip.MustParseAddr("fd00:1::a"), 999}, "fd00:1::a"},
		{"link-local, address gone", conns[0], peer6, Path{netip.AddrPortFrom(lab.PeerLinkLocal("eth0").WithZone("eth0"), port6), netip.MustParseAddr("fe80::1234"), index}, lab.LinkLocal("eth0").String()},
		{"link-local, interface created again", conns[0], peer6, Path{netip.AddrPortFrom(lab.PeerLinkLocal("eth0").WithZone("eth0"), port6), lab.LinkLocal("eth0"), 999}, lab.LinkLocal("eth0").String()},
		{"IPv4 address gone", conns[1], peer4, Path{netip.AddrPortFrom(netip.MustParseAddr("10.0.1.2"), port4), netip.MustParseAddr("10.9.9.9"), index}, "10.0.1.1"},
		{"IPv4 interface gone", conns[1], peer4, Path{netip.AddrPortFrom(netip.MustParseAddr("10.0.1.2"), port4), netip.MustParseAddr("10.0.1.1"), 999}, "10.0.1.1"},
	} {
		if err := tc.conn.WriteTo([]byte(tc.what), tc.path); err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		if got, from := read(t, tc.peer); got != tc.what || from.Addr().WithZone("").String() != tc.local {
			t.Errorf("%s: %q from %v, want from %s", tc.what, got, from, tc.local)
		}
	}
	// If there is no route, the result is an error.
	if err := conns[0].WriteTo([]byte("x"), Path{Peer: netip.MustParseAddrPort("[2001:db8::1]:5540")}); err == nil {
		t.Error("a datagram without a route was taken")
	}
}

func TestOnlyNamedInterfaceDelivers(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.Join("eth1")
	conn := listen(t, Options{Interfaces: []string{"eth1"}})[0]
	for _, name := range []string{"eth0", "eth1"} {
		c := lab.ListenUDP("udp6", fmt.Sprintf("[%s%%%s]:0", lab.PeerLinkLocal(name), name))
		dst := &net.UDPAddr{IP: lab.LinkLocal(name).AsSlice(), Port: int(conn.Port()), Zone: fmt.Sprint(lab.Index(name))}
		if _, err := c.WriteTo([]byte(name), dst); err != nil {
			t.Fatal(err)
		}
	}
	wantNext(t, conn, "eth1")
}

func TestHostWithoutIPv4Address(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.DelAddr("lo", "127.0.0.1/8")
	conns := listen(t, Options{Port: 5540})
	c := lab.ListenUDP("udp6", "[::]:0")
	dst := &net.UDPAddr{IP: lab.LinkLocal("eth0").AsSlice(), Port: 5540, Zone: fmt.Sprint(lab.Index("eth0"))}
	if _, err := c.WriteTo([]byte("six"), dst); err != nil {
		t.Fatal(err)
	}
	wantNext(t, conns[0], "six")
}

// TestNoFamily: the errors of a kernel without an address family cannot be caused
// here, so the test passes them to the function that handles them.
func TestNoFamily(t *testing.T) {
	if !noFamily(&net.OpError{Op: "listen", Err: os.NewSyscallError("socket", unix.EAFNOSUPPORT)}) {
		t.Error("EAFNOSUPPORT is not taken for a missing family")
	}
	if noFamily(errors.New("other")) {
		t.Error("any error is taken for a missing family")
	}
	if !strings.Contains(ErrNoIPv6.Error(), "ipv6.disable") {
		t.Errorf("no remedy in %q", ErrNoIPv6)
	}
}
