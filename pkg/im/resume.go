package im

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// resumeGrace is how long after the maximum interval an interrupted subscription
// can be resumed. A subscriber that has received nothing for the interval and all
// retransmissions considers it lost and subscribes again (section 8.5).
const resumeGrace = 10 * time.Minute

// Subscriber is a node that has subscriptions to this one.
type Subscriber struct {
	Fabric matter.FabricIndex
	Node   matter.NodeID
}

// Subscription is the persistent part of a subscription. With it the subscription
// survives a restart and the loss of its session.
type Subscription struct {
	Subscriber
	ID             uint32
	Min, Max       uint16 // seconds
	FabricFiltered bool
	Attributes     []AttributePath
	Events         []EventPath
}

// AttributePath is a path in the form that a subscriber sent. nil is a wildcard.
type AttributePath struct {
	Endpoint  *matter.EndpointID
	Cluster   *matter.ClusterID
	Attribute *matter.AttributeID
	Flags     uint32 // section 8.2
}

// EventPath is a path in the form that a subscriber sent. nil is a wildcard.
type EventPath struct {
	Endpoint *matter.EndpointID
	Cluster  *matter.ClusterID
	Event    *matter.EventID
	Urgent   bool
}

// Revision is incremented when the results of Subscriptions or Interruptions
// change.
func (e *Engine) Revision() uint64 { return e.revision }

// Subscriptions returns the subscriptions to store: those whose SubscribeResponse
// was sent, whether interrupted or not.
func (e *Engine) Subscriptions() (list []Subscription) {
	for _, s := range e.subscriptions {
		if s.phase != priming && s.subject.Node != 0 {
			list = append(list, s.remember())
		}
	}
	return list
}

// Interruption is a subscriber with interrupted subscriptions, or with resumed ones
// whose first report it has not confirmed.
type Interruption struct {
	Subscriber
	Waiting bool // some wait for Resume, not only for a confirmation
}

// Interruptions returns the subscribers with subscriptions to resume, in the order
// of the subscriptions.
func (e *Engine) Interruptions() (list []Interruption) {
	for _, s := range e.subscriptions {
		if s.phase != interrupted && s.expires.IsZero() {
			continue
		}
		who, waiting := s.subscriber(), s.phase == interrupted
		if i := slices.IndexFunc(list, func(x Interruption) bool { return x.Subscriber == who }); i >= 0 {
			list[i].Waiting = list[i].Waiting || waiting
		} else {
			list = append(list, Interruption{who, waiting})
		}
	}
	return list
}

// Restore adds the stored subscriptions of an earlier process. All of them are
// interrupted. It must be called before the first request. Invalid subscriptions
// are ignored.
func (e *Engine) Restore(now time.Time, list []Subscription) {
	for i := range list {
		m := &list[i]
		taken := slices.ContainsFunc(e.subscriptions, func(s *subscription) bool { return s.id == m.ID })
		if taken || m.ID == 0 || m.Max == 0 || m.Min > m.Max || len(m.Attributes)+len(m.Events) > MaxPaths || !e.makeRoom(now, m.Fabric) {
			continue
		}
		e.subscriptions = append(e.subscriptions, m.restore())
		e.revision++
	}
}

// Resume continues the interrupted subscriptions of the peer on a session with it.
// Each begins with a report of everything, as a new subscription does (section
// 8.5).
func (e *Engine) Resume(now time.Time, peer acl.Subject, by Session) {
	who := Subscriber{peer.Fabric, peer.Node}
	for _, s := range e.subscriptions {
		if s.phase != interrupted || s.subscriber() != who {
			continue
		}
		s.phase, s.subject, s.session = active, peer, by
		e.established(s)
		s.last, s.notBefore, s.unreported.all = now, time.Time{}, true
		e.revision++
	}
}

// SessionClosed ends the subscriptions on the session with this serial number, as
// the subscriber has closed it.
func (e *Engine) SessionClosed(now time.Time, serial uint64) {
	e.endWhere(now, "session closed by the subscriber", func(s *subscription) bool { return s.session.Serial == serial })
}

// SessionGone interrupts the subscriptions on the session with this serial number.
// The exchanges of the session end with it.
func (e *Engine) SessionGone(serial uint64) {
	for _, s := range slices.Clone(e.subscriptions) {
		switch {
		case s.session.Serial != serial || s.phase == interrupted:
		case s.phase == priming:
			e.forget(s, "session ended")
		default:
			e.interrupt(s, "session ended")
		}
	}
}

// Carries reports whether the session with this serial number carries
// subscriptions.
func (e *Engine) Carries(serial uint64) bool {
	return slices.ContainsFunc(e.subscriptions, func(s *subscription) bool { return s.session.Serial == serial })
}

// interrupt makes an active subscription wait for Resume.
func (e *Engine) interrupt(s *subscription, reason string) {
	if s.subject.Node == 0 { // over PASE: the node cannot call the peer
		e.forget(s, reason)
		return
	}
	s.phase, s.session, s.report = interrupted, Session{}, nil
	e.revision++
	e.log.Info("subscription interrupted", "fabric", s.subject.Fabric, "peer", s.subject.Node.String(), "id", s.id, "reason", reason)
}

// endExpired ends subscriptions whose subscriber has given up. The time counts from
// the first interruption since the last confirmed report.
func (e *Engine) endExpired(now time.Time) {
	over := false
	for _, s := range e.subscriptions {
		if s.phase != interrupted {
			continue
		}
		if s.expires.IsZero() {
			s.expires = now.Add(s.max + resumeGrace)
		}
		over = over || !now.Before(s.expires)
	}
	if over {
		e.endWhere(now, "subscriber not reached in time", func(s *subscription) bool {
			return s.phase == interrupted && !now.Before(s.expires)
		})
	}
}

func (s *subscription) subscriber() Subscriber { return Subscriber{s.subject.Fabric, s.subject.Node} }

func (s *subscription) remember() Subscription {
	m := Subscription{
		Subscriber: s.subscriber(), ID: s.id,
		Min: uint16(s.min / time.Second), Max: uint16(s.max / time.Second),
		FabricFiltered: s.interest.fabricFiltered,
	}
	for _, p := range s.interest.attributes {
		if p.index == oneItem || p.otherNode {
			continue // it can never report anything
		}
		m.Attributes = append(m.Attributes, AttributePath{
			Endpoint: given(p.given, partEndpoint, p.endpoint), Cluster: given(p.given, partCluster, p.cluster),
			Attribute: given(p.given, partAttribute, p.attribute), Flags: uint32(p.flags),
		})
	}
	for _, p := range s.interest.events {
		if p.otherNode {
			continue
		}
		m.Events = append(m.Events, EventPath{
			Endpoint: given(p.given, partEndpoint, p.endpoint), Cluster: given(p.given, partCluster, p.cluster),
			Event: given(p.given, partEvent, p.event), Urgent: p.urgent,
		})
	}
	return m
}

func (m *Subscription) restore() *subscription {
	s := &subscription{
		id: m.ID, phase: interrupted,
		subject:  acl.Subject{Fabric: m.Fabric, AuthMode: matter.AuthModeCASE, Node: m.Node},
		interest: interest{fabricFiltered: m.FabricFiltered},
		min:      time.Duration(m.Min) * time.Second, max: time.Duration(m.Max) * time.Second,
	}
	for _, p := range m.Attributes {
		q := attributePath{flags: wildcardFlags(p.Flags)}
		take(p.Endpoint, &q.endpoint, &q.given, partEndpoint)
		take(p.Cluster, &q.cluster, &q.given, partCluster)
		take(p.Attribute, &q.attribute, &q.given, partAttribute)
		s.interest.attributes = append(s.interest.attributes, q)
	}
	for _, p := range m.Events {
		q := eventPath{urgent: p.Urgent}
		take(p.Endpoint, &q.endpoint, &q.given, partEndpoint)
		take(p.Cluster, &q.cluster, &q.given, partCluster)
		take(p.Event, &q.event, &q.given, partEvent)
		s.interest.events = append(s.interest.events, q)
	}
	return s
}

// given returns an element of a path, or nil if it is a wildcard.
func given[T any](have, part parts, v T) *T {
	if have&part == 0 {
		return nil
	}
	return &v
}

// take is the reverse of given.
func take[T any](p *T, v *T, have *parts, part parts) {
	if p != nil {
		*v, *have = *p, *have|part
	}
}
