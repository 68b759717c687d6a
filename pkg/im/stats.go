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
func (e *Engine) record(a Action, st matter.Status, d time.Duration) {
	e.requests[a][st]++
	if e.opt.Observe != nil {
		e.opt.Observe(a, st, d)
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
