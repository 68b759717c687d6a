package bridgeddevicebasicinformation

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
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

func ptr[T any](v T) *T { return &v }

func full() Options {
	return Options{
		Info: Info{
			VendorName: "ACME", VendorID: 0xFFF1, ProductName: "Lamp", ProductID: ptr(matter.ProductID(0)), HardwareVersion: ptr(uint16(3)),
			HardwareVersionString: "C", SoftwareVersion: ptr(uint32(70000)), SoftwareVersionString: "7.0", ManufacturingDate: "20260131AB",
			PartNumber: "L-1", ProductURL: "https://example.org/l1", ProductLabel: "Lamp 1", SerialNumber: "12",
			Appearance: &Appearance{
				Finish: datamodel.BridgedDeviceBasicInformationProductFinishSatin,
				Color:  ptr(datamodel.BridgedDeviceBasicInformationColorWhite),
			},
		},
		UniqueID: id, NodeLabel: "desk", KeepNodeLabel: func(string) error { return nil }, ConfigurationVersion: 4,
	}
}

func TestAttributes(t *testing.T) {
	n, c := newNode(t, full())
	want := map[matter.AttributeID]string{
		1: `"ACME"`, 2: "65521", 3: `"Lamp"`, 4: "0", 5: `"desk"`, 7: "3", 8: `"C"`, 9: "70000", 10: `"7.0"`, 11: `"20260131AB"`,
		12: `"L-1"`, 13: `"https://example.org/l1"`, 14: `"Lamp 1"`, 15: `"12"`, 17: "true", 18: `"0123456789abcdef"`,
		20: "{0:2,1:14}", 24: "4",
	}
	for at, want := range want {
		if got := n.Read(clustertest.Admin(1), ep, ID, at); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", at, got, want)
		}
	}
	if len(c.Spec().Attributes) != len(want) {
		t.Errorf("%d attributes", len(c.Spec().Attributes))
	}
	o := full()
	o.Info.Appearance.Color = nil
	n, _ = newNode(t, o)
	if got := n.Read(clustertest.Admin(1), ep, ID, 20); got != "{0:2,1:null}" {
		t.Errorf("ProductAppearance without a color: %s", got)
	}
}

// Devices with the same known properties share their metadata.
func TestSharedSpec(t *testing.T) {
	_, a := newNode(t, full())
	_, b := newNode(t, full())
	_, other := newNode(t, Options{UniqueID: id})
	if a.Spec() != b.Spec() || a.Spec() == other.Spec() {
		t.Error("the metadata of two devices is not the same, or that of two others is")
	}
}

// An unknown property has no attribute.
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
		"VendorName":            func(o *Options) { o.Info.VendorName = strings.Repeat("x", 33) },
		"ProductName":           func(o *Options) { o.Info.ProductName = "\xff" },
		"ManufacturingDate":     func(o *Options) { o.Info.ManufacturingDate = "2026" },
		"ProductURL":            func(o *Options) { o.Info.ProductURL = strings.Repeat("x", 257) },
		"ProductAppearance":     func(o *Options) { o.Info.Appearance.Finish = 6 },
		"color":                 func(o *Options) { o.Info.Appearance.Color = ptr(datamodel.BridgedDeviceBasicInformationColor(21)) },
		"NodeLabel":             func(o *Options) { o.NodeLabel = strings.Repeat("ä", 17) },
		"SoftwareVersionString": func(o *Options) { o.Info.SoftwareVersionString = strings.Repeat("x", 65) },
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
		t.Errorf("%v, kept %q, label %q", st, kept, c.NodeLabel())
	}
	if st := write(strings.Repeat("x", 33)); st != "CONSTRAINT_ERROR" {
		t.Errorf("33 octets: %v", st)
	}
	broken = errors.New("disk full")
	if st := write("x"); st != "FAILURE" || c.NodeLabel() != "hall" {
		t.Errorf("%v, label %q", st, c.NodeLabel())
	}
}

// A change is reported once, by the attribute and by the event.
func TestReachable(t *testing.T) {
	_, c := newNode(t, Options{UniqueID: id, Unreachable: true})
	reported := func() (attributes, events int) {
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
			if got := clustertest.Text(t, r); e != eventReachableChanged || got != map[bool]string{true: "{0:true}", false: "{0:false}"}[c.reachable] {
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
		if a, e := reported(); a != step.want || e != step.want {
			t.Errorf("set to %v: %d attributes, %d events reported, want %d", step.set, a, e, step.want)
		}
	}
	var _ im.EventReporter = c
}

// changes returns the attributes that are reported as changed.
func changes(c *Cluster) (ids []matter.AttributeID) {
	c.Changes(func(id matter.AttributeID) { ids = append(ids, id) })
	return ids
}

// Properties from the source are shown and reported. A property that becomes known later
// gets no attribute; one that becomes unknown keeps its value.
func TestUpdate(t *testing.T) {
	o := full()
	o.Info.PartNumber, o.Info.Appearance = "", nil
	n, c := newNode(t, o)
	read := func(id matter.AttributeID, want string) {
		t.Helper()
		if got := n.Read(clustertest.Admin(1), ep, ID, id); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", id, got, want)
		}
	}
	info := o.Info
	info.SoftwareVersion, info.HardwareVersion = ptr(uint32(70000)), nil
	if all, err := c.Update(info); !all || err != nil || changes(c) != nil {
		t.Errorf("the same: %v, %v, or something is reported", all, err)
	}
	read(7, "3")
	info.SoftwareVersion, info.SoftwareVersionString, info.SerialNumber = ptr(uint32(70001)), "7.0.1", ""
	if all, err := c.Update(info); !all || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if got := changes(c); !slices.Equal(got, []matter.AttributeID{9, 10}) {
		t.Errorf("reported %v", got)
	}
	read(9, "70001")
	read(15, `"12"`)
	info.PartNumber, info.VendorName = "L-2", "Acme"
	if all, err := c.Update(info); all || err != nil {
		t.Errorf("something is known for the first time: %v, %v", all, err)
	}
	if got := changes(c); !slices.Equal(got, []matter.AttributeID{1}) {
		t.Errorf("reported %v", got)
	}
	read(12, "UNSUPPORTED_ATTRIBUTE")
	info.VendorName = strings.Repeat("x", 33)
	if _, err := c.Update(info); err == nil {
		t.Error("a long name is taken")
	}
	read(1, `"Acme"`)
}

// A label and a version from the source or the operator are reported.
func TestFromTheSource(t *testing.T) {
	o := full()
	o.KeepNodeLabel = func(string) error { t.Error("kept"); return nil }
	_, c := newNode(t, o)
	for _, label := range []string{"hall", "hall"} {
		if err := c.SetNodeLabel(label); err != nil || c.NodeLabel() != "hall" {
			t.Errorf("%v, label %q", err, c.NodeLabel())
		}
	}
	if err := c.SetNodeLabel(strings.Repeat("x", 33)); err == nil {
		t.Error("a label of 33 octets is taken")
	}
	c.SetConfigurationVersion(5)
	if got := changes(c); !slices.Equal(got, []matter.AttributeID{nodeLabel, configurationVersion}) {
		t.Errorf("reported %v", got)
	}
	c.SetConfigurationVersion(5)
	if got := changes(c); got != nil {
		t.Errorf("reported again: %v", got)
	}
	_, bare := newNode(t, Options{UniqueID: id})
	bare.SetConfigurationVersion(5)
	if got := changes(bare); got != nil {
		t.Errorf("reported of a device without a version: %v", got)
	}
}

func TestLeave(t *testing.T) {
	_, c := newNode(t, full())
	c.Leave()
	var got []matter.EventID
	for range 2 {
		c.Events(func(e matter.EventID, _ func(*tlv.Writer)) { got = append(got, e) })
	}
	if !slices.Equal(got, []matter.EventID{eventLeave}) {
		t.Errorf("events %v", got)
	}
}
