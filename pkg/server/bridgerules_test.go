package server_test

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Each change of a group on a bridged device is a report of GroupTable, which is on
// endpoint 0 (section 11.2.6.2), and of nothing else.
func TestGroupTableIsReported(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.addPlug(plugID)
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		r.must(s.KeySetWrite(r.ctx, 5, [16]byte{1}))
		r.must(s.MapGroups(r.ctx, 5, 7, 8))
		everything, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}, 0, 600)
		r.must(err)
		r.wait(time.Second)
		group := func(id uint64) commissioner.Fields {
			return func(w *tlv.Writer) {
				w.Uint(tlv.Context(0), id)
				w.Text(tlv.Context(1), "x")
			}
		}
		for _, tt := range []struct {
			name    string
			command matter.CommandID
			fields  commissioner.Fields
			want    string // "": no report
		}{
			{"AddGroup", datamodel.GroupsCmdAddGroup, group(7), `[{1:7,2:[7],3:"x",254:1}]`},
			{"AddGroup again", datamodel.GroupsCmdAddGroup, group(7), ""},
			{"another", datamodel.GroupsCmdAddGroup, group(8), `[{1:7,2:[7],3:"x",254:1},{1:8,2:[7],3:"x",254:1}]`},
			{"RemoveGroup", datamodel.GroupsCmdRemoveGroup, group(7), `[{1:8,2:[7],3:"x",254:1}]`},
			{"RemoveAllGroups", datamodel.GroupsCmdRemoveAllGroups, nil, "[]"},
		} {
			_, err := s.Invoke(r.ctx, plugID, datamodel.GroupsID, tt.command, tt.fields)
			r.must(err)
			rep := r.nextWithin(everything, 2*time.Second)
			switch {
			case tt.want == "" && rep != nil:
				t.Errorf("%s is reported: %+v", tt.name, rep)
			case tt.want == "":
			case rep == nil || len(rep.Attributes) != 1:
				t.Errorf("%s: report %+v", tt.name, rep)
			default:
				r.want(tt.name, r.textOf(rep, 0, datamodel.GroupKeyManagementID, datamodel.GroupKeyManagementAttrGroupTable), tt.want)
			}
		}
	})
}

// The node itself has no power source: Apple hides the power of bridged plugs then, and
// matter.js asks a node on batteries less often.
func TestNodeHasNoPowerSource(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.addPlug(plugID)
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		for _, ep := range []matter.EndpointID{0, aggregator} {
			for _, cl := range []matter.ClusterID{datamodel.PowerSourceID, datamodel.PowerSourceConfigurationID} {
				if got := r.value(s, ep, cl, 0); got != "UNSUPPORTED_CLUSTER" {
					t.Errorf("endpoint %d: cluster 0x%04X has %s", ep, cl, got)
				}
			}
		}
		r.want("endpoint 1", r.value(s, aggregator, clDescriptor, 0), "[{0:14,1:2}]")
	})
}
