package server_test

import (
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// The attributes of two fabrics as read by each of them and by a commissioner.
func TestAttributes(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r := p.rig
		r.must(p.one.CASE.OpenBasicWindow(r.ctx, 900))
		sessions := []struct {
			name    string
			s       *commissioner.Session
			current matter.FabricIndex
			nocs    bool
		}{
			{"the first", p.one.CASE, 1, true},
			{"the second", p.two.CASE, 2, true},
			{"a commissioner", r.pase(p.c), 0, true},
		}
		for _, x := range sessions {
			all, own := r.fabrics(x.s, false), r.fabrics(x.s, true)
			if len(all) != 2 || all[0].index != 1 || all[1].index != 2 {
				t.Errorf("%s sees fabrics %+v", x.name, all)
			}
			nocs, ownNOCs := r.nocs(x.s, false), r.nocs(x.s, true)
			if len(nocs) != 2 || nocs[0].icac != string(p.a.ICAC()) || !nocs[1].nullICAC || nocs[0].noc == "" || nocs[1].noc == "" {
				t.Errorf("%s sees NOCs %+v", x.name, nocs)
			}
			for i, d := range all {
				c := noc(t, []byte(nocs[i].noc))
				if d.fabric != c.FabricID() || d.node != c.NodeID() {
					t.Errorf("%s: fabric %d and its NOC disagree", x.name, d.index)
				}
			}
			if roots := r.roots(x.s, true); len(roots) != 2 { // not fabric-scoped
				t.Errorf("%s sees %d roots", x.name, len(roots))
			}
			want := 1
			if x.current == 0 {
				want = 0
			}
			if len(own) != want || len(ownNOCs) != want || want == 1 && (own[0].index != x.current || ownNOCs[0].index != x.current) {
				t.Errorf("%s has fabrics %+v and %d NOCs of its own", x.name, own, len(ownNOCs))
			}
			for id, n := range map[matter.AttributeID]int64{2: 16, 3: 2, 5: int64(x.current)} {
				if got := r.number(x.s, clOpCreds, id); got != n {
					t.Errorf("%s reads attribute %d as %d, want %d", x.name, id, got, n)
				}
			}
		}
	})
}

// A peer without Administer can read some attributes. Nothing can be written.
func TestAttributeAccess(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		viewer, err := a.Admin(commissioner.RandomNodeID())
		r.must(err)
		admin := entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(a.NodeID)}, nil}
		view := entry{matter.PrivilegeManage, matter.AuthModeCASE, []uint64{uint64(viewer.NodeID)}, nil}
		status, err := done.CASE.Write(r.ctx, 0, clAccess, 0, entries(admin, view))
		r.must(err)
		r.want("access control", outcome(status.Status), "SUCCESS")
		s := r.session(c, viewer, done.Node)
		rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}})
		r.must(err)
		var ids []matter.AttributeID
		for _, at := range rep.Attributes {
			ids = append(ids, at.ID)
		}
		if want := []matter.AttributeID{1, 2, 3, 4, 5, 0xFFF8, 0xFFF9, 0xFFFB, 0xFFFC, 0xFFFD}; !slices.Equal(ids, want) {
			t.Errorf("attributes %v, want %v", ids, want)
		}
		for cmd := range matter.CommandID(0x0E) {
			if slices.Contains([]matter.CommandID{1, 3, 5, 8}, cmd) {
				continue // responses
			}
			r.want("a command without privilege", r.creds(s, cmd), unsupportedAccess)
		}
		null := func(w *tlv.Writer, tag tlv.Tag) { w.Null(tag) }
		for at := range matter.AttributeID(6) {
			status, err := done.CASE.Write(r.ctx, 0, clOpCreds, at, null)
			r.must(err)
			r.want("writing", outcome(status.Status), "UNSUPPORTED_WRITE")
		}
		r.want("a response as a command", r.creds(done.CASE, 0x05), "UNSUPPORTED_COMMAND")
		r.want("an unknown command", r.creds(done.CASE, 0x0F), "UNSUPPORTED_COMMAND")
	})
}

// Subscribers get reports of Fabrics and CommissionedFabrics, and not of attributes
// whose changes are omitted.
func TestFabricReports(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		one := r.commission(c, a).CASE
		sub, err := one.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Endpoint(0)}}, 0, 3600)
		r.must(err)
		changed := func() (ids [][2]uint32) {
			rep := r.next(sub)
			if rep == nil {
				return nil
			}
			for _, at := range rep.Attributes {
				ids = append(ids, [2]uint32{uint32(at.Cluster), uint32(at.ID)})
			}
			return ids
		}
		want := func(what string, got [][2]uint32, want ...[2]uint32) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: reported %x, want %x", what, got, want)
			}
		}
		opcreds := func(at uint32) [2]uint32 { return [2]uint32{uint32(clOpCreds), at} }
		r.want("label", r.creds(one, cmdLabel, 0, "x"), ok)
		want("label", changed(), opcreds(1))
		r.want("the same label", r.creds(one, cmdLabel, 0, "x"), ok)
		want("the same label", changed())
		r.must(one.ArmFailSafe(r.ctx, 600, 0))
		want("fail-safe", changed())
		b := r.authority(commissioner.AuthorityOptions{})
		r.must(one.AddRoot(r.ctx, b.Root()))
		want("root", changed())
		n := r.noc(b, r.csr(one, false))
		r.want("AddNOC", r.addNOC(one, fields(b, n)), ok)
		want("AddNOC", changed(), [2]uint32{uint32(clAccess), 0}, opcreds(1), opcreds(3))
		two := r.session(c, b, n.NodeID())
		r.must(two.CommissioningComplete(r.ctx))
		want("the end", changed())
		r.want("statement", r.creds(two, cmdSetVVS, 0, 0xFFF3), ok)
		want("statement", changed(), opcreds(1))
		r.want("RemoveFabric", r.creds(one, cmdRemove, 0, 2), ok)
		want("RemoveFabric", changed(), [2]uint32{uint32(clAccess), 0}, opcreds(1), opcreds(3))
	})
}
