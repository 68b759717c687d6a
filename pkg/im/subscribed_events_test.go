package im

import (
	"strings"
	"testing"
)

func TestEventsInSubscriptions(t *testing.T) {
	subscribe := func(n *node, events string) {
		n.subscribe(pase(1), "{0:true,1:5,2:60,3:[<2:0,3:6,4:0>],4:["+events+"],7:true}")
	}
	t.Run("wait for a report", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<>")
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.pass(20 * sec)
		n.reports(0)
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		r := n.reports(1)[0]
		if got := hideID(r.last()).text; !strings.HasPrefix(got, "{0:ID,1:[{1:{0:6,1:<2:0,3:6,4:0>,2:1}}],2:[{1:{0:<1:0,2:6,3:0>,1:1000,") {
			t.Errorf("got %s", got)
		}
		n.confirmAll(r)
		// It is reported once.
		n.Changed(0, 6, 0)
		n.pass(30 * sec)
		if got := n.reports(1)[0].last().text; strings.Contains(got, ",2:[{1:{0:<1:") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("in place of a keep-alive", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<>")
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.pass(50 * sec)
		r := n.reports(1)[0]
		if got := hideID(r.last()).text; !strings.HasPrefix(got, "{0:ID,2:[{1:{0:<1:0,2:6,3:0>,1:1000,") || strings.Contains(got, "4:true,255") {
			t.Errorf("got %s", got)
		}
		n.confirmAll(r)
		if len(n.subscriptions) != 1 {
			t.Error("ended")
		}
	})
	t.Run("urgent", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<>,<1:0,2:6,3:0,4:true>")
		n.pass(3 * sec)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.pass(5*sec + floorMargin - 1)
		n.reports(0)
		n.pass(5*sec + floorMargin)
		n.confirmAll(n.reports(1)[0])
		n.Emit(n.now, 0, 6, 1, 0, nil) // another event, not urgent
		n.pass(30 * sec)
		n.reports(0)
	})
	t.Run("many", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<>")
		for range eventPressure - 1 {
			n.Emit(n.now, 0, 6, 0, 0, nil)
		}
		n.pass(10 * sec)
		n.reports(0)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Settle(n.now)
		n.reports(1)
	})
	t.Run("in a hurry", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<>")
		n.pass(5*sec + floorMargin)
		n.Hurry() // no event has occurred
		n.Settle(n.now)
		n.reports(0)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Hurry()
		n.Settle(n.now)
		n.reports(1)
	})
	t.Run("of nobody's interest", func(t *testing.T) {
		n := newNode(t, nil)
		subscribe(n, "<1:0,2:6,3:2,4:true>,<1:2,4:true>")
		n.Emit(n.now, 0, 6, 2, 2, nil) // another fabric's
		n.Emit(n.now, 0, 6, 0, 0, nil) // not subscribed to
		n.pass(20 * sec)
		n.reports(0)
		n.Emit(n.now, 0, 6, 2, 1, nil)
		n.Settle(n.now)
		if got := n.reports(1)[0].last().text; strings.Count(got, "{0:<1:") != 1 || !strings.Contains(got, "1:1002") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("before the subscription", func(t *testing.T) {
		n := newNode(t, nil)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		c := n.subscribe(pase(1), "{0:true,1:0,2:60,4:[<1:0,4:true>],5:[{1:1001}],7:true}")
		if got := eventNumbers(t, c.sent[:1]); got != "1001" {
			t.Errorf("got %s", got)
		}
		n.Settle(n.now)
		n.reports(0)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Settle(n.now)
		if got := n.reports(1)[0].last().text; strings.Count(got, "{0:<1:") != 1 || !strings.Contains(got, "1:1002") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("from a number to come", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), "{0:true,1:0,2:60,4:[<1:0,4:true>],5:[{1:1002}],7:true}")
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Settle(n.now)
		n.reports(0)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Settle(n.now)
		if got := n.reports(1)[0].last().text; strings.Count(got, "{0:<1:") != 1 || !strings.Contains(got, "1:1002") {
			t.Errorf("got %s", got)
		}
	})
}
