package mdns

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// linkInfo describes a network interface of the host.
type linkInfo struct {
	name  string
	index int
	mtu   int
	// host is the first label of the host name: the hardware address as 12
	// hexadecimal digits; empty if there is none.
	host string
	// addrs are the addresses to publish, IPv6 first; own are all addresses of
	// the interface.
	addrs, own []netip.Addr
	// prefixes are those of the networks on the link.
	prefixes []netip.Prefix
	// reason says why the interface cannot be used. It is empty if it can.
	reason string
	// flapped says that the interface went down since the last call of setLinks.
	// It may be up again.
	flapped bool
}

// link is an interface on which services are announced.
type link struct {
	info     linkInfo
	names    map[string]*node   // by folded name
	host     *claim             // the host name
	services map[string]*claim  // by folded instance name
	types    map[string]*record // the list of types, by folded name

	// repeated has the indices of other links whose packets come in on this one,
	// too: they are on the same network, or a reflector repeats them.
	repeated map[int]bool

	pending   [families]answer
	truncated []heldQuery
}

func (i *linkInfo) hasFamily(f family) bool {
	return slices.ContainsFunc(i.addrs, func(a netip.Addr) bool { return a.Is4() == (f == ip4) })
}

// onLink reports whether a is an address of the link's network.
func (i *linkInfo) onLink(a netip.Addr) bool {
	a = a.WithZone("")
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(i.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// limit returns the largest size of a packet. A larger one would be cut into
// fragments, which many receivers drop.
func (i *linkInfo) limit() int {
	const headers, smallestMTU, largest = 48, 1280, 1400 // IPv6 and UDP
	return min(largest, max(i.mtu, smallestMTU)-headers)
}

// find returns the node of a folded name, or nil.
func (l *link) find(key []byte) *node { return l.names[string(key)] }

// nodeOf returns the node of a name. It makes one if there is none.
func (l *link) nodeOf(name string) *node {
	key := fold(name)
	n := l.names[key]
	if n == nil {
		n = &node{name: name}
		l.names[key] = n
	}
	return n
}

// add adds records to a claim and to their names.
func (l *link) add(c *claim, recs []*record) {
	for _, r := range recs {
		n := l.nodeOf(r.rr.Header().Name)
		n.records = append(n.records, r)
		n.nsec = nil
		if r.unique {
			n.owner = c
		}
	}
	c.records = append(c.records, recs...)
}

// remove is the opposite of add.
func (l *link) remove(c *claim, recs []*record) {
	for _, r := range recs {
		l.forget(r)
	}
	c.records = slices.DeleteFunc(c.records, func(r *record) bool { return slices.Contains(recs, r) })
}

func (l *link) forget(r *record) {
	key := fold(r.rr.Header().Name)
	n := l.names[key]
	n.nsec = nil
	n.records = slices.DeleteFunc(n.records, func(o *record) bool { return o == r })
	if len(n.records) == 0 {
		delete(l.names, key)
	}
}

// list adds the type of a claim's service to the list of types and, as other Matter
// stacks do, each of its subtypes.
func (l *link) list(c *claim) {
	typ := c.service.typeName()
	c.listed = []*record{l.listType(typ)}
	for _, sub := range c.service.Subtypes {
		c.listed = append(c.listed, l.listType(subtypeName(sub, typ)))
	}
	for _, r := range c.listed {
		r.holders++
		if c.state == Announced {
			r.users++
		}
	}
}

// unlist is the opposite of list. It returns the records that were sent and that no
// claim needs any more.
func (l *link) unlist(c *claim) (ended []*record) {
	for _, r := range c.listed {
		if c.state == Announced {
			r.users--
		}
		if r.holders--; r.holders > 0 {
			continue
		}
		if r.sent != ([families]time.Time{}) {
			ended = append(ended, r)
		}
		delete(l.types, fold(r.rr.(*dns.PTR).Ptr))
		l.forget(r)
	}
	c.listed = nil
	return ended
}

// listType returns the record of a type in the list. It makes one if there is none.
func (l *link) listType(typ string) *record {
	r := l.types[fold(typ)]
	if r == nil {
		r = pointer(enumeration, typ, nil)
		l.types[fold(typ)] = r
		n := l.nodeOf(enumeration)
		n.records = append(n.records, r)
	}
	return r
}

// hostDenial returns the record that says that the host has no address of one
// family. It is nil if the host has addresses of both.
func (l *link) hostDenial() *record {
	if l.info.hasFamily(ip6) && l.info.hasFamily(ip4) {
		return nil
	}
	return l.nodeOf(l.host.name()).denial()
}

// claims returns all claims of the link in a fixed order, the host's first.
func (l *link) claims() []*claim {
	keys := slices.Sorted(maps.Keys(l.services))
	out := append(make([]*claim, 0, 1+len(keys)), l.host)
	for _, k := range keys {
		out = append(out, l.services[k])
	}
	return out
}

// announced returns the unique records that are announced.
func (l *link) announced() (list []*record) {
	for _, c := range l.claims() {
		if c.state == Announced {
			list = append(list, c.unique()...)
		}
	}
	return list
}

// claimsDeadline returns when the next probe or announcement is due.
func (l *link) claimsDeadline() time.Time {
	d := l.host.next
	for _, c := range l.services {
		d = earlier(d, c.next)
	}
	return d
}

// deadline returns when something is due on the link; the zero time means never.
func (l *link) deadline() time.Time {
	d := l.claimsDeadline()
	for _, p := range l.pending {
		d = earlier(d, p.due)
	}
	for _, q := range l.truncated {
		d = earlier(d, q.due)
	}
	for _, c := range l.services {
		d = earlier(d, c.rival.until)
	}
	return d
}

// earlier returns the earlier of two times, where the zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// sortLinks returns links in the order of their indices.
func sortLinks(m map[int]*link) []*link {
	return slices.SortedFunc(maps.Values(m), func(a, b *link) int { return cmp.Compare(a.info.index, b.info.index) })
}
