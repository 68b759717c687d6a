package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Action is the kind of a request. The set is fixed, and the strings are used as
// metric labels.
type Action uint8

// The actions. Other stands for anything else.
const (
	ActionRead Action = iota
	ActionSubscribe
	ActionWrite
	ActionInvoke
	ActionTimed
	ActionOther
	numActions
)

var actionNames = [numActions]string{"read", "subscribe", "write", "invoke", "timed", "other"}

func (a Action) String() string { return actionNames[a] }

// Stats is a snapshot of what the Engine has done since it was made.
type Stats struct {
	Requests      []RequestStats      // those that occurred
	Subscriptions []SubscriptionStats // by fabric, ascending
	Subscribers   int                 // nodes with a subscription that is on a session
	Unreachable   int                 // nodes all of whose subscriptions are interrupted
	Waiting       int                 // interactions that wait for the peer's next message
	Events        matter.EventNumber  // number of the next event
}

// RequestStats counts the requests with one outcome. The outcome is the status of
// the message or, if the message was accepted, the first status in the answer other
// than SUCCESS.
type RequestStats struct {
	Action Action
	Status matter.Status
	Count  uint64
}

// SubscriptionStats counts a fabric's subscriptions.
type SubscriptionStats struct {
	Fabric      matter.FabricIndex
	Count       int // on a session
	Interrupted int // without a session; they may be resumed
}

// record counts a request that has ended.
func (e *Engine) record(a Action, st matter.Status, came time.Time) {
	e.requests[a][st]++
	if e.opt.Observe != nil {
		e.opt.Observe(a, st, came)
	}
}

// Stats returns a snapshot of the statistics.
func (e *Engine) Stats() Stats {
	s := Stats{Events: e.events.next}
	for a := range numActions {
		for st, n := range e.requests[a] {
			if n > 0 {
				s.Requests = append(s.Requests, RequestStats{a, matter.Status(st), n})
			}
		}
	}
	for _, n := range e.waiting {
		s.Waiting += n
	}
	var fabrics [256]SubscriptionStats
	reachable := map[Subscriber]bool{}
	for _, x := range e.subscriptions {
		if f := &fabrics[x.subject.Fabric]; x.phase == interrupted {
			f.Interrupted++
		} else {
			f.Count++
		}
		who := x.subscriber()
		reachable[who] = reachable[who] || x.phase != interrupted
	}
	for _, ok := range reachable {
		if ok {
			s.Subscribers++
		} else {
			s.Unreachable++
		}
	}
	for i, f := range fabrics {
		if f.Count+f.Interrupted > 0 {
			f.Fabric = matter.FabricIndex(i)
			s.Subscriptions = append(s.Subscriptions, f)
		}
	}
	return s
}

// load counts messages and subscriptions since the Engine was created.
type load struct{ established, sent, received uint64 }

// established counts a subscription when its SubscribeResponse was sent, because
// the subscriber may read the counter before its acknowledgement arrives. A
// subscription that is resumed is not counted again, unless the node was restarted
// in between.
func (e *Engine) established(s *subscription) {
	if !s.counted {
		s.counted = true
		e.load.established++
	}
}

// Load is the Engine's current and past work, as General Diagnostics reports it.
type Load struct {
	Subscriptions int    // active, or with a SubscribeResponse on its way
	OfFabric      int    // those of one fabric
	Established   uint64 // since the start
	Sent          uint64 // messages since the start, without retransmissions
	Received      uint64 // messages since the start, without duplicates
}

// Load returns the load. OfFabric counts the subscriptions of fabric f.
func (e *Engine) Load(f matter.FabricIndex) Load {
	l := Load{Established: e.load.established, Sent: e.load.sent, Received: e.load.received}
	for _, s := range e.subscriptions {
		if s.phase == active || s.phase == answered {
			l.Subscriptions++
			if s.subject.Fabric == f {
				l.OfFabric++
			}
		}
	}
	return l
}
