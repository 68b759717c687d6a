package metrics

import (
	"maps"
	"sort"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram counts durations in fixed buckets. It belongs to one goroutine;
// Clone makes what may go elsewhere.
type Histogram struct {
	bounds []float64 // seconds, ascending
	counts []uint64  // one more than bounds: the last is the rest
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

// Clone returns a copy that shares nothing that changes.
func (h *Histogram) Clone() Histogram {
	c := *h
	c.counts = append([]uint64(nil), h.counts...)
	return c
}

func (h *Histogram) metric(d *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.bounds))
	var sum uint64
	for i, b := range h.bounds {
		sum += h.counts[i]
		buckets[b] = sum
	}
	return prometheus.MustNewConstHistogram(d, h.n, h.sum, buckets, labels...)
}

// Counters counts by a fixed set of keys.
type Counters[K comparable] map[K]uint64

// Clone returns an independent copy.
func (c Counters[K]) Clone() Counters[K] { return maps.Clone(c) }
