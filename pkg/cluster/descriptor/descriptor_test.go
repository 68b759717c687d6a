package descriptor

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func add(t *testing.T, n *clustertest.Node, ep matter.EndpointID, opt Options) {
	t.Helper()
	if opt.Servers == nil {
		opt.Servers = func() []matter.ClusterID { return []matter.ClusterID{ID} }
	}
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	n.Add(ep, c)
}

func TestDescriptor(t *testing.T) {
	n := clustertest.New(t, 1)
	parts := []matter.EndpointID{1, 2}
	add(t, n, 0, Options{
		DeviceTypes: []DeviceType{{0x16, 3}, {0x12, 1}},
		Servers:     func() []matter.ClusterID { return []matter.ClusterID{0x1D, 0x28} },
		Parts:       func() []matter.EndpointID { return parts },
	})
	add(t, n, 1, Options{DeviceTypes: []DeviceType{{0x0E, 2}}})
	admin := clustertest.Admin(1)
	for id, want := range map[matter.AttributeID][2]string{
		datamodel.DescriptorAttrDeviceTypeList: {"[{0:22,1:3},{0:18,1:1}]", "[{0:14,1:2}]"},
		datamodel.DescriptorAttrServerList:     {"[29,40]", "[29]"},
		datamodel.DescriptorAttrClientList:     {"[]", "[]"},
		PartsList:                              {"[1,2]", "[]"},
		matter.AttributeFeatureMap:             {"0", "0"},
		matter.AttributeAcceptedCommandList:    {"[]", "[]"},
		matter.AttributeGeneratedCommandList:   {"[]", "[]"},
		matter.AttributeAttributeList:          {"[0,1,2,3,65528,65529,65531,65532,65533]", "[0,1,2,3,65528,65529,65531,65532,65533]"},
	} {
		for ep, want := range want {
			if got := n.Read(admin, matter.EndpointID(ep), ID, id); got != want {
				t.Errorf("endpoint %d, attribute %d: %s, want %s", ep, id, got, want)
			}
		}
	}
	// The lists are the current ones.
	parts = nil
	if got := n.Read(admin, 0, ID, PartsList); got != "[]" {
		t.Errorf("parts %s after they have gone", got)
	}
	if got := n.Write(admin, 0, ID, PartsList, "[]"); got != "UNSUPPORTED_WRITE" {
		t.Errorf("writing: %s", got)
	}
}

// An endpoint with siblings of its device type has tags that distinguish it, and an
// endpoint with a unique id reports it (sections 9.5.6.5 and 9.5.6.6).
func TestTagsAndUniqueID(t *testing.T) {
	n := clustertest.New(t, 1)
	tags := []Tag{
		{Namespace: datamodel.NamespaceCommonNumber, Tag: datamodel.TagCommonNumberTwo},
		{Namespace: datamodel.NamespaceSwitches, Tag: datamodel.TagSwitchesCustom, Label: "Party"},
	}
	add(t, n, 3, Options{Tags: tags})
	add(t, n, 4, Options{UniqueID: "b"})
	add(t, n, 5, Options{Tags: tags[:1], UniqueID: "c"})
	admin := clustertest.Admin(1)
	for _, tt := range []struct {
		ep   matter.EndpointID
		id   matter.AttributeID
		want string
	}{
		{3, datamodel.DescriptorAttrTagList, `[{0:null,1:7,2:2},{0:null,1:67,2:8,3:"Party"}]`},
		{3, matter.AttributeFeatureMap, "1"},
		{3, matter.AttributeAttributeList, "[0,1,2,3,4,65528,65529,65531,65532,65533]"},
		{3, datamodel.DescriptorAttrEndpointUniqueID, "UNSUPPORTED_ATTRIBUTE"},
		{4, datamodel.DescriptorAttrEndpointUniqueID, `"b"`},
		{4, datamodel.DescriptorAttrTagList, "UNSUPPORTED_ATTRIBUTE"},
		{4, matter.AttributeFeatureMap, "0"},
		{5, datamodel.DescriptorAttrTagList, "[{0:null,1:7,2:2}]"},
		{5, datamodel.DescriptorAttrEndpointUniqueID, `"c"`},
		{5, matter.AttributeAttributeList, "[0,1,2,3,4,5,65528,65529,65531,65532,65533]"},
	} {
		if got := n.Read(admin, tt.ep, ID, tt.id); got != tt.want {
			t.Errorf("endpoint %d, attribute %d: %s, want %s", tt.ep, tt.id, got, tt.want)
		}
	}
	for name, opt := range map[string]Options{
		"seven tags":   {Tags: make([]Tag, MaxTags+1)},
		"a long label": {Tags: []Tag{{Label: strings.Repeat("x", 65)}}},
		"no text":      {Tags: []Tag{{Label: "\xFF"}}},
		"a long id":    {UniqueID: strings.Repeat("x", MaxUniqueID+1)},
		"an id":        {UniqueID: "\xFF"},
	} {
		if _, err := New(opt); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
