package im

import (
	"testing"
	"time"
)

// Load counts messages and subscriptions as General Diagnostics requires (section
// 11.12.5.7): those that are active, and all since the start.
func TestLoad(t *testing.T) {
	n := newNode(t, nil)
	check := func(when string, fabric1, all int, established uint64) {
		t.Helper()
		l := n.Load(1)
		if l.OfFabric != fabric1 || l.Subscriptions != all || l.Established != established {
			t.Errorf("%s: %+v, want %d of %d subscriptions, %d established", when, l, fabric1, all, established)
		}
	}
	messages := func(when string, before Load, sent, received uint64) {
		t.Helper()
		if l := n.Load(1); l.Sent-before.Sent != sent || l.Received-before.Received != received {
			t.Errorf("%s: %d messages sent, %d received; want %d, %d", when, l.Sent-before.Sent, l.Received-before.Received, sent, received)
		}
	}
	before := n.Load(1)
	i, _ := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 60))
	check("before the first report is confirmed", 0, 0, 0)
	n.confirm(i)
	check("when the response has left", 1, 1, 1)
	i.Closed(n.now, nil)
	check("subscribed", 1, 1, 1)
	messages("request, report, confirmation, response", before, 2, 2)

	n.subscribe(pase(2), state0(0, 60))
	check("of another fabric", 1, 2, 2)
	before = n.Load(1)
	n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false}")
	messages("a read", before, 1, 1)

	before = n.Load(1)
	n.Changed(0, 6, 0)
	n.pass(time.Second)
	for _, c := range n.reports(2) {
		n.confirmAll(c)
	}
	messages("two reports", before, 2, 2)

	// An interrupted subscription is not active. When it is resumed, it is not
	// counted as established again.
	n.interruptAll()
	check("interrupted", 0, 0, 2)
	n.Resume(n.now, pase(1), Session{Serial: 9})
	check("resumed", 1, 1, 2)

	// After a restart it is.
	kept := n.Subscriptions()
	n = newNode(t, nil)
	n.Restore(n.now, kept)
	check("restored", 0, 0, 0)
	n.Resume(n.now, pase(1), Session{Serial: 1})
	check("resumed after a start", 1, 1, 1)
}
