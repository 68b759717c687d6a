package server_test

import (
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// inParts writes a list as older controllers do: the first item, then one item for
// each further element. It returns the statuses as text.
func (x *raw) inParts(at matter.AttributeID, first commissioner.Value, more ...func(w *tlv.Writer)) (words []string) {
	x.s.r.t.Helper()
	items := []item{{clAccess, at, false, first}}
	for _, write := range more {
		items = append(items, item{clAccess, at, true, func(w *tlv.Writer, t tlv.Tag) {
			b := tlv.NewWriter(nil)
			write(b)
			rd := tlv.NewReader(b.Bytes())
			w.Element(t, rd.Element())
		}})
	}
	p, body, ok := x.ask(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, writeRequest(false, items...))
	if !ok {
		x.s.r.t.Fatal("no answer")
	}
	for _, st := range written(x.s.r.t, p.Opcode, body) {
		words = append(words, st.String())
	}
	return words
}

// Entries that are sent in parts replace the old ones and cause the same events:
// entries not in the first item are removed, and appended ones are added.
func TestACLInParts(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		raw := r.stranger(1).caseSession(a, done.Node)
		admin, view := administers(a), entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
		node := uint64(a.NodeID)
		for _, tt := range []struct {
			name   string
			first  []entry
			more   []entry
			want   string
			events []change
		}{
			{"emptied, then the same", nil, []entry{admin}, success, []change{{0, 2, node, false, 1, "5"}, {0, 1, node, false, 1, "5"}}},
			{"emptied, then two", nil, []entry{admin, view}, success, []change{{0, 2, node, false, 1, "5"}, {0, 1, node, false, 1, "5"}, {0, 1, node, false, 1, "1"}}},
			{"one in the first item", []entry{admin}, []entry{view}, success, []change{{0, 0, node, false, 1, "5"}, {0, 2, node, false, 1, "1"}, {0, 1, node, false, 1, "1"}}},
			{"two in the first item", []entry{admin, view}, nil, success, []change{{0, 0, node, false, 1, "5"}, {0, 0, node, false, 1, "1"}}},
			{"emptied, then a bad one", nil, []entry{admin, {mode: 9}}, constraintError, nil},
			{"a bad one, then a good one", []entry{{mode: 9}}, []entry{admin}, constraintError, nil},
			{"too many", nil, []entry{admin, view, view, view, view}, resourceExhausted, nil},
		} {
			seen, before := len(r.accessEvents(done.CASE)), readACL(t, r, done.CASE, true)
			var more []func(w *tlv.Writer)
			for _, e := range tt.more {
				more = append(more, e.write)
			}
			for _, got := range raw.inParts(0, entries(tt.first...), more...) {
				r.want(tt.name, got, tt.want)
			}
			if got := r.accessEvents(done.CASE)[seen:]; !slices.Equal(got, tt.events) {
				t.Errorf("%s: events %+v, want %+v", tt.name, got, tt.events)
			}
			after := readACL(t, r, done.CASE, true)
			if tt.want != success && !slices.EqualFunc(before, after, sameEntry) {
				t.Errorf("%s: entries %+v", tt.name, after)
			}
			if tt.want == success && len(after) != len(tt.first)+len(tt.more) {
				t.Errorf("%s: %d entries", tt.name, len(after))
			}
		}
	})
}

// An extension that is sent in parts is emptied first. If a part is refused, the
// parts before it stay.
func TestExtensionInParts(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		raw := r.stranger(1).caseSession(a, done.Node)
		small, other, long := extensionData(1), extensionData(2), extensionData(129)
		event := func(kind uint8, data []byte) change { return change{1, kind, uint64(a.NodeID), false, 1, string(data)} }
		for _, tt := range []struct {
			name   string
			first  [][]byte
			more   [][]byte
			want   string
			left   []byte
			events []change
		}{
			{"the first", nil, [][]byte{small}, success, small, []change{event(1, small)}},
			{"another", nil, [][]byte{other}, success, other, []change{event(2, small), event(1, other)}},
			{"too long", nil, [][]byte{long}, constraintError, nil, []change{event(2, other)}},
			{"two", nil, [][]byte{small, other}, constraintError, small, []change{event(1, small)}},
			{"one beside one", [][]byte{other}, [][]byte{small}, constraintError, other, []change{event(0, other)}},
			{"one beside a bad one", [][]byte{long}, [][]byte{small}, constraintError, other, nil},
			{"one beside two", [][]byte{small, small}, [][]byte{small}, constraintError, other, nil},
			{"none", nil, nil, success, nil, []change{event(2, other)}},
			{"none again", nil, nil, success, nil, nil},
		} {
			seen := len(r.accessEvents(done.CASE))
			sub, err := done.CASE.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clAccess, 1)}}, 0, 3600)
			r.must(err)
			var more []func(w *tlv.Writer)
			for _, d := range tt.more {
				more = append(more, func(w *tlv.Writer) {
					w.StartStruct(tlv.Anonymous)
					w.Octets(tlv.Context(1), d)
					w.End()
				})
			}
			for _, got := range raw.inParts(1, extensionList(tt.first...), more...) {
				r.want(tt.name, got, tt.want)
			}
			if got := r.accessEvents(done.CASE)[seen:]; !slices.Equal(got, tt.events) {
				t.Errorf("%s: events %+v, want %+v", tt.name, got, tt.events)
			}
			var left []byte
			rd := r.attribute(done.CASE, clAccess, 1, true)
			for rd.EnterArray(); rd.Next(); {
				for rd.EnterStruct(); rd.Next(); {
					if rd.ContextTag() == 1 {
						left = slices.Clone(rd.Octets())
					}
				}
				rd.Exit()
			}
			r.must(rd.End())
			if !slices.Equal(left, tt.left) {
				t.Errorf("%s: left %x, want %x", tt.name, left, tt.left)
			}
			if rep := r.next(sub); (rep != nil) != (len(tt.events) > 0) {
				t.Errorf("%s: a subscriber heard of it: %v", tt.name, rep != nil)
			}
		}
	})
}

// The changes of an extension in parts that was refused are reported, even if
// entries are written in the same request.
func TestExtensionRefusedBesideEntries(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		raw := r.stranger(1).caseSession(a, done.Node)
		for _, got := range raw.inParts(1, extensionList(extensionData(1))) {
			r.want("the first", got, success)
		}
		sub, err := done.CASE.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clAccess, 1)}}, 0, 3600)
		r.must(err)
		long := func(w *tlv.Writer, t tlv.Tag) {
			w.StartStruct(t)
			w.Octets(tlv.Context(1), extensionData(129))
			w.End()
		}
		_, _, ok := raw.ask(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, writeRequest(false,
			item{clAccess, 1, false, extensionList()}, item{clAccess, 1, true, long}, item{clAccess, 0, false, entries(administers(a))}))
		if rep := r.next(sub); !ok || rep == nil {
			t.Errorf("answered %v, reported %v", ok, rep != nil)
		}
	})
}
