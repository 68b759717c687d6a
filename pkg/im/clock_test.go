package im

import (
	"testing"
	"time"
	"unsafe"
)

// jump moves the wall clock of a time and keeps its monotonic reading, as when the
// system's clock is set.
func jump(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	const secondsShift = 30 // in the first word of a time.Time
	set := at
	*(*uint64)(unsafe.Pointer(&set)) += uint64(d/time.Second) << secondsShift
	if set.Sub(at) != 0 || set.Round(0).Sub(at.Round(0)) != d {
		t.Fatalf("package time has changed: %v became %v", at, set)
	}
	return set
}

// Intervals do not change when the clock is set, however far and often.
func TestClockIsSet(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, step := range []time.Duration{year, -year, time.Minute, -time.Minute, 20 * year, -20 * year} {
		n := newNode(t, nil)
		begin := time.Now()
		wall := time.Duration(0)
		// at returns a time after begin by a clock that is set again at each call.
		at := func(after time.Duration) time.Time {
			wall += step
			if wall > 20*year || wall < -20*year {
				wall = 0
			}
			return jump(t, begin.Add(after), wall)
		}
		n.now = at(0)
		n.subscribe(pase(1), state0(10, 60))
		for k := range 20 {
			from := time.Duration(k) * 50 * sec
			for _, after := range []time.Duration{0, 20 * sec, 49 * sec} {
				n.now = at(from + after)
				n.Advance(n.now)
				n.Settle(n.now)
				if k > 0 && after == 0 {
					n.reports(1)[0].opened.Closed(n.now, nil)
				} else {
					n.reports(0)
				}
				if next, ok := n.Deadline(); !ok || next.Sub(n.now) <= 0 || next.Sub(n.now) > 50*sec {
					t.Fatalf("next after %v", next.Sub(n.now))
				}
			}
		}
		// A change waits for the floor, no longer.
		n.now = at(1000 * sec)
		n.Settle(n.now)
		n.reports(1)
		n.Changed(0, 6, 0)
		n.now = at(1010*sec + floorMargin - 1)
		n.Settle(n.now)
		n.reports(0)
		n.now = at(1010*sec + floorMargin)
		n.Settle(n.now)
		n.confirmAll(n.reports(1)[0])
		// An interruption lasts no longer or shorter.
		n.interruptAll()
		n.now = at(1010*sec + floorMargin + 60*sec + resumeGrace - 1)
		n.Settle(n.now)
		if _, interrupted := n.phases(); interrupted != 1 {
			t.Fatal("ended early")
		}
		n.now = at(1010*sec + floorMargin + 60*sec + resumeGrace)
		n.Settle(n.now)
		if len(n.subscriptions) != 0 {
			t.Fatal("not ended")
		}
	}
}
