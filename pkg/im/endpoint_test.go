package im

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// eventCluster is a fakeCluster that is also an EventReporter.
type eventCluster struct {
	watched
	happened int
}

func (c *eventCluster) Events(report func(matter.EventID, func(*tlv.Writer))) {
	for ; c.happened > 0; c.happened-- {
		report(0, func(w *tlv.Writer) { w.Uint(tag1, 7) })
	}
}

func TestRemoveEndpoint(t *testing.T) {
	n := newNode(t, nil)
	n.Emit(n.now, 2, 6, 0, 0, nil)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	specs := len(n.metadata)
	if !n.RemoveEndpoint(2) || n.RemoveEndpoint(2) || n.RemoveEndpoint(99) {
		t.Fatal("what was there is not what was removed")
	}
	if len(n.metadata) >= specs {
		t.Errorf("%d specs are remembered, %d before", len(n.metadata), specs)
	}
	for _, ep := range n.Endpoints() {
		if ep.ID == 2 {
			t.Error("the endpoint is listed")
		}
	}
	if got := n.readAll("{0:[<2:2,3:6,4:0>],3:false}").last().text; !strings.Contains(got, "1:{0:127}") {
		t.Errorf("a path on it: %s", got)
	}
	if got := n.readAll("{0:[<>],3:false}").last().text; strings.Contains(got, "<2:2,") {
		t.Errorf("a wildcard takes it in: %s", got)
	}
	if got := eventNumbers(t, n.readAll("{1:[<>],3:false}").sent); got != "1001" {
		t.Errorf("events %s", got)
	}
	n.sw2.changes = []matter.AttributeID{0}
	if n.Settle(n.now); len(n.sw2.changes) != 1 {
		t.Error("it is still asked what has changed")
	}
	n.Changed(2, 6, 0)

	// A new endpoint with the same number is another endpoint.
	n.AddEndpoint(Endpoint{ID: 2, Clusters: []Cluster{newSwitch()}})
	if got := n.readAll("{0:[<2:2,3:6,4:0>],3:false}").last().text; !strings.Contains(got, "2:1") {
		t.Errorf("a new endpoint: %s", got)
	}
}

// If an endpoint is removed during a read, the read reports all others completely,
// at any position.
func TestRemoveEndpointDuringARead(t *testing.T) {
	for after := range 12 {
		n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
		n.AddEndpoint(Endpoint{ID: 3, Clusters: []Cluster{newSwitch()}})
		i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<3:6>],3:false}")
		for range after {
			n.confirm(i)
		}
		n.RemoveEndpoint(2)
		for !c.closed {
			n.confirm(i)
		}
		all := ""
		for _, m := range c.sent {
			all += m.text
		}
		for _, ep := range []int{0, 3} {
			if got := strings.Count(all, fmt.Sprintf("<2:%d,3:6,", ep)); got < 14 {
				t.Errorf("removed after %d messages: %d attributes of endpoint %d", after, got, ep)
			}
		}
	}
}

// A list whose cluster is removed while it is being sent is discarded.
func TestRemoveEndpointDuringAWrite(t *testing.T) {
	n := newNode(t, nil)
	i, c := n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<2:2,3:6,4:3>,2:[]}],3:true}`)
	n.RemoveEndpoint(2)
	n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:2,3:6,4:3,5:null>,2:"a"}]}`)
	if len(n.sw2.writes) != 0 || !c.closed {
		t.Errorf("written %q, closed %v", n.sw2.writes, c.closed)
	}
}

// Subscribers get reports of a new endpoint's attributes and none of a removed
// one's, in either order.
func TestSubscriptionFollowsEndpoints(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<3:6,4:0>],7:true}")
	n.Settle(n.now)
	n.sessions.conns = nil
	n.Changed(2, 6, 0)
	n.RemoveEndpoint(2)
	n.AddEndpoint(Endpoint{ID: 3, Clusters: []Cluster{newSwitch()}})
	n.pass(time.Second)
	if len(n.sessions.conns) != 1 {
		t.Fatalf("%d reports", len(n.sessions.conns))
	}
	if got := n.sessions.conns[0].last().text; !strings.Contains(got, "<2:3,3:6,4:0>") || strings.Contains(got, "<2:2,") || strings.Contains(got, "<2:0,") {
		t.Errorf("report %s", got)
	}
}

func TestEventReporter(t *testing.T) {
	n := newNode(t, nil)
	c := &eventCluster{watched: watched{newSwitch()}}
	n.AddEndpoint(Endpoint{ID: 3, Clusters: []Cluster{c}})
	n.subscribe(pase(1), "{0:true,1:0,2:600,4:[<1:3,2:6,4:true>],7:true}")
	n.Settle(n.now)
	n.sessions.conns = nil
	c.happened = 2
	n.Touch(3)
	n.Settle(n.now)
	if len(n.sessions.conns) != 1 {
		t.Fatalf("%d reports", len(n.sessions.conns))
	}
	if got := n.sessions.conns[0].last().text; strings.Count(got, "7:{1:7}") != 2 || !strings.Contains(got, "<1:3,2:6,3:0>") {
		t.Errorf("report %s", got)
	}
}
