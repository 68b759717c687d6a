package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

// twoNetworks connects this namespace with its peer by eth0 and eth1, with
// different prefixes. With sameMAC both have one hardware address, as VLANs of one
// card do.
func twoNetworks(t *testing.T, sameMAC bool) *netlab.Lab {
	t.Helper()
	lab := netlab.New(t)
	for i, name := range []string{"eth0", "eth1"} {
		lab.Join(name)
		lab.AddAddr(name, fmt.Sprintf("fd00:%d::a/64", i))
		lab.AddPeerAddr(name, fmt.Sprintf("fd00:%d::b/64", i))
		lab.AddAddr(name, fmt.Sprintf("10.0.%d.1/24", i))
		lab.AddPeerAddr(name, fmt.Sprintf("10.0.%d.2/24", i))
	}
	if sameMAC {
		lab.SetDown("eth1")
		if err := netlink.LinkSetHardwareAddr(lab.Link("eth1"), lab.Link("eth0").Attrs().HardwareAddr); err != nil {
			t.Fatal(err)
		}
		lab.SetUp("eth1")
		until(t, "the link-local address of the other interface", func() bool {
			list, err := netlink.AddrList(lab.Link("eth1"), netlink.FAMILY_V6)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				if a.IP.Equal(lab.LinkLocal("eth0").AsSlice()) {
					return true
				}
			}
			return false
		})
		lab.AddAddr("eth1", "fd00:1::a/64") // removed with the link
	}
	return lab
}

// hearsReflected waits until the records of one interface arrive on the other, from
// an address that does not belong to it.
func hearsReflected(t *testing.T, lab *netlab.Lab, f family, record string) {
	t.Helper()
	s, err := openSockets()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	index := lab.Link("eth1").Attrs().Index
	if err := s.join(index, f); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, maxPacket)
	set := map[family]func(time.Time) error{ip6: s.v6.SetReadDeadline, ip4: s.v4.SetReadDeadline}[f]
	if err := set(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		p, err := s.read(f, b)
		if err != nil {
			t.Fatalf("%s never came by eth1: %v", record, err)
		}
		m := new(dns.Msg)
		if p.index != index || m.Unpack(p.data) != nil {
			continue
		}
		for _, r := range append(m.Answer, m.Extra...) {
			if brief(r) == record {
				return
			}
		}
	}
}

// wantNoConflict waits some seconds, while questions are asked on both networks,
// and checks that everything stays announced on both interfaces.
func wantNoConflict(t *testing.T, lab *netlab.Lab, r *Responder) {
	t.Helper()
	a, b := listen(t, lab, "eth0", false), listen(t, lab, "eth1", false)
	for range 8 {
		for _, l := range []*listener{a, b} {
			l.ask(full(instO), dns.TypeANY)
			l.ask(full(tcp), dns.TypePTR)
		}
		until(t, "a second", elapsed(500*time.Millisecond))
	}
	s := r.Status()
	if s.Stats.Conflicts != 0 {
		t.Errorf("%d conflicts", s.Stats.Conflicts)
	}
	for _, i := range s.Interfaces {
		if p := i.Problem(); p != "" || len(i.Services) != 2 {
			t.Errorf("%s: %q, %+v", i.Name, p, i.Services)
		}
		for _, v := range i.Services {
			if v.State != Announced || v.Rival.IsValid() {
				t.Errorf("%s: %+v", i.Name, v)
			}
		}
	}
}

// untilAllAnnounced waits until all services are announced on both interfaces.
func untilAllAnnounced(t *testing.T, r *Responder) {
	t.Helper()
	until(t, "everything announced on both interfaces", func() bool {
		n := 0
		for _, i := range r.Status().Interfaces {
			for _, s := range i.Services {
				if s.State == Announced {
					n++
				}
			}
		}
		return n == 4
	})
}

func TestAvahiReflectsBetweenTwoNetworks(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := twoNetworks(t, false)
	avahi(t, lab.Start, fmt.Sprintf(avahiReflector, "yes"))
	r := start(t, operational(1), commissionable())
	host := strings.ToUpper(strings.ReplaceAll(lab.Link("eth0").Attrs().HardwareAddr.String(), ":", ""))
	hearsReflected(t, lab, ip6, instO+" SRV 0 0 5540 "+host)
	untilAllAnnounced(t, r)
	wantNoConflict(t, lab, r)
}

func TestAvahiReflectsBetweenVLANsOfOneCard(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := twoNetworks(t, true)
	avahi(t, lab.Start, fmt.Sprintf(avahiReflector, "no"))
	r := start(t, operational(1), commissionable())
	host := strings.ToUpper(strings.ReplaceAll(lab.Link("eth0").Attrs().HardwareAddr.String(), ":", ""))
	hearsReflected(t, lab, ip6, host+" AAAA fd00::a")
	untilAllAnnounced(t, r)
	wantNoConflict(t, lab, r)
}

func TestAvahiReflectsOnTheSameHost(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := twoNetworks(t, false)
	avahi(t, startHere(t), fmt.Sprintf(avahiReflector, "yes"))
	r := start(t, operational(1), commissionable())
	untilAllAnnounced(t, r)
	wantNoConflict(t, lab, r)
}

// TestRepeaterBetweenTwoNetworks runs a program that repeats packets unchanged over
// IPv4, as mdns-repeater does.
func TestRepeaterBetweenTwoNetworks(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := twoNetworks(t, false)
	var err error
	lab.Do(func() { err = repeat(t, "eth0", "eth1") })
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, operational(1), commissionable())
	host := strings.ToUpper(strings.ReplaceAll(lab.Link("eth0").Attrs().HardwareAddr.String(), ":", ""))
	hearsReflected(t, lab, ip4, instO+" SRV 0 0 5540 "+host)
	untilAllAnnounced(t, r)
	wantNoConflict(t, lab, r)
}

// repeat repeats packets to the IPv4 group from each of the interfaces on the
// other. It uses the namespace of the calling thread.
func repeat(t *testing.T, names ...string) error {
	s, err := openSockets()
	if err != nil {
		return err
	}
	t.Cleanup(s.close)
	other := map[int]int{}
	own := map[netip.Addr]bool{}
	for i, name := range names {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		peer, err := net.InterfaceByName(names[1-i])
		if err != nil {
			return err
		}
		other[ifi.Index] = peer.Index
		own[netip.MustParseAddr(fmt.Sprintf("10.0.%d.2", i))] = true
		if err := s.join(ifi.Index, ip4); err != nil {
			return err
		}
	}
	go func() {
		b := make([]byte, maxPacket)
		for {
			p, err := s.read(ip4, b)
			if err != nil {
				return
			}
			if !own[p.from.Addr()] {
				_ = s.send(other[p.index], ip4, groups[ip4], netip.Addr{}, p.data)
			}
		}
	}()
	return nil
}
