package server

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// observe counts an interaction that has ended.
func (s *Server) observe(a im.Action, status matter.Status, d time.Duration) {
	s.count.requests[metrics.RequestKey{Action: a.String(), Status: status.String()}]++
	h, ok := s.count.durations[a.String()]
	if !ok {
		h = metrics.NewHistogram(.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5)
		s.count.durations[a.String()] = h
	}
	h.Observe(d)
	s.count.durations[a.String()] = h
}

// snapshot is what a scrape shows; false if the loop does not answer in time.
func (s *Server) snapshot() (m metrics.Snapshot, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	err := s.ask(ctx, func(time.Time) error {
		m = s.measure()
		return nil
	})
	return m, err == nil
}

func (s *Server) measure() metrics.Snapshot {
	x, announced, waiting := s.talk.exchanges.Stats(), s.ads.Status(), s.loop.inbox.Stats()
	heard := announced.Stats
	durations := map[string]metrics.Histogram{}
	for action, h := range s.count.durations {
		durations[action] = h.Clone()
	}
	m := metrics.Snapshot{
		Fabrics:             s.trust.fabrics.Len(),
		MaxFabrics:          s.opt.MaxFabrics,
		WindowOpen:          s.trust.window.Open(),
		FailSafeArmed:       s.trust.failsafe.Armed(),
		FailSafeExpirations: s.count.expirations,
		Discoverable:        announced.Discoverable(),
		Interfaces:          announcedOn(announced),
		Sessions: map[string]int{
			"pase": s.talk.sessions.Len(session.PASE),
			"case": s.talk.sessions.Len(session.CASE),
		},
		Exchanges:       x.Open,
		PASE:            s.count.pase.Clone(),
		PASEFailures:    s.count.paseFailures,
		CASE:            s.count.cases.Clone(),
		CASEDuration:    s.count.caseDuration.Clone(),
		Received:        s.count.received + waiting.Limited + waiting.Displaced,
		Sent:            s.count.sent,
		Dropped:         s.dropped(),
		Retransmissions: x.Retransmissions,
		MDNSReceived:    heard.Received,
		MDNSSent:        heard.Sent,
		MDNSDropped:     metrics.Counters[string]{"limit": heard.Dropped, "malformed": heard.Malformed, "unsent": heard.Unsent},
		MDNSConflicts:   heard.Conflicts,
		Requests:        s.count.requests.Clone(),
		RequestDuration: durations,
		Commands:        s.count.commands.Clone(),
		Commit:          s.count.commit.Clone(),
		Certificates:    s.certificates(),
	}
	m.Subscriptions, m.Interrupted = s.subscriptions()
	return m
}

// Reasons to drop datagrams, besides those of package session.
const (
	dropSourceLimit  = "source_limit"
	dropQueueFull    = "queue_full"
	dropRefused      = "refused"       // it would begin an exchange beyond the bound of its session, or that nobody wants
	dropUnmatched    = "unmatched"     // of an exchange that does not exist
	dropNotPermitted = "not_permitted" // on the wrong kind of session
)

// dropped counts the datagrams dropped, by reason. Every reason is there from
// the start: the first step of a counter that comes into being at 1 is never
// seen.
func (s *Server) dropped() metrics.Counters[string] {
	c := s.count.dropped.Clone()
	waiting := s.loop.inbox.Stats()
	c[dropSourceLimit], c[dropQueueFull] = waiting.Limited, waiting.Displaced
	x := s.talk.exchanges.Stats()
	c[dropRefused], c[dropUnmatched], c[dropNotPermitted] = x.Refused, x.Unmatched, x.NotPermitted
	return c
}

// subscriptions counts those on a session and those that are interrupted.
func (s *Server) subscriptions() (active, interrupted int) {
	for _, f := range s.model.engine.Stats().Subscriptions {
		active += f.Count
		interrupted += f.Interrupted
	}
	return active, interrupted
}

func (s *Server) certificates() []metrics.Certificate {
	var list []metrics.Certificate
	for kind, der := range map[string][]byte{"dac": s.trust.material.DAC, "pai": s.trust.material.PAI} {
		if c, err := x509.ParseCertificate(der); err == nil && c.NotAfter.Year() < 9999 {
			list = append(list, metrics.Certificate{Kind: kind, NotAfter: c.NotAfter})
		}
	}
	for _, f := range s.trust.fabrics.All() {
		for kind, c := range map[string]*cert.Certificate{"noc": f.NOCCert, "icac": f.ICACCert, "rcac": f.RootCert} {
			if c != nil {
				list = append(list, metrics.Certificate{Kind: kind, Fabric: f.Index, NotAfter: notAfter(c.NotAfter)})
			}
		}
	}
	return list
}

// Commissioned reports whether the node belongs to a fabric; before Start.
func (s *Server) Commissioned() bool { return s.trust.fabrics.Len() > 0 }

// Pairing returns the node's own codes, to show them; before Start.
func (s *Server) Pairing() (admin.Pairing, error) { return s.showCodes() }

// Operator answers what the admin socket asks, for programs that hold the node
// themselves.
func (s *Server) Operator() admin.Node { return operator{s} }

// readyFacts asks the loop.
func (s *Server) readyFacts() (fabrics int, attestation string) {
	_ = s.onLoop(func(time.Time) error { // a node that stopped has none to tell of
		fabrics, attestation = s.trust.fabrics.Len(), kindOf(s.trust.material)
		return nil
	})
	return fabrics, attestation
}

// announcedOn returns what is announced on the interfaces in use.
func announcedOn(s mdns.Status) map[string]metrics.Interface {
	list := map[string]metrics.Interface{}
	for _, i := range s.Interfaces {
		if i.Reason == "" {
			list[i.Name] = metrics.Interface{Announced: !s.Pending && i.Announced(), Found: i.Found}
		}
	}
	return list
}
