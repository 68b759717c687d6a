package server_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// writeACL writes the fabric's entries and returns the word for the status.
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

// Tags of the NOC stand for their bearer: the same identifier, in the version of
// the entry or a later one.
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

// A tag may be the administrator of a new fabric.
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

// What an entry's targets and privilege grant, and nothing else.
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

// More rules for entries, and how they are read back.
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

		// Empty lists are null.
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

// change is what an event of Access Control tells.
type change struct {
	event    matter.EventID
	kind     uint8 // changed, added, removed
	node     uint64
	passcode bool // AdminPasscodeID is not null
	fabric   matter.FabricIndex
	latest   string // AccessControlExtension data, or the entry's privilege
}

func (r *rig) accessEvents(s *commissioner.Session) (list []change) {
	r.t.Helper()
	ep, cl := matter.EndpointID(0), clAccess
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{Endpoint: &ep, Cluster: &cl}}})
	r.must(err)
	for i := range rep.Events {
		list = append(list, r.accessEvent(&rep.Events[i]))
	}
	return list
}

func (r *rig) accessEvent(e *commissioner.Event) (c change) {
	r.t.Helper()
	c.event = e.ID
	rd := e.Data()
	for rd.EnterStruct(); rd.Next(); {
		switch tag := rd.ContextTag(); {
		case tag == 1 && !rd.Null():
			c.node = rd.Uint()
		case tag == 2 && !rd.Null():
			c.passcode = true
			if rd.Uint() != 0 {
				r.t.Error("another passcode id than 0")
			}
		case tag == 3:
			c.kind = rd.Uint8()
		case tag == 4:
			for rd.EnterStruct(); rd.Next(); {
				if rd.ContextTag() == 1 && c.event == 1 {
					c.latest = string(rd.Octets())
				} else if rd.ContextTag() == 1 {
					c.latest = string(rune('0' + rd.Uint8()))
				}
			}
			rd.Exit()
		case tag == 0xFE:
			c.fabric = matter.FabricIndex(rd.Uint8())
		}
	}
	r.must(rd.End())
	return c
}

// extensionList makes an Extension of these data.
func extensionList(data ...[]byte) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		for _, d := range data {
			w.StartStruct(tlv.Anonymous)
			w.Octets(tlv.Context(1), d)
			w.End()
		}
		w.End()
	}
}

// extensionData is a TLV list with one element under a profile's tag.
func extensionData(size int) []byte {
	w := tlv.NewWriter(nil)
	w.StartList(tlv.Anonymous)
	w.Octets(tlv.Qualified(0xFFF1, 0, 1), make([]byte, size))
	w.End()
	return w.Bytes()
}

func TestAccessControlExtension(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		write := func(s *commissioner.Session, v commissioner.Value) string {
			t.Helper()
			status, err := s.Write(r.ctx, 0, clAccess, 1, v)
			r.must(err)
			return outcome(status.Status)
		}
		read := func(s *commissioner.Session, filtered bool) (list [][2]string) {
			t.Helper()
			rd := r.attribute(s, clAccess, 1, filtered)
			for rd.EnterArray(); rd.Next(); {
				var e [2]string
				for rd.EnterStruct(); rd.Next(); {
					if rd.ContextTag() == 1 {
						e[1] = string(rd.Octets())
					} else {
						e[0] = string(rune('0' + rd.Uint8()))
					}
				}
				rd.Exit()
				list = append(list, e)
			}
			r.must(rd.End())
			return list
		}
		small, other := extensionData(1), extensionData(2)
		head := len(small) - 1
		anonymous := tlv.NewWriter(nil)
		anonymous.StartList(tlv.Anonymous)
		anonymous.Uint(tlv.Anonymous, 1)
		anonymous.End()
		r.want("two entries", write(one, extensionList(small, small)), constraintError)
		r.want("129 octets", write(one, extensionList(extensionData(129-head))), constraintError)
		r.want("no TLV", write(one, extensionList([]byte("hello"))), constraintError)
		r.want("no data", write(one, extensionList(nil)), constraintError)
		r.want("a structure", write(one, extensionList([]byte{0x15, 0x18})), constraintError)
		r.want("cut short", write(one, extensionList(small[:len(small)-1])), constraintError)
		r.want("more behind", write(one, extensionList(append(bytes.Clone(small), 0x18))), constraintError)
		r.want("anonymous elements", write(one, extensionList(anonymous.Bytes())), constraintError)
		if got := read(one, false); len(got) != 0 {
			t.Errorf("after refusals %q", got)
		}
		before := len(r.accessEvents(one))
		r.want("128 octets", write(one, extensionList(extensionData(128-head))), success)
		r.want("another", write(one, extensionList(small)), success)
		r.want("the same", write(one, extensionList(small)), success)
		r.want("the other fabric's", write(two, extensionList(other)), success)
		if got := read(one, false); !slices.Equal(got, [][2]string{{"1", string(small)}, {"2", ""}}) {
			t.Errorf("all: %q", got)
		}
		if got := read(two, true); !slices.Equal(got, [][2]string{{"2", string(other)}}) {
			t.Errorf("the other fabric's: %q", got)
		}
		r.want("none", write(one, extensionList()), success)
		r.want("none again", write(one, extensionList()), success)
		admin := uint64(p.a.NodeID)
		want := []change{
			{1, 1, admin, false, 1, string(extensionData(128 - head))},
			{1, 0, admin, false, 1, string(small)},
			{1, 2, admin, false, 1, string(small)},
		}
		if got := r.accessEvents(one)[before:]; !slices.Equal(got, want) {
			t.Errorf("events %+v, want %+v", got, want)
		}
		r.restart()
		if got := read(r.session(p.c, p.b, p.two.Node), false); !slices.Equal(got, [][2]string{{"2", string(other)}}) {
			t.Errorf("after a restart: %q", got)
		}
	})
}

// The first entry of a fabric is told to have been added by whoever added the
// fabric, and to that fabric alone.
func TestEventsOfAddNOC(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r := p.rig
		if got, want := r.accessEvents(p.one.CASE), []change{{0, 1, 0, true, 1, "5"}}; !slices.Equal(got, want) {
			t.Errorf("over PASE: %+v, want %+v", got, want)
		}
		if got, want := r.accessEvents(p.two.CASE), []change{{0, 1, uint64(p.a.NodeID), false, 2, "5"}}; !slices.Equal(got, want) {
			t.Errorf("over CASE: %+v, want %+v", got, want)
		}
		r.want("a refused list", r.writeACL(p.two.CASE, administers(p.b), entry{}), constraintError)
		if got := r.accessEvents(p.two.CASE); len(got) != 1 {
			t.Errorf("events of a refused list: %+v", got)
		}
	})
}

// Removing a fabric is an event for those who stay.
func TestLeaveEvent(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one := p.rig, p.one.CASE
		ep, cl, ev := matter.EndpointID(0), clBasic, uint32(2)
		sub, err := one.Subscribe(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{Endpoint: &ep, Cluster: &cl, Element: &ev}}}, 0, 600)
		r.must(err)
		r.want("RemoveFabric", r.creds(p.two.CASE, cmdRemove, 0, 2), ok)
		synctest.Wait()
		r.want("label", r.creds(one, cmdLabel, 0, "x"), ok)
		rep, err := one.Read(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{Endpoint: &ep, Cluster: &cl, Element: &ev}}})
		r.must(err)
		if len(rep.Events) != 1 {
			r.t.Fatalf("%d events", len(rep.Events))
		}
		rd := rep.Events[0].Data()
		for rd.EnterStruct(); rd.Next(); {
			if rd.ContextTag() == 0 && rd.Uint() != 2 {
				t.Error("another fabric")
			}
		}
		r.must(rd.End())
		for {
			rep := r.nextWithin(sub, 11*time.Minute)
			if rep == nil {
				r.t.Fatal("a subscriber did not hear of it")
			}
			if len(rep.Events) == 1 {
				break
			}
		}
	})
}
