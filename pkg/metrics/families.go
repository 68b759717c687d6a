package metrics

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/stats"
)

// families are all metrics except build_info: name, help text, labels, and the
// function that reads the values from a snapshot.
var families = []family{
	gauge("fabrics", "Number of fabrics that the node is a member of.",
		func(s *Snapshot) (n float64) {
			for i := range s.Fabrics {
				if !s.Fabrics[i].Provisional { // one that is being commissioned may not stay
					n++
				}
			}
			return n
		}),
	gauge("fabrics_max", "Number of fabrics that the node can be a member of.",
		func(s *Snapshot) float64 { return float64(s.MaxFabrics) }),
	gauge("commissioning_window_open", "1 while a commissioning window is open.",
		func(s *Snapshot) float64 { return truth(s.Window.Open) }),
	gauge("failsafe_armed", "1 while the fail-safe is armed.",
		func(s *Snapshot) float64 { return truth(s.FailSafe.Armed) }),
	counter("failsafe_expirations_total", "Fail-safes that ended without CommissioningComplete.",
		func(s *Snapshot) uint64 { return s.FailSafeExpirations }),
	gauge("discoverable", "1 if the node found its own records on every interface in use at the last self-check.",
		func(s *Snapshot) float64 { return truth(s.MDNS.Discoverable()) }),
	gauges("interface_announced", "1 if all services are announced on a network interface in use.", labels{"interface"},
		func(s *Snapshot, put put) {
			s.interfaces(func(i *mdns.InterfaceStatus) { put(truth(!s.MDNS.Pending && i.Announced()), i.Name) })
		}),
	gauges("interface_discoverable", "1 if the node found its own records on a network interface in use at the last self-check.", labels{"interface"},
		func(s *Snapshot, put put) {
			s.interfaces(func(i *mdns.InterfaceStatus) { put(truth(i.Found), i.Name) })
		}),
	gauges("sessions", "Secure sessions by type.", labels{"type"},
		func(s *Snapshot, put put) {
			put(float64(s.PASESessions), "pase")
			put(float64(s.CASESessions), "case")
		}),
	gauge("subscriptions", "Active subscriptions.",
		func(s *Snapshot) float64 { return float64(s.Subscriptions) }),
	gauge("subscriptions_interrupted", "Subscriptions whose subscriber cannot be reached. They are resumed when it can.",
		func(s *Snapshot) float64 { return float64(s.Interrupted) }),
	gauges("subscribers", "Nodes that are subscribed, by whether they can be reached.", labels{"reachable"},
		func(s *Snapshot, put put) {
			put(float64(s.Subscribers), "true")
			put(float64(s.Unreachable), "false")
		}),
	gauges("last_heard_timestamp_seconds", "When something last came on a session with a node of a fabric, Unix time; no value for fabrics without sessions.", labels{"fabric_index"},
		func(s *Snapshot, put put) {
			for i := range s.Fabrics {
				if f := &s.Fabrics[i]; !f.LastHeard.IsZero() {
					put(seconds(f.LastHeard), strconv.Itoa(int(f.Index)))
				}
			}
		}),
	gauge("exchanges", "Open message exchanges.",
		func(s *Snapshot) float64 { return float64(s.Exchanges) }),
	counters("pase_handshakes_total", "PASE handshakes by result.", labels{"result"},
		func(s *Snapshot, put put) { each(s.PASE, put) }),
	counter("pase_failures_total", "PASE attempts that failed, as counted against the limit of a window.",
		func(s *Snapshot) uint64 { return s.PASEFailures }),
	counters("case_handshakes_total", "CASE handshakes by result, and whether a session was resumed.", labels{"result", "resumed"},
		func(s *Snapshot, put put) {
			for k, v := range s.CASE {
				put(float64(v), k.Result, strconv.FormatBool(k.Resumed))
			}
		}),
	histogram("case_handshake_duration_seconds", "Time from Sigma1 to the end of successful CASE handshakes.",
		func(s *Snapshot) *stats.Histogram { return &s.CASEDuration }),
	counter("datagrams_received_total", "Datagrams received.",
		func(s *Snapshot) uint64 { return s.Received }),
	counter("datagrams_sent_total", "Datagrams sent.",
		func(s *Snapshot) uint64 { return s.Sent }),
	counters("datagrams_dropped_total", "Datagrams dropped by reason.", labels{"reason"},
		func(s *Snapshot, put put) { each(s.Dropped, put) }),
	counter("mrp_retransmissions_total", "Messages sent again because they were not acknowledged.",
		func(s *Snapshot) uint64 { return s.Retransmissions }),
	counter("mrp_timeouts_total", "Messages that were never acknowledged in spite of retransmissions.",
		func(s *Snapshot) uint64 { return s.Timeouts }),
	counter("mrp_duplicates_total", "Messages received more than once.",
		func(s *Snapshot) uint64 { return s.Duplicates }),
	counter("mrp_acknowledgements_total", "Standalone acknowledgements sent, because there was no answer to carry them.",
		func(s *Snapshot) uint64 { return s.Acknowledgements }),
	counter("mdns_packets_received_total", "Multicast DNS packets received, from any host.",
		func(s *Snapshot) uint64 { return s.MDNS.Stats.Received }),
	counter("mdns_packets_sent_total", "Multicast DNS packets sent.",
		func(s *Snapshot) uint64 { return s.MDNS.Stats.Sent }),
	counters("mdns_dropped_total", "Multicast DNS packets and questions that were not handled, by reason.", labels{"reason"},
		func(s *Snapshot, put put) {
			put(float64(s.MDNS.Stats.Dropped), "limit")
			put(float64(s.MDNS.Stats.Malformed), "malformed")
			put(float64(s.MDNS.Stats.Unsent), "unsent")
		}),
	counter("mdns_conflicts_total", "Names that another host has claimed.",
		func(s *Snapshot) uint64 { return s.MDNS.Stats.Conflicts }),
	counters("im_requests_total", "Interactions by action and status.", labels{"action", "status"},
		func(s *Snapshot, put put) {
			for k, v := range s.Requests {
				put(float64(v), k.Action, k.Status)
			}
		}),
	{
		desc("im_request_duration_seconds", "Time from a request to the end of its interaction, by action.", "action"),
		func(s *Snapshot, d *prometheus.Desc, ch chan<- prometheus.Metric) {
			for action, h := range s.RequestDuration {
				ch <- constHistogram(d, &h, action)
			}
		},
	},
	counters("opcreds_commands_total", "Commands of the Operational Credentials cluster by status.", labels{"command", "status"},
		func(s *Snapshot, put put) {
			for k, v := range s.Commands {
				put(float64(v), k.Command, k.Status)
			}
		}),
	gauges("bridge_devices", "Bridged devices that are shown, by front and whether controllers see them as reachable.", labels{"source", "reachable"},
		func(s *Snapshot, put put) {
			for k, n := range s.bridge().Devices {
				put(float64(n), k.Source, strconv.FormatBool(k.Reachable))
			}
		}),
	gauges("bridge_parts", "Parts of the bridged devices that are shown, by type.", labels{"type"},
		func(s *Snapshot, put put) {
			for k, n := range s.bridge().Parts {
				put(float64(n), k)
			}
		}),
	gauges("bridge_ignored", "Devices and parts that sources offer and that are not shown, by front and kind of reason.", labels{"source", "reason"},
		func(s *Snapshot, put put) {
			for k, n := range s.bridge().Ignored {
				put(float64(n), k.Source, cmp.Or(string(k.Reason), "other"))
			}
		}),
	counters("bridge_updates_total", "Reports of sources about their devices, by front.", labels{"source"},
		func(s *Snapshot, put put) { each(s.bridge().Updates, put) }),
	counters("bridge_commands_total", "Commands of controllers to bridged devices, by front and result.", labels{"source", "result"},
		func(s *Snapshot, put put) {
			for k, n := range s.bridge().Commands {
				put(float64(n), k.Source, k.Result)
			}
		}),
	histogram("bridge_command_confirm_seconds", "Time from a command to its confirmation by the device's source.",
		func(s *Snapshot) *stats.Histogram { return &s.bridge().Confirm }),
	gauge("bridge_streams", "Open command streams of sources.",
		func(s *Snapshot) float64 { return float64(s.bridge().Streams) }),
	histogram("store_commit_duration_seconds", "Time taken by commits to the store.",
		func(s *Snapshot) *stats.Histogram { return &s.Commit }),
	gauges("store_last_backup_timestamp_seconds", "When the store was last copied by \"opcredsd store backup\", Unix time; no value if it never was.", nil,
		func(s *Snapshot, put put) {
			if !s.LastBackup.IsZero() {
				put(seconds(s.LastBackup))
			}
		}),
	gauges("memory_limit_bytes", "Memory that the process may use, by its control group (MemoryMax); no value without a limit.", nil,
		func(s *Snapshot, put put) {
			if s.MemoryLimit != 0 {
				put(float64(s.MemoryLimit))
			}
		}),
	gauges("certificate_not_after_timestamp_seconds", "End of validity of the node's certificates, Unix time; no value for those without one.", labels{"kind", "fabric_index"},
		func(s *Snapshot, put put) {
			for _, c := range s.Certificates {
				if !c.NotAfter.IsZero() {
					put(float64(c.NotAfter.Unix()), c.Kind, strconv.Itoa(int(c.Fabric)))
				}
			}
		}),
}

// bridge returns the figures of the bridge. They are zero if the node has none.
func (s *Snapshot) bridge() *bridge.Stats {
	if s.Bridge == nil {
		return &noBridge
	}
	return s.Bridge
}

var noBridge bridge.Stats

// interfaces calls f for each network interface in use.
func (s *Snapshot) interfaces(f func(*mdns.InterfaceStatus)) {
	for i := range s.MDNS.Interfaces {
		if x := &s.MDNS.Interfaces[i]; x.Reason == "" {
			f(x)
		}
	}
}

// family is a metric and the function that sends its values.
type family struct {
	desc    *prometheus.Desc
	collect func(s *Snapshot, d *prometheus.Desc, ch chan<- prometheus.Metric)
}

// labels are names of labels; put receives a value with the values of its labels.
type (
	labels []string
	put    func(v float64, labels ...string)
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("opcredsd_"+name, help, labels, nil)
}

func values(name, help string, kind prometheus.ValueType, l labels, send func(*Snapshot, put)) family {
	return family{desc(name, help, l...), func(s *Snapshot, d *prometheus.Desc, ch chan<- prometheus.Metric) {
		send(s, func(v float64, labels ...string) { ch <- prometheus.MustNewConstMetric(d, kind, v, labels...) })
	}}
}

func gauges(name, help string, l labels, send func(*Snapshot, put)) family {
	return values(name, help, prometheus.GaugeValue, l, send)
}

func counters(name, help string, l labels, send func(*Snapshot, put)) family {
	return values(name, help, prometheus.CounterValue, l, send)
}

func gauge(name, help string, value func(*Snapshot) float64) family {
	return gauges(name, help, nil, func(s *Snapshot, put put) { put(value(s)) })
}

func counter(name, help string, value func(*Snapshot) uint64) family {
	return counters(name, help, nil, func(s *Snapshot, put put) { put(float64(value(s))) })
}

func histogram(name, help string, value func(*Snapshot) *stats.Histogram) family {
	return family{desc(name, help), func(s *Snapshot, d *prometheus.Desc, ch chan<- prometheus.Metric) {
		ch <- constHistogram(d, value(s))
	}}
}

func constHistogram(d *prometheus.Desc, h *stats.Histogram, labels ...string) prometheus.Metric {
	n, sum, upTo := h.Totals()
	return prometheus.MustNewConstHistogram(d, n, sum, upTo, labels...)
}

func each(c stats.Counters[string], put put) {
	for label, v := range c {
		put(float64(v), label)
	}
}

// seconds returns Unix time.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
