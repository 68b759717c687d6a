package im

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// fakeModel is a Model that reports what a test has set.
type fakeModel struct {
	calls    []string
	changes  []matter.AttributeID // of cluster 6
	happened int                  // events of cluster 6
	secret   matter.FabricIndex   // one more event, about this fabric
	due      time.Time
	settle   func() // called by Settle
}

func (m *fakeModel) Settle(_ time.Time, r *Changes) {
	m.calls = append(m.calls, "settle")
	for _, id := range m.changes {
		r.Attribute(6, id)
	}
	for ; m.happened > 0; m.happened-- {
		r.Event(6, 0, func(w *tlv.Writer) { w.Uint(tag1, 7) })
	}
	if m.secret != 0 {
		r.FabricEvent(6, 3, m.secret, nil)
	}
	m.changes, m.secret = nil, 0
	if m.settle != nil {
		m.settle()
	}
}

func (m *fakeModel) Deadline() (time.Time, bool) { return m.due, !m.due.IsZero() }

func (m *fakeModel) Advance(now time.Time) {
	m.calls = append(m.calls, fmt.Sprint("advance ", now.Sub(start)))
	m.due = time.Time{}
}

// take returns the recorded calls and clears them.
func (m *fakeModel) take() string {
	s := strings.Join(m.calls, ", ")
	m.calls = nil
	return s
}

// addModel adds an endpoint with a model and settles it.
func (n *node) addModel(id matter.EndpointID) (*fakeModel, *fakeCluster) {
	m, sw := new(fakeModel), newSwitch()
	n.AddEndpoint(Endpoint{ID: id, Clusters: []Cluster{sw}, Model: m})
	n.Settle(n.now)
	m.take()
	return m, sw
}

func TestModelIsSettledWhenItsEndpointWasTouched(t *testing.T) {
	for name, tt := range map[string]struct {
		event func(n *node, m *fakeModel)
		want  string
	}{
		"nothing":                 {func(*node, *fakeModel) {}, ""},
		"a read":                  {func(n *node, _ *fakeModel) { n.readAll("{0:[<2:4>],3:false}") }, ""},
		"a write":                 {func(n *node, _ *fakeModel) { n.writeOne("{1:<2:4,3:6,4:0>,2:8}") }, "settle"},
		"a write that fails":      {func(n *node, _ *fakeModel) { n.writeOne("{1:<2:4,3:6,4:2>,2:8}") }, "settle"},
		"a list":                  {func(n *node, _ *fakeModel) { n.writeOne(`{1:<2:4,3:6,4:3>,2:["a"]}`) }, "settle"},
		"a write that is refused": {func(n *node, _ *fakeModel) { n.writeOne("{1:<2:4,3:6,4:99>,2:8}") }, ""},
		"a write otherNode":       {func(n *node, _ *fakeModel) { n.writeOne("{1:<2:0,3:6,4:0>,2:8}") }, ""},
		"a command": {func(n *node, _ *fakeModel) {
			n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:4,1:6,2:1>}]}")
		}, "settle"},
		"a command to its group": {func(n *node, _ *fakeModel) {
			c := n.newConn(pase(1))
			c.group = []matter.EndpointID{4}
			n.Open(n.now, c).Receive(n.now, OpcodeInvokeRequest, encode(n.t, "{0:true,1:false,2:[{0:<1:6,2:1>}]}"))
		}, "settle"},
		"a touch":                  {func(n *node, _ *fakeModel) { n.Touch(4) }, "settle"},
		"two touches":              {func(n *node, _ *fakeModel) { n.Touch(4); n.Touch(4) }, "settle"},
		"a touch of all":           {func(n *node, _ *fakeModel) { n.TouchAll() }, "settle"},
		"a touch of another":       {func(n *node, _ *fakeModel) { n.Touch(2); n.Touch(99) }, ""},
		"a touch of one that left": {func(n *node, _ *fakeModel) { n.Touch(4); n.RemoveEndpoint(4) }, ""},
		"a touch of itself": {func(n *node, m *fakeModel) {
			m.settle = func() { n.Touch(4) }
			n.Touch(4)
		}, "settle"},
		"a touch by another": {func(n *node, _ *fakeModel) {
			other, _ := n.addModel(5)
			other.settle = func() { n.Touch(4) }
			n.Touch(5)
		}, "settle"},
		"its time": {func(n *node, m *fakeModel) {
			m.due = start.Add(5)
			n.Touch(4)
			n.Settle(n.now)
			m.take()
			n.Advance(start.Add(4))
			n.Advance(start.Add(6))
			n.Advance(start.Add(7))
		}, "advance 6ns, settle"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			m, _ := n.addModel(4)
			tt.event(n, m)
			n.Settle(n.now)
			if got := m.take(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if n.Settle(n.now); len(m.calls) > 0 {
				t.Errorf("then %q", m.take())
			}
		})
	}
}

// writeOne sends a WriteRequest with one item.
func (n *node) writeOne(item string) {
	n.ask(pase(1), OpcodeWriteRequest, "{1:false,2:["+item+"]}")
}

func TestModelReportsChanges(t *testing.T) {
	n := newNode(t, nil)
	m, _ := n.addModel(4)
	in, _ := n.find(4, 6)
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<2:4>],4:[<1:4,4:true>],7:true}")
	n.Settle(n.now)
	n.sessions.conns = nil
	version := in.version
	m.changes, m.happened, m.secret = []matter.AttributeID{0, 1, 1, 77}, 1, 1
	n.Touch(4)
	n.pass(sec)
	got := n.reports(1)[0].last().text
	for part, times := range map[string]int{"3:6,4:0>": 1, "3:6,4:1>": 1, "4:77": 0, "7:{1:7}": 1, "3:3>": 1} {
		if strings.Count(got, part) != times {
			t.Errorf("%d times %s, want %d: %s", strings.Count(got, part), part, times, got)
		}
	}
	if in.version != version+2 { // once for each attribute
		t.Errorf("data version %d, was %d", in.version, version)
	}
	// A change by a write is not counted twice.
	version = in.version
	n.writeOne("{1:<2:4,3:6,4:0>,2:8}")
	m.changes = []matter.AttributeID{0, 1}
	n.Settle(n.now)
	if in.version != version+2 {
		t.Errorf("data version %d after a write and a change, was %d", in.version, version)
	}
	// A cluster that does not exist is ignored.
	m.settle = func() { n.report.Attribute(7, 0) }
	n.Touch(4)
	n.Settle(n.now)
}

// A report after a write has the attribute that was written together with those that
// its model derives from it. It is not sent before, though the owner calls Advance first.
func TestReportOfAWriteHasWhatFollowsFromIt(t *testing.T) {
	n := newNode(t, nil)
	m, _ := n.addModel(4)
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<2:4>],7:true}")
	n.pass(sec)
	n.sessions.conns = nil
	n.writeOne("{1:<2:4,3:6,4:0>,2:8}")
	m.changes = []matter.AttributeID{0, 1}
	n.Advance(n.now)
	n.Settle(n.now)
	got := n.reports(1)[0].last().text
	for _, part := range []string{"3:6,4:0>", "3:6,4:1>"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
}

// Settle asks the watchers of touched endpoints and of polled ones.
func TestWatchersAreAskedWhenTouched(t *testing.T) {
	n := newNode(t, nil)
	c := watched{newSwitch()}
	n.AddEndpoint(Endpoint{ID: 4, Clusters: []Cluster{c}})
	n.Settle(n.now)
	c.changes = []matter.AttributeID{0}
	n.sw2.changes = []matter.AttributeID{0} // polled
	if n.Settle(n.now); c.changes == nil || n.sw2.changes != nil {
		t.Errorf("asked although not touched: %v; polled, but not asked: %v", c.changes == nil, n.sw2.changes != nil)
	}
	n.Touch(4)
	if n.Settle(n.now); c.changes != nil {
		t.Error("not asked")
	}
}

// timer is a fakeCluster that is also a Timer.
type timer struct {
	watched
	due      time.Time
	advanced int
}

func (c *timer) Deadline() (time.Time, bool) { return c.due, !c.due.IsZero() }

func (c *timer) Advance(now time.Time) {
	c.advanced++
	if !now.Before(c.due) {
		c.due = time.Time{}
	}
}

// The engine's deadline is the earliest of its endpoints' deadlines, whatever is
// added, removed or changed.
func TestDeadlineOfEndpoints(t *testing.T) {
	n := newNode(t, nil)
	var all []*timer
	for id := range matter.EndpointID(50) {
		c := &timer{watched: watched{newSwitch()}, due: start.Add(time.Duration(1000-id*7%50) * sec)}
		all = append(all, c)
		n.AddEndpoint(Endpoint{ID: 10 + id, Clusters: []Cluster{c}})
	}
	check := func(what string) {
		t.Helper()
		var want time.Time
		for id, c := range all {
			if n.byID[matter.EndpointID(10+id)] != nil && !c.due.IsZero() && (want.IsZero() || c.due.Before(want)) {
				want = c.due
			}
		}
		if got, ok := n.Deadline(); ok == want.IsZero() || ok && !got.Equal(want) {
			t.Fatalf("%s: deadline %v, %v; want %v", what, got.Sub(start), ok, want.Sub(start))
		}
	}
	n.Settle(n.now)
	check("at first")
	for id := range matter.EndpointID(50) {
		switch id % 3 {
		case 0:
			n.RemoveEndpoint(10 + id)
		case 1:
			all[id].due = start.Add(time.Duration(id) * sec)
			n.Touch(10 + id)
		}
		n.Settle(n.now)
		check(fmt.Sprint("after ", id))
	}
	for {
		at, ok := n.Deadline()
		if !ok {
			break
		}
		n.Advance(at)
		check("advanced to " + at.Sub(start).String())
		n.Settle(at)
		check("settled at " + at.Sub(start).String())
	}
	for id, c := range all {
		if want := min(1, id%3); c.advanced != want {
			t.Errorf("endpoint %d was advanced %d times, want %d", 10+id, c.advanced, want)
		}
	}
}

// A report contains exactly what has changed, in whatever order and however often.
func TestReportsHoldWhatHasChanged(t *testing.T) {
	n := newNode(t, nil)
	for id := range matter.EndpointID(20) {
		n.AddEndpoint(Endpoint{ID: 10 + id, Clusters: []Cluster{newSwitch()}})
	}
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<3:6>,<2:12>,<2:12,3:6,4:0>],7:true}")
	n.pass(sec)
	n.sessions.conns = nil
	for _, ids := range [][]matter.EndpointID{{12}, {12, 15, 12}, {29, 10, 20}, {10}, {20, 29, 10, 12, 15}, {11, 11}} {
		for _, id := range ids {
			n.Changed(id, 6, 0)
		}
		n.pass(sec)
		c := n.reports(1)[0]
		n.confirmAll(c)
		n.sessions.conns = nil
		slices.Sort(ids)
		want := "{0:1"
		for _, id := range slices.Compact(ids) {
			want += fmt.Sprintf(" <2:%d,3:6,4:0>", id)
		}
		got := "{0:1"
		for _, part := range strings.Split(c.sent[0].text, ",1:<")[1:] {
			got += " <" + part[:strings.Index(part, ">")+1]
		}
		if got != want {
			t.Errorf("changed %v: reported %s", ids, got)
		}
	}
}
