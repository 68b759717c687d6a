package server_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netlab"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// toggleAll is an InvokeRequest with Toggle of the lamps on every endpoint.
var toggleAll = []byte{0x15, 0x29, 0, 0x28, 1, 0x36, 2, 0x15, 0x37, 0, 0x26, 1, 0x01, 0xFC, 0xF1, 0xFF, 0x24, 2, 0, 0x18, 0x18, 0x18, 0x24, 0xFF, 12, 0x18}

// On real sockets and links, messages to groups arrive by multicast, on a link that
// is added later too, and the diagnostics report the links.
func TestGroupsOnTheWire(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	srv, err := server.New(server.Options{StateDir: t.TempDir(), Passcode: passcode, Announcer: &billboard{}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	var conns []transport.PacketConn
	lab.Do(func() { conns, err = transport.Listen(transport.Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	c := commissioner.New(conns[0])
	t.Cleanup(c.Close)
	a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node := netip.AddrPortFrom(lab.LinkLocal("eth0").WithZone("eth0"), transport.GroupPort)
	l := &lamps{rig: &rig{t: t, ctx: context.Background(), srv: srv}, a: a}
	l.done, err = c.Commission(l.ctx, node, passcode, a)
	l.must(err)
	l.s = l.done.CASE
	if got := l.attr(l.s, clDiagnostics, 0); !strings.Contains(got, `0:"eth0",1:true`) || strings.Contains(got, `"eth1"`) {
		t.Errorf("interfaces %s", got)
	}
	if got, want := l.attr(l.s, clNetwork, 1), `[{0:x"65746830",1:true}]`; got != want {
		t.Errorf("networks %s, want %s", got, want)
	}
	l.addLamps()
	g := &commissioner.Group{From: a, ID: 7, EpochKey: [16]byte{1: 0xAB}, Counter: 1000}
	l.must(l.s.KeySetWrite(l.ctx, 5, g.EpochKey))
	l.must(l.s.MapGroups(l.ctx, 5, 7))
	for _, ep := range []matter.EndpointID{hall, kitchen} {
		l.must(l.s.AddGroup(l.ctx, ep, 7, "lamps"))
	}
	l.setACL(groupEntry(7))

	l.toggleBy(lab, g, "eth0")
	lab.Join("eth1")
	l.toggleBy(lab, g, "eth1")
	for end := time.Now().Add(10 * time.Second); !strings.Contains(l.attr(l.s, clDiagnostics, 0), `0:"eth1",1:true`); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the diagnostics do not report the new link")
		}
	}
}

// toggleBy sends the group message on a link until it has an effect.
func (l *lamps) toggleBy(lab *netlab.Lab, g *commissioner.Group, link string) {
	l.t.Helper()
	sender := lab.ListenUDP("udp6", "[::]:0")
	l.must(ipv6.NewPacketConn(sender).SetMulticastInterface(&net.Interface{Index: lab.Index(link)}))
	sent := 0
	for end := time.Now().Add(10 * time.Second); l.did.len() < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("%d messages by %s had no effect", sent, link)
		}
		b, err := g.Seal(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, toggleAll)
		l.must(err)
		_, err = sender.WriteTo(b, net.UDPAddrFromAddrPort(g.Addr()))
		l.must(err)
		sent++
	}
	if did := l.did.take(); len(did)%2 != 0 || did[0] != "2/Toggle by 1" || did[1] != "3/Toggle by 1" {
		l.t.Errorf("by %s: did %q", link, did)
	}
}
