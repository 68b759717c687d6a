package mdns

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// receiveResponse looks for names of this host in e.msg, the response of another
// one (RFC 6762, sections 6.6, 8.1 and 9).
func (e *engine) receiveResponse(now time.Time, l *link, f family, from netip.Addr) {
	_, ownHost := e.own[from]
	var contested []*claim
	for _, raw := range e.msg.records {
		if raw.section == authoritySection || raw.class&^topBit != dns.ClassINET || !raw.node.has(raw.typ) {
			continue
		}
		rr, rdata := unpack(e.msg.bytes, raw)
		if rr == nil {
			continue
		}
		if r := raw.node.find(raw.typ, rdata); r != nil {
			// The other host says that the record ends, now or sooner than it does.
			if r.visible() && raw.ttl < r.ttl()/2 {
				e.rescue(now, l, f, r)
			}
			continue
		}
		address := raw.typ == dns.TypeA || raw.typ == dns.TypeAAAA
		switch {
		case raw.node.owner == nil: // shared
		case raw.ttl == 0: // a goodbye claims nothing
		case e.isOwn(now, l, raw, rdata):
		case address && ownHost:
			// Another responder of this host that has the same host name, from
			// the hardware address, and publishes other addresses.
		case !slices.Contains(contested, raw.node.owner):
			contested = append(contested, raw.node.owner)
		}
	}
	for _, c := range contested {
		if !c.withdrawn { // when the conflict before it was resolved
			e.contest(now, f, c, from)
		}
	}
}

func (n *node) has(typ uint16) bool {
	return slices.ContainsFunc(n.records, func(r *record) bool { return r.typ() == typ })
}

// contest handles another host's claim to a name of this one.
func (e *engine) contest(now time.Time, f family, c *claim, from netip.Addr) {
	l := c.link
	e.setRival(now, c, from)
	log := e.log.With("name", strings.TrimSuffix(c.name(), "."), "interface", l.info.name, "from", from)
	switch {
	case c.state == Announced && !c.contested.IsZero() && now.Sub(c.contested) < verifyInterval:
		for _, r := range c.unique() {
			l.enqueue(f, r, now.Add(e.between(jitterMin, jitterMax)))
		}
		return
	case c.state == Announced:
		log.Warn("another host claims a name that is announced; probing for it again")
		c.contested = now
		c.probe(now)
	case c.state == Conflict || c.next.IsZero():
		return
	case c.service == nil:
		log.Warn("another host has the host name; drawing a new one")
		e.renameHost(now, l)
	default:
		log.Warn("another host has the name of a service, which is not announced on this interface")
		c.failures++
		c.enter(Conflict)
		c.next = now.Add(backoff(c.failures))
	}
	e.stats.conflicts.Add(1)
	e.dirty = true
}

// backoff returns the wait after a number of conflicts, 1 or more.
func backoff(failures int) time.Duration {
	return min(conflictBackoff<<min(failures-1, 8), conflictMax)
}

// rivalAge is how long a rival is remembered after its last packet.
const rivalAge = 5 * time.Minute

// setRival remembers which host wants the name of a claim.
func (e *engine) setRival(now time.Time, c *claim, from netip.Addr) {
	e.dirty = e.dirty || c.rival.addr != from
	c.rival = rival{from, now.Add(rivalAge)}
}

// forgetRivals forgets the rivals that have not sent anything for a while.
func (e *engine) forgetRivals(now time.Time, l *link) {
	for _, c := range l.services {
		if c.rival.addr.IsValid() && !now.Before(c.rival.until) {
			c.rival = rival{}
			e.dirty = true
		}
	}
}

// renameHost draws another host name for the link and starts all claims again.
func (e *engine) renameHost(now time.Time, l *link) {
	failures, at := l.host.failures+1, now
	if failures > 3 {
		at = now.Add(backoff(failures - 3))
	}
	e.former.add(now, l.host.records)
	e.farewell(now, l)
	l.host.withdrawn = true
	l.remove(l.host, slices.Clone(l.host.records))
	e.newHost(l, "")
	e.relinked = true
	l.host.failures = failures
	e.claimAll(l, at)
}

// breakTies compares the probes in the query e.msg with this host's own probes for
// the same names. The host whose proposal is greater, by octets, continues
// (RFC 6762, section 8.2).
func (e *engine) breakTies(now time.Time, l *link, from netip.Addr) {
	for _, q := range e.msg.questions {
		c := q.node.owner
		if c == nil || c.state == Conflict || c.next.IsZero() && c.state == Probing {
			continue
		}
		var theirs []proposal
		own := true
		for _, raw := range e.msg.records {
			if raw.section != authoritySection || raw.node != q.node {
				continue
			}
			if rr, rdata := unpack(e.msg.bytes, raw); rr != nil {
				theirs = append(theirs, proposal{raw.class &^ topBit, raw.typ, rdata})
				own = own && (raw.node.find(raw.typ, rdata) != nil || e.isOwn(now, l, raw, rdata))
			}
		}
		if own {
			continue // a probe of this host, repeated on this link or from another
		}
		if c.service != nil {
			e.setRival(now, c, from)
		}
		if c.state != Probing || c.step == 0 {
			continue
		}
		var ours []proposal
		for _, r := range c.unique() {
			ours = append(ours, proposal{dns.ClassINET, r.typ(), r.rdata})
		}
		if compareProposals(ours, theirs) < 0 {
			// Any host can cause this line once a second for each name.
			e.log.Debug("another host probes for the same name; yielding to it", "name", strings.TrimSuffix(c.name(), "."), "interface", l.info.name)
			c.probe(now.Add(probeLost))
		}
	}
}

// proposal is a record in a probe, in the form in which probes are compared.
type proposal struct {
	class, typ uint16
	rdata      []byte
}

func (p proposal) compare(o proposal) int {
	return cmp.Or(cmp.Compare(p.class, o.class), cmp.Compare(p.typ, o.typ), bytes.Compare(p.rdata, o.rdata))
}

func compareProposals(a, b []proposal) int {
	slices.SortFunc(a, proposal.compare)
	slices.SortFunc(b, proposal.compare)
	return slices.CompareFunc(a, b, proposal.compare)
}
