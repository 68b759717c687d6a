package link

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Subscription is a topic filter to subscribe to.
type Subscription struct {
	Filter     string
	Keep       bool // only the last message of each topic counts, and it must not be lost
	MaxMessage int  // octets of a payload; 0: [MaxMessage]
}

// maxFilters is the number of filters without wildcards in one packet.
const maxFilters = 100

// subscriptions holds the wanted subscriptions, and which of them were sent to the
// broker in this connection.
type subscriptions struct {
	mu       sync.Mutex
	order    []string // in the order of Subscribe
	wanted   map[string]Subscription
	wild     []string // filters with wildcards
	asked    map[string]bool
	unwanted []string // sent, and no longer wanted
	changed  chan struct{}
}

// Subscribe adds subscriptions. They are sent once there is a connection, and again
// after each connect, in the order in which they were added.
func (l *Link) Subscribe(list ...Subscription) {
	s := &l.subs
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range list {
		if _, ok := s.wanted[sub.Filter]; !ok {
			s.order = append(s.order, sub.Filter)
			if strings.ContainsAny(sub.Filter, "+#") {
				s.wild = append(s.wild, sub.Filter)
			}
		}
		s.wanted[sub.Filter] = sub
	}
	wake(s.changed)
}

// Unsubscribe removes subscriptions.
func (l *Link) Unsubscribe(filters ...string) {
	s := &l.subs
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range filters {
		if _, ok := s.wanted[f]; !ok {
			continue
		}
		delete(s.wanted, f)
		s.order, s.wild = without(s.order, f), without(s.wild, f)
		if s.asked[f] {
			delete(s.asked, f)
			s.unwanted = append(s.unwanted, f)
		}
	}
	wake(s.changed)
}

func without(list []string, s string) []string {
	out := list[:0]
	for _, x := range list {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}

// restart forgets what was sent, since the connection is new.
func (s *subscriptions) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.unwanted = map[string]bool{}, nil
	wake(s.changed)
}

// renew forgets that filters with Keep were sent.
func (s *subscriptions) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, sub := range s.wanted {
		if sub.Keep {
			delete(s.asked, f)
		}
	}
	wake(s.changed)
}

// find returns how to treat the messages of a topic. If several subscriptions
// match, the most demanding one counts.
func (s *subscriptions) find(topic string) (keep bool, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit = MaxMessage
	consider := func(sub Subscription) {
		keep = keep || sub.Keep
		limit = max(limit, sub.MaxMessage)
	}
	if sub, ok := s.wanted[topic]; ok {
		consider(sub)
	}
	for _, f := range s.wild {
		if Match(f, topic) {
			consider(s.wanted[f])
		}
	}
	return keep, limit
}

// Match reports whether a topic matches a filter with wildcards (MQTT 5.0, 4.7).
func Match(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		f, restF, moreF := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, restT, moreT := strings.Cut(topic, "/")
		switch {
		case f != "+" && f != t:
			return false
		case moreF && !moreT:
			return restF == "#" // a/# matches a, too
		case !moreF || !moreT:
			return moreF == moreT
		}
		filter, topic = restF, restT
	}
}

// next returns what to send next: one filter with wildcards, which may bring many
// messages, or several without.
func (s *subscriptions) next() (subscribe []Subscription, unsubscribe []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil { // no connection yet
		return nil, nil
	}
	if len(s.unwanted) > 0 {
		n := min(len(s.unwanted), maxFilters)
		unsubscribe = s.unwanted[:n:n]
		s.unwanted = s.unwanted[n:]
		return nil, unsubscribe
	}
	for _, f := range s.order {
		if s.asked[f] {
			continue
		}
		wild := strings.ContainsAny(f, "+#")
		if wild && len(subscribe) > 0 {
			break
		}
		s.asked[f] = true
		subscribe = append(subscribe, s.wanted[f])
		if wild || len(subscribe) == maxFilters {
			break
		}
	}
	return subscribe, nil
}

// complete reports whether all wanted subscriptions were sent.
func (s *subscriptions) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.order {
		if !s.asked[f] {
			return false
		}
	}
	return true
}

// subscribe sends the wanted subscriptions that were not sent yet, one packet after
// another, and signs Settled when all retained messages have arrived.
func (l *Link) subscribe(ctx context.Context, cm *autopaho.ConnectionManager) {
	r := renewal{every: l.renewal}
	settled := false
	for ctx.Err() == nil {
		add, remove := l.subs.next()
		switch {
		case !l.connected.Load():
			settled = false
			pause(ctx, l.subs.changed, time.Hour)
		case len(add)+len(remove) > 0:
			settled = false
			l.ask(ctx, cm, add, remove)
		case !settled:
			// The messages that arrived may have added subscriptions.
			if settled = l.arrived(ctx, cm) && l.subs.complete(); settled {
				l.q.sign(Settled)
			}
		case l.q.lostKept() && r.due(time.Now()):
			l.log.Warn("too many retained messages at once; subscribing again")
			l.q.forgetLost()
			l.subs.renew()
		default:
			pause(ctx, l.subs.changed, l.renewal)
		}
	}
}

// renewal computes when to subscribe again after a loss. The interval grows with
// each loss.
type renewal struct {
	last  time.Time
	every time.Duration
}

func (r *renewal) due(now time.Time) bool {
	if now.Sub(r.last) < r.every {
		return false
	}
	r.last, r.every = now, min(2*r.every, maxRenewal)
	return true
}

// pause waits for c, for ctx, or for d.
func pause(ctx context.Context, c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-c:
	case <-t.C:
	}
}

// ask subscribes and unsubscribes. A filter with wildcards may bring many messages,
// so ask waits until the previous ones have been taken.
func (l *Link) ask(ctx context.Context, cm *autopaho.ConnectionManager, add []Subscription, remove []string) {
	if len(remove) > 0 {
		if _, err := cm.Unsubscribe(ctx, &paho.Unsubscribe{Topics: remove}); err != nil {
			l.log.Debug("unsubscribing failed", "error", err)
		}
		return
	}
	if strings.ContainsAny(add[0].Filter, "+#") && !l.arrived(ctx, cm) {
		return // the connection is lost, and the next one starts again
	}
	var p paho.Subscribe
	for _, sub := range add {
		p.Subscriptions = append(p.Subscriptions, paho.SubscribeOptions{Topic: sub.Filter})
	}
	ack, err := cm.Subscribe(ctx, &p)
	if ack == nil {
		if ctx.Err() == nil {
			l.count(ReasonSubscribe, 1)
			l.log.Warn("subscribing failed", "filter", add[0].Filter, "error", err)
		}
		return
	}
	for i, reason := range ack.Reasons {
		if reason >= packets.SubackUnspecifiederror && i < len(add) {
			l.count(ReasonSubscribe, 1)
			l.log.Warn("the MQTT broker refuses a subscription", "filter", add[i].Filter, "reason", reason)
		}
	}
}

// barrier is a filter that is never subscribed to.
const barrier = "opcredsd/barrier"

// arrived waits until all messages that the broker has sent so far have been
// received and handled, and the subscriptions that follow from them were added. It
// sends a packet and waits for the answer, which comes after those messages because
// the broker keeps their order. It returns false if the connection is lost.
func (l *Link) arrived(ctx context.Context, cm *autopaho.ConnectionManager) bool {
	f := l.framed.Load()
	if f == nil {
		return false
	}
	if _, err := cm.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{barrier}}); err != nil && !l.connected.Load() {
		return false
	}
	read := f.published.Load()
	for l.connected.Load() && l.framed.Load() == f {
		if f.handled.Load() >= read && l.q.keptRead() {
			return true
		}
		pause(ctx, l.q.progress, packetTimeout)
		if ctx.Err() != nil {
			return false
		}
	}
	return false
}
