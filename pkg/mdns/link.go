package mdns

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// linkInfo is what the host says of an interface.
type linkInfo struct {
	name  string
	index int
	mtu   int
	// host is the first label of the host name: the hardware address as 12
	// hexadecimal digits; empty if there is none.
	host string
	// addrs are to be published, IPv6 first; own are all that datagrams of
	// ours can come from.
	addrs, own []netip.Addr
	// prefixes are on-link.
	prefixes []netip.Prefix
	// reason says why the interface cannot be used; empty if it can.
	reason string
	// flapped: it was down since the last look, though it is up again.
	flapped bool
}

// link is an interface on which we announce.
type link struct {
	info     linkInfo
	names    map[string]*node   // by folded name
	host     *claim             // the host name
	services map[string]*claim  // by folded instance name
	types    map[string]*record // the list of types, by folded name

	// hears are the indices of other links whose records come here as well: on the
	// same network, or by a reflector.
	hears map[int]bool

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

// limit is the size of a packet: never so large that it would be cut into
// fragments, which many receivers lose.
func (i *linkInfo) limit() int {
	const headers, smallestMTU, largest = 48, 1280, 1400 // IPv6 and UDP
	return min(largest, max(i.mtu, smallestMTU)-headers)
}

// find looks a folded name up.
func (l *link) find(key []byte) *node { return l.names[string(key)] }

// nodeOf returns the node of a name, which it makes if there is none.
func (l *link) nodeOf(name string) *node {
	key := fold(name)
	n := l.names[key]
	if n == nil {
		n = &node{name: name}
		l.names[key] = n
	}
	return n
}

// add makes the records of c findable.
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

// remove takes records out again.
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

// list puts the types of a claim's service into the list of types: the type itself and,
// as other Matter stacks do, each subtype.
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

// unlist is the opposite of list. It returns what the network has heard and nobody holds
// any more.
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

// listType returns the record of a type, which it makes if there is none.
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

// hostDenial says that the host has no address of one family, or is nil.
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

// claimsDeadline is when the next claim has something to do.
func (l *link) claimsDeadline() time.Time {
	d := l.host.next
	for _, c := range l.services {
		d = earlier(d, c.next)
	}
	return d
}

// deadline is when the link has something to do; zero for never.
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

// sortLinks puts links into the order of their indices.
func sortLinks(m map[int]*link) []*link {
	return slices.SortedFunc(maps.Values(m), func(a, b *link) int { return cmp.Compare(a.info.index, b.info.index) })
}
