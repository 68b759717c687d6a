package server_test

import (
	"errors"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// A controller can switch a whole house with one request. It may contain as many
// commands as the node announces, each answered with its reference (section 8.8.2).
func TestBatch(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		const most = 32
		r.want("MaxPathsPerInvoke", r.attr(s, clBasic, datamodel.BasicInformationAttrMaxPathsPerInvoke), "32")
		if got := s.Peer().MaxPathsPerInvoke; got != most {
			t.Errorf("the session parameters say %d", got)
		}
		var plugs []*plug
		var commands []commissioner.Command
		for i := range matter.EndpointID(most + 1) {
			plugs = append(plugs, r.addPlug(plugID+i))
			commands = append(commands, commissioner.Command{Endpoint: plugID + i, Cluster: clOnOff, ID: datamodel.OnOffCmdToggle})
		}
		commands[3].Endpoint = 4000
		b, err := s.InvokeBatch(r.ctx, commands[:most])
		r.must(err)
		for i, p := range plugs {
			want := matter.StatusSuccess
			if i == 3 {
				want = matter.StatusUnsupportedEndpoint
			}
			if i < most && b.Statuses[i].Status != want {
				t.Errorf("command %d: %v", i, b.Statuses[i])
			}
			if on := len(p.switched) == 1 && p.switched[0]; on != (i != 3 && i < most) {
				t.Errorf("plug %d was switched: %v", i, p.switched)
			}
		}
		if len(b.Statuses) != most {
			t.Errorf("%d responses", len(b.Statuses))
		}
		if _, err := s.InvokeBatch(r.ctx, commands); !errors.Is(err, matter.StatusInvalidAction) {
			t.Errorf("one command more: %v", err)
		}
		if len(plugs[0].switched) != 1 {
			t.Error("something of a request that is refused was executed")
		}
	})
}
