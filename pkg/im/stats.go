package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Action is what a peer asked for. The set is fixed; its strings serve as
// metric labels.
type Action uint8

// The actions. Other is what none of the requests fits.
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
	Waiting       int                 // interactions that wait for the peer's next message
	Events        matter.EventNumber  // number of the next event
}

// RequestStats counts the requests with one outcome: the status of the message
// or, if that was answered in order, the first status other than SUCCESS in the
// answer.
type RequestStats struct {
	Action Action
	Status matter.Status
	Count  uint64
}

// SubscriptionStats counts a fabric's subscriptions.
type SubscriptionStats struct {
	Fabric      matter.FabricIndex
	Count       int // on a session
	Interrupted int // not on any; they may be resumed
}

// record counts a request that has ended.
func (e *Engine) record(a Action, st matter.Status, came time.Time) {
	e.requests[a][st]++
	if e.opt.Observe != nil {
		e.opt.Observe(a, st, came)
	}
}

// Stats returns a snapshot.
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
	for _, x := range e.subscriptions {
		if f := &fabrics[x.subject.Fabric]; x.phase == interrupted {
			f.Interrupted++
		} else {
			f.Count++
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

// load counts since the Engine was made.
type load struct{ established, sent, received uint64 }

// established counts a subscription whose SubscribeResponse has left: its subscriber may
// look before the acknowledgement is here. One that was interrupted and goes on is the
// same subscription, unless the node has started anew since.
func (e *Engine) established(s *subscription) {
	if !s.counted {
		s.counted = true
		e.load.established++
	}
}

// Load is what the Engine carries and has done, as General Diagnostics shows it.
type Load struct {
	Subscriptions int    // that are active, or about to be
	OfFabric      int    // those of one fabric
	Established   uint64 // subscriptions since the start
	Sent          uint64 // messages since the start, without retransmissions
	Received      uint64 // messages since the start, without duplicates
}

// Load returns the load, with the subscriptions of fabric f.
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
