package server_test

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
)

// Changes that do not affect the records do not cause an announcement, which takes
// longer than the change.
func TestOnlyNamesAreAnnounced(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		before := r.announced.count()
		for _, label := range []string{"kitchen", "hall"} {
			r.must(done.CASE.UpdateFabricLabel(r.ctx, label))
		}
		if n := r.announced.count() - before; n != 0 {
			t.Errorf("a label is announced: %d times", n)
		}
		r.must(done.CASE.ArmFailSafe(r.ctx, 60, 0))
		noc := r.noc(a, r.csr(done.CASE, true))
		r.want("UpdateNOC", r.updateNOC(done.CASE, noc.Raw(), nil), ok)
		if n := r.announced.count() - before; n != 1 {
			t.Errorf("another node id is announced %d times", n)
		}
		if got := r.announced.of("_matter._tcp"); len(got) != 1 || got[0].Instance[17:] != noc.NodeID().String() {
			t.Errorf("announced: %+v", got)
		}
	})
}
