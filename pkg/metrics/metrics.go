// Package metrics shows snapshots of the node to Prometheus. Names, help texts
// and label sets stand here once; the parts of the node know nothing of
// Prometheus. No label ever carries what a peer sent.
package metrics

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/stats"
)

// Snapshot is what a scrape shows.
type Snapshot struct {
	node.Snapshot
	MDNS mdns.Status
}

// errNoSnapshot fails a scrape when the node does not answer.
var errNoSnapshot = errors.New("the node's event loop does not answer")

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("opcredsd_"+name, help, labels, nil)
}

var (
	descBuildInfo       = desc("build_info", "Always 1; the labels tell the version of the program.", "version", "goversion")
	descFabrics         = desc("fabrics", "Number of fabrics that the node is a member of.")
	descMaxFabrics      = desc("fabrics_max", "Number of fabrics that the node can be a member of.")
	descWindowOpen      = desc("commissioning_window_open", "1 while a commissioning window is open.")
	descFailSafe        = desc("failsafe_armed", "1 while the fail-safe is armed.")
	descExpirations     = desc("failsafe_expirations_total", "Fail-safes that ended without CommissioningComplete.")
	descDiscoverable    = desc("discoverable", "1 if the node found its own records on every interface in use at the last self-check.")
	descAnnounced       = desc("interface_announced", "1 if all services are announced on a network interface in use.", "interface")
	descFound           = desc("interface_discoverable", "1 if the node found its own records on a network interface in use at the last self-check.", "interface")
	descSessions        = desc("sessions", "Secure sessions by type.", "type")
	descSubscriptions   = desc("subscriptions", "Active subscriptions.")
	descInterrupted     = desc("subscriptions_interrupted", "Subscriptions whose subscriber cannot be reached; they go on when it can.")
	descExchanges       = desc("exchanges", "Open message exchanges.")
	descPASE            = desc("pase_handshakes_total", "PASE handshakes by result.", "result")
	descPASEFailures    = desc("pase_failures_total", "PASE attempts that failed, as counted against the limit of a window.")
	descCASE            = desc("case_handshakes_total", "CASE handshakes by result, and whether a session was resumed.", "result", "resumed")
	descCASEDuration    = desc("case_handshake_duration_seconds", "Time from Sigma1 to the end of successful CASE handshakes.")
	descReceived        = desc("datagrams_received_total", "Datagrams received.")
	descSent            = desc("datagrams_sent_total", "Datagrams sent.")
	descDropped         = desc("datagrams_dropped_total", "Datagrams dropped by reason.", "reason")
	descRetransmissions = desc("mrp_retransmissions_total", "Messages sent again because no acknowledgement came.")
	descMDNSReceived    = desc("mdns_packets_received_total", "Packets of multicast DNS that were heard, of every host.")
	descMDNSSent        = desc("mdns_packets_sent_total", "Packets of multicast DNS sent.")
	descMDNSDropped     = desc("mdns_dropped_total", "Packets of multicast DNS, and questions, that were not dealt with, by reason.", "reason")
	descMDNSConflicts   = desc("mdns_conflicts_total", "Names that another host claimed for itself.")
	descRequests        = desc("im_requests_total", "Interactions by action and status.", "action", "status")
	descRequestDuration = desc("im_request_duration_seconds", "Time from a request to the end of its interaction, by action.", "action")
	descCommands        = desc("opcreds_commands_total", "Commands of the Operational Credentials cluster by status.", "command", "status")
	descCommit          = desc("store_commit_duration_seconds", "Time taken by commits to the store.")
	descNotAfter        = desc("certificate_not_after_timestamp_seconds", "End of validity of the node's certificates, Unix time; no value for those without one.", "kind", "fabric_index")
)

// Collector is a prometheus.Collector over snapshots.
type Collector struct {
	version, goversion string
	snapshot           func() (Snapshot, bool)
}

// New returns a collector that asks snapshot at each scrape; false fails the
// scrape.
func New(version, goversion string, snapshot func() (Snapshot, bool)) *Collector {
	return &Collector{version, goversion, snapshot}
}

// Describe sends nothing: the collector is unchecked, for its label sets are
// fixed here and the registry need not know them beforehand.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

func (s *Snapshot) collectDiscovery(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	gauge(descDiscoverable, truth(s.MDNS.Discoverable()))
	for _, i := range s.MDNS.Interfaces {
		if i.Reason == "" {
			gauge(descAnnounced, truth(!s.MDNS.Pending && i.Announced()), i.Name)
			gauge(descFound, truth(i.Found), i.Name)
		}
	}
}

// Collect sends the metrics of one snapshot.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.snapshot()
	if !ok {
		ch <- prometheus.NewInvalidMetric(descBuildInfo, errNoSnapshot)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counters := func(d *prometheus.Desc, byLabel stats.Counters[string]) {
		for k, v := range byLabel {
			counter(d, v, k)
		}
	}
	gauge(descBuildInfo, 1, c.version, c.goversion)
	gauge(descFabrics, float64(len(s.Fabrics)))
	gauge(descMaxFabrics, float64(s.MaxFabrics))
	gauge(descWindowOpen, truth(s.Window.Open))
	gauge(descFailSafe, truth(s.FailSafe.Armed))
	counter(descExpirations, s.FailSafeExpirations)
	s.collectDiscovery(gauge)
	gauge(descSessions, float64(s.PASESessions), "pase")
	gauge(descSessions, float64(s.CASESessions), "case")
	gauge(descSubscriptions, float64(s.Subscriptions))
	gauge(descInterrupted, float64(s.Interrupted))
	gauge(descExchanges, float64(s.Exchanges))
	counter(descPASEFailures, s.PASEFailures)
	counter(descReceived, s.Received)
	counter(descSent, s.Sent)
	counter(descRetransmissions, s.Retransmissions)
	heard := s.MDNS.Stats
	counter(descMDNSReceived, heard.Received)
	counter(descMDNSSent, heard.Sent)
	counters(descMDNSDropped, stats.Counters[string]{"limit": heard.Dropped, "malformed": heard.Malformed, "unsent": heard.Unsent})
	counter(descMDNSConflicts, heard.Conflicts)
	ch <- histogram(descCASEDuration, s.CASEDuration)
	ch <- histogram(descCommit, s.Commit)
	counters(descPASE, s.PASE)
	for k, v := range s.CASE {
		counter(descCASE, v, k.Result, strconv.FormatBool(k.Resumed))
	}
	counters(descDropped, s.Dropped)
	for k, v := range s.Requests {
		counter(descRequests, v, k.Action, k.Status)
	}
	for k, v := range s.Commands {
		counter(descCommands, v, k.Command, k.Status)
	}
	for k, h := range s.RequestDuration {
		ch <- histogram(descRequestDuration, h, k)
	}
	for _, cert := range s.Certificates {
		if !cert.NotAfter.IsZero() {
			gauge(descNotAfter, float64(cert.NotAfter.Unix()), cert.Kind, strconv.Itoa(int(cert.Fabric)))
		}
	}
}

func histogram(d *prometheus.Desc, h stats.Histogram, labels ...string) prometheus.Metric {
	n, sum, upTo := h.Totals()
	return prometheus.MustNewConstHistogram(d, n, sum, upTo, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
