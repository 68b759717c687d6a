package conformance

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func check(t *testing.T, name string, errs []error, want string) {
	t.Helper()
	switch err := errors.Join(errs...); {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// TestCluster checks that each difference is found, and nothing else.
func TestCluster(t *testing.T) {
	for _, tt := range []struct {
		name   string
		facts  *datamodel.Cluster
		sel    cluster.Selection
		change func(s *im.Spec)
		want   string
	}{
		{"lamp", datamodel.OnOff, cluster.Selection{Features: datamodel.OnOffFeatureLighting}, nil, ""},
		{"lock", datamodel.AdministratorCommissioning, cluster.Selection{}, nil, ""},
		{"access control", datamodel.AccessControl, cluster.Selection{Features: datamodel.AccessControlFeatureExtension}, nil, ""},
		{"unknown", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.ID = 0xFFF1FC00 }, "no facts"},
		{"name", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Name = "OnOff" }, "served as OnOff"},
		{"revision", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Revision = 5 }, "revision 5, want revision 6"},
		{"provisional", datamodel.Groupcast, cluster.Selection{}, nil, "the cluster is provisional"},
		{"features that exclude each other", datamodel.OnOff, cluster.Selection{Features: 5}, nil, "feature LT is disallowed"},
		{"a provisional feature", datamodel.LevelControl, cluster.Selection{Features: 4}, nil, "feature FQ is provisional"},
		{"an unknown feature", datamodel.OnOff, cluster.Selection{Features: 8}, nil, "features 0x8"},
		{"no choice", datamodel.Switch, cluster.Selection{}, nil, "0 features of the choice"},
		{"two of one", datamodel.Switch, cluster.Selection{Features: 3}, nil, "2 features of the choice"},
		{"a missing attribute", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Attributes = nil }, "attribute OnOff is missing"},
		{"an attribute without its feature", datamodel.OnOff, cluster.Selection{Attributes: []matter.AttributeID{datamodel.OnOffAttrOnTime}}, nil, "OnTime is disallowed"},
		{"a provisional attribute", datamodel.GeneralCommissioning, cluster.Selection{Attributes: []matter.AttributeID{0x0C}}, nil, "is provisional"},
		{"an unknown attribute", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Attributes = append(s.Attributes, im.Attribute{ID: 7}) }, "attribute 0x0007"},
		{"privilege", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Attributes[0].Write = matter.PrivilegeView }, "write 1; want OnOff, 1, 0"},
		{"quality", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Attributes[0].Quality = 0 }, "quality 0x8 is false"},
		{"a missing command", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Commands = s.Commands[1:] }, "command Off is missing"},
		{"a response", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Commands[0].Response = 1 }, "response 1"},
		{"untimed", datamodel.AdministratorCommissioning, cluster.Selection{}, func(s *im.Spec) { s.Commands[0].Quality = 0 }, "timed true"},
		{"an unknown command", datamodel.OnOff, cluster.Selection{}, func(s *im.Spec) { s.Commands = append(s.Commands, im.Command{ID: 9}) }, "command 0x09"},
		{"a missing event", datamodel.AccessControl, cluster.Selection{}, func(s *im.Spec) { s.Events = nil }, "event AccessControlEntryChanged is missing"},
		{"priority", datamodel.AccessControl, cluster.Selection{}, func(s *im.Spec) { s.Events[0].Priority = im.Critical }, "priority 2"},
		{"an unknown event", datamodel.AccessControl, cluster.Selection{}, func(s *im.Spec) { s.Events = append(s.Events, im.Event{ID: 9}) }, "event 0x09"},
	} {
		s := cluster.NewSpec(tt.facts, tt.sel)
		if tt.change != nil {
			tt.change(s)
		}
		check(t, tt.name, Cluster(s), tt.want)
	}
}

// bare is a cluster that serves only its metadata.
type bare struct {
	im.ReadOnly
	spec *im.Spec
}

func (b bare) Spec() *im.Spec                                                   { return b.spec }
func (b bare) Read(*im.Request, matter.AttributeID, *tlv.Writer, tlv.Tag) error { return nil }

func TestEndpoint(t *testing.T) {
	const light = datamodel.DeviceTypeOnOffLight
	lamp := func(typ matter.DeviceTypeID, revision uint16, change func(list []im.Cluster) []im.Cluster) im.Endpoint {
		d, err := descriptor.New(descriptor.Options{
			DeviceTypes: []descriptor.DeviceType{{ID: typ, Revision: revision}}, Servers: func() []matter.ClusterID { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		which, err := identify.New(identify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		list := []im.Cluster{
			d, which,
			bare{spec: cluster.NewSpec(datamodel.Groups, cluster.Selection{})},
			bare{spec: cluster.NewSpec(datamodel.OnOff, cluster.Selection{Features: datamodel.OnOffFeatureLighting})},
			bare{spec: cluster.NewSpec(datamodel.ScenesManagement, cluster.Selection{Commands: []matter.CommandID{datamodel.ScenesManagementCmdCopyScene}})},
		}
		if change != nil {
			list = change(list)
		}
		return im.Endpoint{ID: 2, DeviceTypes: []matter.DeviceTypeID{typ}, Clusters: list}
	}
	without := func(i int) func([]im.Cluster) []im.Cluster {
		return func(list []im.Cluster) []im.Cluster { return slices.Delete(list, i, i+1) }
	}
	with := func(facts *datamodel.Cluster, sel cluster.Selection) func([]im.Cluster) []im.Cluster {
		return func(list []im.Cluster) []im.Cluster { return append(list, bare{spec: cluster.NewSpec(facts, sel)}) }
	}
	other := lamp(light, 3, nil)
	other.DeviceTypes = []matter.DeviceTypeID{datamodel.DeviceTypeDimmableLight}
	for _, tt := range []struct {
		name string
		ep   im.Endpoint
		want string
	}{
		{"lamp", lamp(light, 3, nil), ""},
		{"lamp with a label", lamp(light, 3, with(datamodel.UserLabel, cluster.Selection{})), ""},
		{"revision", lamp(light, 2, nil), "On/Off Light has revision 2, want 3"},
		{"two minds", other, "to access control"},
		{"unknown type", lamp(0xFFF1, 1, nil), "no facts of device type"},
		{"no descriptor", lamp(light, 3, without(0)), "no descriptor"},
		{"no groups", lamp(light, 3, without(2)), "On/Off Light wants cluster Groups"},
		{"not for lighting", lamp(light, 3, func(list []im.Cluster) []im.Cluster {
			list[3] = bare{spec: cluster.NewSpec(datamodel.OnOff, cluster.Selection{})}
			return list
		}), "On/Off Light wants feature LT of On/Off"},
		{"no CopyScene", lamp(light, 3, func(list []im.Cluster) []im.Cluster {
			list[4] = bare{spec: cluster.NewSpec(datamodel.ScenesManagement, cluster.Selection{})}
			return list
		}), "On/Off Light wants CopyScene"},
		{"another cluster", lamp(light, 3, with(datamodel.BooleanState, cluster.Selection{})), "no device type lists cluster Boolean State"},
		{"a disallowed cluster", lamp(datamodel.DeviceTypeDoorLock, 4, nil), "cluster Groups is disallowed"},
	} {
		check(t, tt.name, Endpoint(tt.ep), tt.want)
	}
}
