// Package metrics exports snapshots of the node to Prometheus. Only this package
// contains names, help texts and labels of metrics. A value received from a peer
// never becomes the value of a label.
package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
)

// Snapshot is what a scrape shows.
type Snapshot struct {
	node.Snapshot
	MDNS        mdns.Status
	Bridge      *bridge.Stats // nil: the node has no bridge
	LastBackup  time.Time     // zero: the store was never copied
	MemoryLimit uint64        // octets; 0: none
}

// Build is what build_info shows of the program.
type Build struct{ Version, Revision, Go string }

// Collector is a prometheus.Collector over snapshots.
type Collector struct {
	build    Build
	snapshot func() (Snapshot, bool)
}

// New returns a collector that calls snapshot at each scrape. The scrape fails if snapshot
// returns false.
func New(build Build, snapshot func() (Snapshot, bool)) *Collector {
	return &Collector{build, snapshot}
}

var buildInfo = desc("build_info", "Always 1; the labels contain the version of the program.", "version", "revision", "goversion")

// errNoSnapshot fails a scrape if the node does not answer.
var errNoSnapshot = errors.New("the node's event loop does not answer")

// Describe sends the descriptions of all metrics, so that a registry rejects
// another collector with the same names.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- buildInfo
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect sends the metrics of one snapshot.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.snapshot()
	if !ok {
		ch <- prometheus.NewInvalidMetric(buildInfo, errNoSnapshot)
		return
	}
	ch <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, c.build.Version, c.build.Revision, c.build.Go)
	for _, f := range families {
		f.collect(&s, f.desc, ch)
	}
}
