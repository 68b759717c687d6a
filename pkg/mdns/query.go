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

	// Between rescues of one record; it doubles until there was none for a while.
	rescueCalm = 5 * time.Minute
	rescueMax  = 2 * time.Minute
)

// Bounds on questions that are held.
const (
	maxHeld      = 8     // questions on a link
	maxHeldBytes = 16384 // of one, with its known answers
)

// hopLimit is what every mDNS packet should be sent with.
const hopLimit = 255

// answer is what will be told to a group.
type answer struct {
	due     time.Time // zero: nothing
	records []*record
}

// heldQuery waits for the rest of its known answers.
type heldQuery struct {
	from     netip.AddrPort
	family   family
	due      time.Time
	size     int
	messages [][]byte
}

// asker is who asks, and how it can be answered.
type asker struct {
	family family
	from   netip.AddrPort
	to     netip.Addr // the own address that was asked; the zero Addr: the group
	onLink bool       // a unicast answer cannot leave the link
}

// receive takes a packet and reports whether it was about us, so that there
// may be something to do.
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
			l.hears[on] = true
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
	// What was sent to the group has passed no router, whatever its hop limit and the
	// sender's address say (RFC 6762, section 11): the Matter SDK asks with a hop limit
	// of 64, matter.js with 1. What was sent to the host alone may have.
	onLink := l.info.onLink(from)
	unicast := p.to.IsValid()
	if unicast && (m.response || !onLink) {
		return false
	}
	if !m.response && m.authority > 0 {
		if _, ok := e.echo.find(p.index, p.data); ok {
			return false // a probe of this host that came by another link
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
		e.heard(now, l, p.family, from)
	}
	return true
}

// query deals with the questions of e.msg.
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

// hold keeps a query until the rest of its known answers came.
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

// addHeld adds a message to the query of the same asker, if one is held.
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

// markKnown marks with the round what the asker knows and need not be told
// (RFC 6762, section 7.1).
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
			// A type can have hundreds: take the way by the instance.
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

// unpack decodes a record and its data as uncompressed octets, or returns nil.
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

// match calls found with every record that answers q, and with the denial if
// the name is ours and has none of the type.
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

// answerQuestions answers e.msg: to the group, but to the asker alone what it
// wants to have so and the group heard a short while ago.
func (e *engine) answerQuestions(now time.Time, l *link, from asker, held bool) {
	m := &e.msg
	least := repeatInterval
	if m.authority > 0 {
		least = defendInterval // somebody is about to take the name
	}
	group, alone := e.group[:0], e.alone[:0]
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
				alone = append(alone, r)
			case q.unicast && from.onLink && age < time.Duration(r.ttl())*time.Second/4:
				alone = append(alone, r)
			case age >= least:
				group = append(group, r)
				shared = shared || !r.unique
			}
		})
	}
	e.group, e.alone = group, alone
	if len(alone) > 0 {
		e.answerAlone(l, from, &response{link: l, limit: l.info.limit(), records: alone, extras: true, known: e.round})
	}
	switch {
	case len(group) == 0:
	case shared && !held:
		// Others may have the same to say: spread out, and say it once for all
		// who ask meanwhile.
		due := now.Add(e.between(jitterMin, jitterMax))
		for _, r := range group {
			l.enqueue(from.family, r, due)
		}
	default:
		e.tell(now, l, from.family, group, e.round)
	}
}

// enqueue adds a record to the pending answer.
func (l *link) enqueue(f family, r *record, due time.Time) {
	a := &l.pending[f]
	if r.queued[f].IsZero() {
		a.records = append(a.records, r)
	}
	r.queued[f] = earlier(r.queued[f], due)
	a.due = earlier(a.due, due)
}

// rescue says once more that a record has not ended, after another has said so. It does
// so within the second after which caches forget the record, but ever less often if
// that is said again and again.
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

// flush tells what is pending and due.
func (e *engine) flush(now time.Time, l *link, f family) {
	a := &l.pending[f]
	if a.due.IsZero() || now.Before(a.due) {
		return
	}
	a.due = time.Time{}
	var list []*record
	a.records = slices.DeleteFunc(a.records, func(r *record) bool {
		if r.urgent[f] && r.queued[f].Sub(now) > jitterMax {
			a.due = earlier(a.due, r.queued[f]) // a rescue that is not for now
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
	e.tell(now, l, f, list, 0)
}

// tell sends records to a group.
func (e *engine) tell(now time.Time, l *link, f family, list []*record, known uint64) {
	r := &response{link: l, limit: l.info.limit(), records: list, extras: true, known: known}
	r.told = func(rec *record) { rec.sent[f] = now }
	e.packer.pack(r, func(b []byte) { e.send(l, f, groups[f], netip.Addr{}, b) })
}

// answerAlone sends an answer to the asker only, within what may be spent on
// that: the address could be somebody else's.
func (e *engine) answerAlone(l *link, from asker, r *response) {
	e.packer.pack(r, func(b []byte) {
		if !e.limits.spend(len(b)) {
			e.stats.dropped.Add(1)
			return
		}
		e.send(l, from.family, from.from, from.to, b)
	})
}

// answerLegacy answers the questions of e.msg to one who does not speak mDNS (RFC 6762,
// section 6.7). They come back with the answer as they were asked.
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
