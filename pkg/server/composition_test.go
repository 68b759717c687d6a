package server_test

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// The configuration version changes, and is reported, when an endpoint was added or
// removed. A restart does not change it, even if the program adds its endpoints
// after it.
func TestConfigurationVersion(t *testing.T) {
	const at = datamodel.BasicInformationAttrConfigurationVersion
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		version := func(when, want string) {
			t.Helper()
			r.want("version "+when, r.attr(s, datamodel.BasicInformationID, at), want)
		}
		r.wait(time.Minute)
		version("of a new node", "1")
		u, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, datamodel.BasicInformationID, at)}}, 0, 600)
		r.must(err)
		r.addPlug(plugID)
		if rep := r.nextWithin(u, 3*time.Second); rep == nil || r.textOf(rep, 0, datamodel.BasicInformationID, at) != "2" {
			t.Errorf("report of a new endpoint: %+v", rep)
		}
		for range 2 {
			r.restart()
			s = r.reopen(c, a, done)
			r.addPlug(plugID)
			r.wait(time.Minute)
			version("after a restart", "2")
		}
		r.must(r.srv.RemoveEndpoint(plugID))
		r.wait(3 * time.Second)
		version("without the endpoint", "3")
		r.restart()
		s = r.reopen(c, a, done)
		r.wait(time.Minute)
		version("after a restart without it", "3")
	})
}
