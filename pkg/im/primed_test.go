package im

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// A subscription becomes active when its SubscribeResponse is acknowledged. Until
// then the subscriber might not know the subscription, and no report is sent.
func TestNoReportBeforeTheSubscribeResponseArrived(t *testing.T) {
	n := newNode(t, nil)
	i, c := n.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:600,3:[<2:0,3:6,4:0>],7:true}")
	n.Changed(0, 6, 0) // during priming
	n.confirm(i)
	if c.last().opcode != OpcodeSubscribeResponse || !c.closed {
		t.Fatalf("answered with opcode %d, closed %v", c.last().opcode, c.closed)
	}
	n.pass(10 * sec)
	n.reports(0)
	if at, ok := n.Deadline(); ok {
		t.Errorf("a deadline at %v", at.Sub(start))
	}
	i.Closed(n.now, nil)
	n.pass(10 * sec)
	if got := n.reports(1)[0].last().text; !strings.Contains(got, "<2:0,3:6,4:0>") {
		t.Errorf("report %s", got)
	}
	if got := strings.Join(n.outcomes, ", "); got != "subscribe SUCCESS 0s" {
		t.Errorf("counted %s", got)
	}
}

// It is not known whether the subscriber received a message that it did not
// acknowledge.
func TestSubscribeResponseWithoutAcknowledgement(t *testing.T) {
	for name, tt := range map[string]struct {
		subject     matter.FabricIndex
		end         func(n *node, i *Interaction)
		interrupted int
	}{
		"no acknowledgement": {1, func(n *node, i *Interaction) { i.Closed(n.now, errTest) }, 1},
		"the session is gone": {1, func(n *node, i *Interaction) {
			n.SessionGone(7)
			i.Closed(n.now, errTest)
		}, 1},
		"the exchange, then the session": {1, func(n *node, i *Interaction) {
			i.Closed(n.now, errTest)
			n.SessionGone(7)
		}, 1},
		"closed by the peer": {1, func(n *node, i *Interaction) {
			n.SessionClosed(n.now, 7)
			i.Closed(n.now, errTest)
		}, 0},
		"replaced": {1, func(n *node, i *Interaction) {
			n.ask(pase(1), OpcodeSubscribeRequest, "{0:false,1:5,2:1,3:[<2:0,3:6,4:0>],7:true}")
		}, 0},
		"fabric removed": {1, func(n *node, i *Interaction) {
			n.fabricRemoved(1)
			i.Closed(n.now, errTest)
		}, 0},
		"fabric removed, and acknowledged": {1, func(n *node, i *Interaction) {
			n.fabricRemoved(1)
			i.Closed(n.now, nil)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			i, _ := n.ask(pase(tt.subject), OpcodeSubscribeRequest, "{0:true,1:0,2:600,3:[<2:0,3:6,4:0>],7:true}")
			n.confirm(i)
			if got := len(n.Subscriptions()); got != 1 {
				t.Fatalf("%d subscriptions are remembered before the acknowledgement", got)
			}
			tt.end(n, i)
			active, interrupted := n.phases()
			if active != 0 || interrupted != tt.interrupted || len(n.subscriptions) != tt.interrupted {
				t.Errorf("%d active, %d interrupted, %d in all", active, interrupted, len(n.subscriptions))
			}
			if n.Stats().Waiting != 0 {
				t.Errorf("%d interactions wait", n.Stats().Waiting)
			}
			n.pass(10 * sec)
			n.reports(0)
		})
	}
}
