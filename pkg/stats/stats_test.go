package stats

import (
	"maps"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram(.001, .01)
	for _, d := range []time.Duration{500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, time.Second} {
		h.Observe(d)
	}
	c := h.Clone()
	h.Observe(time.Millisecond)
	if n, sum, upTo := c.Totals(); n != 4 || sum != 1.0065 || !maps.Equal(upTo, map[float64]uint64{.001: 2, .01: 3}) {
		t.Errorf("%d, %v, %v", n, sum, upTo)
	}
	if n, _, upTo := h.Totals(); n != 5 || upTo[.001] != 3 {
		t.Errorf("%d, %v after one more", n, upTo)
	}
}
