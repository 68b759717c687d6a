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

// change is the content of an event of Access Control.
type change struct {
	event    matter.EventID
	kind     uint8 // changed, added, removed
	node     uint64
	passcode bool // AdminPasscodeID is not null
	fabric   matter.FabricIndex
	latest   string // AccessControlExtension data, or the privilege of the entry
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

// extensionList returns an Extension with these data.
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

// extensionData returns a TLV list with one profile-tagged element.
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

// The event for the first entry of a fabric contains who added the fabric, and only
// that fabric can read it.
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

// The other fabrics see an event when a fabric is removed.
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
