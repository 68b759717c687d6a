package session

import (
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestSessionIDs(t *testing.T) {
	tab := newTable(t, 1, nil)
	tab.nextID = 0xFFFE
	for _, want := range []uint16{0xFFFE, 0xFFFF, 1, 2} { // 0 is the unsecured session
		if id, err := tab.ReserveID(); id != want || err != nil {
			t.Fatalf("ReserveID = %d, %v; want %d", id, err, want)
		}
	}
	s := add(t, tab, start, Config{Kind: PASE, LocalID: 1})
	tab.ReleaseID(2)
	tab.ReleaseID(1) // the id of a session is not released
	tab.nextID = 0xFFFE
	if id, err := tab.ReserveID(); id != 2 || err != nil {
		t.Errorf("ReserveID = %d, %v; want the released 2", id, err)
	}
	tab.Remove(s)
	tab.nextID = 0xFFFE
	if id, err := tab.ReserveID(); id != 1 || err != nil {
		t.Errorf("ReserveID = %d, %v; want that of the removed session", id, err)
	}
}

func TestSessionIDsStartAnywhere(t *testing.T) {
	seen := make(map[uint16]bool)
	for seed := range byte(20) {
		id, err := newTable(t, seed, nil).ReserveID()
		if err != nil {
			t.Fatal(err)
		}
		seen[id] = true
	}
	if len(seen) < 19 {
		t.Errorf("%d first ids of 20 tables", len(seen))
	}
}

func TestSessionIDsOfASet(t *testing.T) {
	for set, want := range map[IDs][2]int{AllIDs: {0x7FFF, 0x8000}, EvenIDs: {0x7FFF, 0}, OddIDs: {0, 0x8000}} {
		for seed := range byte(4) {
			tab := newTable(t, seed, func(o *Options) { o.IDs = set })
			var got [2]int
			for {
				id, err := tab.ReserveID()
				if err != nil {
					break
				}
				got[id%2]++
			}
			if got != want {
				t.Errorf("set %d: %d even and odd ids, want %d", set, got, want)
			}
		}
	}
}

func TestAllSessionIDsUsed(t *testing.T) {
	tab := newTable(t, 1, nil)
	for range 0xFFFF {
		if _, err := tab.ReserveID(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tab.ReserveID(); err != ErrFull {
		t.Errorf("one more: %v", err)
	}
	tab.ReleaseID(0x1234)
	if id, err := tab.ReserveID(); id != 0x1234 || err != nil {
		t.Errorf("the only free one: %#x, %v", id, err)
	}
}

func TestAddNeedsAReservedID(t *testing.T) {
	tab := newTable(t, 1, nil)
	s := add(t, tab, start, Config{Kind: PASE})
	for name, c := range map[string]Config{
		"never reserved": {Kind: PASE, LocalID: s.LocalID + 1},
		"in use":         {Kind: PASE, LocalID: s.LocalID},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Add took the id", name)
				}
			}()
			tab.Add(start, c)
		}()
	}
}

func TestRemove(t *testing.T) {
	ini, res := pair(t, CASE)
	tab := res.table
	d := seal(t, ini, "x")
	tab.Remove(res)
	tab.Remove(res)
	if !res.Gone() || tab.Len(CASE) != 0 || res.AttestationChallenge != ([16]byte{}) || res.crypto.open != nil {
		t.Errorf("removed: %+v", res)
	}
	if _, _, err := res.Seal(nil, &requestHeader, nil); err != ErrGone {
		t.Errorf("Seal = %v", err)
	}
	if _, err := tab.Receive(start, d, pathA); err != DropUnknownSession {
		t.Errorf("Receive = %v", err)
	}
	if e := tab.TakeEvicted(); len(e) != 0 {
		t.Errorf("removing is not evicting: %v", e)
	}
}

func TestAll(t *testing.T) {
	tab := newTable(t, 1, nil)
	var want []*Session
	for range 5 {
		want = append(want, add(t, tab, start, Config{Kind: CASE}))
	}
	tab.Unsecured(start, pathA)
	if got := slices.Collect(tab.All()); !slices.Equal(got, want) {
		t.Errorf("All = %v, want %v", got, want)
	}
	// Sessions are added and removed during the iteration.
	var got []*Session
	for s := range tab.All() {
		got = append(got, s)
		if s == want[1] {
			tab.Remove(want[0])
			tab.Remove(want[1])
			tab.Remove(want[3])
			add(t, tab, start, Config{Kind: CASE})
		}
	}
	if !slices.Equal(got, []*Session{want[0], want[1], want[2], want[4]}) {
		t.Errorf("All with removals on the way: %v of %v", got, want)
	}
	if n := tab.Len(CASE); n != 3 {
		t.Errorf("%d sessions left", n)
	}
	for range tab.All() {
		break
	}
}

func TestSerialsAscend(t *testing.T) {
	tab := newTable(t, 1, nil)
	last := uint64(0)
	for range 3 {
		for _, s := range []*Session{add(t, tab, start, Config{Kind: PASE}), tab.Unsecured(start, pathA)} {
			if s.Serial <= last {
				t.Errorf("serial %d after %d", s.Serial, last)
			}
			last = s.Serial
			tab.Remove(s)
		}
	}
}

// old is a session for the eviction tests.
type old struct {
	name    string
	fabric  matter.FabricIndex
	peer    matter.NodeID
	used    int // seconds after start
	defunct bool
	busy    bool
}

func TestEviction(t *testing.T) {
	for _, tt := range []struct {
		name   string
		have   []old
		fabric matter.FabricIndex
		peer   matter.NodeID
		want   string // "" is none
	}{
		{"most sessions on the fabric", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 2, peer: 1, used: 5}, {name: "c", fabric: 2, peer: 2, used: 4},
		}, 1, 1, "c"},
		{"then the fabric that asks", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 2, peer: 1, used: 5},
		}, 2, 9, "b"},
		{"then most sessions with one peer", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 1, peer: 2, used: 5}, {name: "c", fabric: 1, peer: 2, used: 4},
		}, 1, 1, "c"},
		{"then the peer that asks, if it keeps one", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 1, peer: 1, used: 2},
			{name: "c", fabric: 1, peer: 2, used: 8}, {name: "d", fabric: 1, peer: 2, used: 9},
		}, 1, 2, "c"},
		{"never its only active one for that", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 1, peer: 2, used: 0},
			{name: "c", fabric: 1, peer: 1, used: 3, defunct: true}, {name: "d", fabric: 1, peer: 2, used: 4},
		}, 1, 1, "c"},
		{"then a defunct one", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 1, peer: 2, used: 9, defunct: true},
		}, 1, 3, "b"},
		{"then the one used least recently", []old{
			{name: "a", fabric: 1, peer: 1, used: 3}, {name: "b", fabric: 1, peer: 2, used: 2}, {name: "c", fabric: 1, peer: 3, used: 4},
		}, 1, 9, "b"},
		{"then the oldest", []old{
			{name: "a", fabric: 1, peer: 1}, {name: "b", fabric: 1, peer: 2},
		}, 1, 9, "a"},
		{"not one in use", []old{
			{name: "a", fabric: 1, peer: 1, busy: true}, {name: "b", fabric: 2, peer: 2, used: 9}, {name: "c", fabric: 1, peer: 3, busy: true},
		}, 1, 1, "b"},
		{"all in use", []old{
			{name: "a", fabric: 1, peer: 1, busy: true}, {name: "b", fabric: 1, peer: 2, busy: true},
		}, 1, 1, ""},
		{"a new PASE session takes from the largest fabric", []old{
			{name: "a", fabric: 1, peer: 1, used: 1}, {name: "b", fabric: 2, peer: 1, used: 5}, {name: "c", fabric: 2, peer: 2, used: 4},
		}, 0, 0, "c"},
		{"the PASE session outlives the greedy", []old{
			{name: "pase", used: 0}, {name: "b", fabric: 2, peer: 1, used: 5}, {name: "c", fabric: 2, peer: 2, used: 4},
		}, 1, 1, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names, busy := make(map[*Session]string), make(map[*Session]bool)
			tab := newTable(t, 1, func(o *Options) {
				o.Max = len(tt.have)
				o.Busy = func(s *Session) bool { return busy[s] }
			})
			for _, o := range tt.have {
				kind := CASE
				if o.fabric == 0 {
					kind = PASE
				}
				s := add(t, tab, start, Config{Kind: kind, Fabric: o.fabric, PeerNode: o.peer})
				s.LastUsed, s.Defunct = start.Add(time.Duration(o.used)*time.Second), o.defunct
				names[s], busy[s] = o.name, o.busy
			}
			id, err := tab.ReserveID()
			if err != nil {
				t.Fatal(err)
			}
			_, err = tab.Add(start, Config{Kind: CASE, LocalID: id, Fabric: tt.fabric, PeerNode: tt.peer})
			evicted := tab.TakeEvicted()
			if tt.want == "" {
				if err != ErrFull || len(evicted) != 0 || tab.reserved != 0 {
					t.Fatalf("Add = %v, evicted %v, %d ids reserved", err, evicted, tab.reserved)
				}
				return
			}
			if err != nil || len(evicted) != 1 || names[evicted[0]] != tt.want {
				t.Fatalf("Add = %v, evicted %d sessions, want %q", err, len(evicted), tt.want)
			}
			if n := len(slices.Collect(tab.All())); n != len(tt.have) {
				t.Errorf("%d sessions, want %d", n, len(tt.have))
			}
			if e := tab.TakeEvicted(); len(e) != 0 {
				t.Errorf("evicted twice: %v", e)
			}
		})
	}
}

// An evicted session can only send.
func TestEvictedSessionSaysGoodbye(t *testing.T) {
	ini, res := pair(t, CASE)
	tab := ini.table
	tab.opt.Max = 1
	d := seal(t, res, "x")
	id := ini.LocalID
	next := add(t, tab, start, Config{Kind: CASE, Fabric: 1})
	if e := tab.TakeEvicted(); len(e) != 1 || e[0] != ini || ini.Gone() {
		t.Fatalf("evicted %v", e)
	}
	if _, err := tab.Receive(start, d, pathB); err != DropUnknownSession {
		t.Errorf("Receive = %v", err)
	}
	if in, err := res.table.Receive(start, seal(t, ini, "goodbye"), pathA); err != nil || string(in.Payload) != "goodbye" {
		t.Errorf("the peer received %q, %v", in.Payload, err)
	}
	// Its id may be reused before it is removed.
	tab.Remove(next)
	tab.nextID = id
	next = add(t, tab, start, Config{Kind: CASE, Fabric: 1})
	tab.Remove(ini)
	if next.LocalID != id || tab.secure[id] != next || tab.Len(CASE) != 1 || !ini.Gone() {
		t.Errorf("removing the old one took the new one's id")
	}
	if _, _, err := ini.Seal(nil, &requestHeader, nil); err != ErrGone {
		t.Errorf("Seal = %v", err)
	}
}

// The other fabrics keep their three sessions, however many one fabric opens.
func TestEvictionIsFair(t *testing.T) {
	tab := newTable(t, 1, func(o *Options) { o.Max = 3*3 + 1 })
	for f := matter.FabricIndex(1); f <= 3; f++ {
		for peer := range matter.NodeID(3) {
			add(t, tab, start, Config{Kind: CASE, Fabric: f, PeerNode: peer + 1})
		}
	}
	for i := range 50 {
		add(t, tab, start.Add(time.Duration(i)*time.Second), Config{Kind: CASE, Fabric: 2, PeerNode: matter.NodeID(100 + i)})
	}
	got := make(map[matter.FabricIndex]int)
	for s := range tab.All() {
		got[s.Fabric]++
	}
	if got[1] != 3 || got[2] != 4 || got[3] != 3 {
		t.Errorf("sessions by fabric: %v", got)
	}
}

func TestLabels(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range DropReasons() {
		if d.String() == "" || seen[d.String()] {
			t.Errorf("reason %d has the label %q", d, d)
		}
		seen[d.String()] = true
	}
	for k, want := range map[Kind]string{Unsecured: "unsecured", PASE: "pase", CASE: "case", 9: "kind(9)"} {
		if k.String() != want {
			t.Errorf("kind %d is %q", k, k)
		}
	}
	for k, want := range map[Kind]matter.AuthMode{PASE: matter.AuthModePASE, CASE: matter.AuthModeCASE} {
		if got, ok := (&Session{Kind: k}).AuthMode(); got != want || !ok {
			t.Errorf("%v authenticates by %d, %v", k, got, ok)
		}
	}
	if _, ok := (&Session{Kind: Unsecured}).AuthMode(); ok {
		t.Error("the unsecured session authenticates")
	}
}
