package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/stats"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func snapshot() Snapshot {
	commit := stats.NewHistogram(0.001, 0.01)
	for _, d := range []time.Duration{500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, time.Second} {
		commit.Observe(d)
	}
	return Snapshot{LastBackup: time.Unix(1700000002, 0), MemoryLimit: 256 << 20, Snapshot: node.Snapshot{
		Fabrics:         []node.FabricState{{Fabric: &fabric.Fabric{Fabric: store.Fabric{Index: 1}}, LastHeard: time.Unix(1700000001, 5e8)}, {Fabric: &fabric.Fabric{Fabric: store.Fabric{Index: 3}}}, {Fabric: &fabric.Fabric{Provisional: true}}},
		MaxFabrics:      16,
		Window:          node.WindowState{Open: true},
		CASESessions:    3,
		Subscriptions:   5,
		Interrupted:     2,
		Subscribers:     3,
		Unreachable:     1,
		PASE:            stats.Counters[string]{"success": 4, "invalid_parameter": 1},
		CASE:            stats.Counters[node.CASEKey]{{Result: "success", Resumed: true}: 7},
		CASEDuration:    stats.NewHistogram(0.01),
		Dropped:         stats.Counters[string]{"unknown_session": 9},
		Requests:        stats.Counters[node.RequestKey]{{Action: "read", Status: "SUCCESS"}: 5},
		RequestDuration: map[string]stats.Histogram{"read": stats.NewHistogram(0.01)},
		Commands:        stats.Counters[node.CommandKey]{{Command: "AddNOC", Status: "OK"}: 1},
		Commit:          commit,
		Certificates:    []node.Certificate{{Kind: "noc", Fabric: 1, NotAfter: time.Unix(1700000000, 0)}, {Kind: "dac"}},
	}, MDNS: mdns.Status{
		Interfaces: []mdns.InterfaceStatus{{Name: "eth0", Found: true}, {Name: "eth1"}, {Name: "eth2", Reason: "it is down"}},
		Stats:      mdns.Stats{Dropped: 3},
	}, Bridge: &bridge.Stats{
		Devices:  map[bridge.DeviceKey]int{{Source: "api", Reachable: true}: 2},
		Parts:    map[string]int{"on_off_light": 2},
		Ignored:  map[bridge.IgnoredKey]int{{Source: "z2m", Reason: device.IgnoredSetting}: 7},
		Updates:  stats.Counters[string]{"api": 11},
		Commands: stats.Counters[bridge.CommandKey]{{Source: "api", Result: "confirmed"}: 3},
		Confirm:  stats.NewHistogram(0.1),
		Streams:  1,
	}}
}

func TestCollector(t *testing.T) {
	c := New(Build{Version: "1.2.3", Go: "go1"}, func() (Snapshot, bool) { return snapshot(), true })
	want := `
# HELP opcredsd_case_handshakes_total CASE handshakes by result, and whether a session was resumed.
# TYPE opcredsd_case_handshakes_total counter
opcredsd_case_handshakes_total{result="success",resumed="true"} 7
# HELP opcredsd_certificate_not_after_timestamp_seconds End of validity of the node's certificates, Unix time; no value for those without one.
# TYPE opcredsd_certificate_not_after_timestamp_seconds gauge
opcredsd_certificate_not_after_timestamp_seconds{fabric_index="1",kind="noc"} 1.7e+09
# HELP opcredsd_fabrics Number of fabrics that the node is a member of.
# TYPE opcredsd_fabrics gauge
opcredsd_fabrics 2
# HELP opcredsd_fabrics_max Number of fabrics that the node can be a member of.
# TYPE opcredsd_fabrics_max gauge
opcredsd_fabrics_max 16
# HELP opcredsd_last_heard_timestamp_seconds When something last came on a session with a node of a fabric, Unix time; no value for fabrics without sessions.
# TYPE opcredsd_last_heard_timestamp_seconds gauge
opcredsd_last_heard_timestamp_seconds{fabric_index="1"} 1.7000000015e+09
# HELP opcredsd_subscribers Nodes that are subscribed, by whether they can be reached.
# TYPE opcredsd_subscribers gauge
opcredsd_subscribers{reachable="false"} 1
opcredsd_subscribers{reachable="true"} 3
# HELP opcredsd_sessions Secure sessions by type.
# TYPE opcredsd_sessions gauge
opcredsd_sessions{type="case"} 3
opcredsd_sessions{type="pase"} 0
# HELP opcredsd_subscriptions Active subscriptions.
# TYPE opcredsd_subscriptions gauge
opcredsd_subscriptions 5
# HELP opcredsd_subscriptions_interrupted Subscriptions whose subscriber cannot be reached. They are resumed when it can.
# TYPE opcredsd_subscriptions_interrupted gauge
opcredsd_subscriptions_interrupted 2
# HELP opcredsd_store_commit_duration_seconds Time taken by commits to the store.
# TYPE opcredsd_store_commit_duration_seconds histogram
opcredsd_store_commit_duration_seconds_bucket{le="0.001"} 2
opcredsd_store_commit_duration_seconds_bucket{le="0.01"} 3
opcredsd_store_commit_duration_seconds_bucket{le="+Inf"} 4
opcredsd_store_commit_duration_seconds_sum 1.0065
opcredsd_store_commit_duration_seconds_count 4
`
	err := testutil.CollectAndCompare(c, strings.NewReader(want),
		"opcredsd_case_handshakes_total", "opcredsd_certificate_not_after_timestamp_seconds", "opcredsd_fabrics", "opcredsd_fabrics_max", "opcredsd_sessions", "opcredsd_last_heard_timestamp_seconds", "opcredsd_subscribers", "opcredsd_subscriptions", "opcredsd_subscriptions_interrupted", "opcredsd_store_commit_duration_seconds")
	if err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) != 0 {
		t.Error(problems, err)
	}
}

// If a node does not answer, the scrape must fail and not show zeros.
func TestNoSnapshot(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(New(Build{Version: "1", Go: "go1"}, func() (Snapshot, bool) { return Snapshot{}, false }))
	if _, err := r.Gather(); err == nil {
		t.Error("Gather succeeded")
	}
}
