package device

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

func TestRoomIsAFixedLabel(t *testing.T) { // section 9.8
	d := Device{Room: "Kitchen", Parts: []Part{{ID: "main", Type: "contact_sensor"}}}
	x := assemble(t, d, Profile{})
	fixed := func() string { return x.read(0, datamodel.FixedLabelID, 0) }
	if got, want := fixed(), `[{0:"room",1:"Kitchen"}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for room, want := range map[string]string{
		"Wohnzimmer":         `[{0:"room",1:"Wohnzimmer"}]`,
		"0123456789abcdefg":  `[{0:"room",1:"0123456789abcdef"}]`, // 16 octets
		"0123456789abcdeéx":  `[{0:"room",1:"0123456789abcde"}]`,  // whole characters
		"0123456789 bcde fg": `[{0:"room",1:"0123456789 bcde"}]`,
		"":                   `[]`,
	} {
		d.Room = room
		version := x.Version(2, datamodel.FixedLabelID, 0)
		x.Relabel(&d)
		x.Touch(2)
		x.Settle(x.Now)
		if got := fixed(); got != want {
			t.Errorf("room %q is %s, want %s", room, got, want)
		}
		if x.Version(2, datamodel.FixedLabelID, 0) == version {
			t.Errorf("room %q is not reported", room)
		}
	}
	x = assemble(t, Device{Parts: []Part{{ID: "main", Type: "contact_sensor"}}}, Profile{})
	if got := fixed(); got != "UNSUPPORTED_CLUSTER" {
		t.Errorf("without a room: %s", got)
	}
}

func TestUserLabels(t *testing.T) { // section 9.9
	d := Device{Room: "Kitchen", Parts: []Part{{ID: "main", Type: "contact_sensor"}}}
	x := assemble(t, d, Profile{})
	user := func() string { return x.read(0, datamodel.UserLabelID, 0) }
	write := func(v string) string { return x.Write(clustertest.Admin(1), 2, datamodel.UserLabelID, 0, v) }
	if got := user(); got != "[]" {
		t.Errorf("at the beginning: %s", got)
	}
	last := "[]"
	for _, tt := range []struct{ list, status string }{
		{`[{0:"room",1:"bedroom 2"},{0:"floor",1:"2"}]`, "SUCCESS"},
		{`[{0:"",1:""}]`, "SUCCESS"},
		{`[{0:"0123456789abcdef",1:"0123456789abcdef"}]`, "SUCCESS"},
		{`[{0:"0123456789abcdefg",1:""}]`, "CONSTRAINT_ERROR"},
		{`[{0:"",1:"0123456789abcdefg"}]`, "CONSTRAINT_ERROR"},
		{`[{0:"a"}]`, "CONSTRAINT_ERROR"},
		{`[{0:"a",1:7}]`, "INVALID_DATA_TYPE"},
		{`[7]`, "INVALID_DATA_TYPE"},
		{`{0:"a",1:"b"}`, "INVALID_DATA_TYPE"},
		{`[{0:"1",1:"1"},{0:"2",1:"2"},{0:"3",1:"3"},{0:"4",1:"4"}]`, "SUCCESS"},
		{`[{0:"1",1:"1"},{0:"2",1:"2"},{0:"3",1:"3"},{0:"4",1:"4"},{0:"5",1:"5"}]`, "RESOURCE_EXHAUSTED"},
	} {
		if got := write(tt.list); got != tt.status {
			t.Errorf("%s: %s, want %s", tt.list, got, tt.status)
		}
		if tt.status == "SUCCESS" {
			last = tt.list
		}
		if got := user(); got != last {
			t.Errorf("after %s the list is %s, want %s", tt.list, got, last)
		}
	}
	kept := x.Nodes[0].Save()
	x = assemble(t, d, Profile{})
	if err := x.Nodes[0].Load(kept); err != nil {
		t.Fatal(err)
	}
	if got := user(); got != last {
		t.Errorf("after a restart the list is %s, want %s", got, last)
	}
}
