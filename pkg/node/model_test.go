package node

import (
	"net/netip"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/host"
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

// The first vector is from project-chip/connectedhomeip,
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

// There is always a network, even on a host without interfaces.
func TestNetworkOfAHostWithoutInterfaces(t *testing.T) {
	if got, want := network(host.New(nil)), (networkcommissioning.Network{Name: noNetwork}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
