package im

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func TestUpdates(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:5,2:60,3:[<3:6>],7:true}")
	n.sw0.values[0], n.sw2.values[3] = "2", `["z"]`
	n.pass(1 * sec)
	n.Changed(0, 6, 0)
	n.Changed(2, 6, 3)
	n.Changed(0, 6, 0, 99) // the first counts twice; the second attribute does not exist
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

	// The next report waits for this one's confirmation and for the interval.
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
	if v := n.instances()[2].version; v != 8 {
		t.Errorf("version %d", v)
	}
	n.sw0.fails[0] = matter.StatusConstraintError
	n.ask(pase(2), OpcodeWriteRequest, "{1:false,2:[{1:<2:0,3:6,4:0>,2:8}]}")
	n.Settle(n.now)
	n.reports(0)
}

// A write of the same value is not a change.
func TestWriteOfTheSameValue(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<>],7:true}")
	version := n.instances()[0].version
	for _, write := range []string{"{1:<2:0,3:6,4:0>,2:1}", `{1:<2:0,3:6,4:3>,2:["a","b"]}`} {
		_, c := n.ask(pase(2), OpcodeWriteRequest, "{1:false,2:["+write+"]}")
		if !strings.Contains(c.last().text, "{0:0}") {
			t.Errorf("answer %s", c.last().text)
		}
		n.Settle(n.now)
		n.reports(0)
	}
	if v := n.instances()[0].version; v != version {
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
	if v := n.instances()[0].version; v != 6 {
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
	// A change during a report is in the next one at the latest.
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
