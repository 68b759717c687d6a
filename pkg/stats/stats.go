// Package stats provides histograms and counters that do not depend on how they are
// exported.
package stats

import (
	"maps"
	"slices"
	"sort"
	"time"
)

// Histogram counts durations in fixed buckets. One goroutine owns it; others use a
// Clone.
type Histogram struct {
	bounds []float64 // seconds, ascending
	counts []uint64  // one more than bounds; the last counts the rest
	sum    float64
	n      uint64
}

// NewHistogram returns a histogram with the given upper bounds in seconds,
// ascending.
func NewHistogram(bounds ...float64) Histogram {
	return Histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	s := d.Seconds()
	h.counts[sort.SearchFloat64s(h.bounds, s)]++
	h.sum += s
	h.n++
}

// Clone returns an independent copy.
func (h *Histogram) Clone() Histogram {
	c := *h
	c.counts = slices.Clone(h.counts)
	return c
}

// Totals returns how many durations were counted, their sum in seconds, and for each
// upper bound how many were not above it.
func (h *Histogram) Totals() (n uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(h.bounds))
	var total uint64
	for i, b := range h.bounds {
		total += h.counts[i]
		upTo[b] = total
	}
	return h.n, h.sum, upTo
}

// Counters counts by a fixed set of keys.
type Counters[K comparable] map[K]uint64

// Clone returns an independent copy.
func (c Counters[K]) Clone() Counters[K] { return maps.Clone(c) }
