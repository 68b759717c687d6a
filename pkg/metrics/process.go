package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// process is client_golang's collector of the process, with a start time that stays as it
// is. The kernel keeps the start of a process in ticks since the boot, and the time of the
// boot moves when the clock is set: computed at each scrape, it makes one start look like
// several.
type process struct {
	prometheus.Collector
	start prometheus.Metric
}

// NewProcess returns a collector of the process that began at start.
func NewProcess(start time.Time) prometheus.Collector {
	return process{
		Collector: collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		start:     prometheus.MustNewConstMetric(startTime, prometheus.GaugeValue, seconds(start)),
	}
}

var startTime = prometheus.NewDesc("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", nil, nil)

// Collect sends the metrics. The start time replaces the collector's own.
func (p process) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		p.Collector.Collect(all)
	}()
	for m := range all {
		if m.Desc().String() != startTime.String() {
			ch <- m
		}
	}
	ch <- p.start
}
