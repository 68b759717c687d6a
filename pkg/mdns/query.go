package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Times of answers (RFC 6762, section 6 and 7.2).
const (
	jitterMin = 20 * time.Millisecond
	jitterMax = 120 * time.Millisecond
	heldMin   = 400 * time.Millisecond // more known answers follow
	heldMax   = 500 * time.Millisecond

	repeatInterval = time.Second // of one record in one group
	defendInterval = 250 * time.Millisecond

	// The interval between rescues of one record doubles, up to rescueMax, until there
	// was none for rescueCalm.
	rescueCalm = 5 * time.Minute
	rescueMax  = 2 * time.Minute
)

// Bounds on the queries that are held.
const (
	maxHeld      = 8     // queries on a link
	maxHeldBytes = 16384 // of one, with its known answers
)

// hopLimit is the hop limit of every packet that is sent (RFC 6762, section 11).
const hopLimit = 255

// answer is a pending answer to a group.
type answer struct {
	due     time.Time // zero: nothing
	records []*record
}

// heldQuery is a query whose remaining known answers have not come yet.
type heldQuery struct {
	from     netip.AddrPort
	family   family
	due      time.Time
	size     int
	messages [][]byte
}

// asker is the sender of a query.
type asker struct {
	family family
	from   netip.AddrPort
	to     netip.Addr // this host's address that the query was sent to; the zero Addr: the group
	onLink bool       // a unicast answer cannot leave the link
}

// receive handles a packet. It reports whether the packet had names of this host, so
// that advance may have something to do.
func (e *engine) receive(now time.Time, p packet) bool {
	e.stats.received.Add(1)
	if !e.limits.packet(now) {
		e.stats.dropped.Add(1)
		return false
	}
	l := e.links[p.index]
	if l == nil {
		return false
	}
	from := p.from.Addr().WithZone("")
	if _, own := e.own[from]; own && p.from.Port() == port {
		if on, ok := e.echo.find(p.index, p.data); ok && on == p.index {
			return false
		} else if ok {
			l.repeated[on] = true
		}
	}
	m := &e.msg
	if !m.parse(p.data, l.find) {
		e.stats.malformed.Add(1)
		return false
	}
	if len(m.questions)+len(m.records) == 0 {
		return false
	}
	// A packet to the group has not passed a router, whatever its hop limit and source
	// address are (RFC 6762, section 11). The Matter SDK sends queries with a hop limit
	// of 64, matter.js with 1. A packet to an address of this host may have passed one.
	onLink := l.info.onLink(from)
	unicast := p.to.IsValid()
	if unicast && (m.response || !onLink) {
		return false
	}
	if !m.response && m.authority > 0 {
		if _, ok := e.echo.find(p.index, p.data); ok {
			return false // a probe that this host sent on another link
		}
	}
	if !e.limits.concern(from) {
		e.stats.dropped.Add(1)
		return false
	}
	switch {
	case !m.response:
		e.query(now, l, asker{p.family, p.from, p.to, onLink})
	case p.from.Port() == port: // section 6
		e.receiveResponse(now, l, p.family, from)
	}
	return true
}

// query handles the query e.msg.
func (e *engine) query(now time.Time, l *link, from asker) {
	m := &e.msg
	if m.authority > 0 {
		e.breakTies(now, l, from.from.Addr().WithZone(""))
	}
	switch {
	case from.from.Port() != port && from.onLink:
		e.answerLegacy(l, from)
	case m.asked == 0:
		l.addHeld(from, m.bytes)
	case m.truncated:
		e.hold(now, l, from)
	default:
		e.round++
		e.markKnown(l)
		e.answerQuestions(now, l, from, false)
	}
}

// hold keeps a query until the rest of its known answers have come.
func (e *engine) hold(now time.Time, l *link, from asker) {
	if l.addHeld(from, e.msg.bytes) {
		return
	}
	if len(l.truncated) >= maxHeld {
		e.stats.dropped.Add(1)
		return
	}
	l.truncated = append(l.truncated, heldQuery{
		from: from.from, family: from.family, due: now.Add(e.between(heldMin, heldMax)),
		size: len(e.msg.bytes), messages: [][]byte{slices.Clone(e.msg.bytes)},
	})
}

// addHeld adds a message to the held query of the same asker. It reports whether
// there is one.
func (l *link) addHeld(from asker, b []byte) bool {
	for i := range l.truncated {
		q := &l.truncated[i]
		if q.from != from.from || q.family != from.family {
			continue
		}
		if q.size+len(b) <= maxHeldBytes {
			q.size += len(b)
			q.messages = append(q.messages, slices.Clone(b))
		}
		return true
	}
	return false
}

// answerHeld answers the held queries that are due.
func (e *engine) answerHeld(now time.Time, l *link) {
	l.truncated = slices.DeleteFunc(l.truncated, func(q heldQuery) bool {
		if now.Before(q.due) {
			return false
		}
		e.round++
		for _, b := range q.messages {
			if e.msg.parse(b, l.find) {
				e.markKnown(l)
			}
		}
		for _, b := range q.messages {
			if e.msg.parse(b, l.find) {
				e.answerQuestions(now, l, asker{family: q.family, from: q.from}, true)
			}
		}
		return true
	})
}

// markKnown marks the records that the asker has with the current round, as they are
// left out of the answer (RFC 6762, section 7.1).
func (e *engine) markKnown(l *link) {
	for _, raw := range e.msg.records {
		if raw.section != answerSection || raw.class&^topBit != dns.ClassINET {
			continue
		}
		rr, rdata := unpack(e.msg.bytes, raw)
		if rr == nil {
			continue
		}
		list := raw.node.records
		if ptr, ok := rr.(*dns.PTR); ok {
			// A type can have hundreds of records: look among those of the instance.
			if n := l.names[fold(ptr.Ptr)]; n != nil && n.owner != nil {
				list = n.owner.records
			}
		}
		for _, r := range list {
			if r.typ() == raw.typ && raw.ttl >= r.ttl()/2 && sameData(raw.typ, r.rdata, rdata) && l.find([]byte(fold(r.rr.Header().Name))) == raw.node {
				r.known = e.round
			}
		}
	}
}

// unpack decodes a record, and its data as uncompressed octets. It returns nil for a
// record that is malformed.
func unpack(b []byte, raw rawRecord) (dns.RR, []byte) {
	rr, _, err := dns.UnpackRR(b, raw.offset)
	if err != nil {
		return nil, nil
	}
	rdata, err := rawData(rr)
	if err != nil {
		return nil, nil
	}
	return rr, rdata
}

// match calls found with every record that answers q. If the name belongs to this
// host and has no record of the type, it calls found with the denial.
func match(q question, found func(*record)) {
	if q.class != dns.ClassINET && q.class != dns.ClassANY {
		return
	}
	matched := false
	for _, r := range q.node.records {
		if r.visible() && (q.typ == dns.TypeANY || q.typ == r.typ()) {
			matched = true
			found(r)
		}
	}
	if o := q.node.owner; !matched && o != nil && o.state == Announced {
		found(q.node.denial())
	}
}

// answerQuestions answers e.msg to the group. The asker alone gets the records that it
// asked for by unicast and that were multicast recently.
func (e *engine) answerQuestions(now time.Time, l *link, from asker, held bool) {
	m := &e.msg
	least := repeatInterval
	if m.authority > 0 {
		least = defendInterval // another host is about to take the name
	}
	multicast, unicast := e.multicast[:0], e.unicast[:0]
	shared := false
	for _, q := range m.questions {
		match(q, func(r *record) {
			if r.picked == e.round || r.known == e.round {
				return
			}
			r.picked = e.round
			age := now.Sub(r.sent[from.family])
			switch {
			case from.to.IsValid():
				unicast = append(unicast, r)
			case q.unicast && from.onLink && age < time.Duration(r.ttl())*time.Second/4:
				unicast = append(unicast, r)
			case age >= least:
				multicast = append(multicast, r)
				shared = shared || !r.unique
			}
		})
	}
	e.multicast, e.unicast = multicast, unicast
	if len(unicast) > 0 {
		e.answerAlone(l, from, &response{link: l, limit: l.info.limit(), records: unicast, extras: true, known: e.round})
	}
	switch {
	case len(multicast) == 0:
	case shared && !held:
		// Other hosts may answer, too: wait for a random time, and answer all who ask
		// in the meantime at once.
		due := now.Add(e.between(jitterMin, jitterMax))
		for _, r := range multicast {
			l.enqueue(from.family, r, due)
		}
	default:
		e.sendAnswer(now, l, from.family, multicast, e.round)
	}
}

// enqueue adds a record to the pending answer of a link.
func (l *link) enqueue(f family, r *record, due time.Time) {
	a := &l.pending[f]
	if r.queued[f].IsZero() {
		a.records = append(a.records, r)
	}
	r.queued[f] = earlier(r.queued[f], due)
	a.due = earlier(a.due, due)
}

// rescue announces a record again after another host has said that it ended. It does so
// within a second, after which caches would drop the record, but at growing intervals if
// the other host repeats that.
func (e *engine) rescue(now time.Time, l *link, f family, r *record) {
	if now.Sub(r.rescued) > rescueCalm {
		r.rescuePause = repeatInterval / 2
	}
	due := now.Add(e.between(jitterMin, jitterMax))
	if earliest := r.rescued.Add(r.rescuePause); due.Before(earliest) {
		due = earliest
	}
	r.urgent[f] = true
	l.enqueue(f, r, due)
}

// flush sends the pending answer to a group if it is due.
func (e *engine) flush(now time.Time, l *link, f family) {
	a := &l.pending[f]
	if a.due.IsZero() || now.Before(a.due) {
		return
	}
	a.due = time.Time{}
	var list []*record
	a.records = slices.DeleteFunc(a.records, func(r *record) bool {
		if r.urgent[f] && r.queued[f].Sub(now) > jitterMax {
			a.due = earlier(a.due, r.queued[f]) // a rescue that is not due
			return false
		}
		if r.urgent[f] && r.visible() {
			r.rescued = now
			r.rescuePause = min(2*r.rescuePause, rescueMax)
			list = append(list, r)
		} else if r.visible() && now.Sub(r.sent[f]) >= repeatInterval {
			list = append(list, r)
		}
		r.queued[f], r.urgent[f] = time.Time{}, false
		return true
	})
	e.sendAnswer(now, l, f, list, 0)
}

// sendAnswer multicasts records, without those that were marked as known in a round.
func (e *engine) sendAnswer(now time.Time, l *link, f family, list []*record, known uint64) {
	r := &response{link: l, limit: l.info.limit(), records: list, extras: true, known: known}
	r.written = func(rec *record) { rec.sent[f] = now }
	e.packer.pack(r, func(b []byte) { e.send(l, f, groups[f], netip.Addr{}, b) })
}

// answerAlone sends an answer to the asker only. The octets of such answers are
// limited, as the address may be forged.
func (e *engine) answerAlone(l *link, from asker, r *response) {
	e.packer.pack(r, func(b []byte) {
		if !e.limits.spend(len(b)) {
			e.stats.dropped.Add(1)
			return
		}
		e.send(l, from.family, from.from, from.to, b)
	})
}

// answerLegacy answers e.msg to an asker that is no mDNS implementation (RFC 6762,
// section 6.7). The answer repeats its questions.
func (e *engine) answerLegacy(l *link, from asker) {
	m := &e.msg
	limit := l.info.limit()
	if len(m.questions) == 0 || m.questionsEnd > limit/2 {
		return
	}
	e.round++
	r := &response{
		link: l, limit: limit, extras: true,
		ttl:    func(ttl uint32) uint32 { return min(ttl, ttlLegacy) },
		legacy: &legacyQuery{m.id, m.asked, m.bytes[headerSize:m.questionsEnd]},
	}
	for _, q := range m.questions {
		match(q, func(rec *record) {
			if rec.picked != e.round {
				rec.picked = e.round
				r.records = append(r.records, rec)
			}
		})
	}
	e.answerAlone(l, from, r)
}
