package transport

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestSource(t *testing.T) {
	for _, tt := range []struct{ name, peer, local, want string }{
		{"link-local keeps its zone", "[fe80::1%eth0]:5", "fe80::2", "fe80::1%eth0"},
		{"on our link each host counts", "[2001:db8::1]:5", "2001:db8::2", "2001:db8::1"},
		{"elsewhere a network counts", "[2001:db8:0:1:aaaa::1]:5", "2001:db8::2", "2001:db8:0:1::"},
		{"elsewhere, another host of it", "[2001:db8:0:1:bbbb::2]:6", "2001:db8::2", "2001:db8:0:1::"},
		{"IPv4", "192.0.2.1:5", "198.51.100.1", "192.0.2.1"},
		{"loopback", "[::1]:5", "::1", "::1"},
		{"not known what was called", "[2001:db8::1]:5", "", "2001:db8::1"},
	} {
		p := Path{Peer: netip.MustParseAddrPort(tt.peer)}
		if tt.local != "" {
			p.Local = netip.MustParseAddr(tt.local)
		}
		if got := p.Source(); got != netip.MustParseAddr(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func hostAddr(i int) netip.Addr {
	a := netip.MustParseAddr("fe80::").As16()
	binary.BigEndian.PutUint32(a[12:], uint32(i))
	return netip.AddrFrom16(a)
}

// flood charges a source up to n times at one moment, while it is not exhausted,
// and returns how often.
func flood(l *Limiter, now time.Time, source netip.Addr, n int) (passed int) {
	for range n {
		if !l.Exhausted(now, source) {
			l.Charge(now, source)
			passed++
		}
	}
	return passed
}

func TestLimiter(t *testing.T) {
	l := NewLimiter(10, 40, 8)
	now := time.Now()
	if got := flood(l, now, hostAddr(1), 100); got != 40 {
		t.Errorf("%d at once, want the burst of 40", got)
	}
	if got := flood(l, now, hostAddr(2), 1); got != 1 {
		t.Error("another source pays for the first")
	}
	total := 0
	for range 100 {
		now = now.Add(50 * time.Millisecond)
		total += flood(l, now, hostAddr(1), 100)
	}
	if total != 50 {
		t.Errorf("%d in 5 s, want 10 a second", total)
	}
	if l.Forgive(hostAddr(1)); flood(l, now, hostAddr(1), 100) != 40 {
		t.Error("not forgiven")
	}
	now = now.Add(4 * time.Second)
	if l.Exhausted(now, hostAddr(1)) || l.Len() != 1 {
		t.Errorf("%d sources are remembered, of which one was full again and asked for", l.Len())
	}
	if l.Exhausted(now, hostAddr(2)); l.Len() != 0 {
		t.Error("a full bucket is kept")
	}
}

// A source below the rate is never limited, whatever the times.
func TestLimiterSparesTheModest(t *testing.T) {
	l := NewLimiter(10, 20, 4)
	now := time.Now()
	r := rand.New(rand.NewPCG(1, 2))
	for second := range 200 {
		start := now.Add(time.Duration(second) * time.Second)
		for range 10 {
			at := start.Add(time.Duration(r.Int64N(int64(time.Second))))
			if flood(l, at, hostAddr(1), 1) != 1 {
				t.Fatalf("refused in second %d", second)
			}
		}
	}
}

// Charges after the fact count completely: a burst of datagrams that passes each
// time does not exceed the rate on average.
func TestLimiterDebt(t *testing.T) {
	l := NewLimiter(100, 400, 8)
	now := time.Now()
	passed := 0
	for range 10_000 { // 100 s
		now = now.Add(10 * time.Millisecond)
		if !l.Exhausted(now, hostAddr(1)) {
			for range 200 {
				l.Charge(now, hostAddr(1))
				passed++
			}
		}
	}
	if passed < 100*100 || passed > 100*100+400+200 {
		t.Errorf("%d in 100 s", passed)
	}
	for range 10_000 {
		l.Charge(now, hostAddr(2))
	}
	if l.Exhausted(now.Add(4*time.Second+20*time.Millisecond), hostAddr(2)) {
		t.Error("a debt without bound")
	}
}

// A clock that stops or goes back neither adds to nor takes from the allowance.
func TestLimiterClock(t *testing.T) {
	l := NewLimiter(1000, 5, 4)
	now := time.Now()
	flood(l, now, hostAddr(1), 5)
	if got := flood(l, now.Add(-time.Hour), hostAddr(1), 5); got != 0 {
		t.Errorf("%d an hour ago", got)
	}
	if got := flood(l, now.Add(time.Second), hostAddr(1), 10); got != 5 {
		t.Errorf("%d a second later", got)
	}
}

// The table has a limit and removes the source that was charged least recently.
func TestLimiterBounded(t *testing.T) {
	const sources = 64
	l := NewLimiter(1, 2, sources)
	now := time.Now()
	for i := range 100 * sources {
		l.Charge(now, hostAddr(i))
		l.Charge(now, hostAddr(i))
		l.Charge(now, hostAddr(0)) // again and again
		if l.Len() > sources {
			t.Fatalf("%d sources", l.Len())
		}
	}
	if !l.Exhausted(now, hostAddr(0)) {
		t.Error("forgotten: the one that is charged all the time")
	}
	if l.Exhausted(now, hostAddr(1)) {
		t.Error("remembered: the one charged first")
	}
	if !l.Exhausted(now, hostAddr(100*sources-1)) {
		t.Error("forgotten: the one charged last")
	}
	if n := testing.AllocsPerRun(1000, func() {
		l.Charge(now, hostAddr(rand.Int()))
	}); n > 0 {
		t.Errorf("%v allocations for a source in a full table", n)
	}
}

// A Limiter agrees with a simple model.
func TestLimiterModel(t *testing.T) {
	const rate, burst = 5, 10
	l := NewLimiter(rate, burst, 100)
	type state struct {
		left float64
		at   time.Time
	}
	model := map[int]*state{}
	r := rand.New(rand.NewPCG(3, 4))
	now := time.Now()
	for range 20000 {
		now = now.Add(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
		i := r.IntN(8)
		m := model[i]
		if m == nil {
			m = &state{burst, now}
			model[i] = m
		}
		m.left = min(burst, m.left+rate*now.Sub(m.at).Seconds())
		m.at = now
		if got, want := l.Exhausted(now, hostAddr(i)), m.left < 1; got != want {
			if d := m.left - 1; d < -1e-6 || d > 1e-6 { // otherwise rounding decides
				t.Fatalf("exhausted: %v with %v left", got, m.left)
			}
		}
		switch r.IntN(20) {
		case 0:
			l.Forgive(hostAddr(i))
			m.left = burst
		default:
			l.Charge(now, hostAddr(i))
			m.left = max(-burst, m.left-1)
		}
	}
}

func TestLimiterConcurrent(t *testing.T) {
	l := NewLimiter(100, 10, 16)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			now := time.Now()
			for i := range 5000 {
				s := hostAddr((i * (g + 1)) % 40)
				l.Charge(now, s)
				l.Exhausted(now, s)
				if i%100 == 0 {
					l.Forgive(s)
				}
				now = now.Add(time.Millisecond)
			}
		})
	}
	wg.Wait()
	if l.Len() > 16 {
		t.Errorf("%d sources", l.Len())
	}
}

func TestLimiterOfNothingPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewLimiter(0, 1, 1)
}

func BenchmarkLimiter(b *testing.B) {
	now := time.Now()
	b.Run("good source", func(b *testing.B) {
		l := NewLimiter(100, 400, 1024)
		b.ReportAllocs()
		for b.Loop() {
			l.Exhausted(now, hostAddr(1))
		}
	})
	b.Run("random sources", func(b *testing.B) {
		l := NewLimiter(100, 400, 1024)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Exhausted(now, hostAddr(i))
			l.Charge(now, hostAddr(i))
		}
	})
}
