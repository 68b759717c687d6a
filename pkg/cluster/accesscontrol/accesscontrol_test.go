package accesscontrol

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func newNode(t *testing.T, fabrics int) (*clustertest.Node, *Cluster) {
	n := clustertest.New(t, fabrics)
	c := New(n.Table)
	n.Add(0, c)
	return n, c
}

var admin = clustertest.Admin(1)

// own is the administrator's entry in the form for writes and, for fabric 1, for reads.
const (
	own     = "{1:5,2:2,3:[4097],4:null}"
	ownRead = "{1:5,2:2,3:[4097],4:null,254:1}"
)

func TestLimits(t *testing.T) {
	n, _ := newNode(t, 1)
	for id, want := range map[matter.AttributeID]string{
		attrSubjects: "4", attrTargets: "3", attrEntries: "4", matter.AttributeFeatureMap: "1", matter.AttributeClusterRevision: "3",
	} {
		if got := n.Read(admin, 0, ID, id); got != want {
			t.Errorf("attribute %d: %s, want %s", id, got, want)
		}
	}
}

func TestWriteACL(t *testing.T) {
	// An administrator that writes itself out of the list cannot read it any
	// more, so every list begins with its own entry.
	tests := []struct {
		name, entry, want, read string
	}{
		{"everyone may view", "{1:1,2:2,3:null,4:null}", "SUCCESS", "{1:1,2:2,3:null,4:null,254:1}"},
		{"empty lists are null", "{1:1,2:2,3:[],4:[]}", "SUCCESS", "{1:1,2:2,3:null,4:null,254:1}"},
		{"as many as there may be", "{1:4,2:2,3:[1,2,3,4],4:[{0:6,1:null,2:null},{0:null,1:1,2:null},{0:6,1:null,2:22}]}", "SUCCESS",
			"{1:4,2:2,3:[1,2,3,4],4:[{0:6,1:null,2:null},{0:null,1:1,2:null},{0:6,1:null,2:22}],254:1}"},
		{"target members left out", "{1:3,2:2,3:null,4:[{0:6}]}", "SUCCESS", "{1:3,2:2,3:null,4:[{0:6,1:null,2:null}],254:1}"},
		{"a group", "{1:3,2:3,3:[7],4:null}", "SUCCESS", "{1:3,2:3,3:[7],4:null,254:1}"},
		{"a tag", "{1:3,2:2,3:[18446744060824715265],4:null}", "SUCCESS", "{1:3,2:2,3:[18446744060824715265],4:null,254:1}"},
		{"the fabric index is not the writer's to say", "{1:1,2:2,3:null,4:null,254:9}", "SUCCESS", "{1:1,2:2,3:null,4:null,254:1}"},
		{"unknown members", "{1:1,2:2,3:null,4:null,9:{0:1}}", "SUCCESS", "{1:1,2:2,3:null,4:null,254:1}"},
		{"an auxiliary entry", "{1:1,2:2,3:null,4:null,5:0}", "CONSTRAINT_ERROR", ""},
		{"PASE", "{1:1,2:1,3:null,4:null}", "CONSTRAINT_ERROR", ""},
		{"a group that administers", "{1:5,2:3,3:null,4:null}", "CONSTRAINT_ERROR", ""},
		{"a group among nodes", "{1:3,2:2,3:[18446744073709486087],4:null}", "CONSTRAINT_ERROR", ""},
		{"a group as a node id", "{1:3,2:3,3:[18446744073709486087],4:null}", "CONSTRAINT_ERROR", ""},
		{"an empty target", "{1:3,2:2,3:null,4:[{0:null,1:null,2:null}]}", "CONSTRAINT_ERROR", ""},
		{"endpoint and device type", "{1:3,2:2,3:null,4:[{0:null,1:1,2:22}]}", "CONSTRAINT_ERROR", ""},
		{"five subjects", "{1:3,2:2,3:[1,2,3,4,5],4:null}", "RESOURCE_EXHAUSTED", ""},
		{"four targets", "{1:3,2:2,3:null,4:[{0:1},{0:2},{0:3},{0:4}]}", "RESOURCE_EXHAUSTED", ""},
		{"no privilege", "{2:2,3:null,4:null}", "INVALID_DATA_TYPE", ""},
		{"no subjects", "{1:1,2:2,4:null}", "INVALID_DATA_TYPE", ""},
		{"no structure", "5", "INVALID_DATA_TYPE", ""},
		{"subjects no list", "{1:1,2:2,3:5,4:null}", "INVALID_DATA_TYPE", ""},
		{"a subject that is text", `{1:1,2:2,3:["1"],4:null}`, "INVALID_DATA_TYPE", ""},
		{"a privilege that is too large", "{1:256,2:2,3:null,4:null}", "CONSTRAINT_ERROR", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, _ := newNode(t, 2)
			other := n.Read(clustertest.Admin(2), 0, ID, attrACL)
			if got := n.Write(admin, 0, ID, attrACL, "["+own+","+tt.entry+"]"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			want := "[" + ownRead + "]"
			if tt.read != "" {
				want = "[" + ownRead + "," + tt.read + "]"
			}
			if got := n.Read(admin, 0, ID, attrACL); got != want {
				t.Errorf("then it is\n%s, want\n%s", got, want)
			}
			if got := n.Read(clustertest.Admin(2), 0, ID, attrACL); got != other {
				t.Errorf("the other fabric has %s", got)
			}
			if tt.want != "SUCCESS" && len(n.Events(admin, ID)) != 0 {
				t.Errorf("events of a write that was refused: %q", n.Events(admin, ID))
			}
		})
	}
	n, _ := newNode(t, 1)
	if got := n.Write(admin, 0, ID, attrACL, "["+strings.Repeat(own+",", 5)+"]"); got != "RESOURCE_EXHAUSTED" {
		t.Errorf("five entries: %s", got)
	}
	if got := n.Write(admin, 0, ID, attrACL, "["+strings.Repeat(own+",", 4)+"]"); got != "SUCCESS" {
		t.Errorf("four entries: %s", got)
	}
}

// Of other fabrics' entries, only their number and their fabrics are shown.
func TestForeignEntries(t *testing.T) {
	n, _ := newNode(t, 2)
	n.Write(admin, 0, ID, attrACL, "["+own+",{1:1,2:2,3:null,4:null}]")
	n.Write(admin, 0, ID, attrExtension, `[{1:x"1718"}]`)
	two := clustertest.Admin(2)
	if got, want := n.ReadAll(two, 0, ID, attrACL), "[{254:1},{254:1},{1:5,2:2,3:[4098],4:null,254:2}]"; got != want {
		t.Errorf("ACL %s, want %s", got, want)
	}
	if got, want := n.ReadAll(two, 0, ID, attrExtension), "[{254:1}]"; got != want {
		t.Errorf("Extension %s, want %s", got, want)
	}
	if got := n.Read(two, 0, ID, attrExtension); got != "[]" {
		t.Errorf("own Extension %s", got)
	}
	if events := n.Events(two, ID); len(events) != 0 {
		t.Errorf("events of the other fabric: %q", events)
	}
	if got := n.ReadAll(clustertest.PASE(0), 0, ID, attrACL); got != "[{254:1},{254:1},{254:2}]" {
		t.Errorf("to a commissioner without a fabric: %s", got)
	}
	if got := n.Write(clustertest.PASE(0), 0, ID, attrACL, "[]"); got != "UNSUPPORTED_ACCESS" {
		t.Errorf("a commissioner without a fabric writes: %s", got)
	}
}

// Each entry that is changed, added or removed causes an event: entries change in place,
// and are removed from the end.
func TestEntryEvents(t *testing.T) {
	view, operate := "{1:1,2:2,3:null,4:null}", "{1:3,2:2,3:null,4:null}"
	event := func(who, change int, entry string) string {
		by := []string{"1:4097,2:null", "1:null,2:0"}[who]
		return fmt.Sprintf("0{%s,3:%d,4:%s,254:1}", by, change, strings.TrimSuffix(entry, "}")+",254:1}")
	}
	const node, passcode = 0, 1
	n, _ := newNode(t, 1)
	var want []string
	for _, step := range []struct {
		list []string
		want []string
	}{
		{[]string{own}, []string{event(node, 0, own)}},
		{[]string{own, view, view}, []string{event(node, 0, own), event(node, 1, view), event(node, 1, view)}},
		{[]string{own, operate}, []string{event(node, 0, own), event(node, 0, operate), event(node, 2, view)}},
		{[]string{operate, own, view}, []string{event(node, 0, operate), event(node, 0, own), event(node, 1, view)}},
		{[]string{own}, []string{event(node, 0, own), event(node, 2, view), event(node, 2, own)}},
	} {
		if got := n.Write(admin, 0, ID, attrACL, "["+strings.Join(step.list, ",")+"]"); got != "SUCCESS" {
			t.Fatalf("writing %q: %s", step.list, got)
		}
		want = append(want, step.want...)
		if got := n.Events(admin, ID); !slices.Equal(got, want) {
			t.Fatalf("after writing %q:\n%q, want\n%q", step.list, got, want)
		}
	}
	if got := n.Write(clustertest.PASE(1), 0, ID, attrACL, "["+own+","+view+"]"); got != "SUCCESS" {
		t.Fatal(got)
	}
	if got := n.Events(admin, ID); got[len(got)-1] != event(passcode, 1, view) {
		t.Errorf("by a passcode: %s", got[len(got)-1])
	}
}

func TestExtension(t *testing.T) {
	n, _ := newNode(t, 1)
	// A list with one element of a profile, of the maximum length and longer.
	element := func(size int) string {
		return `x"` + "17d0f1ff00000000" + fmt.Sprintf("%02x", size-10) + strings.Repeat("00", size-10) + `18"`
	}
	const one, two = `x"17c8f1ff0000000018"`, `x"17c9f1ff0000000018"`
	steps := []struct {
		name, value, want, event string
	}{
		{"none", "[]", "SUCCESS", ""},
		{"first", "[{1:" + one + "}]", "SUCCESS", "1{1:4097,2:null,3:1,4:{1:" + one + ",254:1},254:1}"},
		{"the same", "[{1:" + one + "}]", "SUCCESS", ""},
		{"another", "[{1:" + two + "}]", "SUCCESS", "1{1:4097,2:null,3:0,4:{1:" + two + ",254:1},254:1}"},
		{"two", "[{1:" + one + "},{1:" + two + "}]", "CONSTRAINT_ERROR", ""},
		{"too long", "[{1:" + element(129) + "}]", "CONSTRAINT_ERROR", ""},
		{"no list", `[{1:x"1518"}]`, "CONSTRAINT_ERROR", ""},
		{"context tags", `[{1:x"17280118"}]`, "CONSTRAINT_ERROR", ""},
		{"cut off", `[{1:x"17"}]`, "CONSTRAINT_ERROR", ""},
		{"no data", "[{}]", "INVALID_DATA_TYPE", ""},
		{"data that is text", `[{1:"x"}]`, "INVALID_DATA_TYPE", ""},
		{"gone", "[]", "SUCCESS", "1{1:4097,2:null,3:2,4:{1:" + two + ",254:1},254:1}"},
	}
	var want []string
	for _, s := range steps {
		before := n.Read(admin, 0, ID, attrExtension)
		if got := n.Write(admin, 0, ID, attrExtension, s.value); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
		if s.event != "" {
			want = append(want, s.event)
		}
		if got := n.Events(admin, ID); !slices.Equal(got, want) {
			t.Errorf("%s: events\n%q, want\n%q", s.name, got, want)
		}
		if got := n.Read(admin, 0, ID, attrExtension); s.want != "SUCCESS" && got != before {
			t.Errorf("%s: refused, and yet it is %s", s.name, got)
		}
	}
	if got := n.Write(admin, 0, ID, attrExtension, "[{1:"+element(128)+"}]"); got != "SUCCESS" {
		t.Errorf("the longest: %s", got)
	}
}

// Every change of the table is reported, also if another cluster made it.
func TestChanges(t *testing.T) {
	n, c := newNode(t, 1)
	changes := func() string {
		var got []matter.AttributeID
		c.Changes(func(id matter.AttributeID) { got = append(got, id) })
		return fmt.Sprint(got)
	}
	mutate := func(what, want string, change func(f *store.Fabric)) {
		t.Helper()
		if err := n.Table.Mutate(1, func(f *store.Fabric) error { change(f); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := changes(); got != want {
			t.Errorf("%s: changes %s, want %s", what, got, want)
		}
	}
	changes()
	mutate("label", "[]", func(f *store.Fabric) { f.Label = "x" })
	mutate("entry", "[0]", func(f *store.Fabric) { f.ACL[0].Subjects = append(f.ACL[0].Subjects, 5) })
	mutate("extension", "[1]", func(f *store.Fabric) { f.Extension = []byte{0x17, 0x18} })
	n.AddFabric()
	if got := changes(); !strings.HasPrefix(got, "[0") {
		t.Errorf("another fabric: changes %s", got)
	}
}
