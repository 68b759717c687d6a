package mdns

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// packer writes messages in as few packets as possible, none of which is larger than
// the limit. It must be used by one goroutine at a time.
type packer struct {
	buf     [maxPacket]byte
	offsets map[string]int      // of the names in the packet, for the codec
	names   map[string]struct{} // in the packet, for the estimate of its size
	serial  uint64

	// Of the response that is being packed.
	denial                *record // says which addresses the host lacks; or nil
	answers, extras, more []*record
}

func newPacker() *packer {
	return &packer{offsets: make(map[string]int), names: make(map[string]struct{})}
}

// response is a message to send.
type response struct {
	link    *link
	limit   int
	records []*record
	// extras adds the records that the asker would ask for next.
	extras bool
	// known is the round in which the records that the asker has were marked. They
	// are not added.
	known uint64
	// ttl, if not nil, changes the time to live of each record.
	ttl func(uint32) uint32
	// legacy is the query of an asker that is no mDNS implementation, or nil. Its id
	// and questions are repeated.
	legacy *legacyQuery
	// noFlush leaves the cache-flush bit out, as other links may have such records.
	noFlush bool
	// written, if not nil, is called for every record.
	written func(*record)
}

type legacyQuery struct {
	id        uint16
	asked     int    // number of questions
	questions []byte // as in the query: compression pointers refer to each other only
}

// pack writes r and calls emit with each packet, which is valid during the call. A
// legacy response is a single packet; it has the TC bit if it is incomplete.
func (p *packer) pack(r *response, emit func([]byte)) {
	p.denial = r.link.hostDenial()
	answers, extras := p.answers[:0], p.extras[:0]
	size := p.begin(r)
	for _, rec := range r.records {
		if rec.packed == p.serial { // as an extra of another; make it an answer
			extras = slices.DeleteFunc(extras, func(x *record) bool { return x == rec })
			answers = append(answers, rec)
			continue
		}
		cost := p.group(r, rec)
		if len(answers) > 0 && size+cost > r.limit {
			p.write(r, answers, extras, r.legacy != nil, emit)
			if r.legacy != nil {
				return
			}
			answers, extras = answers[:0], extras[:0]
			size = p.begin(r)
			cost = p.group(r, rec) // the names of the last packet are not in this one
		}
		size += cost
		rec.packed = p.serial
		answers = append(answers, rec)
		for _, x := range p.more {
			x.packed = p.serial
			extras = append(extras, x)
		}
	}
	if len(answers) > 0 {
		p.write(r, answers, extras, false, emit)
	}
	p.answers, p.extras = answers, extras
}

// group sets p.more to the extras of rec and returns the size of all of them.
func (p *packer) group(r *response, rec *record) int {
	p.more = p.more[:0]
	if r.extras {
		p.addExtras(r, rec)
	}
	cost := p.cost(rec)
	for _, x := range p.more {
		cost += p.cost(x)
	}
	return cost
}

// begin starts the estimate of a packet and returns its size without records.
func (p *packer) begin(r *response) int {
	p.serial++
	clear(p.names)
	if r.legacy == nil {
		return headerSize
	}
	return headerSize + len(r.legacy.questions)
}

// addExtras collects the records that an asker for rec would ask for next (RFC 6763,
// section 12), without those that are in the packet or that the asker has.
func (p *packer) addExtras(r *response, rec *record) {
	add := func(x *record) {
		if x != nil && x != rec && x.packed != p.serial && (r.known == 0 || x.known != r.known) && x.visible() {
			p.more = append(p.more, x)
		}
	}
	switch rec.typ() {
	case dns.TypePTR, dns.TypeTXT: // RFC 6763 adds nothing to TXT, but some askers wait for SRV
		if rec.claim == nil {
			return
		}
		for _, x := range rec.claim.unique() {
			add(x)
		}
	case dns.TypeSRV, dns.TypeA, dns.TypeAAAA:
	default:
		return
	}
	for _, x := range r.link.host.records {
		add(x)
	}
	add(p.denial)
}

// cost returns an upper bound of the octets that rec adds to the packet.
func (p *packer) cost(rec *record) int {
	n := p.nameCost(rec.rr.Header().Name) + 10
	if ptr, ok := rec.rr.(*dns.PTR); ok {
		return n + p.nameCost(ptr.Ptr)
	}
	return n + len(rec.rdata) // the codec compresses no other names in data
}

// nameCost returns the octets of a name, compressed by the names before it.
func (p *packer) nameCost(name string) int {
	size := 0
	for name != "" {
		if _, ok := p.names[name]; ok {
			return size + 2
		}
		p.names[name] = struct{}{}
		label, rest, _ := strings.Cut(name, ".")
		size += 1 + len(label)
		name = rest
	}
	return size + 1
}

func (p *packer) write(r *response, answers, extras []*record, cut bool, emit func([]byte)) {
	flags := uint16(flagResponse | flagAnswer)
	if cut {
		flags |= flagTC
	}
	p.header(flags, 0, len(answers), 0, len(extras))
	off := headerSize
	if q := r.legacy; q != nil {
		binary.BigEndian.PutUint16(p.buf[0:], q.id)
		binary.BigEndian.PutUint16(p.buf[4:], uint16(q.asked))
		off += copy(p.buf[off:], q.questions)
	}
	for _, list := range [][]*record{answers, extras} {
		for _, rec := range list {
			class, ttl := rec.rr.Header().Class, rec.ttl()
			if r.legacy != nil || r.noFlush {
				class &^= topBit
			}
			if r.ttl != nil {
				ttl = r.ttl(ttl)
			}
			off = p.record(off, rec, class, ttl)
			if r.written != nil {
				r.written(rec)
			}
		}
	}
	emit(p.buf[:off])
}

func (p *packer) header(flags uint16, questions, answers, authority, extras int) {
	clear(p.offsets)
	for i, v := range []uint16{0, flags, uint16(questions), uint16(answers), uint16(authority), uint16(extras)} {
		binary.BigEndian.PutUint16(p.buf[2*i:], v)
	}
}

func (p *packer) question(off int, name string, typ, class uint16) int {
	end, err := dns.PackDomainName(name, p.buf[:], off, p.offsets, true)
	if err != nil || end+4 > len(p.buf) {
		panic("BUG: a question does not fit its packet")
	}
	binary.BigEndian.PutUint16(p.buf[end:], typ)
	binary.BigEndian.PutUint16(p.buf[end+2:], class)
	return end + 4
}

func (p *packer) record(off int, rec *record, class uint16, ttl uint32) int {
	end, err := dns.PackRR(rec.rr, p.buf[:], off, p.offsets, true)
	if err != nil {
		panic("BUG: a record does not fit its packet: " + err.Error())
	}
	patch(p.buf[off:end], class, ttl)
	return end
}

// packProbes writes questions for the names of claims, each with the records
// that are proposed for it (RFC 6762, section 8.1 and 8.2).
func (p *packer) packProbes(claims []*claim, limit int, emit func([]byte)) {
	for len(claims) > 0 {
		p.serial++
		clear(p.names)
		size, n, records := headerSize, 0, 0
		for _, c := range claims {
			cost := p.nameCost(c.name()) + 4
			for _, rec := range c.unique() {
				cost += p.cost(rec)
			}
			if n > 0 && size+cost > limit {
				break
			}
			size += cost
			records += len(c.unique())
			n++
		}
		p.header(0, n, 0, records, 0)
		off := headerSize
		for _, c := range claims[:n] {
			// No QU bit: a unicast answer would not reach a socket that is
			// bound to the group.
			off = p.question(off, c.name(), dns.TypeANY, dns.ClassINET)
		}
		for _, c := range claims[:n] {
			for _, rec := range c.unique() {
				off = p.record(off, rec, dns.ClassINET, rec.ttl())
			}
		}
		emit(p.buf[:off])
		claims = claims[n:]
	}
}
