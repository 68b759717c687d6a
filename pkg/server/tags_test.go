package server_test

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// A higher version of a tag in the access control list excludes nodes whose NOC has
// the old one, at once and on resumed sessions too.
func TestTagsAreRevoked(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		b, err := a.Admin(commissioner.RandomNodeID(), 0x0007_0001)
		r.must(err)
		grant := func(tag matter.CAT) {
			t.Helper()
			e := administers(a)
			e.subjects = append(e.subjects, uint64(tag.NodeID()))
			r.want("write", r.writeACL(done.CASE, e), success)
		}
		grant(0x0007_0001)
		s, res, err := c.CASE(r.ctx, deviceAddr, b, done.Node, nil)
		r.must(err)
		r.want("with the tag", r.creds(s, cmdLabel, 0, "one"), ok)
		grant(0x0007_0002)
		r.want("with the old tag", r.creds(s, cmdLabel, 0, "two"), unsupportedAccess)
		rec := res.Record()
		s, res, err = c.CASE(r.ctx, deviceAddr, b, done.Node, &rec)
		r.must(err)
		if !res.Resumed {
			t.Fatal("the session was not resumed")
		}
		r.want("with the old tag, resumed", r.creds(s, cmdLabel, 0, "three"), unsupportedAccess)
		grant(0x0007_0001)
		r.want("with the tag again, resumed", r.creds(s, cmdLabel, 0, "four"), ok)
	})
}
