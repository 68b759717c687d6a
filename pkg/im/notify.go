package im

// NodeEvent is an event of the whole node that no request has caused.
type NodeEvent uint8

// The events.
const (
	// FactoryReset: what controllers have configured, and all counters, are reset.
	FactoryReset NodeEvent = iota
	// LinksChanged: network interfaces or addresses of the host may have changed.
	LinksChanged
)

// Follower is a Cluster or a Model that handles events of the whole node.
type Follower interface {
	Follow(e NodeEvent)
}

// Notify calls every Follower with ev. The next Settle asks their endpoints for
// changes.
func (e *Engine) Notify(ev NodeEvent) {
	follow := func(ep *endpoint, x any) {
		if f, ok := x.(Follower); ok {
			f.Follow(ev)
			e.touch(ep)
		}
	}
	for _, ep := range e.ordered {
		follow(ep, ep.model)
		for _, in := range ep.instances {
			follow(ep, in.cluster)
		}
	}
}
