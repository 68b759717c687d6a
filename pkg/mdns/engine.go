package mdns

import (
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// port is that of mDNS.
const port = 5353

var groups = [families]netip.AddrPort{
	ip6: netip.MustParseAddrPort("[ff02::fb]:5353"),
	ip4: netip.MustParseAddrPort("224.0.0.251:5353"),
}

// network is what the engine needs from the sockets.
type network interface {
	// join and leave change the membership in the group on a link.
	join(index int, f family) error
	leave(index int, f family)
	// send sends to a group or to one address of a link. With the zero from, the
	// kernel chooses the source address.
	send(index int, f family, to netip.AddrPort, from netip.Addr, b []byte) error
}

// packet is a received packet.
type packet struct {
	index    int // of the interface
	family   family
	from     netip.AddrPort
	to       netip.Addr // this host's address that it was sent to; the zero Addr: the group
	hopLimit int
	data     []byte
}

// engine is the responder without sockets, clocks and goroutines.
type engine struct {
	net    network
	log    *slog.Logger
	random *rand.Rand

	services map[string]*Service // to be announced, by folded instance name
	links    map[int]*link       // in use, by index
	unusable []linkInfo          // links that cannot be used now
	own      map[netip.Addr]struct{}

	former former

	packer *packer
	current
	limits limits
	echo   echo
	stats  counters
	changes
}

// changes are the changes since the loop published the status.
type changes struct {
	dirty    bool // the status has changed
	relinked bool // links came, went, or have other names or addresses
}

// current is the state of the packet that is being handled.
type current struct {
	msg                message
	round              uint64    // counts answers, for marks on records
	multicast, unicast []*record // scratch of answerQuestions
}

func newEngine(net network, log *slog.Logger, random *rand.Rand) *engine {
	return &engine{
		net:      net,
		log:      log,
		random:   random,
		services: make(map[string]*Service),
		links:    make(map[int]*link),
		own:      make(map[netip.Addr]struct{}),
		former:   make(former),
		packer:   newPacker(),
		limits:   newLimits(),
		echo:     echo{seed: maphash.MakeSeed()},
	}
}

// between returns a random duration from low to high.
func (e *engine) between(low, high time.Duration) time.Duration {
	return low + time.Duration(e.random.Int64N(int64(high-low)+1))
}

// setServices replaces the services that are announced.
func (e *engine) setServices(now time.Time, list []Service) {
	wanted := make(map[string]*Service, len(list))
	for _, s := range list {
		if err := s.Validate(); err != nil {
			e.log.Error("the service cannot be announced", "type", s.Type, "instance", s.Instance, "error", err)
			continue
		}
		s = s.clone()
		wanted[fold(s.name())] = &s
	}
	e.services = wanted
	for _, l := range sortLinks(e.links) {
		e.diff(now, l)
	}
	e.dirty = true
}

// diff adds and removes claims of a link until they are those of the wanted
// services. It adds first, so that the host records always belong to a service.
func (e *engine) diff(now time.Time, l *link) {
	claims := l.claims()[1:]
	for key, s := range e.services {
		if c := l.services[key]; c == nil {
			e.newClaim(l, key, s, now)
		} else if !s.equal(*c.service) {
			e.update(now, c, s)
		}
	}
	var announced []*record
	for _, c := range claims {
		if e.services[c.key] == nil {
			e.former.add(now, c.records)
			announced = append(announced, l.drop(c)...)
		}
	}
	e.goodbye(l, announced)
}

// setLinks replaces the interfaces of the host.
func (e *engine) setLinks(now time.Time, infos []linkInfo) {
	e.unusable = nil
	clear(e.own)
	present := make(map[int]bool)
	for _, info := range infos {
		present[info.index] = true
		for _, a := range info.own {
			e.own[a] = struct{}{}
		}
		l := e.links[info.index]
		if l != nil && (info.reason != "" || info.flapped || info.name != l.info.name || info.host != l.info.host) {
			reason, records := info.reason, l.announced()
			if !info.flapped {
				e.farewell(now, l)
			} else if reason == "" {
				reason = "it went down"
			}
			e.closeLink(now, l, reason)
			e.goodbyeElsewhere(now, l, records)
			l = nil
		}
		switch {
		case info.reason != "":
			e.unusable = append(e.unusable, info)
		case l == nil:
			e.openLink(now, info)
		default:
			e.changeLink(now, l, info)
		}
	}
	for index, l := range e.links {
		if !present[index] {
			records := l.announced()
			e.closeLink(now, l, "the interface is gone")
			e.goodbyeElsewhere(now, l, records)
		}
	}
	e.dirty = true
}

func (e *engine) openLink(now time.Time, info linkInfo) {
	e.join(info)
	l := e.newLink(now, info)
	e.links[info.index] = l
	e.relinked = true
	e.log.Info("announcing on an interface", "interface", info.name, "host", strings.TrimSuffix(l.host.name(), "."), "addresses", info.addrs)
}

func (e *engine) join(info linkInfo) {
	for f := range families {
		if !info.hasFamily(f) {
			continue
		}
		if err := e.net.join(info.index, f); err != nil {
			e.log.Warn("the mDNS group cannot be joined", "interface", info.name, "group", groups[f].Addr(), "error", err)
		}
	}
}

func (e *engine) changeLink(now time.Time, l *link, info linkInfo) {
	if slices.Equal(l.info.addrs, info.addrs) {
		l.info = info
		return
	}
	e.log.Info("addresses of an interface have changed", "interface", info.name, "addresses", info.addrs)
	if info.hasFamily(ip4) && !l.info.hasFamily(ip4) {
		e.join(info)
	}
	e.relinked = true
	e.readdress(now, l, info)
}

func (e *engine) closeLink(now time.Time, l *link, reason string) {
	e.log.Info("no longer announcing on an interface", "interface", l.info.name, "reason", reason)
	for f := range families {
		e.net.leave(l.info.index, f)
	}
	for _, c := range l.claims() {
		e.former.add(now, c.records)
	}
	delete(e.links, l.info.index)
	e.relinked = true
}

// farewell withdraws all services from a link. It sends goodbyes, which may fail if
// the link is down.
func (e *engine) farewell(now time.Time, l *link) {
	var announced []*record
	for _, c := range l.claims()[1:] {
		e.former.add(now, c.records)
		announced = append(announced, l.drop(c)...)
	}
	e.goodbye(l, announced)
}

// shutdown withdraws all services from all links.
func (e *engine) shutdown(now time.Time) {
	for _, l := range sortLinks(e.links) {
		e.farewell(now, l)
		e.closeLink(now, l, "shutting down")
	}
}

// deadline returns when advance must be called; the zero time means never.
func (e *engine) deadline() time.Time {
	var d time.Time
	for _, l := range e.links {
		d = earlier(d, l.deadline())
	}
	return d
}

// advance sends the probes, announcements and answers that are due.
func (e *engine) advance(now time.Time) {
	for _, l := range sortLinks(e.links) {
		if d := l.claimsDeadline(); !d.IsZero() && !now.Before(d) {
			e.advanceClaims(now, l)
		}
		e.forgetRivals(now, l)
		e.answerHeld(now, l)
		for f := range families {
			e.flush(now, l, f)
		}
	}
}

func (e *engine) advanceClaims(now time.Time, l *link) {
	var probing, announcing []*claim
	for _, c := range l.claims() {
		if c.next.IsZero() || now.Before(c.next) {
			continue
		}
		switch {
		case c.state == Conflict:
			c.probe(now)
			fallthrough
		case c.state == Probing && c.step < probes:
			c.step++
			c.next = now.Add(probeInterval)
			probing = append(probing, c)
			continue
		case c.state == Probing:
			c.enter(Announced)
			c.step, c.failures = 0, 0
		}
		c.announcedAt, c.next = now, time.Time{}
		if c.step++; c.step < announcements {
			c.next = now.Add(firstInterval << (c.step - 1))
		}
		announcing = append(announcing, c)
	}
	if len(probing)+len(announcing) == 0 {
		return
	}
	e.dirty = true
	e.packer.packProbes(probing, l.info.limit(), func(b []byte) { e.multicastAll(l, b) })
	e.announceAll(now, l, announcing)
}

func (e *engine) announceAll(now time.Time, l *link, claims []*claim) {
	r := &response{link: l, limit: l.info.limit(), extras: true}
	e.round++
	for _, c := range claims {
		r.records = append(r.records, c.records...)
		if c.service != nil && c.listed[0].picked != e.round {
			c.listed[0].picked = e.round
			r.records = append(r.records, c.listed[0])
		}
	}
	r.written = func(rec *record) {
		for f := range families {
			rec.sent[f] = now
		}
	}
	e.packer.pack(r, func(b []byte) { e.multicastAll(l, b) })
}

// goodbye announces on a link that records have ended (RFC 6762, section 10.1).
func (e *engine) goodbye(l *link, records []*record) {
	r := &response{link: l, limit: l.info.limit(), records: records, ttl: func(uint32) uint32 { return 0 }, noFlush: true}
	e.packer.pack(r, func(b []byte) { e.multicastAll(l, b) })
}

// multicastAll sends to the groups of both families.
func (e *engine) multicastAll(l *link, b []byte) {
	for f := range families {
		if l.info.hasFamily(f) {
			e.send(l, f, groups[f], netip.Addr{}, b)
		}
	}
}

func (e *engine) send(l *link, f family, to netip.AddrPort, from netip.Addr, b []byte) {
	e.echo.sent(l.info.index, b)
	e.stats.sent.Add(1)
	if err := e.net.send(l.info.index, f, to, from, b); err != nil {
		e.stats.unsent.Add(1)
		e.log.Debug("an mDNS packet was not sent", "interface", l.info.name, "to", to, "octets", len(b), "error", err)
	}
}
