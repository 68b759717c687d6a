package node

import (
	"testing"
	"time"
)

// deep calls f at the given depth of the stack.
func deep(depth int, f func()) {
	if depth == 0 {
		f()
		return
	}
	deep(depth-1, f)
}

func TestOnLoop(t *testing.T) {
	n := &Node{}
	n.loop.init(nil)
	go n.run()
	defer close(n.loop.quit)
	for _, depth := range []int{0, 1, 58, 59, 60, 61, 62, 63, 64, 65, 200} {
		deep(depth, func() {
			if OnLoop() {
				t.Errorf("depth %d: this is no loop", depth)
			}
		})
		on := false
		if err := n.Do(func(time.Time) error {
			deep(depth, func() { on = OnLoop() })
			return nil
		}); err != nil || !on {
			t.Errorf("depth %d: not on the loop, %v", depth, err)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	n := &Node{}
	n.loop.init(nil)
	go n.run()
	defer close(n.loop.quit)
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Do(func(time.Time) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOnLoop(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		OnLoop()
	}
}
