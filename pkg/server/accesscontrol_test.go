package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// entry is an access control entry in a controller's form. A nil list is null.
type entry struct {
	privilege matter.Privilege
	mode      matter.AuthMode
	subjects  []uint64
	targets   [][3]*uint32 // cluster, endpoint, device type
}

// withAuxiliaryType returns an entry with an AuxiliaryType, null or not. No client
// may write one (section 9.10.5.6).
func withAuxiliaryType(e entry, v func(w *tlv.Writer, t tlv.Tag)) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		e.fields(w)
		v(w, tlv.Context(5))
		w.End()
		w.End()
	}
}

func entries(list ...entry) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		for _, e := range list {
			e.write(w)
		}
		w.End()
	}
}

func (e entry) write(w *tlv.Writer) {
	e.fields(w)
	w.End()
}

// fields opens a structure and writes the fields of the entry.
func (e entry) fields(w *tlv.Writer) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(1), uint64(e.privilege))
	w.Uint(tlv.Context(2), uint64(e.mode))
	if e.subjects == nil {
		w.Null(tlv.Context(3))
	} else {
		w.StartArray(tlv.Context(3))
		for _, s := range e.subjects {
			w.Uint(tlv.Anonymous, s)
		}
		w.End()
	}
	if e.targets == nil {
		w.Null(tlv.Context(4))
	} else {
		w.StartArray(tlv.Context(4))
		for _, target := range e.targets {
			w.StartStruct(tlv.Anonymous)
			for i, v := range target {
				if v == nil {
					w.Null(tlv.Context(uint8(i)))
				} else {
					w.Uint(tlv.Context(uint8(i)), uint64(*v))
				}
			}
			w.End()
		}
		w.End()
	}
}

// seenEntry is an entry as read from the ACL.
type seenEntry struct {
	fabric    matter.FabricIndex
	privilege matter.Privilege
	subjects  []uint64
	bare      bool // only the fabric index
}

func readACL(t *testing.T, r *rig, s *commissioner.Session, filtered bool) (list []seenEntry) {
	t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x1F, 0)}, FabricFiltered: filtered})
	if err != nil {
		t.Fatal(err)
	}
	a := rep.Find(0, 0x1F, 0)
	if a == nil || a.Status.Status != matter.StatusSuccess {
		t.Fatalf("no ACL: %+v", rep.Attributes)
	}
	rd := a.Value()
	for rd.EnterArray(); rd.Next(); {
		e := seenEntry{bare: true}
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				e.privilege, e.bare = matter.Privilege(rd.Uint8()), false
			case 3:
				if rd.Null() {
					continue
				}
				for rd.EnterArray(); rd.Next(); {
					e.subjects = append(e.subjects, rd.Uint())
				}
				rd.Exit()
			case 0xFE:
				e.fabric = matter.FabricIndex(rd.Uint8())
			default:
				e.bare = false
			}
		}
		rd.Exit()
		list = append(list, e)
	}
	if err := rd.End(); err != nil {
		t.Fatal(err)
	}
	return list
}

func num(v uint32) *uint32 { return &v }

func TestAuxiliaryTypeIsRefused(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		s := r.commission(r.client(), a).CASE
		e := entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE, subjects: []uint64{uint64(a.NodeID), 4711}}
		for name, v := range map[string]func(w *tlv.Writer, t tlv.Tag){
			"System":    func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 0) },
			"Groupcast": func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 1) },
			"null":      func(w *tlv.Writer, t tlv.Tag) { w.Null(t) },
		} {
			status, err := s.Write(r.ctx, 0, clAccess, 0, withAuxiliaryType(e, v))
			r.must(err)
			r.want(name, outcome(status.Status), constraintError)
		}
		if got := readACL(t, r, s, true); len(got) != 1 || len(got[0].subjects) != 1 {
			t.Errorf("entries %+v after refusals", got)
		}
	})
}

func TestACLWrite(t *testing.T) {
	admin := func(a *commissioner.Authority) entry {
		return entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE, subjects: []uint64{uint64(a.NodeID)}}
	}
	view := entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
	with := func(e entry, f func(*entry)) entry { f(&e); return e }
	tests := map[string]struct {
		list func(a *commissioner.Authority) []entry
		want matter.Status
	}{
		"another entry": {func(a *commissioner.Authority) []entry { return []entry{admin(a), view} }, matter.StatusSuccess},
		"group": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), {matter.PrivilegeOperate, matter.AuthModeGroup, []uint64{1}, nil}}
		}, matter.StatusSuccess},
		"PASE": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.mode = matter.AuthModePASE })}
		}, matter.StatusConstraintError},
		"administer group": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), {matter.PrivilegeAdminister, matter.AuthModeGroup, []uint64{1}, nil}}
		}, matter.StatusConstraintError},
		"unknown privilege": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.privilege = 6 })}
		}, matter.StatusConstraintError},
		"node 0": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.subjects = []uint64{0} })}
		}, matter.StatusConstraintError},
		"tag of version 0": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.subjects = []uint64{0xFFFFFFFD_00010000} })}
		}, matter.StatusConstraintError},
		"empty target": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.targets = [][3]*uint32{{}} })}
		}, matter.StatusConstraintError},
		"endpoint and type": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.targets = [][3]*uint32{{nil, num(1), num(0x16)}} })}
		}, matter.StatusConstraintError},
		"too many entries": {func(a *commissioner.Authority) []entry { return []entry{admin(a), view, view, view, view} }, matter.StatusResourceExhausted},
		"too many subjects": {func(a *commissioner.Authority) []entry {
			return []entry{admin(a), with(view, func(e *entry) { e.subjects = []uint64{1, 2, 3, 4, 5} })}
		}, matter.StatusResourceExhausted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				a := r.authority(commissioner.AuthorityOptions{})
				s := r.commission(r.client(), a).CASE
				before := readACL(t, r, s, true)
				list := tt.list(a)
				status, err := s.Write(r.ctx, 0, 0x1F, 0, entries(list...))
				if err != nil || status.Status != tt.want {
					t.Fatalf("%v, %v; want %v", status, err, tt.want)
				}
				after := readACL(t, r, s, true)
				if tt.want != matter.StatusSuccess && !slices.EqualFunc(before, after, sameEntry) {
					t.Errorf("a refused write left %v", after) // CVE-2024-56317
				}
				if tt.want == matter.StatusSuccess && len(after) != len(list) {
					t.Errorf("%d entries, want %d", len(after), len(list))
				}
			})
		})
	}
}

func sameEntry(a, b seenEntry) bool {
	return a.fabric == b.fabric && a.privilege == b.privilege && slices.Equal(a.subjects, b.subjects) && a.bare == b.bare
}

// A fabric's entries are not visible to another fabric, and the other's writes do
// not change them.
func TestACLOfTwoFabrics(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		one, two := r.authority(commissioner.AuthorityOptions{}), r.authority(commissioner.AuthorityOptions{})
		c := r.client()
		s1 := r.commission(c, one).CASE
		if err := s1.OpenBasicWindow(r.ctx, 180); err != nil {
			t.Fatal(err)
		}
		s2 := r.commission(c, two).CASE
		if got := readACL(t, r, s1, false); len(got) != 2 || got[0].bare || !got[1].bare || got[1].fabric != 2 {
			t.Errorf("unfiltered: %+v", got)
		}
		if got := readACL(t, r, s2, true); len(got) != 1 || got[0].fabric != 2 || got[0].subjects[0] != uint64(two.NodeID) {
			t.Errorf("filtered: %+v", got)
		}
		r.orphans = true
		if status, err := s1.Write(r.ctx, 0, 0x1F, 0, entries()); err != nil || status.Status != matter.StatusSuccess {
			t.Fatal(status, err)
		}
		if got := readACL(t, r, s2, false); len(got) != 1 {
			t.Errorf("after the other fabric cleared its list: %+v", got)
		}
		rep, err := s1.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x1F, 0)}})
		if err != nil || rep.Attributes[0].Status.Status != matter.StatusUnsupportedAccess {
			t.Errorf("a fabric without entries reads: %v", err)
		}
	})
}

func TestACLEvents(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		s := r.commission(r.client(), a).CASE
		admin := entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(a.NodeID)}, nil}
		view := entry{matter.PrivilegeView, matter.AuthModeCASE, nil, nil}
		operate := entry{matter.PrivilegeOperate, matter.AuthModeCASE, nil, nil}
		for _, list := range [][]entry{{admin, view}, {admin, operate}, {admin}} {
			if status, err := s.Write(r.ctx, 0, 0x1F, 0, entries(list...)); err != nil || status.Status != matter.StatusSuccess {
				t.Fatal(status, err)
			}
		}
		ep, cl, ev := matter.EndpointID(0), matter.ClusterID(0x1F), uint32(0)
		rep, err := s.Read(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{Endpoint: &ep, Cluster: &cl, Element: &ev}}})
		if err != nil {
			t.Fatal(err)
		}
		type change struct {
			typ   uint8
			admin bool // by node id, otherwise by passcode
		}
		var got []change
		for i := range rep.Events {
			var c change
			rd := rep.Events[i].Data()
			for rd.EnterStruct(); rd.Next(); {
				switch rd.ContextTag() {
				case 1:
					c.admin = !rd.Null()
				case 3:
					c.typ = rd.Uint8()
				}
			}
			if err := rd.End(); err != nil {
				t.Fatal(err)
			}
			got = append(got, c)
		}
		// AddNOC added the first entry over PASE. Each list replaces it with the
		// same entry. Then one is added, changed and removed.
		want := []change{{1, false}, {0, true}, {1, true}, {0, true}, {0, true}, {0, true}, {2, true}}
		if !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

// Entries that an administrator writes for an incomplete fabric are removed with
// it.
func TestACLInFailSafe(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		p, err := r.client().PASE(r.ctx, deviceAddr, passcode)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Join(r.ctx, a); err != nil {
			t.Fatal(err)
		}
		admin := entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(a.NodeID)}, nil}
		if status, err := p.Write(r.ctx, 0, 0x1F, 0, entries(admin, admin)); err != nil || status.Status != matter.StatusSuccess {
			t.Fatal(status, err)
		}
		time.Sleep(121 * time.Second)
		s := r.commission(r.client(), a).CASE
		if got := readACL(t, r, s, false); len(got) != 1 {
			t.Errorf("entries: %+v", got)
		}
	})
}
