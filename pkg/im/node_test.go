package im

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// A path may name its node (section 8.2.1); this one is node 7.
func TestNodeOfPaths(t *testing.T) {
	for _, tt := range []struct {
		name    string
		opcode  uint8
		request string
		want    string
	}{
		{"own", OpcodeReadRequest, "{0:[<1:7,2:0,3:6,4:0>],3:false}", "{1:[" + data(0, 6, 0, "1") + "],4:true,255:12}"},
		{"another's", OpcodeReadRequest, "{0:[<1:8,2:0,3:6,4:0>],3:false}", "{1:[" + fault(0, 6, 0, matter.StatusUnsupportedNode) + "],4:true,255:12}"},
		{"another's, before access and existence", OpcodeReadRequest, "{0:[<1:8,2:9,3:6,4:0>],3:false}", "{1:[" + fault(9, 6, 0, matter.StatusUnsupportedNode) + "],4:true,255:12}"},
		{"another's wildcard", OpcodeReadRequest, "{0:[<1:8,2:0,3:6>,<1:8>],3:false}", "{4:true,255:12}"},
		{"own wildcard", OpcodeReadRequest, "{0:[<1:7,3:7,4:0>],3:false}", "{1:[" + data(0, 7, 0, "7") + "],4:true,255:12}"},
		{"version filter", OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false,4:[{0:<0:7,1:0,2:6>,1:5}]}", "{4:true,255:12}"},
		{"another's version filter", OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false,4:[{0:<0:8,1:0,2:6>,1:5}]}", "{1:[" + data(0, 6, 0, "1") + "],4:true,255:12}"},
		{"another's event", OpcodeReadRequest, "{1:[<0:8,1:0,2:6,3:0>],3:false}", "{2:[{0:{0:<1:0,2:6,3:0>,1:{0:155}}}],4:true,255:12}"},
		{"another's events", OpcodeReadRequest, "{1:[<0:8>],3:false}", "{4:true,255:12}"},
		{"write", OpcodeWriteRequest, "{1:false,2:[{1:<1:7,2:0,3:6,4:0>,2:8}]}", "{0:[" + written(0, 6, 0, 0) + "],255:12}"},
		{"another's write", OpcodeWriteRequest, "{1:false,2:[{1:<1:8,2:0,3:6,4:0>,2:8}]}", "{0:[" + written(0, 6, 0, matter.StatusUnsupportedNode) + "],255:12}"},
		{"subscription to another's", OpcodeSubscribeRequest, "{0:true,1:0,2:60,3:[<1:8>],4:[<0:8>],7:true}", "{0:128,255:12}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.Emit(n.now, 0, 6, 0, 0, nil)
			_, c := n.ask(pase(1), tt.opcode, tt.request)
			if got := c.last().text; got != tt.want || !c.closed {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// An item for another node is not part of this node's list, and vice versa.
func TestNodeOfListParts(t *testing.T) {
	const own, ownPart = "{1:<1:7,2:0,3:6,4:3>,2:[]}", `{1:<1:7,2:0,3:6,4:3,5:null>,2:"x"}`
	const other, otherPart = "{1:<1:8,2:0,3:6,4:3>,2:[]}", `{1:<1:8,2:0,3:6,4:3,5:null>,2:"y"}`
	for _, tt := range []struct {
		name, items string
		list, part  matter.Status
		writes      int
	}{
		{"own", own + "," + ownPart, matter.StatusSuccess, matter.StatusSuccess, 1},
		{"another's in this node's list", own + "," + otherPart, matter.StatusSuccess, matter.StatusUnsupportedNode, 1},
		{"this node's in another's list", other + "," + ownPart, matter.StatusUnsupportedNode, matter.StatusBusy, 0},
		{"another's", other + "," + otherPart, matter.StatusUnsupportedNode, matter.StatusUnsupportedNode, 0},
	} {
		n := newNode(t, nil)
		_, c := n.ask(pase(1), OpcodeWriteRequest, "{1:false,2:["+tt.items+"]}")
		if want := "{0:[" + written(0, 6, 3, tt.list) + "," + appended(0, 6, 3, tt.part) + "],255:12}"; c.last().text != want || len(n.sw0.writes) != tt.writes {
			t.Errorf("%s: writes %q, got\n%s, want\n%s", tt.name, n.sw0.writes, c.last().text, want)
		}
	}
}

// An event filter for another node has no effect.
func TestNodeOfEventFilters(t *testing.T) {
	for filters, want := range map[string]string{
		"{0:7,1:1001}":          "1001",
		"{0:8,1:1001}":          "1000 1001",
		"{1:1000},{0:8,1:5000}": "1000 1001",
	} {
		n := newNode(t, nil)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Emit(n.now, 0, 6, 0, 0, nil)
		if _, c := n.ask(pase(1), OpcodeReadRequest, "{1:[<>],2:["+filters+"],3:false}"); eventNumbers(t, c.sent) != want {
			t.Errorf("%s: %s, want %s", filters, eventNumbers(t, c.sent), want)
		}
	}
}

// Paths to another node are neither reported nor stored.
func TestSubscriptionToAnotherNode(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<2:0,3:7,4:0>,<1:8,3:6>],4:[<0:8>],7:true}")
	n.Changed(0, 6, 0)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.pass(sec)
	n.reports(0)
	if m := n.Subscriptions(); len(m) != 1 || len(m[0].Attributes) != 1 || len(m[0].Events) != 0 {
		t.Errorf("remembered %+v", m)
	}
}
