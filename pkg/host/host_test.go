package host

import "testing"

// The primary interface stays the same as long as it exists.
func TestPrimary(t *testing.T) {
	h := New(nil)
	eth0, eth1 := Adapter{Name: "eth0", Operational: true}, Adapter{Name: "eth1", Operational: true}
	down := Adapter{Name: "eth0"}
	for i, step := range []struct {
		list        []Adapter
		name        string
		operational bool
	}{
		{nil, "", false},
		{[]Adapter{eth0, eth1}, "eth0", true},
		{[]Adapter{eth1, eth0}, "eth0", true},
		{[]Adapter{eth1, down}, "eth0", false},
		{nil, "eth0", false},
		{[]Adapter{eth1}, "eth1", true},
	} {
		h.list = step.list
		if name, operational := h.Primary(); name != step.name || operational != step.operational {
			t.Errorf("step %d: %q, %v, want %q, %v", i, name, operational, step.name, step.operational)
		}
	}
}

// The host is not read for every call, but after a change of its links.
func TestChanged(t *testing.T) {
	h := New(func() []Interface {
		list, err := Interfaces(nil)
		if err != nil {
			t.Error(err)
		}
		return list
	})
	h.Adapters()
	h.Link()
	seen := h.listed
	h.Adapters()
	if h.listed != seen || h.looked.IsZero() {
		t.Error("looked again at once")
	}
	h.Changed()
	h.Adapters()
	if !h.listed.After(seen) {
		t.Error("did not look again after a change")
	}
	for _, n := range h.list {
		if l := len(n.HardwareAddress); l != 6 && l != 8 {
			t.Errorf("%s has a hardware address of %d octets", n.Name, l)
		}
	}
}
