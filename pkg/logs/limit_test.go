package logs

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	var l Limit
	now := time.Unix(1_800_000_000, 0)
	lines := func(n int) (written, missed int) {
		for range n {
			if m, ok := l.Allow(now); ok {
				written++
				missed += m
			}
		}
		return written, missed
	}
	check := func(what string, n, want, wantMissed int) {
		t.Helper()
		if written, missed := lines(n); written != want || missed != wantMissed {
			t.Errorf("%s: %d of %d lines, %d reported as missed; want %d and %d", what, written, n, missed, want, wantMissed)
		}
	}
	check("a burst", 100, burst, 0)
	now = now.Add(every - 1)
	check("too early", 10, 0, 0)
	now = now.Add(1)
	check("one is made up for", 10, 1, 100-burst+10)
	now = now.Add(2 * every)
	check("two are", 10, 2, 9)
	now = now.Add(1000 * every)
	check("a rest makes up for all, and for no more", 100, burst, 8)
	// One line per second for a day.
	written := 0
	for range 24 * 60 * 60 {
		now = now.Add(time.Second)
		n, _ := lines(1)
		written += n
	}
	if want := int(24 * time.Hour / every); written < want-1 || written > want+burst {
		t.Errorf("%d lines in a day, want about %d", written, want)
	}
	// A clock that steps back does not stop the log for ever.
	now = now.Add(-time.Hour)
	lines(10)
	now = now.Add(2 * time.Hour)
	if n, _ := lines(10); n != burst {
		t.Errorf("%d lines after the clock stepped back", n)
	}
}
