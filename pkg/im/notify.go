package im

// NodeEvent is something that happens to the node as a whole, and not by a request.
type NodeEvent uint8

// The events of a node.
const (
	// FactoryReset takes back what controllers have set and what was counted.
	FactoryReset NodeEvent = iota
	// LinksChanged says that links or addresses of the host may have changed.
	LinksChanged
)

// Follower is a Cluster, or a Model, that does something when the node as a whole is
// concerned.
type Follower interface {
	Follow(e NodeEvent)
}

// Notify calls every Follower with ev. The next Settle asks their endpoints what has
// changed.
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
