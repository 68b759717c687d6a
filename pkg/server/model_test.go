package server

import (
	"net/netip"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestSoftwareVersion(t *testing.T) {
	for version, want := range map[string]uint32{
		"1.2.3": 1002003, "v1.2.3": 1002003, "0.0.1": 1, "0.1.0": 1000, "2.0.0-rc1": 2000000, "999.999.999": 999999999,
		"": 1, "dev": 1, "0.0.0": 1, "1.2": 1, "1.2.3.4": 1, "1.2.x": 1, "1.1000.0": 1, "-1.0.0": 1, "1..3": 1, "99999999999.0.0": 1,
	} {
		if got := softwareVersion(version); got != want {
			t.Errorf("version %q is %d, want %d", version, got, want)
		}
	}
}

// The first is of project-chip/connectedhomeip,
// src/transport/raw/tests/TestPeerAddress.cpp.
func TestGroupAddr(t *testing.T) {
	for _, tt := range []struct {
		fabric matter.FabricID
		group  matter.GroupID
		want   string
	}{
		{0xA1A2_A4A8_B1B2_B4B8, 0xE10F, "ff35:40:fda1:a2a4:a8b1:b2b4:b800:e10f"},
		{1, 0xFEFF, "ff35:40:fd00::100:feff"},
		{0xFFFF_FFFF_FFFF_FFFF, 0xFFFF, "ff35:40:fdff:ffff:ffff:ffff:ff00:ffff"},
	} {
		if got := groupAddr(tt.fabric, tt.group); got != netip.MustParseAddr(tt.want) {
			t.Errorf("group %04X of fabric %v: %v, want %s", tt.group, tt.fabric, got, tt.want)
		}
	}
}

// The network that is told of stays the same while there is such an interface.
func TestHostNetwork(t *testing.T) {
	h := &host{none: true}
	see := func(list ...generaldiagnostics.Interface) networkcommissioning.Network {
		h.list = list
		return h.network()
	}
	eth0, eth1 := generaldiagnostics.Interface{Name: "eth0", Operational: true}, generaldiagnostics.Interface{Name: "eth1", Operational: true}
	down := generaldiagnostics.Interface{Name: "eth0"}
	network := func(name string, connected bool) networkcommissioning.Network {
		return networkcommissioning.Network{Name: name, Connected: connected}
	}
	for i, step := range []struct {
		list []generaldiagnostics.Interface
		want networkcommissioning.Network
	}{
		{nil, network(noNetwork, false)},
		{[]generaldiagnostics.Interface{eth0, eth1}, network("eth0", true)},
		{[]generaldiagnostics.Interface{eth1, eth0}, network("eth0", true)},
		{[]generaldiagnostics.Interface{eth1, down}, network("eth0", false)},
		{nil, network("eth0", false)},
		{[]generaldiagnostics.Interface{eth1}, network("eth1", true)},
	} {
		if got := see(step.list...); got != step.want {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
	}
}

// What is told of the host is not asked for at every turn, but after a change of its
// links.
func TestHostChanged(t *testing.T) {
	h := &host{serves: func(string) bool { return true }}
	h.interfaces()
	h.link()
	seen := h.listed
	h.interfaces()
	if h.listed != seen || h.looked.IsZero() {
		t.Error("looked again at once")
	}
	h.changed()
	h.interfaces()
	if !h.listed.After(seen) {
		t.Error("did not look again after a change")
	}
	for _, n := range h.list {
		if l := len(n.HardwareAddress); l != 6 && l != 8 {
			t.Errorf("%s has a hardware address of %d octets", n.Name, l)
		}
	}
}
