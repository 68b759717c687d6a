package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Times of the start-up of a name (RFC 6762, section 8).
const (
	probes          = 3
	probeInterval   = 250 * time.Millisecond
	probeStartMax   = 250 * time.Millisecond // random, after the link came up
	probeLost       = time.Second            // after another's probe won
	announcements   = 3
	firstInterval   = time.Second // between announcements, doubling
	conflictBackoff = 5 * time.Second
	conflictMax     = time.Minute
	verifyInterval  = 10 * time.Second // between two probes for a name that is announced
)

// claim is a name that only this host may have on a link, with all records that
// depend on it: the host name with its addresses, or an instance name with the
// records that describe it and point to it.
type claim struct {
	link      *link
	key       string   // folded name
	service   *Service // nil for the host name
	state     State
	withdrawn bool
	step      int // probes or announcements sent in this state
	next      time.Time
	records   []*record
	listed    []*record // in the list of types: the service's type, then its subtypes

	announcedAt time.Time // the last time
	failures    int       // conflicts in a row
	contested   time.Time
	rival       rival
}

// rival is another host that wants the name of a claim.
type rival struct {
	addr  netip.Addr // in its last packet; the zero Addr: there is no rival
	until time.Time  // when the rival is forgotten
}

// probe starts to probe for the name at a time.
func (c *claim) probe(at time.Time) {
	c.enter(Probing)
	c.step, c.next = 0, at
}

// announce starts the announcements of a claim that has its name. The first
// comes at a time, but at least a second after the last announcement.
func (c *claim) announce(at time.Time) {
	c.enter(Announced)
	if soonest := c.announcedAt.Add(repeatInterval); at.Before(soonest) {
		at = soonest
	}
	c.step, c.next = 0, at
}

// enter changes the state. Nothing else does.
func (c *claim) enter(s State) {
	for _, r := range c.listed {
		if c.state == Announced {
			r.users--
		}
		if s == Announced {
			r.users++
		}
	}
	c.state = s
}

// unique returns the records that no other host may have.
func (c *claim) unique() []*record {
	n := slices.IndexFunc(c.records, func(r *record) bool { return !r.unique })
	if n < 0 {
		return c.records
	}
	return c.records[:n] // serviceRecords lists them first
}

// name is the name that is claimed.
func (c *claim) name() string { return c.records[0].rr.Header().Name }

// newLink starts all claims on an interface that can be used from now on.
func (e *engine) newLink(now time.Time, info linkInfo) *link {
	l := &link{
		info:     info,
		names:    make(map[string]*node),
		services: make(map[string]*claim),
		types:    make(map[string]*record),
		repeated: make(map[int]bool),
	}
	e.newHost(l, info.host)
	e.claimAll(l, now.Add(e.between(0, probeStartMax)))
	return l
}

// newHost gives the link a host name. An empty label is replaced by a random one.
func (e *engine) newHost(l *link, label string) {
	if label == "" {
		label = fmt.Sprintf("%012X", e.random.Uint64()>>16)
	}
	name := label + "." + domain
	l.host = &claim{link: l}
	for _, a := range l.info.addrs {
		l.add(l.host, []*record{addressRecord(l.host, name, a)})
	}
}

// claimAll starts the claims of the host and of every service at a time. Without
// a service there is nothing to find, and the host is not announced either.
func (e *engine) claimAll(l *link, at time.Time) {
	for key, s := range e.services {
		e.newClaim(l, key, s, at)
	}
}

func (e *engine) newClaim(l *link, key string, s *Service, at time.Time) {
	if len(l.services) == 0 {
		l.host.probe(at)
	}
	c := &claim{link: l, key: key, service: s}
	l.list(c)
	l.add(c, serviceRecords(c, *s, l.host.name()))
	l.services[key] = c
	c.probe(at)
}

// drop removes the claim of a service from the link. It returns the records that
// were announced, for which the caller sends a goodbye.
func (l *link) drop(c *claim) (announced []*record) {
	recs := slices.Clone(c.records)
	if c.state == Announced {
		announced = append(announced, recs...)
	}
	c.enter(Probing)
	c.withdrawn, c.next = true, time.Time{}
	l.remove(c, recs)
	delete(l.services, c.key)
	announced = append(announced, l.unlist(c)...)
	if len(l.services) == 0 {
		if l.host.state == Announced {
			announced = append(announced, l.host.records...)
		}
		l.host.idle()
	}
	return announced
}

// idle suspends the claim of the host until there is a service again.
func (c *claim) idle() {
	c.enter(Probing)
	c.step, c.next = 0, time.Time{}
}

// update replaces the records of a service whose name stays the same, and sends
// a goodbye for the pointers that are no longer among them.
func (e *engine) update(now time.Time, c *claim, s *Service) {
	l := c.link
	fresh := serviceRecords(c, *s, l.host.name())
	var stale []*record
	for _, old := range c.records {
		i := slices.IndexFunc(fresh, func(r *record) bool { return sameRecord(r, old) })
		if i < 0 {
			stale = append(stale, old)
			continue
		}
		fresh[i] = old // it knows when it was sent last
	}
	before := slices.Clone(c.records)
	l.remove(c, before)
	l.add(c, fresh)
	former := *c
	c.service = s
	l.list(c)
	stale = append(stale, l.unlist(&former)...)
	e.former.add(now, stale)
	if c.state != Announced {
		return
	}
	// The announcement of a unique record replaces the old one.
	e.goodbye(l, slices.DeleteFunc(stale, func(r *record) bool { return r.unique }))
	c.announce(now)
}

func sameRecord(a, b *record) bool {
	return a.typ() == b.typ() && fold(a.rr.Header().Name) == fold(b.rr.Header().Name) && sameData(a.typ(), a.rdata, b.rdata)
}

// readdress replaces the addresses of the host on a link.
func (e *engine) readdress(now time.Time, l *link, info linkInfo) {
	name := l.host.name()
	before := slices.Clone(l.host.records)
	var kept, fresh []*record
	for _, a := range info.addrs {
		r := addressRecord(l.host, name, a)
		if i := slices.IndexFunc(before, func(o *record) bool { return sameRecord(o, r) }); i >= 0 {
			r = before[i]
			kept = append(kept, r)
		}
		fresh = append(fresh, r)
	}
	l.info = info
	l.remove(l.host, before)
	l.add(l.host, fresh)
	gone := slices.DeleteFunc(before, func(r *record) bool { return slices.Contains(kept, r) })
	e.former.add(now, gone)
	if l.host.state != Announced {
		return
	}
	e.goodbye(l, gone)
	l.host.announce(now)
}
