package im

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var subscriptionID = regexp.MustCompile(`^\{0:\d+`)

// hideID replaces the random subscription id, so that texts can be compared.
func hideID(m message) message {
	m.text = subscriptionID.ReplaceAllString(m.text, "{0:ID")
	return m
}

// subscribe completes a subscription and returns its exchange.
func (n *node) subscribe(s acl.Subject, request string) *fakeConn {
	n.t.Helper()
	i, c := n.ask(s, OpcodeSubscribeRequest, request)
	for c.last().opcode == OpcodeReportData && !c.closed {
		n.confirm(i)
	}
	if c.last().opcode != OpcodeSubscribeResponse || !c.closed {
		n.t.Fatalf("not subscribed: %+v", c.last())
	}
	i.Closed(n.now, nil)
	return c
}

// pass advances the time to the given time after start, as the loop would.
func (n *node) pass(to time.Duration) {
	n.t.Helper()
	end := start.Add(to)
	n.Settle(n.now)
	for turns := 0; ; turns++ {
		t, ok := n.Deadline()
		if !ok || t.After(end) {
			break
		}
		if turns > 1000 {
			n.t.Fatalf("the engine spins at %v", t.Sub(start))
		}
		if t.After(n.now) {
			n.now = t
		}
		n.Advance(n.now)
		n.Settle(n.now)
	}
	n.now = end
}

// phases returns the numbers of active and of interrupted subscriptions.
func (n *node) phases() (active, interrupted int) {
	for _, s := range n.Stats().Subscriptions {
		active += s.Count
		interrupted += s.Interrupted
	}
	return active, interrupted
}

// reports returns the exchanges that the engine has opened since the last call, and
// checks their number.
func (n *node) reports(want int) []*fakeConn {
	n.t.Helper()
	got := n.sessions.conns
	n.sessions.conns = nil
	if len(got) != want {
		var texts []string
		for _, c := range got {
			texts = append(texts, c.last().text)
		}
		n.t.Fatalf("at %v: %d reports, want %d: %q", n.now.Sub(start), len(got), want, texts)
	}
	return got
}

// confirmAll answers every open report of c with SUCCESS.
func (n *node) confirmAll(c *fakeConn) {
	n.t.Helper()
	for k := 0; !c.closed && k < 100; k++ {
		n.confirm(c.opened)
	}
	if !c.closed {
		n.t.Fatal("report does not end")
	}
}

const sec = time.Second

// state0 subscribes to attribute 0 of cluster 6 on endpoint 0.
func state0(floor, ceiling int) string {
	return fmt.Sprintf("{0:true,1:%d,2:%d,3:[<2:0,3:6,4:0>],7:false}", floor, ceiling)
}

func TestSubscribe(t *testing.T) {
	n := newNode(t, nil)
	i, c := n.ask(pase(1), OpcodeSubscribeRequest, "{0:false,1:1,2:60,3:[<2:0,3:6,4:0>,<2:0,3:6,4:99>],7:true,255:12}")
	if m := hideID(c.last()); m.opcode != OpcodeReportData ||
		m.text != "{0:ID,1:["+data(0, 6, 0, "1")+","+fault(0, 6, 99, matter.StatusUnsupportedAttribute)+"],255:12}" {
		t.Fatalf("first report %+v", m)
	}
	if c.closed || !c.deadline.Equal(start.Add(responseTimeout)) {
		t.Fatalf("closed %v, deadline %v", c.closed, c.deadline)
	}
	report := subscriptionID.FindString(c.last().text)
	n.confirm(i)
	if m := c.last(); m.opcode != OpcodeSubscribeResponse || m.text != report+",2:60,255:12}" || !c.closed {
		t.Fatalf("response %+v", m)
	}
	if got := n.Stats().Subscriptions; !slices.Equal(got, []SubscriptionStats{{Fabric: 1, Count: 1}}) {
		t.Errorf("subscriptions %v", got)
	}
	if want := []string{"subscribe UNSUPPORTED_ATTRIBUTE 0s"}; !slices.Equal(n.outcomes, want) || n.Stats().Waiting != 0 {
		t.Errorf("outcomes %q", n.outcomes)
	}
}

func TestSubscribeIntervals(t *testing.T) {
	tests := []struct{ floor, ceiling, want int }{
		{0, 0, 1}, {0, 1, 1}, {0, 60, 60}, {60, 60, 60}, {1, 3600, 3600}, {0, 3601, 3600}, {0, 65535, 3600},
		{5000, 65535, 5000}, {65535, 65535, 65535},
	}
	for _, tt := range tests {
		n := newNode(t, nil)
		c := n.subscribe(pase(1), state0(tt.floor, tt.ceiling))
		if want := fmt.Sprintf(",2:%d,255:12}", tt.want); !strings.HasSuffix(c.last().text, want) {
			t.Errorf("%d to %d: %s, want %d", tt.floor, tt.ceiling, c.last().text, tt.want)
		}
	}
}

func TestSubscribeRefused(t *testing.T) {
	tests := []struct {
		name, text string
		fabric     matter.FabricIndex
		want       matter.Status
	}{
		{"no fabric", state0(0, 10), 0, matter.StatusUnsupportedAccess},
		{"no fabric and malformed", "{}", 0, matter.StatusInvalidAction},
		{"floor over ceiling", state0(11, 10), 1, matter.StatusInvalidAction},
		{"no paths", "{0:true,1:0,2:10,7:false}", 1, matter.StatusInvalidAction},
		{"empty paths", "{0:true,1:0,2:10,3:[],4:[],7:false}", 1, matter.StatusInvalidAction},
		{"nothing there", "{0:true,1:0,2:10,3:[<2:0,3:6,4:99>,<2:9>,<2:0,3:6,4:2>],7:false}", 1, matter.StatusInvalidAction},
		{"no such event", "{0:true,1:0,2:10,4:[<1:0,2:6,3:99>,<1:9>],7:false}", 1, matter.StatusInvalidAction},
		{"no Keep", "{1:0,2:10,3:[<>],7:false}", 1, matter.StatusInvalidAction},
		{"no floor", "{0:true,2:10,3:[<>],7:false}", 1, matter.StatusInvalidAction},
		{"no ceiling", "{0:true,1:0,3:[<>],7:false}", 1, matter.StatusInvalidAction},
		{"no FabricFiltered", "{0:true,1:0,2:10,3:[<>]}", 1, matter.StatusInvalidAction},
		{"ceiling too wide", "{0:true,1:0,2:65536,3:[<>],7:false}", 1, matter.StatusInvalidAction},
		{"floor twice", "{0:true,1:0,1:0,2:10,3:[<>],7:false}", 1, matter.StatusInvalidAction},
		{"too many paths", "{0:true,1:0,2:10,3:[" + strings.Repeat("<>,", MaxPaths) + "],4:[<>],7:false}", 1, matter.StatusPathsExhausted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(tt.fabric), OpcodeSubscribeRequest, tt.text)
			wantStatus(t, c, tt.want)
			if len(n.subscriptions) != 0 || len(c.sent) != 1 {
				t.Errorf("%d subscriptions, %d messages", len(n.subscriptions), len(c.sent))
			}
		})
	}
}

func TestSubscribeAccepts(t *testing.T) {
	for _, paths := range []string{
		"3:[<>]", "3:[<2:9>,<3:6,4:0>]", "4:[<>]", "4:[<1:0,2:6,3:3>]", "4:[<1:9>,<2:6>]", "3:[<2:9,3:9,4:9>],4:[<>]",
		// With the filter there is nothing to report now, but there will be later.
		"3:[<2:0,3:6,4:0>],8:[{0:<1:0,2:6>,1:5}]",
	} {
		n := newNode(t, nil)
		n.subscribe(pase(1), "{0:false,1:0,2:10,"+paths+",7:false}")
	}
}

func TestPriming(t *testing.T) {
	t.Run("nothing to report", func(t *testing.T) {
		n := newNode(t, nil)
		i, c := n.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:10,3:[<2:0,3:6,4:0>],7:false,8:[{0:<1:0,2:6>,1:5}]}")
		if m := hideID(c.last()); m.text != "{0:ID,255:12}" || c.closed {
			t.Fatalf("got %+v", m)
		}
		n.confirm(i)
		i.Closed(n.now, nil)
		// The filter applied to the first report only.
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		n.reports(1)
	})
	t.Run("in chunks", func(t *testing.T) {
		n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
		n.Emit(n.now, 0, 6, 0, 0, nil)
		c := n.subscribe(pase(1), "{0:true,1:0,2:10,3:[<2:0>],4:[<>],7:false}")
		a := assemble(t, c.sent[:len(c.sent)-1])
		if len(a.order) != 20 || len(a.events) != 1 || len(c.sent) < 5 {
			t.Errorf("%d messages: %s", len(c.sent), a)
		}
		for _, m := range c.sent[:len(c.sent)-1] {
			if strings.Contains(m.text, "4:true") || hideID(m).text[:5] != "{0:ID" {
				t.Errorf("message %s", m.text)
			}
		}
	})
	for name, end := range map[string]func(n *node, i *Interaction){
		"refused":  func(n *node, i *Interaction) { n.send(i, OpcodeStatusResponse, "{0:1}") },
		"closed":   func(n *node, i *Interaction) { i.Closed(n.now, errTest) },
		"confused": func(n *node, i *Interaction) { n.send(i, OpcodeReadRequest, "{3:true}") },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			i, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
			end(n, i)
			n.confirm(i)
			if c.last().opcode == OpcodeSubscribeResponse || len(n.subscriptions) != 0 || n.Stats().Waiting != 0 {
				t.Errorf("%d subscriptions, last message %+v", len(n.subscriptions), c.last())
			}
		})
	}
	t.Run("response not sent", func(t *testing.T) {
		n := newNode(t, nil)
		i, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
		c.sendErr = errTest
		n.confirm(i)
		if len(n.subscriptions) != 0 || !c.closed {
			t.Errorf("%d subscriptions, closed %v", len(n.subscriptions), c.closed)
		}
	})
	t.Run("a change meanwhile", func(t *testing.T) {
		n := newNode(t, nil)
		i, _ := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
		n.Changed(0, 6, 0)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Settle(n.now)
		n.reports(0)
		n.confirm(i)
		i.Closed(n.now, nil)
		n.Settle(n.now)
		n.reports(1)
	})
}

func TestKeepSubscriptions(t *testing.T) {
	other := pase(1)
	other.Node = 55
	tests := []struct {
		name, text string
		left       int
	}{
		{"keep", state0(0, 10), 4},
		{"replace", strings.Replace(state0(0, 10), "true", "false", 1), 3},
		{"replace, and be refused for the intervals", strings.Replace(state0(9, 1), "true", "false", 1), 2},
		{"replace, and be refused for the paths", "{0:false,1:0,2:10,3:[<2:9>],7:false}", 2},
		{"malformed", "{0:false,1:0,2:10,3:[<2:9>]}", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(0, 10))
			n.subscribe(other, state0(0, 10))
			n.subscribe(pase(2), state0(0, 10))
			n.ask(pase(1), OpcodeSubscribeRequest, tt.text)
			if got := len(n.subscriptions); got != tt.left {
				t.Errorf("%d subscriptions", got)
			}
		})
	}
	t.Run("not yet primed", func(t *testing.T) {
		n := newNode(t, nil)
		i, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
		n.subscribe(pase(1), strings.Replace(state0(0, 10), "true", "false", 1))
		n.confirm(i)
		if !c.closed || len(c.sent) != 1 || len(n.subscriptions) != 1 {
			t.Errorf("closed %v, %d messages, %d subscriptions", c.closed, len(c.sent), len(n.subscriptions))
		}
	})
	t.Run("report under way", func(t *testing.T) {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(0, 10))
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		r := n.reports(1)[0]
		n.subscribe(pase(1), strings.Replace(state0(0, 10), "true", "false", 1))
		if !r.closed || len(n.subscriptions) != 1 || n.Engine.reports != 0 {
			t.Errorf("closed %v, %d subscriptions, %d reports", r.closed, len(n.subscriptions), n.Engine.reports)
		}
	})
}

func TestSubscriptionLimits(t *testing.T) {
	n := newNode(t, func(o *Options) { o.ExtraSubscriptions = 2 })
	node := matter.NodeID(0)
	subscribe := func(f matter.FabricIndex) {
		s := pase(f)
		node++
		s.Node = node
		n.subscribe(s, state0(0, 10))
	}
	// want checks which subscriptions exist.
	want := func(when, want string) {
		t.Helper()
		got := ""
		for _, s := range n.subscriptions {
			got += fmt.Sprintf(" %d/%d", s.subject.Fabric, s.subject.Node)
		}
		if got != want {
			t.Errorf("%s:%s, want%s", when, got, want)
		}
	}
	for f := matter.FabricIndex(1); f < 4; f++ {
		for range 6 {
			subscribe(f)
		}
	}
	// The oldest subscriptions of the same fabric were ended.
	want("six of each", " 1/2 1/3 1/4 1/5 1/6 2/10 2/11 2/12 3/16 3/17 3/18")
	n.fabricRemoved(1)
	for _, f := range []matter.FabricIndex{2, 3, 2, 1} {
		subscribe(f)
	}
	want("without fabric 1", " 2/11 2/12 3/16 3/17 3/18 2/19 3/20 2/21 1/22")
}

// A subscription whose first report is in progress is never ended for another.
func TestNoRoomWhilePriming(t *testing.T) {
	n := newNode(t, func(o *Options) { o.ExtraSubscriptions = 2 })
	for range SubscriptionsPerFabric + 2 {
		n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
	}
	_, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 10))
	wantStatus(t, c, matter.StatusResourceExhausted)
}

func TestSubscriptionIDs(t *testing.T) {
	n := newNode(t, nil)
	seen := map[uint32]bool{0: true}
	for k := range 50 {
		s := pase(1)
		s.Node = matter.NodeID(k)
		n.subscribe(s, state0(0, 10))
		if id := n.subscriptions[k].id; seen[id] {
			t.Errorf("id %d twice", id)
		} else {
			seen[id] = true
		}
	}
}

func TestReportsPerSession(t *testing.T) {
	n := newNode(t, nil)
	const count = reportsPerSession + 3
	for k := range count {
		s := pase(1)
		s.Node = matter.NodeID(k)
		n.subscribe(s, state0(0, 60))
	}
	i, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 60))
	n.confirm(i)
	i.Closed(n.now, nil)
	c.session.Serial = 8
	n.subscriptions[count].session.Serial = 8
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	open := n.reports(reportsPerSession + 1) // the other session has its own count
	if _, ok := n.Deadline(); ok {
		t.Error("there is a deadline, though all wait for the peer")
	}
	for range count {
		r := open[0]
		n.confirmAll(r)
		open = open[1:]
		n.Settle(n.now)
		open = append(open, n.sessions.conns...)
		n.sessions.conns = nil
	}
	for _, r := range open {
		n.confirmAll(r)
	}
	for _, s := range n.subscriptions {
		if s.unreported.dirty || s.report != nil {
			t.Errorf("subscription of %v is left out", s.subject.Node)
		}
	}
}

// With more subscriptions on a session than reports at a time, and an attribute that
// changes all the time, each subscription gets the same number of reports.
func TestReportsTakeTurns(t *testing.T) {
	n := newNode(t, nil)
	const count, rounds = reportsPerSession + 1, 4
	for k := range count {
		s := pase(1)
		s.Node = matter.NodeID(k)
		n.subscribe(s, state0(0, 60))
	}
	got := map[string]int{}
	n.now = n.now.Add(time.Second)
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	open := n.reports(reportsPerSession)
	for range count * rounds {
		r := open[0]
		got[subscriptionID.FindString(r.last().text)]++
		n.now = n.now.Add(time.Millisecond)
		n.confirmAll(r)
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		open = append(open[1:], n.reports(1)...)
	}
	if len(got) != count {
		t.Errorf("%d of %d subscriptions get reports", len(got), count)
	}
	for id, times := range got {
		if times != rounds {
			t.Errorf("%s}: %d reports, want %d", id, times, rounds)
		}
	}
}

func TestSubscriptionsAndTheEndOfFabricOrSession(t *testing.T) {
	for name, end := range map[string]func(n *node) (interrupted int){
		"fabric":  func(n *node) int { n.fabricRemoved(1); return 0 },
		"session": func(n *node) int { n.SessionGone(7); return 2 },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), state0(0, 60))
			n.subscribe(pase(1), state0(0, 60))
			n.subscribe(pase(2), state0(0, 60))
			n.subscriptions[2].session.Serial = 9
			n.Changed(0, 6, 0)
			n.subscriptions[1].unreported.dirty = false
			n.Settle(n.now)
			reports := n.reports(2)
			want := end(n)
			if active, interrupted := n.phases(); active != 1 || interrupted != want || n.subscriptions[want].subject.Fabric != 2 {
				t.Fatalf("%d active, %d interrupted", active, interrupted)
			}
			// The exchange of the report ends later, with its session.
			reports[0].opened.Closed(n.now, errTest)
			n.confirmAll(reports[1])
			if active, interrupted := n.phases(); active != 1 || interrupted != want || n.Engine.reports != 0 {
				t.Errorf("%d active, %d interrupted, %d reports", active, interrupted, n.Engine.reports)
			}
		})
	}
}

func TestDeadlineWithoutSubscriptions(t *testing.T) {
	n := newNode(t, nil)
	if at, ok := n.Deadline(); ok {
		t.Errorf("deadline %v", at)
	}
}

// The margin of the floor never delays a report past the ceiling.
func TestFloorMargin(t *testing.T) {
	for _, tt := range []struct {
		floor, ceiling int
		want           time.Duration
	}{{0, 60, 0}, {1, 60, sec + floorMargin}, {60, 60, 60 * sec}, {59, 60, 59*sec + floorMargin}, {3, 3, 3 * sec}} {
		n := newNode(t, nil)
		n.subscribe(pase(1), state0(tt.floor, tt.ceiling))
		n.Changed(0, 6, 0)
		if at, ok := n.Deadline(); !ok || !at.Equal(start.Add(tt.want)) {
			t.Errorf("floor %d, ceiling %d: a change is due after %v, want %v", tt.floor, tt.ceiling, at.Sub(start), tt.want)
		}
	}
}
