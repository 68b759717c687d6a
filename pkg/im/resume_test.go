package im

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// interruptAll ends the session.
func (n *node) interruptAll() {
	n.t.Helper()
	active, _ := n.phases()
	n.SessionGone(7)
	n.Settle(n.now)
	if _, interrupted := n.phases(); interrupted != active {
		n.t.Fatalf("%d of %d interrupted", interrupted, active)
	}
}

func TestResume(t *testing.T) {
	n := newNode(t, nil)
	c := n.subscribe(pase(1), "{0:true,1:5,2:60,3:[<2:0,3:6,4:0>,<2:0,3:6,4:99>],4:[<1:0,2:6>],7:true}")
	id := subscriptionID.FindString(c.last().text)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.Changed(0, 6, 0)
	n.pass(5*sec + floorMargin)
	r := n.reports(1)[0]
	r.opened.Closed(n.now, errTest) // the subscriber has not confirmed
	r.closed = true
	who := Subscriber{1, 100}
	if got := n.Interruptions(); !slices.Equal(got, []Interruption{{who, true}}) {
		t.Fatalf("interrupted %v", got)
	}
	n.Changed(0, 6, 0)
	n.pass(20 * sec)
	n.reports(0)

	// Another subscriber's session changes nothing.
	n.Resume(n.now, pase(2), Session{Serial: 8})
	n.Settle(n.now)
	n.reports(0)

	by := pase(1)
	by.CATs[0] = 0xABCD_0001
	n.Resume(n.now, by, Session{Serial: 9})
	n.Settle(n.now)
	r = n.reports(1)[0]
	// Everything, with the same id, including the report that was lost.
	want := id + ",1:[{1:{0:7,1:<2:0,3:6,4:0>,2:1}}," + fault(0, 6, 99, matter.StatusUnsupportedAttribute) + "],2:[{1:{0:<1:0,2:6,3:0>,1:1000,"
	if got := r.last().text; !strings.HasPrefix(got, want) || r.session.Serial != 9 {
		t.Errorf("on session %d\ngot  %s\nwant %s", r.session.Serial, got, want)
	}
	if s := n.subscriptions[0]; s.subject.CATs[0] != 0xABCD_0001 {
		t.Errorf("subject %+v", s.subject)
	}
	if got := n.Interruptions(); !slices.Equal(got, []Interruption{{who, false}}) {
		t.Errorf("interrupted %v", got)
	}
	n.confirmAll(r)
	if got := n.Interruptions(); len(got) != 0 {
		t.Errorf("interrupted %v", got)
	}
	if !strings.Contains(n.log.String(), "subscription resumed") {
		t.Error(n.log.String())
	}

	// It is now an ordinary subscription.
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.Changed(0, 6, 0)
	n.pass(24 * sec)
	n.reports(0)
	n.pass(25*sec + floorMargin)
	r = n.reports(1)[0]
	if got := r.last().text; strings.Count(got, "{0:<1:") != 1 || !strings.Contains(got, "1:1001") || strings.Contains(got, "4:99") {
		t.Errorf("got %s", got)
	}
}

// A resumed subscription sends a report even if it is empty.
func TestResumeWithNothingToTell(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,4:[<1:0,2:6>],7:true}")
	n.interruptAll()
	n.Resume(n.now, pase(1), Session{Serial: 9})
	n.Settle(n.now)
	r := n.reports(1)[0]
	if got := hideID(r.last()).text; got != "{0:ID,255:12}" || r.closed {
		t.Errorf("got %s, closed %v", got, r.closed)
	}
}

func TestResumeFails(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(n *node, r *fakeConn)
		left int
	}{
		"INVALID_SUBSCRIPTION": {func(n *node, r *fakeConn) { n.send(r.opened, OpcodeStatusResponse, "{0:125}") }, 0},
		"no answer":            {func(n *node, r *fakeConn) { r.opened.Closed(n.now, errTest) }, 1},
		"session gone":         {func(n *node, r *fakeConn) { n.SessionGone(9); r.opened.Closed(n.now, errTest) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(0, 60))
			n.interruptAll()
			expires := n.subscriptions[0].expires
			n.pass(30 * sec)
			n.Resume(n.now, pase(1), Session{Serial: 9})
			n.Settle(n.now)
			tt.do(n, n.reports(1)[0])
			if active, interrupted := n.phases(); active != 0 || interrupted != tt.left {
				t.Errorf("%d active, %d interrupted", active, interrupted)
			}
			if tt.left > 0 && n.subscriptions[0].expires != expires {
				t.Error("what was never confirmed lives longer for it")
			}
		})
	}
}

// The end of an exchange on the old session does not affect a subscription that was
// resumed on another.
func TestResumedOutlivesOldConversations(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), state0(0, 60))
	n.pass(50 * sec)
	keepAlive := n.reports(1)[0]
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	report := n.reports(1)[0]
	n.interruptAll()
	n.Resume(n.now, pase(1), Session{Serial: 9})
	keepAlive.opened.Closed(n.now, errTest)
	report.opened.Closed(n.now, errTest)
	n.Settle(n.now)
	n.confirmAll(n.reports(1)[0])
	if active, interrupted := n.phases(); active != 1 || interrupted != 0 || n.Engine.reports != 0 {
		t.Errorf("%d active, %d interrupted, %d reports", active, interrupted, n.Engine.reports)
	}
}

func TestInterruptionEnds(t *testing.T) {
	const limit = 60*sec + resumeGrace
	t.Run("by time", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.interruptAll()
		n.pass(limit - 1)
		if _, interrupted := n.phases(); interrupted != 1 {
			t.Fatal("ended early")
		}
		if at, ok := n.Deadline(); !ok || !at.Equal(start.Add(limit)) {
			t.Errorf("deadline %v, %v", at.Sub(start), ok)
		}
		n.pass(limit)
		if len(n.subscriptions) != 0 {
			t.Error("not ended")
		}
		n.reports(0)
	})
	t.Run("counted from 0 after a confirmation", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.interruptAll()
		n.pass(limit - sec)
		n.Resume(n.now, pase(1), Session{Serial: 7})
		n.Settle(n.now)
		n.confirmAll(n.reports(1)[0])
		n.interruptAll()
		n.pass(limit + 60*sec)
		if _, interrupted := n.phases(); interrupted != 1 {
			t.Error("ended early")
		}
	})
	t.Run("by a new subscription", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.subscribe(pase(2), state0(0, 60))
		n.interruptAll()
		n.subscribe(pase(1), state0(0, 60))
		if active, interrupted := n.phases(); active != 1 || interrupted != 2 {
			t.Fatalf("%d active, %d interrupted: the subscriber said to keep them", active, interrupted)
		}
		n.subscribe(pase(1), strings.Replace(state0(0, 60), "true", "false", 1))
		if active, interrupted := n.phases(); active != 1 || interrupted != 1 || n.Interruptions()[0].Fabric != 2 {
			t.Errorf("%d active, %d interrupted", active, interrupted)
		}
	})
	t.Run("with the fabric", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.interruptAll()
		n.fabricRemoved(1)
		if len(n.subscriptions) != 0 {
			t.Error("not ended")
		}
	})
	t.Run("closed by the subscriber", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 60))
		n.subscribe(pase(2), state0(0, 60))
		n.interruptAll()
		n.Resume(n.now, pase(1), Session{Serial: 9})
		if !n.Carries(9) || n.Carries(7) {
			t.Error("it does not know what a session carries")
		}
		n.SessionClosed(n.now, 9)
		if active, interrupted := n.phases(); active != 0 || interrupted != 1 || n.Carries(9) {
			t.Errorf("%d active, %d interrupted", active, interrupted)
		}
	})
	t.Run("over PASE at once", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(acl.Subject{Fabric: 1, AuthMode: matter.AuthModePASE}, state0(0, 60))
		if len(n.Subscriptions()) != 0 {
			t.Error("to be remembered")
		}
		n.SessionGone(7)
		if len(n.subscriptions) != 0 {
			t.Error("nobody could resume it")
		}
	})
}

// Interrupted subscriptions never prevent new ones.
func TestInterruptedGiveWay(t *testing.T) {
	n := newNode(t, func(o *Options) { o.ExtraSubscriptions = 2 })
	for range SubscriptionsPerFabric + 2 {
		n.subscribe(pase(1), state0(0, 60))
	}
	for range SubscriptionsPerFabric {
		n.subscribe(pase(2), state0(0, 60))
	}
	n.interruptAll()
	for range SubscriptionsPerFabric + 2 {
		n.subscribe(pase(1), state0(0, 60))
	}
	got := n.Stats().Subscriptions
	want := []SubscriptionStats{{1, SubscriptionsPerFabric + 2, 0}, {2, 0, SubscriptionsPerFabric}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for range SubscriptionsPerFabric {
		n.subscribe(pase(2), state0(0, 60))
	}
	if got := n.Stats().Subscriptions[1]; got != (SubscriptionStats{2, SubscriptionsPerFabric, 0}) {
		t.Errorf("got %+v", got)
	}
}

// A stored subscription continues in another process.
func TestRestore(t *testing.T) {
	const paths = "3:[<>,<2:0>,<3:6>,<2:0,3:6,4:0>,<4:65533>,<6:65>,<2:0,3:6,4:3,5:7>],4:[<>,<1:0>,<2:6,4:true>,<1:0,2:6,3:0>],7:true}"
	before := newNode(t, nil)
	before.subscribe(pase(1), "{0:true,1:5,2:60,"+paths)
	before.subscribe(pase(2), "{0:true,1:0,2:3600,3:[<2:0,3:6,4:0>],7:false}")
	before.ask(pase(3), OpcodeSubscribeRequest, state0(0, 60)) // not active yet
	list := before.Subscriptions()
	if len(list) != 2 || len(list[0].Attributes) != 6 || len(list[0].Events) != 4 || list[0].Min != 5 || list[0].Max != 60 || !list[0].FabricFiltered || list[1].FabricFiltered {
		t.Fatalf("remembered %+v", list)
	}

	n := newNode(t, nil)
	damaged := slices.Concat(list, []Subscription{
		list[0], // its id is in use
		{Subscriber: list[0].Subscriber, ID: 0, Max: 60},
		{Subscriber: list[0].Subscriber, ID: 1, Max: 0},
		{Subscriber: list[0].Subscriber, ID: 2, Min: 61, Max: 60},
		{Subscriber: list[0].Subscriber, ID: 3, Max: 60, Attributes: make([]AttributePath, MaxPaths+1)},
	})
	n.Restore(n.now, damaged)
	if got := n.Subscriptions(); !reflect.DeepEqual(got, list) {
		t.Errorf("got  %+v\nwant %+v", got, list)
	}
	if got := n.Interruptions(); !slices.Equal(got, []Interruption{{Subscriber{1, 100}, true}, {Subscriber{2, 200}, true}}) {
		t.Errorf("interrupted %v", got)
	}
	n.Changed(0, 6, 0)
	n.pass(30 * sec)
	n.reports(0)
	n.Resume(n.now, pase(2), Session{Serial: 9})
	n.Settle(n.now)
	r := n.reports(1)[0]
	if got, want := r.last().text, fmt.Sprintf("{0:%d,1:[%s],255:12}", list[1].ID, strings.Replace(data(0, 6, 0, "1"), "{0:5", "{0:6", 1)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	n.confirmAll(r)
	// The interval counts from the report.
	n.pass(30*sec + 3590*sec - 1)
	n.reports(0)
	n.pass(30*sec + 3590*sec)
	n.reports(1)
}

// A subscription is stored before its subscriber relies on it.
func TestKeptBeforeItIsConfirmed(t *testing.T) {
	var n *node
	var c *fakeConn
	kept := 0
	n = newNode(t, func(o *Options) {
		o.PersistSubscriptions = func() {
			kept++
			if list := n.Subscriptions(); len(list) != 1 || c.last().opcode == OpcodeSubscribeResponse {
				t.Errorf("to be remembered %+v, last message %+v", list, c.last())
			}
		}
	})
	i, conn := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 60))
	c = conn
	if kept != 0 {
		t.Error("kept before it is active")
	}
	n.confirm(i)
	if kept != 1 || c.last().opcode != OpcodeSubscribeResponse {
		t.Errorf("kept %d times, last message %+v", kept, c.last())
	}
}

func TestRestoreKeepsTheLimits(t *testing.T) {
	n := newNode(t, func(o *Options) { o.ExtraSubscriptions = 1 })
	var list []Subscription
	for id := range uint32(10) {
		list = append(list, Subscription{Subscriber: Subscriber{1, 100}, ID: id + 1, Max: 60, Attributes: make([]AttributePath, 1)})
	}
	n.Restore(n.now, list)
	if got := n.Stats().Subscriptions; !slices.Equal(got, []SubscriptionStats{{1, 0, SubscriptionsPerFabric + 1}}) {
		t.Errorf("got %+v", got)
	}
}

func TestRevision(t *testing.T) {
	n := newNode(t, nil)
	last := n.Revision()
	want := func(grows bool, what string) {
		t.Helper()
		if now := n.Revision(); now > last != grows {
			t.Errorf("%s: revision %d after %d", what, now, last)
		} else {
			last = now
		}
	}
	n.subscribe(pase(1), state0(0, 60))
	want(true, "begun")
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	n.confirmAll(n.reports(1)[0])
	n.pass(50 * sec)
	n.reports(1)
	want(false, "a report and a keep-alive")
	n.interruptAll()
	want(true, "interrupted")
	n.Resume(n.now, pase(1), Session{Serial: 7})
	want(true, "resumed")
	n.Settle(n.now)
	n.confirmAll(n.reports(1)[0])
	want(true, "confirmed")
	n.fabricRemoved(1)
	want(true, "ended")
}

// A session with too many exchanges delays a report but loses nothing.
func TestBusySession(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<2:0,3:6,4:0>],4:[<1:0,4:true>],7:true}")
	n.sessions.busy[7] = true
	n.Changed(0, 6, 0)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.pass(5 * sec)
	n.reports(0)
	n.sessions.busy[7] = false
	n.pass(5*sec + busyPause)
	r := n.reports(1)[0]
	if got := r.last().text; !strings.Contains(got, "<2:0,3:6,4:0>") || !strings.Contains(got, "1:1000") {
		t.Errorf("got %s", got)
	}
	n.confirmAll(r)

	n.sessions.busy[7] = true // when the keep-alive is due
	n.pass(58 * sec)
	n.reports(0)
	n.sessions.busy[7] = false
	n.pass(58*sec + busyPause)
	if got := hideID(n.reports(1)[0].last()).text; got != "{0:ID,4:true,255:12}" {
		t.Errorf("got %s", got)
	}
	if active, _ := n.phases(); active != 1 || n.Engine.reports != 0 {
		t.Errorf("%d active, %d reports", active, n.Engine.reports)
	}
}

// Keep-alives never use up the exchanges of their session.
func TestLingeringKeepAlives(t *testing.T) {
	n := newNode(t, nil)
	const count = 40
	for range count {
		n.subscribe(pase(1), state0(0, 60))
	}
	n.pass(50 * sec)
	open := 0
	for _, c := range n.reports(count) {
		if !c.closed {
			open++
		}
		c.opened.Closed(n.now, nil)
	}
	if open != lingeringPerSession {
		t.Errorf("%d exchanges linger", open)
	}
	n.pass(60 * sec)
	if active, _ := n.phases(); active != count || len(n.lingering) != 0 {
		t.Errorf("%d active, %d lingering", active, len(n.lingering))
	}
}
