package im

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// sloppy are the wrong things that a cluster may write instead of one element with
// tag t.
var sloppy = map[string]func(w *tlv.Writer, t tlv.Tag){
	"nothing":             func(*tlv.Writer, tlv.Tag) {},
	"two values":          func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1); w.Uint(t, 2) },
	"another tag":         func(w *tlv.Writer, _ tlv.Tag) { w.Uint(tlv.Context(99), 1) },
	"an open container":   func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t) },
	"two open containers": func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t); w.StartStruct(tlv.Anonymous) },
	"an end too many":     func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1); w.End() },
	"ends of all there is": func(w *tlv.Writer, t tlv.Tag) {
		for range 20 {
			w.End()
		}
	},
	"an end, and a container": func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1); w.End(); w.StartStruct(t) },
	"tags in an array":        func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t); w.Uint(tag0, 1); w.End() },
	"no tags in a structure":  func(w *tlv.Writer, t tlv.Tag) { w.StartStruct(t); w.Uint(tlv.Anonymous, 1); w.End() },
	"containers in containers": func(w *tlv.Writer, t tlv.Tag) {
		for range 20 {
			w.StartStruct(t)
		}
		for range 20 {
			w.End()
		}
	},
}

// sloppyCluster writes malformed values.
type sloppyCluster struct {
	ReadOnly
	write func(w *tlv.Writer, t tlv.Tag)
}

var specSloppy = &Spec{
	ID: 9, Name: "Sloppy",
	Attributes: []Attribute{
		{ID: 0, Name: "Value", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate},
		{ID: 1, Name: "Good", Read: matter.PrivilegeView},
		{ID: 2, Name: "Longer", Read: matter.PrivilegeView, Quality: List},
	},
	Commands: []Command{{ID: 1, Name: "Do", Response: 2, Privilege: matter.PrivilegeOperate}},
	Events:   []Event{{ID: 0, Name: "Happened", Read: matter.PrivilegeView}},
}

func (sloppyCluster) Spec() *Spec { return specSloppy }

func (c sloppyCluster) Read(_ *Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	if id == 1 {
		w.Text(t, "good")
		return nil
	}
	c.write(w, t)
	return nil
}

func (sloppyCluster) Write(*Request, matter.AttributeID, tlv.Element) error { return nil }

func (c sloppyCluster) Invoke(_ *Request, _ matter.CommandID, _ tlv.Element, w *tlv.Writer) error {
	c.write(w, tlv.Anonymous)
	return nil
}

// If a cluster writes something that is not a value, its reader does not get that
// value but gets all others.
func TestMalformedValues(t *testing.T) {
	for name, write := range sloppy {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.AddEndpoint(Endpoint{ID: 9, Clusters: []Cluster{sloppyCluster{write: write}}})
			a := assemble(t, n.readAll("{0:[<>],3:false}").sent)
			if len(a.values) < 20 || a.values["<2:9,3:9,4:1"] != `"good"` {
				t.Errorf("read %s", a)
			}
			for _, id := range []string{"0", "2"} {
				if a.values["{0:<2:9,3:9,4:"+id+">,1:{0:1}}"] != "status" {
					t.Errorf("attribute %s: %s", id, a)
				}
			}
			if got := strings.Count(n.log.String(), "cluster failed"); got != 2 || !strings.Contains(n.log.String(), "element=Value") {
				t.Errorf("%d lines in the log: %s", got, n.log.String())
			}
			// The cluster can still be written and subscribed to.
			n.ask(pase(1), OpcodeWriteRequest, "{1:false,2:[{1:<2:9,3:9,4:0>,2:1}]}")
			n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<2:9>],7:false}")
		})
	}
}

func TestMalformedResponses(t *testing.T) {
	for name, write := range sloppy {
		if name == "nothing" || name == "another tag" {
			continue // allowed
		}
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke = 3 })
			n.AddEndpoint(Endpoint{ID: 9, Clusters: []Cluster{sloppyCluster{write: write}}})
			_, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:6,2:1>,1:{0:5},2:1},{0:<0:9,1:9,2:1>,2:2},{0:<0:2,1:6,2:1>,1:{0:6},2:3}]}")
			want := "{0:false,1:[{0:{0:<0:0,1:6,2:9>,1:{0:5},2:1}},{1:{0:<0:9,1:9,2:1>,1:{0:1},2:2}},{0:{0:<0:2,1:6,2:9>,1:{0:6},2:3}}],255:12}"
			wantLast(t, c, OpcodeInvokeResponse, want)
			if got := strings.Count(n.log.String(), "cluster failed"); got != 1 || !strings.Contains(n.log.String(), "element=Do") {
				t.Errorf("%d lines in the log: %s", got, n.log.String())
			}
		})
	}
}

func TestMalformedEvents(t *testing.T) {
	for name, write := range sloppy {
		if name == "nothing" || name == "another tag" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.AddEndpoint(Endpoint{ID: 9, Clusters: []Cluster{sloppyCluster{}}})
			n.Emit(n.now, 9, 9, 0, 0, nil)
			n.Emit(n.now, 9, 9, 0, 0, func(w *tlv.Writer) { write(w, tlv.Anonymous) })
			n.Emit(n.now, 9, 9, 0, 0, func(w *tlv.Writer) { w.Uint(tag0, 7) })
			c := n.readAll("{1:[<>],3:false}")
			if got := eventNumbers(t, c.sent); got != "1000 1001" || !strings.Contains(c.last().text, "{0:7}") {
				t.Errorf("events %s: %s", got, c.last().text)
			}
			if got := strings.Count(n.log.String(), "cluster failed"); got != 1 || !strings.Contains(n.log.String(), "element=Happened") {
				t.Errorf("%d lines in the log: %s", got, n.log.String())
			}
		})
	}
}

// An event that is not in the cluster's Spec is not recorded.
func TestEventThatIsNotThere(t *testing.T) {
	n := newNode(t, nil)
	for _, at := range [][3]uint32{{77, 6, 0}, {0, 77, 0}, {0, 6, 77}} {
		n.Emit(n.now, matter.EndpointID(at[0]), matter.ClusterID(at[1]), matter.EventID(at[2]), 0, nil)
	}
	if got := eventNumbers(t, n.readAll("{1:[<>],3:false}").sent); got != "" {
		t.Errorf("events %s", got)
	}
	if got := strings.Count(n.log.String(), "event is not in the cluster's Spec"); got != 3 {
		t.Errorf("%d lines in the log", got)
	}
}
