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
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var subscriptionID = regexp.MustCompile(`^\{0:\d+`)

// hideID replaces the random subscription id, so that texts compare.
func hideID(m message) message {
	m.text = subscriptionID.ReplaceAllString(m.text, "{0:ID")
	return m
}

// subscribe goes through a whole subscription and returns its conversation.
func (n *node) subscribe(s acl.Subject, request string) *fakeConn {
	n.t.Helper()
	i, c := n.ask(s, OpcodeSubscribeRequest, request)
	for c.last().opcode == OpcodeReportData && !c.closed {
		n.confirm(i)
	}
	if c.last().opcode != OpcodeSubscribeResponse || !c.closed {
		n.t.Fatalf("not subscribed: %+v", c.last())
	}
	return c
}

// pass lets the time go on to the given time after start, as the loop would.
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

// phases counts the subscriptions that are not interrupted and those that are.
func (n *node) phases() (active, interrupted int) {
	for _, s := range n.Stats().Subscriptions {
		active += s.Count
		interrupted += s.Interrupted
	}
	return active, interrupted
}

// reports takes the conversations that the engine has opened, and checks how
// many there are.
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
		{"too many paths", "{0:true,1:0,2:10,3:[" + strings.Repeat("<>,", maxPaths) + "],4:[<>],7:false}", 1, matter.StatusPathsExhausted},
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
		// A filter leaves nothing to report now, but later.
		"3:[<2:0,3:6,4:0>],8:[{0:<1:0,2:6>,1:5}]",
	} {
		n := newNode(t, nil)
		n.subscribe(pase(1), "{0:false,1:0,2:10,"+paths+",7:false}")
	}
}

func TestPriming(t *testing.T) {
	t.Run("nothing to tell", func(t *testing.T) {
		n := newNode(t, nil)
		i, c := n.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:10,3:[<2:0,3:6,4:0>],7:false,8:[{0:<1:0,2:6>,1:5}]}")
		if m := hideID(c.last()); m.text != "{0:ID,255:12}" || c.closed {
			t.Fatalf("got %+v", m)
		}
		n.confirm(i)
		// The filter was for this report alone.
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
		"refused":  func(n *node, i *Interaction) { n.tell(i, OpcodeStatusResponse, "{0:1}") },
		"closed":   func(n *node, i *Interaction) { i.Closed(n.now, errTest) },
		"confused": func(n *node, i *Interaction) { n.tell(i, OpcodeReadRequest, "{3:true}") },
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
	try := func(f matter.FabricIndex) bool {
		s := pase(f)
		s.Node += matter.NodeID(len(n.subscriptions)) + 1
		i, c := n.ask(s, OpcodeSubscribeRequest, state0(0, 10))
		if c.last().opcode == OpcodeStatusResponse {
			wantStatus(t, c, matter.StatusResourceExhausted)
			return false
		}
		n.confirm(i)
		return true
	}
	var got [5]int
	for f := matter.FabricIndex(1); f < 5; f++ {
		for range 8 {
			if try(f) {
				got[f]++
			}
		}
	}
	if got != [5]int{0, 5, 3, 3, 3} {
		t.Errorf("subscriptions by fabric %v", got)
	}
	n.fabricRemoved(1)
	if !try(2) || !try(3) || try(4) || !try(1) {
		t.Error("what fabric 1 had is not given on")
	}
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

func TestUpdates(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:5,2:60,3:[<3:6>],7:true}")
	n.sw0.values[0], n.sw2.values[3] = "2", `["z"]`
	n.pass(1 * sec)
	n.Changed(0, 6, 0)
	n.Changed(2, 6, 3)
	n.Changed(0, 6, 0, 99) // counts twice, and an attribute that is not there
	n.Changed(0, 7, 0)     // not subscribed to
	n.Changed(9, 9, 9)
	n.pass(5*sec + floorMargin - 1)
	n.reports(0)
	n.pass(5*sec + floorMargin)
	r := n.reports(1)[0]
	want := "{0:ID,1:[{1:{0:7,1:<2:0,3:6,4:0>,2:2}},{1:{0:6,1:<2:2,3:6,4:3>,2:[\"z\"]}}],255:12}"
	if got := hideID(r.last()); got.text != want || got.opcode != OpcodeReportData {
		t.Errorf("got %s", got.text)
	}
	if r.session.Serial != 7 || !r.deadline.Equal(n.now.Add(responseTimeout)) || r.closed {
		t.Errorf("session %d, deadline %v, closed %v", r.session.Serial, r.deadline, r.closed)
	}

	// The next report waits for the confirmation of this one, and the interval.
	n.Changed(0, 6, 0)
	n.pass(20 * sec)
	n.reports(0)
	n.confirm(r.opened)
	if !r.closed {
		t.Error("not closed")
	}
	n.Settle(n.now)
	r = n.reports(1)[0]
	n.confirm(r.opened)
	n.Changed(0, 6, 0)
	n.pass(25*sec + floorMargin - 1)
	n.reports(0)
	n.pass(25*sec + floorMargin)
	n.confirmAll(n.reports(1)[0])
	if len(n.subscriptions) != 1 || n.Engine.reports != 0 || len(n.outcomes) != 1 {
		t.Errorf("%d subscriptions, %d reports, outcomes %q", len(n.subscriptions), n.Engine.reports, n.outcomes)
	}
}

func TestUpdatesFollowWritesCommandsAndWatchers(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<>],7:true}")
	want := func(path string) {
		t.Helper()
		n.Settle(n.now)
		r := n.reports(1)[0]
		if got := reportedPaths(r.last().text); got != path {
			t.Errorf("got %s, want %s", got, path)
		}
		n.confirmAll(r)
	}
	n.ask(pase(2), OpcodeWriteRequest, "{1:false,2:[{1:<2:0,3:6,4:0>,2:8}]}")
	want("0/6/0")
	n.sw0.invoke = func(r *Request, _ matter.CommandID, _ tlv.Element, _ *tlv.Writer) error {
		r.Changed(6, 1)
		return nil
	}
	n.ask(pase(2), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}")
	want("0/6/1 0/6/6")
	n.sw2.changes = []matter.AttributeID{3, 3, 0}
	want("2/6/0 2/6/3")
	if v := n.instances[2].version; v != 8 {
		t.Errorf("version %d", v)
	}
	n.sw0.fails[0] = matter.StatusConstraintError
	n.ask(pase(2), OpcodeWriteRequest, "{1:false,2:[{1:<2:0,3:6,4:0>,2:8}]}")
	n.Settle(n.now)
	n.reports(0)
}

// A write that changes nothing is no change.
func TestWriteOfTheSameValue(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<>],7:true}")
	version := n.instances[0].version
	for _, write := range []string{"{1:<2:0,3:6,4:0>,2:1}", `{1:<2:0,3:6,4:3>,2:["a","b"]}`} {
		_, c := n.ask(pase(2), OpcodeWriteRequest, "{1:false,2:["+write+"]}")
		if !strings.Contains(c.last().text, "{0:0}") {
			t.Errorf("answer %s", c.last().text)
		}
		n.Settle(n.now)
		n.reports(0)
	}
	if v := n.instances[0].version; v != version {
		t.Errorf("version %d, before %d", v, version)
	}
	n.ask(pase(2), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3>,2:["a"]}]}`)
	n.Settle(n.now)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "0/6/3" {
		t.Errorf("got %s", got)
	}
}

func TestChangesOmitted(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<>],7:true}")
	n.Changed(0, 6, 5)
	n.Settle(n.now)
	n.reports(0)
	if v := n.instances[0].version; v != 6 {
		t.Errorf("version %d", v)
	}
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "0/6/0" {
		t.Errorf("got %s", got)
	}
}

func TestUpdateOfFilteredPaths(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<6:65>],7:true}") // neither endpoint 0 nor fixed attributes
	n.Changed(0, 6, 0)
	n.Changed(2, 6, 6)
	n.Settle(n.now)
	n.reports(0)
	n.Changed(2, 6, 7)
	n.Settle(n.now)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "2/6/7" {
		t.Errorf("got %s", got)
	}
}

func TestUpdateInChunks(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<2:0,3:6>],7:true}")
	n.sw0.values[3] = "[" + strings.Repeat(`"element",`, 20) + "]"
	n.Changed(0, 6, 0, 3)
	n.Settle(n.now)
	r := n.reports(1)[0]
	n.confirm(r.opened)
	// What changes while the report is under way is in the next one at the latest.
	n.Changed(0, 6, 0, 6)
	n.confirmAll(r)
	a := assemble(t, r.sent)
	if len(a.lists["<2:0,3:6,4:3"]) != 20 || a.values["<2:0,3:6,4:0"] != "1" {
		t.Errorf("got %s", a)
	}
	for k, m := range r.sent {
		if k < len(r.sent)-1 != strings.Contains(m.text, "3:true,255:12}") || strings.Contains(m.text, "4:true,255") {
			t.Errorf("message %d of %d: %s", k, len(r.sent), m.text)
		}
	}
	n.Settle(n.now)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "0/6/0 0/6/6" {
		t.Errorf("got %s", got)
	}
}

func TestEndpointAddedIsReported(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<3:6>],7:true}")
	n.AddEndpoint(Endpoint{ID: 1, Clusters: []Cluster{newSwitch()}})
	n.Settle(n.now)
	got := reportedPaths(n.reports(1)[0].last().text)
	if !strings.HasPrefix(got, "1/6/0 1/6/1 ") || strings.Contains(got, "0/6/0") || strings.Count(got, " ") != 13 {
		t.Errorf("got %s", got)
	}
}

func TestReportFails(t *testing.T) {
	tests := []struct {
		name        string
		interrupted int // instead of ended
		do          func(n *node, r *fakeConn)
	}{
		{"INVALID_SUBSCRIPTION", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeStatusResponse, "{0:125}") }},
		{"another status", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeStatusResponse, "{0:1}") }},
		{"malformed status", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeStatusResponse, "{}") }},
		{"another message", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeReadRequest, "{3:true}") }},
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
		{"INVALID_SUBSCRIPTION", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeStatusResponse, "{0:125}") }},
		{"another message", 0, func(n *node, r *fakeConn) { n.tell(r.opened, OpcodeReadRequest, "{3:true}") }},
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

// failingSessions opens conversations that send nothing.
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
	// Counted from this report on.
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
		// Told once.
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
		n.Hurry() // nothing has happened
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

func TestReportsPerSession(t *testing.T) {
	n := newNode(t, nil)
	for k := range 5 {
		s := pase(1)
		s.Node = matter.NodeID(k)
		n.subscribe(s, state0(0, 60))
	}
	i, c := n.ask(pase(1), OpcodeSubscribeRequest, state0(0, 60))
	n.confirm(i)
	c.session.Serial = 8
	n.subscriptions[5].session.Serial = 8
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	open := n.reports(reportsPerSession + 1) // the other session has its own count
	if _, ok := n.Deadline(); ok {
		t.Error("there is a deadline, though all wait for the peer")
	}
	for done := 0; done < 5; done++ {
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
		if s.news.dirty || s.report != nil {
			t.Errorf("subscription of %v is left out", s.subject.Node)
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
			n.subscriptions[1].news.dirty = false
			n.Settle(n.now)
			reports := n.reports(2)
			want := end(n)
			if active, interrupted := n.phases(); active != 1 || interrupted != want || n.subscriptions[want].subject.Fabric != 2 {
				t.Fatalf("%d active, %d interrupted", active, interrupted)
			}
			// The exchange of the report ends with its session, later.
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

// The margin of the floor never makes a report come after the ceiling.
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
