package session

import (
	"math"
	"math/rand/v2"
	"testing"
)

// feed is a counter and the expected verdict.
type feed struct {
	counter uint32
	fresh   bool
}

func TestUnsecuredWindow(t *testing.T) {
	const top = math.MaxUint32
	for _, tt := range []struct {
		name  string
		feeds []feed
	}{
		{"the first is taken, whatever it is", []feed{{0, true}, {0, false}}},
		{"nothing before the first was seen", []feed{{100, true}, {99, true}, {68, true}, {99, false}}},
		{"rollover", []feed{{top, true}, {0, true}, {1, true}, {top, false}, {0, false}, {top - 1, true}}},
		{"rollover at the window's edge", []feed{{top - 30, true}, {1, true}, {top - 30, false}, {top, true}}},
		{"late over the rollover", []feed{{2, true}, {top, true}, {top, false}, {top - 29, true}, {top - 29, false}}},
		{"below the window starts a new one", []feed{{1000, true}, {967, true}, {967, false}, {1000, true}}},
		{"a reboot", []feed{{0x0FFF_FFFF, true}, {5, true}, {6, true}, {5, false}}},
		{"half the circle ahead is ahead", []feed{{10, true}, {10 + 1<<31 - 1, true}, {10, true}}},
		{"half the circle is behind", []feed{{10, true}, {10 + 1<<31, true}, {10 + 1<<31, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w window
			for i, f := range tt.feeds {
				if fresh := w.acceptUnsecured(f.counter); fresh != f.fresh {
					t.Fatalf("step %d: counter %d is fresh %v", i, f.counter, fresh)
				}
			}
		})
	}
}

func TestGroupWindow(t *testing.T) {
	const top = math.MaxUint32
	for _, tt := range []struct {
		name  string
		feeds []feed
	}{
		{"the first is taken, whatever it is", []feed{{0, true}, {0, false}}},
		{"nothing before the first is", []feed{{100, true}, {99, false}, {68, false}, {67, false}, {101, true}, {100, false}}},
		{"late, in the window", []feed{{100, true}, {140, true}, {108, true}, {108, false}, {107, false}, {139, true}}},
		{"old maximum at the edge", []feed{{100, true}, {132, true}, {100, false}, {101, true}}},
		{"a jump by the window's size and one more", []feed{{100, true}, {133, true}, {100, false}, {101, true}}},
		{"rollover", []feed{{top, true}, {0, true}, {1, true}, {top, false}, {0, false}, {top - 1, false}}},
		{"late over the rollover", []feed{{top - 40, true}, {2, true}, {top, true}, {top, false}, {top - 29, true}, {top - 30, false}}},
		{"below the window is old", []feed{{1000, true}, {967, false}, {5, false}, {1001, true}}},
		{"a reboot is not believed", []feed{{0x0FFF_FFFF, true}, {5, false}}},
		{"half the circle ahead is ahead", []feed{{10, true}, {10 + 1<<31 - 1, true}, {10, false}}},
		{"half the circle is behind", []feed{{10, true}, {10 + 1<<31, false}, {10 + 1<<31 + 1, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w window
			for i, f := range tt.feeds {
				if fresh := w.acceptGroup(f.counter); fresh != f.fresh {
					t.Fatalf("step %d: counter %d is fresh %v", i, f.counter, fresh)
				}
			}
		})
	}
}

// model is a replay window that remembers every counter.
type model struct {
	max  uint32
	seen map[uint32]bool
}

func (m *model) unsecured(c uint32) bool {
	d := int64(int32(c - m.max)) // how far ahead on the circle
	switch {
	case len(m.seen) == 0 || d > 0:
		m.max = c
	case d < -32:
		m.max = c
		clear(m.seen)
	case m.seen[c]:
		return false
	}
	m.seen[c] = true
	for old := range m.seen {
		if back := m.max - old; back > 32 {
			delete(m.seen, old)
		}
	}
	return true
}

func (m *model) group(c uint32) bool {
	d := int64(int32(c - m.max))
	switch {
	case len(m.seen) == 0:
		for back := range uint32(33) {
			m.seen[c-back] = true
		}
		m.max = c
		return true
	case d > 0:
		m.max = c
	case d < -32 || m.seen[c]:
		return false
	}
	m.seen[c] = true
	for old := range m.seen {
		if m.max-old > 32 {
			delete(m.seen, old)
		}
	}
	return true
}

// walk returns counters that are mostly close to each other, with repetitions, and
// sometimes far away or at the ends of the range.
func walk(r *rand.Rand, at uint32) uint32 {
	switch r.IntN(20) {
	case 0:
		return r.Uint32()
	case 1:
		return uint32(r.IntN(3))
	case 2:
		return math.MaxUint32 - uint32(r.IntN(3))
	case 3:
		return at + 1<<31 + uint32(r.IntN(3)) - 1
	}
	return at + uint32(r.IntN(76)) - 38
}

func TestWindowsAgainstModel(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window func(*window, uint32) bool
		model  func(*model, uint32) bool
	}{
		{"unsecured", (*window).acceptUnsecured, (*model).unsecured},
		{"group", (*window).acceptGroup, (*model).group},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(300) {
				r := rand.New(rand.NewPCG(seed, 1))
				w, m := window{}, model{seen: make(map[uint32]bool)}
				c := uint32(0)
				for step := range 400 {
					c = walk(r, c)
					if got, want := tt.window(&w, c), tt.model(&m, c); got != want {
						t.Fatalf("seed %d, step %d: counter %d is fresh %v, the model says %v", seed, step, c, got, want)
					}
				}
			}
		})
	}
}
