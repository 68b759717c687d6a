package im

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestReportFails(t *testing.T) {
	tests := []struct {
		name        string
		interrupted int // interrupted, not ended
		do          func(n *node, r *fakeConn)
	}{
		{"INVALID_SUBSCRIPTION", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeStatusResponse, "{0:125}") }},
		{"another status", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeStatusResponse, "{0:1}") }},
		{"malformed status", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeStatusResponse, "{}") }},
		{"another message", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeReadRequest, "{3:true}") }},
		{"no answer", 1, func(n *node, r *fakeConn) { r.opened.Closed(n.now, errTest); r.closed = true }},
		{"closed by the peer", 1, func(n *node, r *fakeConn) { r.opened.Closed(n.now, nil); r.closed = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(0, 10))
			n.Changed(0, 6, 0)
			n.Settle(n.now)
			r := n.reports(1)[0]
			tt.do(n, r)
			word := []string{"subscription ended", "subscription interrupted"}[tt.interrupted]
			if active, interrupted := n.phases(); active != 0 || interrupted != tt.interrupted || !r.closed || n.Engine.reports != 0 || !strings.Contains(n.log.String(), word) {
				t.Errorf("%d active, %d interrupted, closed %v, log %s", active, interrupted, r.closed, n.log.String())
			}
			n.Changed(0, 6, 0)
			n.pass(100 * sec)
			n.reports(0)
		})
	}
	t.Run("session gone", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 10))
		n.subscribe(pase(1), state0(0, 10))
		n.sessions.gone[7] = true
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		if active, interrupted := n.phases(); active != 0 || interrupted != 2 || n.Engine.reports != 0 {
			t.Errorf("%d active, %d interrupted", active, interrupted)
		}
	})
	t.Run("session gone at a keep-alive", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 10))
		n.sessions.gone[7] = true
		n.pass(20 * sec)
		if active, interrupted := n.phases(); active != 0 || interrupted != 1 {
			t.Errorf("%d active, %d interrupted", active, interrupted)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	tests := []struct {
		floor, ceiling int
		at             time.Duration
	}{
		{0, 60, 50 * sec},
		{0, 30, 20 * sec},
		{0, 9, 6 * sec},
		{0, 3, 2 * sec},
		{0, 3600, 3590 * sec},
		{55, 60, 55*sec + floorMargin}, // not before the floor
		{60, 60, 60 * sec},
		{0, 0, 1*sec - sec/3},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.floor, tt.ceiling), func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(tt.floor, tt.ceiling))
			if at, ok := n.Deadline(); !ok || !at.Equal(start.Add(tt.at)) {
				t.Errorf("deadline %v, %v", at.Sub(start), ok)
			}
			n.pass(tt.at - 1)
			n.reports(0)
			n.pass(tt.at)
			r := n.reports(1)[0]
			if got := hideID(r.last()); got.text != "{0:ID,4:true,255:12}" || got.opcode != OpcodeReportData || len(r.sent) != 1 {
				t.Errorf("got %+v", got)
			}
			if !r.deadline.IsZero() {
				t.Error("it waits for an answer")
			}
		})
	}
}

func TestKeepAliveGoesOn(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), state0(0, 60))
	for k := range 5 {
		n.pass(time.Duration(k+1) * 50 * sec)
		r := n.reports(1)[0]
		n.pass(time.Duration(k+1)*50*sec + keepAliveLinger - 1)
		if r.closed {
			t.Fatal("closed before the subscriber could object")
		}
		n.pass(time.Duration(k+1)*50*sec + keepAliveLinger)
		if !r.closed {
			t.Fatal("not closed")
		}
		r.opened.Closed(n.now, nil)
	}
	if len(n.subscriptions) != 1 || len(n.lingering) != 0 || len(n.outcomes) != 1 {
		t.Errorf("%d subscriptions, %d lingering, outcomes %q", len(n.subscriptions), len(n.lingering), n.outcomes)
	}
}

func TestKeepAliveEnds(t *testing.T) {
	tests := []struct {
		name string
		left int
		do   func(n *node, r *fakeConn)
	}{
		{"confirmed all the same", 1, func(n *node, r *fakeConn) { n.confirm(r.opened) }},
		{"INVALID_SUBSCRIPTION", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeStatusResponse, "{0:125}") }},
		{"another message", 0, func(n *node, r *fakeConn) { n.send(r.opened, OpcodeReadRequest, "{3:true}") }},
		{"closed in order", 1, func(n *node, r *fakeConn) { r.opened.Closed(n.now, nil); r.closed = true }},
		{"not acknowledged", 0, func(n *node, r *fakeConn) { r.opened.Closed(n.now, errTest); r.closed = true }},
		{"not acknowledged in the end", 0, func(n *node, r *fakeConn) { n.pass(56 * sec); r.opened.Closed(n.now, errTest) }},
		{"acknowledged in the end", 1, func(n *node, r *fakeConn) { n.pass(56 * sec); r.opened.Closed(n.now, nil) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(0, 60))
			n.pass(50 * sec)
			r := n.reports(1)[0]
			tt.do(n, r)
			n.pass(60 * sec)
			if active, _ := n.phases(); active != tt.left || !r.closed || len(n.lingering) != 0 {
				t.Errorf("%d active, closed %v, %d lingering", active, r.closed, len(n.lingering))
			}
			n.reports(0)
		})
	}
	t.Run("not sent", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.opt.Sessions = failingSessions{n.sessions}
		n.pass(60 * sec)
		r := n.reports(1)[0]
		if active, interrupted := n.phases(); active != 0 || interrupted != 1 || !r.closed || len(n.lingering) != 0 {
			t.Errorf("%d active, %d interrupted, closed %v", active, interrupted, r.closed)
		}
	})
	t.Run("report not sent", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.opt.Sessions = failingSessions{n.sessions}
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		r := n.reports(1)[0]
		if active, interrupted := n.phases(); active != 0 || interrupted != 1 || !r.closed || n.Engine.reports != 0 {
			t.Errorf("%d active, %d interrupted, closed %v", active, interrupted, r.closed)
		}
	})
}

// failingSessions opens exchanges whose Send fails.
type failingSessions struct{ *fakeSessions }

func (s failingSessions) Open(now time.Time, serial uint64, i *Interaction) (Conn, error) {
	c, err := s.fakeSessions.Open(now, serial, i)
	c.(*fakeConn).sendErr = errTest
	return c, err
}

func TestKeepAliveHoldsUpNothing(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), state0(0, 60))
	n.pass(50 * sec)
	n.reports(1)
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	r := n.reports(1)[0]
	if got := reportedPaths(r.last().text); got != "0/6/0" {
		t.Errorf("got %s", got)
	}
	n.confirmAll(r)
	// The interval counts from this report.
	n.pass(100*sec - 1)
	n.reports(0)
	n.pass(100 * sec)
	n.reports(1)
}

func TestChangeAtTheDeadlineIsData(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), state0(30, 30))
	n.pass(29 * sec)
	n.Changed(0, 6, 0)
	n.pass(40 * sec)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "0/6/0" {
		t.Errorf("got %q", got)
	}
}
