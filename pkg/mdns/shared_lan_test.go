package mdns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/opcredsd/opcredsd/internal/netlab"
	"github.com/opcredsd/opcredsd/internal/netns"
)

// cache is a client's cache (RFC 6762, section 10).
type cache map[string]cached

type cached struct {
	name  string
	typ   uint16
	heard time.Time
	until time.Time
}

func (c cache) hear(now time.Time, m *dns.Msg) {
	if !m.Response {
		return
	}
	for _, r := range slices.Concat(m.Answer, m.Extra) {
		h := r.Header()
		key := brief(r)
		if h.Class&topBit != 0 {
			for other, x := range c {
				if x.name == h.Name && x.typ == h.Rrtype && other != key && now.Sub(x.heard) > time.Second {
					x.until = earlier(x.until, now.Add(time.Second))
					c[other] = x
				}
			}
		}
		c[key] = cached{h.Name, h.Rrtype, now, now.Add(time.Duration(max(h.Ttl, 1)) * time.Second)}
	}
}

// with returns the unexpired records that contain text.
func (c cache) with(now time.Time, text string) (list []string) {
	maps.DeleteFunc(c, func(_ string, x cached) bool { return !now.Before(x.until) })
	for key := range c {
		if strings.Contains(key, text) {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}

// runOnOneLAN advances the time with both links on one network that has a client.
func (b *bench) runOnOneLAN(d time.Duration, c cache) {
	const step = 5 * time.Millisecond
	for end := b.now.Add(d); b.now.Before(end); {
		b.run(step)
		for _, s := range b.take() {
			if !s.to.Addr().IsMulticast() {
				continue
			}
			c.hear(b.now, s.Msg)
			other := b.links[5-s.index]
			if other == nil || b.links[s.index] == nil {
				continue
			}
			from := b.links[s.index].info.own[0]
			if s.family == ip4 {
				from = b.links[s.index].info.own[len(b.links[s.index].info.own)-1]
			}
			b.receive(b.now, packet{index: 5 - s.index, family: s.family, from: netip.AddrPortFrom(from, port), hopLimit: 255, data: s.data})
			b.advance(b.now)
		}
	}
}

// TestUnpluggedOnOneLAN: two interfaces are on one network, and one is
// disconnected, so that nothing can be sent on it. The other interface withdraws
// its records.
func TestUnpluggedOnOneLAN(t *testing.T) {
	for what, flapped := range map[string]bool{"gone": false, "down and up": true} {
		c := cache{}
		b := newBench(t, []linkInfo{linkA(), linkB()}, operational(1), commissionable())
		b.runOnOneLAN(20*time.Second, c)
		b.wantServed(what)
		if list := c.with(b.now, hostA); len(list) == 0 {
			t.Fatalf("%s: the client does not know the first interface: %v", what, slices.Collect(maps.Keys(c)))
		}
		dead := linkA()
		dead.reason, dead.flapped = "it is down", flapped
		b.sent = nil
		b.failing = !flapped // sending on the disconnected link fails
		b.failingOn = 2
		b.setLinks(b.now, []linkInfo{dead, linkB()})
		b.runOnOneLAN(3*time.Second, c)
		for _, text := range []string{hostA, "fe80::1", "192.168.1.10"} {
			if list := c.with(b.now, text); len(list) != 0 {
				t.Errorf("%s: the client still has %v", what, list)
			}
		}
		for _, want := range []string{instO + " SRV 0 0 5540 " + hostB, hostB + " AAAA fe80::2", tcp + " PTR " + instO} {
			if list := c.with(b.now, want); len(list) == 0 {
				t.Errorf("%s: the client has lost %s", what, want)
			}
		}
	}
}

// TestUnpluggedElsewhere: on a different network the records of the removed
// interface are not known, and nothing is sent about them.
func TestUnpluggedElsewhere(t *testing.T) {
	b := settled(t, []linkInfo{linkA(), linkB()}, operational(1))
	b.setLinks(b.now, []linkInfo{linkB()})
	b.run(10 * time.Second)
	for _, s := range b.take() {
		if s.index == 3 {
			t.Errorf("sent on the other network: %v", briefs(s.Answer))
		}
	}
}

// TestUnpluggedBehindAReflector: records that a reflector has repeated are
// withdrawn too.
func TestUnpluggedBehindAReflector(t *testing.T) {
	for _, r := range reflectors {
		b := newBench(t, []linkInfo{linkA(), linkB()}, operational(1))
		b.runReflected(20*time.Second, &r)
		dead := linkA()
		dead.reason, dead.flapped = "it is down", true
		b.setLinks(b.now, []linkInfo{dead, linkB()})
		b.run(100 * time.Millisecond)
		var took []string
		for _, s := range b.take() {
			if s.index == 3 {
				took = append(took, briefs(goodbyes([]sent{s}))...)
			}
		}
		if !slices.Contains(took, hostA+" A 192.168.1.10") {
			t.Errorf("%s: taken back on the other link: %v", r.what, took)
		}
	}
}

// TestUnpluggedOnOneLANOnTheWire connects two interfaces of this host to one switch
// and disconnects one.
func TestUnpluggedOnOneLANOnTheWire(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.Join("eth1")
	lab.AddAddr("eth0", "fd00:1::a/64")
	var err error
	lab.Do(func() {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err = netlink.LinkAdd(bridge); err != nil {
			return
		}
		for _, name := range []string{"eth0", "eth1"} {
			var port netlink.Link
			if port, err = netlink.LinkByName(name); err == nil {
				err = netlink.LinkSetMaster(port, bridge)
			}
			if err != nil {
				return
			}
		}
		if err = netns.Configure("br0"); err == nil {
			_, err = netns.Await("br0")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l := listenTo(t, lab, "br0")
	r := start(t, operational(1))
	until(t, "both interfaces served", func() bool {
		list := r.Status().Interfaces
		return len(list) == 2 && list[0].Announced() && list[1].Announced()
	})
	hosts := map[string]string{}
	for _, i := range r.Status().Interfaces {
		hosts[i.Name] = strings.TrimSuffix(i.Host, ".local.")
	}
	until(t, "two seconds", elapsed(2*time.Second))
	l.forget()
	lab.Do(func() { err = netns.Down("eth0") })
	if err != nil {
		t.Fatal(err)
	}
	l.hearRecord(hosts["eth0"]+" AAAA fd00:1::a", true)
	l.hearRecord(instO+" SRV 0 0 5540 "+hosts["eth1"], false)
	if n := r.Status().Stats.Conflicts; n != 0 {
		t.Errorf("%d conflicts", n)
	}
}
