package descriptor

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestDescriptor(t *testing.T) {
	n := clustertest.New(t, 1)
	parts := []matter.EndpointID{1, 2}
	n.Add(0, New(Options{
		DeviceTypes: []DeviceType{{0x16, 3}, {0x12, 1}},
		Servers:     func() []matter.ClusterID { return []matter.ClusterID{0x1D, 0x28} },
		Parts:       func() []matter.EndpointID { return parts },
	}))
	n.Add(1, New(Options{
		DeviceTypes: []DeviceType{{0x0E, 2}},
		Servers:     func() []matter.ClusterID { return []matter.ClusterID{0x1D} },
	}))
	admin := clustertest.Admin(1)
	for id, want := range map[matter.AttributeID][2]string{
		deviceTypeList:                       {"[{0:22,1:3},{0:18,1:1}]", "[{0:14,1:2}]"},
		serverList:                           {"[29,40]", "[29]"},
		clientList:                           {"[]", "[]"},
		PartsList:                            {"[1,2]", "[]"},
		matter.AttributeFeatureMap:           {"0", "0"},
		matter.AttributeAcceptedCommandList:  {"[]", "[]"},
		matter.AttributeGeneratedCommandList: {"[]", "[]"},
		matter.AttributeAttributeList:        {"[0,1,2,3,65528,65529,65531,65532,65533]", "[0,1,2,3,65528,65529,65531,65532,65533]"},
	} {
		for ep, want := range want {
			if got := n.Read(admin, matter.EndpointID(ep), ID, id); got != want {
				t.Errorf("endpoint %d, attribute %d: %s, want %s", ep, id, got, want)
			}
		}
	}
	// What is told is what is there at the moment.
	parts = nil
	if got := n.Read(admin, 0, ID, PartsList); got != "[]" {
		t.Errorf("parts %s after they have gone", got)
	}
	if got := n.Write(admin, 0, ID, PartsList, "[]"); got != "UNSUPPORTED_WRITE" {
		t.Errorf("writing: %s", got)
	}
}
