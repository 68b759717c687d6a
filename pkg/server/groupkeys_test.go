package server_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Commands of Group Key Management.
const (
	cmdKeySetWrite   matter.CommandID = 0
	cmdKeySetRead    matter.CommandID = 1
	cmdKeySetRemove  matter.CommandID = 3
	cmdKeySetIndices matter.CommandID = 4
)

// epochKey returns the key that keySet uses for slot i.
func epochKey(i int) (key [16]byte) {
	key[0] = byte(i + 1)
	return key
}

// keySet returns a GroupKeySetStruct with one key for each start time.
func keySet(id, policy int, starts ...uint64) commissioner.Value {
	m := keySetMembers{0: id, 1: policy}
	for i := range 3 {
		m[2+2*i], m[3+2*i] = nil, nil
		if i < len(starts) {
			key := epochKey(i)
			m[2+2*i], m[3+2*i] = key[:], starts[i]
		}
	}
	return m.value()
}

// keySetMembers are the members of a GroupKeySetStruct by tag.
type keySetMembers map[int]any

func (m keySetMembers) value() commissioner.Value {
	var pairs []any
	for tag := range 8 {
		if v, there := m[tag]; there {
			pairs = append(pairs, tag, v)
		}
	}
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartStruct(t)
		args(pairs...)(w)
		w.End()
	}
}

func (r *rig) keys(s *commissioner.Session, cmd matter.CommandID, pairs ...any) string {
	return r.command(s, clGroupKeys, cmd, pairs...)
}

func TestKeySetWrite(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		key, short := make([]byte, 16), make([]byte, 15)
		one, two := uint64(1), uint64(2)
		good := func() keySetMembers { return keySetMembers{0: 7, 1: 0, 2: key, 3: one, 4: nil, 5: nil, 6: nil, 7: nil} }
		tests := []struct {
			name   string
			change keySetMembers
			want   string
		}{
			{"right", nil, ok},
			{"key 0 null", keySetMembers{2: nil}, invalidCommand},
			{"start 0 null", keySetMembers{3: nil}, invalidCommand},
			{"start 0 is 0", keySetMembers{3: uint64(0)}, invalidCommand},
			{"key 0 short", keySetMembers{2: short}, constraintError},
			{"key 0 empty", keySetMembers{2: []byte{}}, constraintError},
			{"two keys", keySetMembers{4: key, 5: two}, ok},
			{"key 1 without start", keySetMembers{4: key}, invalidCommand},
			{"start 1 without key", keySetMembers{5: two}, invalidCommand},
			{"key 1 short", keySetMembers{4: short, 5: two}, constraintError},
			{"key 1 at the same time", keySetMembers{4: key, 5: one}, invalidCommand},
			{"three keys", keySetMembers{3: one, 4: key, 5: two, 6: key, 7: uint64(3)}, ok},
			{"key 2 without key 1", keySetMembers{6: key, 7: uint64(3)}, invalidCommand},
			{"key 2 short", keySetMembers{4: key, 5: two, 6: short, 7: uint64(3)}, constraintError},
			{"key 2 before key 1", keySetMembers{4: key, 5: uint64(3), 6: key, 7: two}, invalidCommand},
			{"unknown policy", keySetMembers{1: 2}, constraintError},
			{"policy of a feature that is not there", keySetMembers{1: 1}, invalidCommand},
			{"id of 17 bits", keySetMembers{0: 0x10000}, invalidCommand},

			// Two faults at once: the first check decides.
			{"start 0 null, key 0 short", keySetMembers{2: short, 3: nil}, invalidCommand},
			{"start 0 is 0, key 1 short", keySetMembers{3: uint64(0), 4: short, 5: two}, invalidCommand},
			{"key 1 short, without start", keySetMembers{4: short}, constraintError},
			{"key 2 short, without key 1", keySetMembers{6: short, 7: uint64(3)}, constraintError},
			{"key 0 short, unknown policy", keySetMembers{2: short, 1: 2}, constraintError},
			{"key 0 null, unknown policy", keySetMembers{2: nil, 1: 2}, invalidCommand},
			{"key 1 without start, unknown policy", keySetMembers{4: key, 1: 2}, invalidCommand},
			{"key 2 short, policy of a feature that is not there", keySetMembers{4: key, 5: two, 6: short, 7: uint64(3), 1: 1}, constraintError},
		}
		for _, tt := range tests {
			m := good()
			for tag, v := range tt.change {
				m[tag] = v
			}
			r.want(tt.name, r.keys(s, cmdKeySetWrite, 0, m.value()), tt.want)
		}
		for tag := range 8 {
			m := good()
			delete(m, tag)
			r.want(fmt.Sprintf("without member %d", tag), r.keys(s, cmdKeySetWrite, 0, m.value()), invalidCommand)
		}
		r.want("nothing", r.keys(s, cmdKeySetWrite), invalidCommand)

		r.must(s.OpenBasicWindow(r.ctx, 900))
		pase := r.pase(p.c)
		for _, cmd := range []matter.CommandID{cmdKeySetWrite, cmdKeySetRead, cmdKeySetRemove, cmdKeySetIndices} {
			r.want("without a fabric", r.keys(pase, cmd, 0, 7), unsupportedAccess)
		}
	})
}

// indices returns the ids of all key sets.
func (r *rig) indices(s *commissioner.Session) (ids []uint64) {
	r.t.Helper()
	rsp, err := s.Invoke(r.ctx, 0, clGroupKeys, cmdKeySetIndices, nil)
	r.must(err)
	rd := rsp.Fields()
	for rd.EnterStruct(); rd.Next(); {
		for rd.EnterArray(); rd.Next(); {
			ids = append(ids, rd.Uint())
		}
		rd.Exit()
	}
	r.must(rd.End())
	return ids
}

// starts reads a key set and returns its start times. The test fails if the answer
// contains a key.
func (r *rig) starts(s *commissioner.Session, id int) (starts []uint64) {
	r.t.Helper()
	rsp, err := s.Invoke(r.ctx, 0, clGroupKeys, cmdKeySetRead, args(0, id))
	r.must(err)
	rd := rsp.Fields()
	rd.EnterStruct()
	rd.Next()
	for rd.EnterStruct(); rd.Next(); {
		switch tag := rd.ContextTag(); {
		case tag == 0 && rd.Uint() != uint64(id):
			r.t.Error("another key set")
		case tag < 2 || tag > 7:
		case tag%2 == 0 && !rd.Null():
			r.t.Errorf("key %d is in the answer", tag/2-1)
		case tag%2 == 1 && !rd.Null():
			starts = append(starts, rd.Uint())
		}
	}
	rd.Exit()
	rd.Exit()
	r.must(rd.End())
	return starts
}

// Key sets belong to their fabric and survive a restart. Their number is limited by
// MaxGroupKeysPerFabric.
func TestKeySets(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		limit := int(r.number(one, clGroupKeys, 3))
		if got := r.indices(one); !slices.Equal(got, []uint64{0}) {
			t.Errorf("at first %v", got)
		}
		if got := r.starts(one, 0); !slices.Equal(got, []uint64{0}) {
			t.Errorf("IPK of AddNOC starts at %v", got)
		}
		for i := 1; i < limit; i++ {
			r.want("a set", r.keys(one, cmdKeySetWrite, 0, keySet(100+i, 0, 5)), ok)
		}
		r.want("one too many", r.keys(one, cmdKeySetWrite, 0, keySet(99, 0, 5)), resourceExhausted)
		r.want("in the place of another", r.keys(one, cmdKeySetWrite, 0, keySet(101, 0, 6, 7)), ok)
		r.want("the other fabric's own", r.keys(two, cmdKeySetWrite, 0, keySet(101, 0, 9)), ok)
		if got := r.starts(one, 101); !slices.Equal(got, []uint64{6, 7}) {
			t.Errorf("replaced set starts at %v", got)
		}
		if got := r.starts(two, 101); !slices.Equal(got, []uint64{9}) {
			t.Errorf("the other fabric's set starts at %v", got)
		}
		if got := r.indices(two); !slices.Equal(got, []uint64{0, 101}) {
			t.Errorf("the other fabric's sets: %v", got)
		}
		r.want("read unknown", r.keys(two, cmdKeySetRead, 0, 102), notFound)
		r.want("read nothing", r.keys(two, cmdKeySetRead), invalidCommand)
		r.want("remove unknown", r.keys(two, cmdKeySetRemove, 0, 102), notFound)
		r.want("remove nothing", r.keys(two, cmdKeySetRemove), invalidCommand)
		r.want("remove the IPK", r.keys(two, cmdKeySetRemove, 0, 0), invalidCommand)
		r.want("remove", r.keys(one, cmdKeySetRemove, 0, 101), ok)
		r.want("remove again", r.keys(one, cmdKeySetRemove, 0, 101), notFound)
		r.restart()
		one, two = r.session(p.c, p.a, p.one.Node), r.session(p.c, p.b, p.two.Node)
		if got := r.indices(one); len(got) != limit-1 || slices.Contains(got, 101) {
			t.Errorf("after a restart %v", got)
		}
		if got := r.starts(two, 101); !slices.Equal(got, []uint64{9}) {
			t.Errorf("after a restart the other fabric's set starts at %v", got)
		}
	})
}

// The IPK is key set 0. After a change, new CASE sessions need the new one, and
// open sessions continue.
func TestIPKRotation(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		r.want("KeySetWrite", r.keys(s, cmdKeySetWrite, 0, keySet(0, 0, 1, 2)), ok)
		if !r.alive(s) {
			t.Error("the session ended")
		}
		for i := range 2 {
			a, err := p.a.WithEpochKey(epochKey(i))
			r.must(err)
			if !r.alive(r.session(p.c, a, p.one.Node)) {
				t.Errorf("no session with key %d", i)
			}
		}
		_, _, err := p.c.CASE(r.ctx, deviceAddr, p.a, p.one.Node, nil)
		var report commissioner.StatusError
		if !errors.As(err, &report) || report.Code != message.CodeNoSharedTrustRoots {
			t.Errorf("CASE with the IPK that was replaced: %v", err)
		}
		if !r.alive(r.session(p.c, p.b, p.two.Node)) {
			t.Error("the other fabric's IPK changed")
		}
		// The same in a fail-safe that began with UpdateNOC, permanently.
		a, err := p.a.WithEpochKey(epochKey(1))
		r.must(err)
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		n := r.noc(a, r.csr(s, true))
		r.want("UpdateNOC", r.updateNOC(s, n.Raw(), nil), ok)
		s = r.session(p.c, a, n.NodeID())
		r.want("KeySetWrite", r.keys(s, cmdKeySetWrite, 0, keySet(0, 0, 3)), ok)
		time.Sleep(61 * time.Second)
		r.restart()
		a, err = p.a.WithEpochKey(epochKey(0))
		r.must(err)
		if got := r.starts(r.session(p.c, a, p.one.Node), 0); !slices.Equal(got, []uint64{3}) {
			t.Errorf("IPK starts at %v", got)
		}
	})
}

// mappings returns a GroupKeyMap of pairs of group and key set.
func mappings(pairs ...[2]int) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		for _, m := range pairs {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(1), uint64(m[0]))
			w.Uint(tlv.Context(2), uint64(m[1]))
			w.End()
		}
		w.End()
	}
}

// groupKeyMap reads the attribute: fabric, group, key set.
func (r *rig) groupKeyMap(s *commissioner.Session, filtered bool) (list [][3]uint64) {
	r.t.Helper()
	rd := r.attribute(s, clGroupKeys, 0, filtered)
	for rd.EnterArray(); rd.Next(); {
		var m [3]uint64
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				m[1] = rd.Uint()
			case 2:
				m[2] = rd.Uint()
			case 0xFE:
				m[0] = rd.Uint()
			}
		}
		rd.Exit()
		list = append(list, m)
	}
	r.must(rd.End())
	return list
}

func TestGroupKeyMap(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		write := func(s *commissioner.Session, pairs ...[2]int) string {
			t.Helper()
			status, err := s.Write(r.ctx, 0, clGroupKeys, 0, mappings(pairs...))
			r.must(err)
			return outcome(status.Status)
		}
		limit := int(r.number(one, clGroupKeys, 2))
		var most [][2]int
		for i := range limit + 1 {
			most = append(most, [2]int{i + 1, 42})
		}
		r.want("one too many", write(one, most...), resourceExhausted)
		if limit == 0 { // no endpoint can be in a group
			return
		}
		r.want("a set", r.keys(one, cmdKeySetWrite, 0, keySet(42, 0, 5)), ok)
		r.want("the IPK for a group", write(one, [2]int{1, 0}), constraintError)
		r.want("group 0", write(one, [2]int{0, 42}), constraintError)
		if got := r.groupKeyMap(one, false); len(got) != 0 {
			t.Errorf("after refusals %v", got)
		}
		r.want("most", write(one, most[:limit]...), "SUCCESS")
		r.want("the other fabric's", write(two, [2]int{1, 7}), "SUCCESS")
		if got := r.groupKeyMap(one, false); len(got) != limit+1 || got[limit] != [3]uint64{2, 1, 7} {
			t.Errorf("all: %v", got)
		}
		if got := r.groupKeyMap(two, true); len(got) != 1 {
			t.Errorf("the other fabric's: %v", got)
		}
		r.want("remove the set", r.keys(one, cmdKeySetRemove, 0, 42), ok)
		if got := r.groupKeyMap(one, false); len(got) != 1 || got[0][0] != 2 {
			t.Errorf("without the set: %v", got)
		}
		r.want("remove the fabric", r.creds(one, cmdRemove, 0, 2), ok)
		if got := r.groupKeyMap(one, false); len(got) != 0 {
			t.Errorf("without the fabric: %v", got)
		}
	})
}
