package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

var (
	groupA = netip.MustParseAddr("ff35:40:fd00::100:1")
	groupB = netip.MustParseAddr("ff35:40:fd00::100:2")
)

// sendGroup sends from the peer on one link.
func sendGroup(t *testing.T, lab *netlab.Lab, link string, group netip.Addr, text string) {
	t.Helper()
	c := lab.ListenUDP("udp6", "[::]:0")
	if err := ipv6.NewPacketConn(c).SetMulticastInterface(&net.Interface{Index: lab.Index(link)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte(text), &net.UDPAddr{IP: group.AsSlice(), Port: GroupPort}); err != nil {
		t.Fatal(err)
	}
}

func TestSetGroups(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	for _, name := range []string{"eth0", "eth1", "docker0"} {
		lab.Join(name)
	}
	conn := listen(t, Options{Port: GroupPort})[0]
	set := func(groups ...netip.Addr) {
		t.Helper()
		if err := conn.SetGroups(groups); err != nil {
			t.Fatal(err)
		}
	}
	marker := client(t, "udp6", net.JoinHostPort("::1", fmt.Sprint(GroupPort)))
	// nothing fails unless the next datagram is the marker, which is sent
	// afterwards.
	nothing := func(what string) {
		t.Helper()
		time.Sleep(20 * time.Millisecond) // the marker takes another path
		if _, err := marker.Write([]byte(what)); err != nil {
			t.Fatal(err)
		}
		wantNext(t, conn, what)
	}

	sendGroup(t, lab, "eth0", groupA, "too early")
	nothing("no group yet")
	set(groupA)
	for _, link := range []string{"eth0", "eth1"} {
		sendGroup(t, lab, link, groupA, link)
		got, p := receive(t, conn)
		if string(got) != link || p.Interface != lab.Link(link).Attrs().Index || p.Local.IsValid() {
			t.Errorf("by %s: %q, path %+v", link, got, p)
		}
	}
	sendGroup(t, lab, "eth0", groupB, "another group")
	sendGroup(t, lab, "docker0", groupA, "not served")
	nothing("only the group, only where the node serves")

	set(groupA, groupB)
	set(groupB, groupA)
	sendGroup(t, lab, "eth1", groupB, "two")
	wantNext(t, conn, "two")
	set(groupB)
	sendGroup(t, lab, "eth0", groupA, "left")
	nothing("a group that was left")
	sendGroup(t, lab, "eth0", groupB, "stayed")
	wantNext(t, conn, "stayed")

	// An interface that appears later is joined by the next call.
	lab.Join("eth2")
	set(groupB)
	sendGroup(t, lab, "eth2", groupB, "later")
	wantNext(t, conn, "later")
	lab.SetDown("eth2")
	set(groupB)
	lab.SetUp("eth2")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		set(groupB)
		if conn.(*udpConn).joined[membership{groupB, lab.Link("eth2").Attrs().Index}] {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not joined again on a link that came back")
		}
	}
	sendGroup(t, lab, "eth2", groupB, "back")
	wantNext(t, conn, "back")

	set()
	sendGroup(t, lab, "eth0", groupB, "the end")
	nothing("no group any more")
}

func TestSetGroupsElsewhere(t *testing.T) {
	conns := listen(t, Options{})
	for _, c := range conns {
		if err := c.SetGroups([]netip.Addr{groupA}); !errors.Is(err, ErrGroupPort) {
			t.Errorf("on port %d: %v", c.Port(), err)
		}
		if err := c.SetGroups(nil); err != nil {
			t.Errorf("no groups: %v", err)
		}
	}
}
