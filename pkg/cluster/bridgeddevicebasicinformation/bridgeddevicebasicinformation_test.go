package bridgeddevicebasicinformation

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const ep matter.EndpointID = 2

func id() string { return "0123456789abcdef" }

func newNode(t *testing.T, opt Options) (*clustertest.Node, *Cluster) {
	t.Helper()
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	n := clustertest.New(t, 1)
	n.Add(ep, c)
	return n, c
}

func full() Options {
	hardware, software := uint16(3), uint32(70000)
	return Options{
		VendorName: "ACME", VendorID: 0xFFF1, ProductName: "Lamp", HardwareVersion: &hardware, HardwareVersionString: "C",
		SoftwareVersion: &software, SoftwareVersionString: "7.0", SerialNumber: "12", UniqueID: id,
		NodeLabel: "desk", KeepNodeLabel: func(string) error { return nil },
	}
}

func TestAttributes(t *testing.T) {
	n, _ := newNode(t, full())
	for at, want := range map[matter.AttributeID]string{
		vendorName: `"ACME"`, vendorID: "65521", productName: `"Lamp"`, nodeLabel: `"desk"`, hardwareVersion: "3", hardwareVersionString: `"C"`,
		softwareVersion: "70000", softwareVersionString: `"7.0"`, serialNumber: `"12"`, reachable: "true", uniqueID: `"0123456789abcdef"`,
	} {
		if got := n.Read(clustertest.Admin(1), ep, ID, at); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", at, got, want)
		}
	}
}

// What is not known has no attribute.
func TestUnknown(t *testing.T) {
	_, c := newNode(t, Options{UniqueID: id})
	var ids []matter.AttributeID
	for _, a := range c.Spec().Attributes {
		ids = append(ids, a.ID)
	}
	if !slices.Equal(ids, []matter.AttributeID{reachable, uniqueID}) {
		t.Errorf("attributes %v", ids)
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"UniqueID":              func(o *Options) { o.UniqueID = nil },
		"VendorName":            func(o *Options) { o.VendorName = strings.Repeat("x", 33) },
		"ProductName":           func(o *Options) { o.ProductName = "\xff" },
		"NodeLabel":             func(o *Options) { o.NodeLabel = strings.Repeat("ä", 17) },
		"SoftwareVersionString": func(o *Options) { o.SoftwareVersionString = strings.Repeat("x", 65) },
	} {
		o := full()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNodeLabel(t *testing.T) {
	o := full()
	var kept string
	var broken error
	o.KeepNodeLabel = func(label string) error {
		kept = label
		return broken
	}
	n, c := newNode(t, o)
	write := func(label string) string {
		return n.Write(clustertest.Admin(1), ep, ID, nodeLabel, `"`+label+`"`)
	}
	if st := write("hall"); st != "SUCCESS" || kept != "hall" || c.NodeLabel() != "hall" {
		t.Errorf("%v, kept %q, told %q", st, kept, c.NodeLabel())
	}
	if st := write(strings.Repeat("x", 33)); st != "CONSTRAINT_ERROR" {
		t.Errorf("33 octets: %v", st)
	}
	broken = errors.New("disk full")
	if st := write("x"); st != "FAILURE" || c.NodeLabel() != "hall" {
		t.Errorf("%v, told %q", st, c.NodeLabel())
	}
}

// A change is told once, by the attribute and by the event.
func TestReachable(t *testing.T) {
	_, c := newNode(t, Options{UniqueID: id, Unreachable: true})
	told := func() (attributes, events int) {
		c.Changes(func(a matter.AttributeID) {
			if a == reachable {
				attributes++
			}
		})
		c.Events(func(e matter.EventID, data func(*tlv.Writer)) {
			var w tlv.Writer
			w.StartStruct(tlv.Anonymous)
			data(&w)
			w.End()
			r := tlv.NewReader(w.Bytes())
			if got := clustertest.Text(t, r); e != reachableChanged || got != map[bool]string{true: "{0:true}", false: "{0:false}"}[c.reachable] {
				t.Errorf("event %d %s", e, got)
			}
			events++
		})
		return attributes, events
	}
	for _, step := range []struct {
		set  bool
		want int
	}{{false, 0}, {true, 1}, {true, 0}, {false, 1}, {false, 0}} {
		c.SetReachable(step.set)
		if a, e := told(); a != step.want || e != step.want {
			t.Errorf("set to %v: %d attributes, %d events told, want %d", step.set, a, e, step.want)
		}
	}
	var _ im.Teller = c
}
