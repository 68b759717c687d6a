package session

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// crowded is a full table whose sessions have names.
type crowded struct {
	*Table
	t     *testing.T
	names map[*Session]string
	flags map[*Session]string
}

// newCrowded creates sessions from their descriptions: "1.2b" is a session of
// fabric 1 with peer 2 that is busy; c is for one that carries something, d for a
// defunct one.
func newCrowded(t *testing.T, guaranteed int, have ...string) *crowded {
	t.Helper()
	c := &crowded{t: t, names: map[*Session]string{}, flags: map[*Session]string{}}
	flag := func(r byte) func(*Session) bool {
		return func(s *Session) bool { return slices.Contains([]byte(c.flags[s]), r) }
	}
	c.Table = newTable(t, 1, func(o *Options) {
		o.Max, o.Guaranteed, o.Busy, o.Carries = len(have), guaranteed, flag('b'), flag('c')
	})
	for i, name := range have {
		s := add(t, c.Table, start.Add(time.Duration(i)*time.Second), Config{Kind: CASE, Fabric: matter.FabricIndex(name[0] - '0'), PeerNode: matter.NodeID(name[2])})
		c.names[s], c.flags[s], s.Defunct = name, name[3:], slices.Contains([]byte(name[3:]), 'd')
	}
	return c
}

// wantEvicted checks which session a new one evicts; "" is none.
func (c *crowded) wantEvicted(fabric matter.FabricIndex, peer matter.NodeID, want string) {
	c.t.Helper()
	id, err := c.ReserveID()
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = c.Add(start, Config{Kind: CASE, LocalID: id, Fabric: fabric, PeerNode: peer})
	got := ""
	for _, s := range c.TakeEvicted() {
		got += c.names[s]
	}
	if got != want || (err == nil) != (want != "") {
		c.t.Errorf("a session of fabric %d costs %q, %v; want %q", fabric, got, err, want)
	}
}

// A fabric's guaranteed sessions cannot be evicted for another fabric, idle or not.
func TestGuaranteedSessions(t *testing.T) {
	newCrowded(t, 2, "1.a", "1.b", "2.ab", "2.bb", "2.cb").wantEvicted(2, 9, "")
	newCrowded(t, 2, "1.a", "1.b", "2.ab", "2.bb", "2.c").wantEvicted(2, 9, "2.c")
	newCrowded(t, 2, "1.a", "1.b", "2.ab", "2.bb", "2.cb").wantEvicted(3, 9, "2.ab")
	// A fabric that has its share cannot evict sessions in use.
	newCrowded(t, 2, "1.a", "1.b", "2.ab", "2.bb", "2.cb").wantEvicted(1, 9, "1.a")
	newCrowded(t, 2, "1.ab", "1.bb", "2.ab", "2.bb", "2.cb").wantEvicted(1, 9, "")
	// A fabric below its share evicts from the fabric with the most sessions.
	newCrowded(t, 2, "1.ab", "2.ab", "2.bb", "2.cb", "3.ab", "3.bb", "3.cb", "3.db").wantEvicted(1, 9, "3.ab")
	newCrowded(t, 2, "1.ab", "2.ab", "2.bb", "3.ab", "3.bb").wantEvicted(1, 9, "")
	// An idle session is evicted before one in use.
	newCrowded(t, 2, "1.ab", "2.ab", "2.bb", "2.c", "3.ab", "3.bb", "3.cb", "3.db").wantEvicted(1, 9, "2.c")
}

func TestSessionsThatCarrySomethingGoLast(t *testing.T) {
	newCrowded(t, 1, "1.ac", "1.b", "1.cc").wantEvicted(1, 9, "1.b")
	newCrowded(t, 1, "1.ac", "1.bc", "1.cc").wantEvicted(1, 9, "1.ac")
	// Fairness comes first: among fabrics, and among the peers of one fabric.
	newCrowded(t, 1, "1.ac", "1.bc", "2.a").wantEvicted(2, 9, "1.ac")
	newCrowded(t, 1, "1.ac", "1.a", "1.b").wantEvicted(1, 9, "1.a")
	newCrowded(t, 1, "1.ac", "1.ac", "1.b").wantEvicted(1, 9, "1.ac")
}

// A table of the minimum size keeps the guarantee for every fabric, in any order of
// arrival.
func TestEveryFabricGetsItsSessions(t *testing.T) {
	const fabrics, guaranteed = 5, 3
	tab := newTable(t, 1, func(o *Options) { o.Max, o.Guaranteed = fabrics*guaranteed+1, guaranteed })
	random := testRand(9)
	count := func() (n [fabrics + 1]int) {
		for s := range tab.All() {
			n[s.Fabric]++
		}
		return n
	}
	before := count()
	for i := range 3000 {
		f := matter.FabricIndex(random.Uint64()%fabrics + 1)
		if random.Uint64()%2 == 0 {
			f = 1 // opens more sessions than the others
		}
		add(t, tab, start.Add(time.Duration(i)*time.Second), Config{Kind: CASE, Fabric: f, PeerNode: matter.NodeID(random.Uint64()%20 + 1)})
		tab.TakeEvicted()
		after := count()
		for f := range after {
			if after[f] < before[f] && after[f] < guaranteed {
				t.Fatalf("fabric %d went from %d sessions to %d", f, before[f], after[f])
			}
		}
		before = after
	}
	for f := 1; f <= fabrics; f++ {
		if before[f] < guaranteed {
			t.Errorf("fabric %d has %d sessions", f, before[f])
		}
	}
}

// A session that runs out of counters is replaced while it can still send
// CloseSession.
func TestWornSession(t *testing.T) {
	ini, res := pair(t, CASE)
	tab := ini.table
	ini.crypto.counter = math.MaxUint32 - counterReserve - 2
	seal(t, ini, "x")
	if e := tab.TakeEvicted(); len(e) != 0 {
		t.Fatal("evicted early")
	}
	d := seal(t, ini, "the last answer")
	if e := tab.TakeEvicted(); len(e) != 1 || e[0] != ini || tab.Len(CASE) != 0 {
		t.Fatalf("evicted %v", e)
	}
	for _, d := range [][]byte{d, seal(t, ini, "goodbye")} {
		if _, err := res.table.Receive(start, d, pathA); err != nil {
			t.Error(err)
		}
	}
	if e := tab.TakeEvicted(); len(e) != 0 {
		t.Error("evicted twice")
	}
	tab.Remove(ini)
	// The peer's counters may come as close to the maximum as they like.
	ini, res = pair(t, CASE)
	res.crypto.counter = math.MaxUint32 - 1
	if _, err := ini.table.Receive(start, seal(t, res, "the very last"), pathB); err != nil {
		t.Error(err)
	}
}

func TestFreeUnsecured(t *testing.T) {
	busy := map[*Session]bool{}
	tab := newTable(t, 1, func(o *Options) { o.Busy = func(s *Session) bool { return busy[s] } })
	receive := func(id matter.NodeID, counter uint32) Incoming {
		t.Helper()
		in, err := tab.Receive(start, fromInitiator(id, counter), pathA)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	first := receive(1, 100)
	own := tab.Unsecured(start, pathA)
	busy[first.Session], busy[own] = true, true
	tab.FreeUnsecured()
	if tab.Len(Unsecured) != 2 || first.Session.Gone() || own.Gone() {
		t.Fatal("freed what is in use")
	}
	clear(busy)
	tab.FreeUnsecured()
	if tab.Len(Unsecured) != 0 || !first.Session.Gone() || !own.Gone() {
		t.Fatalf("%d are left", tab.Len(Unsecured))
	}
	if len(tab.TakeEvicted()) != 0 {
		t.Error("a goodbye for what has ended in order")
	}

	// A repeated message is recognized, even if it is very late.
	for range 3 {
		if in := receive(1, 100); !in.Duplicate {
			t.Error("not known as a duplicate")
		}
		tab.FreeUnsecured()
	}
	if in := receive(1, 101); in.Duplicate {
		t.Error("the next message is taken for a duplicate")
	}
	if in := receive(2, 100); in.Duplicate {
		t.Error("somebody else's message is taken for a duplicate")
	}
	tab.FreeUnsecured()
	if in, err := tab.Receive(start, fromInitiator(1, 101), pathB); err != nil || in.Duplicate {
		t.Errorf("a message from elsewhere: %+v, %v", in, err)
	}

	// The memory does not grow.
	for i := range 1000 {
		receive(matter.NodeID(1000+i), 1)
		tab.FreeUnsecured()
	}
	if tab.Len(Unsecured) != 0 {
		t.Errorf("%d are left", tab.Len(Unsecured))
	}
}
