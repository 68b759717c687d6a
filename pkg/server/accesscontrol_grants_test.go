package server_test

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// writeACL writes the fabric's entries and returns the status as text.
func (r *rig) writeACL(s *commissioner.Session, list ...entry) string {
	r.t.Helper()
	status, err := s.Write(r.ctx, 0, clAccess, 0, entries(list...))
	if err != nil {
		return outcome(err)
	}
	return outcome(status.Status)
}

const success = "SUCCESS"

func administers(a *commissioner.Authority) entry {
	return entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(a.NodeID)}, nil}
}

// A tag in an entry matches NOCs with the same identifier and the same or a later
// version.
func TestAccessByTag(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		const tag = matter.CAT(0xABCD_0002)
		admin := administers(a)
		admin.subjects = append(admin.subjects, uint64(tag.NodeID()))
		r.want("write", r.writeACL(done.CASE, admin), success)
		for name, tt := range map[string]struct {
			cats []matter.CAT
			want string
		}{
			"none":            {nil, unsupportedAccess},
			"the same":        {[]matter.CAT{tag}, ok},
			"a later version": {[]matter.CAT{0x1111_0001, 0xABCD_FFFF}, ok},
			"an earlier one":  {[]matter.CAT{0xABCD_0001}, unsupportedAccess},
			"another":         {[]matter.CAT{0xABCE_0002}, unsupportedAccess},
		} {
			b, err := a.Admin(commissioner.RandomNodeID(), tt.cats...)
			r.must(err)
			r.want(name, r.creds(r.session(c, b, done.Node), cmdLabel, 0, name), tt.want)
		}
	})
}

// The administrator of a new fabric may be a tag.
func TestAdminIsTag(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		a := r.authority(commissioner.AuthorityOptions{CATs: []matter.CAT{0x0001_0003}})
		s := r.pase(c)
		r.must(s.AddRoot(r.ctx, a.Root()))
		n := fields(a, r.noc(a, r.csr(s, false)))
		n.Admin = matter.CAT(0x0001_0001).NodeID()
		r.want("AddNOC", r.addNOC(s, n), ok)
		r.must(r.session(c, a, noc(t, n.NOC).NodeID()).CommissioningComplete(r.ctx))
	})
}

// An entry grants what its targets and privilege say, and nothing else.
func TestAccessByTarget(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		b, err := a.Admin(commissioner.RandomNodeID())
		r.must(err)
		s := r.session(c, b, done.Node)
		type access struct{ label, ids, crumb string }
		nothing := access{unsupportedAccess, unsupportedAccess, unsupportedAccess}
		for name, tt := range map[string]struct {
			privilege matter.Privilege
			targets   [][3]*uint32 // cluster, endpoint, device type
			want      access
		}{
			"all":                    {matter.PrivilegeAdminister, nil, access{ok, ok, success}},
			"manage":                 {matter.PrivilegeManage, nil, nothing},
			"one cluster":            {matter.PrivilegeAdminister, [][3]*uint32{{num(0x3E), nil, nil}}, access{ok, unsupportedAccess, unsupportedAccess}},
			"two clusters":           {matter.PrivilegeAdminister, [][3]*uint32{{num(0x3E), nil, nil}, {num(0x30), num(0), nil}}, access{ok, unsupportedAccess, success}},
			"another endpoint":       {matter.PrivilegeAdminister, [][3]*uint32{{nil, num(1), nil}}, nothing},
			"cluster elsewhere":      {matter.PrivilegeAdminister, [][3]*uint32{{num(0x3E), num(1), nil}}, nothing},
			"device type root":       {matter.PrivilegeAdminister, [][3]*uint32{{nil, nil, num(0x16)}}, access{ok, ok, success}},
			"device type aggregator": {matter.PrivilegeAdminister, [][3]*uint32{{nil, nil, num(0x0E)}}, nothing},
			"type and cluster":       {matter.PrivilegeAdminister, [][3]*uint32{{num(0x3F), nil, num(0x16)}}, access{unsupportedAccess, ok, unsupportedAccess}},
		} {
			grant := entry{tt.privilege, matter.AuthModeCASE, []uint64{uint64(b.NodeID)}, tt.targets}
			r.want(name, r.writeACL(done.CASE, administers(a), grant), success)
			status, err := s.Write(r.ctx, 0, clGeneral, 0, func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1) })
			r.must(err)
			got := access{r.creds(s, cmdLabel, 0, name), r.keys(s, cmdKeySetIndices), outcome(status.Status)}
			if got != tt.want {
				t.Errorf("%s: %+v, want %+v", name, got, tt.want)
			}
		}
	})
}

// Other rules for entries, and how entries are read.
func TestACLRules(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		s := r.commission(c, a).CASE
		view := entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
		for name, tt := range map[string]struct {
			e    entry
			want string
		}{
			"privilege 0":           {entry{0, matter.AuthModeCASE, nil, nil}, constraintError},
			"auth mode 0":           {entry{matter.PrivilegeView, 0, nil, nil}, constraintError},
			"auth mode 4":           {entry{matter.PrivilegeView, 4, nil, nil}, constraintError},
			"CASE and a group":      {entry{matter.PrivilegeView, matter.AuthModeCASE, []uint64{0xFFFF_FFFF_FFFF_0001}, nil}, constraintError},
			"group as a node id":    {entry{matter.PrivilegeView, matter.AuthModeGroup, []uint64{0xFFFF_FFFF_FFFF_0001}, nil}, constraintError},
			"group of 17 bits":      {entry{matter.PrivilegeView, matter.AuthModeGroup, []uint64{0x1_0001}, nil}, constraintError},
			"group and a tag":       {entry{matter.PrivilegeView, matter.AuthModeGroup, []uint64{0xFFFF_FFFD_0001_0001}, nil}, constraintError},
			"group 0":               {entry{matter.PrivilegeView, matter.AuthModeGroup, []uint64{0}, nil}, constraintError},
			"reserved node":         {entry{matter.PrivilegeView, matter.AuthModeCASE, []uint64{0xFFFF_FFF0_0000_0000}, nil}, constraintError},
			"PAKE key":              {entry{matter.PrivilegeView, matter.AuthModeCASE, []uint64{0xFFFF_FFFB_0000_0000}, nil}, constraintError},
			"endpoint 65535":        {entry{matter.PrivilegeView, matter.AuthModeCASE, nil, [][3]*uint32{{nil, num(0xFFFF), nil}}}, constraintError},
			"cluster FFFFFFFF":      {entry{matter.PrivilegeView, matter.AuthModeCASE, nil, [][3]*uint32{{num(0xFFFFFFFF), nil, nil}}}, constraintError},
			"device type FFFFFFFF":  {entry{matter.PrivilegeView, matter.AuthModeCASE, nil, [][3]*uint32{{nil, nil, num(0xFFFFFFFF)}}}, constraintError},
			"four targets":          {entry{matter.PrivilegeView, matter.AuthModeCASE, nil, [][3]*uint32{{num(1), nil, nil}, {num(2), nil, nil}, {num(3), nil, nil}, {num(4), nil, nil}}}, resourceExhausted},
			"view for groups":       {entry{matter.PrivilegeManage, matter.AuthModeGroup, nil, nil}, success},
			"manufacturer cluster":  {entry{matter.PrivilegeView, matter.AuthModeCASE, nil, [][3]*uint32{{num(0xFFF1_FC00), nil, nil}}}, success},
			"four subjects, 3 kind": {entry{matter.PrivilegeView, matter.AuthModeCASE, []uint64{1, 0xFFFF_FFFD_0001_0001, 3, 4}, [][3]*uint32{{num(1), num(1), nil}}}, success},
		} {
			r.want(name, r.writeACL(s, administers(a), tt.e), tt.want)
		}
		status, err := s.Write(r.ctx, 0, clAccess, 0, func(w *tlv.Writer, t tlv.Tag) { w.Text(t, "x") })
		r.must(err)
		r.want("no list", outcome(status.Status), "INVALID_DATA_TYPE")
		status, err = s.Write(r.ctx, 0, clAccess, 0, func(w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(1), 1)
			w.End()
			w.End()
		})
		r.must(err)
		r.want("a member is missing", outcome(status.Status), "INVALID_DATA_TYPE")

		// Empty lists are stored as null.
		view.subjects, view.targets = []uint64{}, [][3]*uint32{}
		r.want("empty lists", r.writeACL(s, administers(a), view), success)
		nulls := 0
		rd := r.attribute(s, clAccess, 0, true)
		for rd.EnterArray(); rd.Next(); {
			for rd.EnterStruct(); rd.Next(); {
				if rd.Null() {
					nulls++
				}
			}
			rd.Exit()
		}
		r.must(rd.End())
		if nulls != 3 { // the administrator's targets, and both of the other entry
			t.Errorf("%d lists are null", nulls)
		}
		for id, want := range map[matter.AttributeID]int64{2: 4, 3: 3, 4: 4} {
			if n := r.number(s, clAccess, id); n != want {
				t.Errorf("attribute %d: %d, want %d", id, n, want)
			}
		}
	})
}
