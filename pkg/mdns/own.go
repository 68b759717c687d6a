package mdns

import (
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// maxFormer bounds the records that are remembered after their end.
const maxFormer = 2048

// datum is a record as others may repeat it: its name in lower case, its type, and
// its data with names in lower case.
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

// former holds the unique records that this host announced and does so no longer,
// each until no cache can have it any more.
type former map[datum]time.Time

// add remembers records. A cache that repeats a record gives it its whole life once
// more.
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

// isOwn reports whether a record that is not of this link is of another one of this
// host, or was of any a short while ago. Whoever repeats it, as reflectors between two
// networks do, claims nothing for himself (RFC 6762, section 9).
func (e *engine) isOwn(now time.Time, l *link, raw rawRecord, rdata []byte) bool {
	key := fold(raw.node.name)
	for _, other := range e.links {
		if n := other.names[key]; other != l && n != nil && n.find(raw.typ, rdata) != nil {
			l.hears[other.info.index] = true
			return true
		}
	}
	until, ok := e.former[datumOf(key, raw.typ, rdata)]
	return ok && now.Before(until)
}

// takeBackElsewhere takes records of a link that was closed back on the links where they
// were heard, as the link itself may be dead: clients there would keep an address that
// leads nowhere for two minutes.
func (e *engine) takeBackElsewhere(now time.Time, gone *link, records []*record) {
	for _, l := range sortLinks(e.links) {
		if !l.hears[gone.info.index] {
			continue
		}
		delete(l.hears, gone.info.index)
		e.goodbye(l, slices.DeleteFunc(slices.Clone(records), func(r *record) bool {
			n := l.names[fold(r.rr.Header().Name)]
			return n != nil && n.find(r.typ(), r.rdata) != nil
		}))
		for _, c := range l.claims() { // what is still there takes its place
			if c.state == Announced {
				c.announce(now)
			}
		}
	}
}
