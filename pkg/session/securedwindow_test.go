package session

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSecuredWindow(t *testing.T) {
	const size = securedWindowSize
	type step struct {
		counter uint32
		want    verdict
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"first from 1 on", []step{{1, fresh}, {1, duplicate}}},
		{"0 is never new", []step{{0, duplicate}, {5, fresh}, {0, duplicate}}},
		{"below the first, in the window", []step{{10, fresh}, {9, fresh}, {1, fresh}, {9, duplicate}, {0, duplicate}}},
		{"one at a time", []step{{100, fresh}, {101, fresh}, {102, fresh}, {101, duplicate}, {100, duplicate}}},
		{"lowest of the window", []step{{5000, fresh}, {5001 - size, fresh}, {5001 - size, duplicate}, {5000 - size, late}}},
		{"old maximum at the edge", []step{{100, fresh}, {99 + size, fresh}, {100, duplicate}, {101, fresh}}},
		{"old maximum just out", []step{{100, fresh}, {100 + size, fresh}, {100, late}, {101, fresh}, {102, fresh}}},
		{"a jump over the window", []step{{100, fresh}, {100 + 3*size, fresh}, {100 + 3*size - 1, fresh}, {100, late}, {100 + 3*size, duplicate}}},
		{"a jump to the end", []step{{1, fresh}, {math.MaxUint32, fresh}, {math.MaxUint32, duplicate}, {math.MaxUint32 - size + 1, fresh}, {math.MaxUint32 - size, late}, {1, late}}},
		{"no rollover", []step{{math.MaxUint32, fresh}, {0, duplicate}, {1, late}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w securedWindow
			for i, s := range tt.steps {
				top := w.max
				v, latest := w.accept(s.counter)
				if v != s.want || latest != (s.counter > top) {
					t.Fatalf("step %d: counter %d is %d, latest %v", i, s.counter, v, latest)
				}
			}
		})
	}
}

// A session's window agrees with a model that remembers every counter. Some
// counters are taken back.
func TestSecuredWindowAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var w securedWindow
		top, seen := uint32(0), make(map[uint32]bool)
		at := uint32(0)
		for step := range 1000 {
			switch r.IntN(10) {
			case 0:
				at = walk(r, at)
			default:
				at = max(at, 3000) + uint32(r.IntN(2*securedWindowSize+100)) - securedWindowSize
			}
			want := fresh
			switch {
			case at > top:
				top = at
			case at != 0 && top-at >= securedWindowSize:
				want = late
			case at == 0 || seen[at]:
				want = duplicate
			}
			got, _ := w.accept(at)
			if got != want {
				t.Fatalf("seed %d, step %d: counter %d is %d, want %d", seed, step, at, got, want)
			}
			if want != fresh {
				continue
			}
			if seen[at] = r.IntN(5) > 0; !seen[at] {
				w.forget(at)
			}
		}
	}
}

// A counter that was taken back is new again, and only that one.
func TestUnsecuredWindowForgets(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		w, m := window{}, model{seen: make(map[uint32]bool)}
		at := uint32(1000)
		for step := range 200 {
			at += uint32(r.IntN(60)) - 28
			again := w
			got, want := w.acceptUnsecured(at), m.unsecured(at)
			if got != want {
				t.Fatalf("seed %d, step %d: counter %d is fresh %v, the model says %v", seed, step, at, got, want)
			}
			if !got || r.IntN(3) > 0 {
				continue
			}
			w.forget(at)
			if !w.acceptUnsecured(at) {
				t.Fatalf("seed %d, step %d: counter %d is a duplicate after it was taken back", seed, step, at)
			}
			if w.max == again.max && w != again && w.seen&again.seen != again.seen {
				t.Fatalf("seed %d, step %d: other counters were forgotten with %d", seed, step, at)
			}
		}
	}
}

func TestReject(t *testing.T) {
	for _, kind := range []Kind{Unsecured, CASE} {
		var s Session
		s.Kind = kind
		in := Incoming{Session: &s}
		in.Header.Counter = 7
		accept := func() bool {
			if kind == Unsecured {
				return s.in.acceptUnsecured(7)
			}
			v, _ := s.replay.accept(7)
			return v == fresh
		}
		if !accept() || accept() {
			t.Fatal("the window does not work")
		}
		in.Reject()
		if !accept() || accept() {
			t.Errorf("%v: a rejected message is not new again", kind)
		}
	}
}
