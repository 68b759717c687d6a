package im

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// following is a cluster, and followingModel a model, that events of the node
// change.
type following struct{ watched }

func (f following) Follow(e NodeEvent) {
	if e == LinksChanged {
		f.values[0] = "true"
		f.changes = append(f.changes, 0)
	}
}

type followingModel struct{ *fakeModel }

func (m followingModel) Follow(e NodeEvent) {
	if e == FactoryReset {
		m.changes = append(m.changes, 0)
	}
}

// Followers are called with the node's events, and the changes that they report
// reach subscribers.
func TestNotify(t *testing.T) {
	n := newNode(t, nil)
	sw, m := newSwitch(), new(fakeModel)
	n.AddEndpoint(Endpoint{ID: 20, Clusters: []Cluster{following{watched{sw}}}})
	n.AddEndpoint(Endpoint{ID: 21, Clusters: []Cluster{newSwitch()}, Model: followingModel{m}})
	n.AddEndpoint(Endpoint{ID: 22, Clusters: []Cluster{newSwitch()}})
	n.Settle(n.now)
	version := func(ep matter.EndpointID) matter.DataVersion {
		in, _ := n.find(ep, 6)
		return in.version
	}
	for _, tc := range []struct {
		event NodeEvent
		of    matter.EndpointID
	}{{LinksChanged, 20}, {FactoryReset, 21}} {
		was := map[matter.EndpointID]matter.DataVersion{20: version(20), 21: version(21), 22: version(22)}
		n.Notify(tc.event)
		n.Settle(n.now)
		for ep, v := range was {
			if changed := version(ep) != v; changed != (ep == tc.of) {
				t.Errorf("event %d: endpoint %d changed: %v", tc.event, ep, changed)
			}
		}
	}
}
