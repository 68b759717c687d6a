package mdns

import (
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// maxFormer is the number of ended records that are remembered.
const maxFormer = 2048

// datum identifies a record that another host repeats: by its name in lower case, its
// type, and its data with names in lower case.
type datum struct {
	name string
	typ  uint16
	data string
}

func datumOf(key string, typ uint16, rdata []byte) datum {
	data := rdata
	switch {
	case typ == dns.TypePTR:
		data = []byte(fold(string(rdata)))
	case typ == dns.TypeSRV && len(rdata) > srvNumbers:
		data = append(append([]byte(nil), rdata[:srvNumbers]...), fold(string(rdata[srvNumbers:]))...)
	}
	return datum{key, typ, string(data)}
}

// former has the unique records that this host no longer announces, each with the time
// at which no cache can have it any more.
type former map[datum]time.Time

// add adds records. Each is remembered for twice its time to live, as a cache that
// repeats a record may start its time to live again.
func (f former) add(now time.Time, records []*record) {
	for _, r := range records {
		if !r.unique {
			continue
		}
		if len(f) >= maxFormer {
			maps.DeleteFunc(f, func(_ datum, until time.Time) bool { return !now.Before(until) })
		}
		if len(f) >= maxFormer {
			return
		}
		f[datumOf(fold(r.rr.Header().Name), r.typ(), r.rdata)] = now.Add(2 * time.Duration(r.ttl()) * time.Second)
	}
}

// isOwn reports whether a record that is not one of this link is one of another link, or
// was one of any link recently. A host that repeats such a record, as a reflector between
// two networks does, does not claim the name (RFC 6762, section 9).
func (e *engine) isOwn(now time.Time, l *link, raw rawRecord, rdata []byte) bool {
	key := fold(raw.node.name)
	for _, other := range e.links {
		if n := other.names[key]; other != l && n != nil && n.find(raw.typ, rdata) != nil {
			l.repeated[other.info.index] = true
			return true
		}
	}
	until, ok := e.former[datumOf(key, raw.typ, rdata)]
	return ok && now.Before(until)
}

// goodbyeElsewhere sends goodbyes for the records of a link that was closed on the other
// links where these records were repeated, as the closed link may be down. Otherwise
// clients there would use an unreachable address for two minutes.
func (e *engine) goodbyeElsewhere(now time.Time, gone *link, records []*record) {
	for _, l := range sortLinks(e.links) {
		if !l.repeated[gone.info.index] {
			continue
		}
		delete(l.repeated, gone.info.index)
		e.goodbye(l, slices.DeleteFunc(slices.Clone(records), func(r *record) bool {
			n := l.names[fold(r.rr.Header().Name)]
			return n != nil && n.find(r.typ(), r.rdata) != nil
		}))
		for _, c := range l.claims() { // the records of this link replace them
			if c.state == Announced {
				c.announce(now)
			}
		}
	}
}
