//go:build packaging

package packaging

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/securechannel"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/stats"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// everything returns the metrics of a node on which everything has happened n
// times.
func everything(n uint64) metrics.Snapshot {
	s := metrics.Snapshot{LastBackup: time.Now(), MemoryLimit: 256 << 20, MDNS: mdns.Status{
		Interfaces: []mdns.InterfaceStatus{{Name: "eth0", Found: true}}, Stats: mdns.Stats{Received: n, Sent: n, Dropped: n, Conflicts: n},
	}, Snapshot: node.Snapshot{
		Fabrics: fabrics(), Window: node.WindowState{Open: true}, FailSafe: node.FailSafeState{Armed: true}, FailSafeExpirations: n,
		PASESessions: 1, CASESessions: 3, Subscriptions: 2, Exchanges: 1,
		PASE: stats.Counters[string]{}, PASEFailures: n,
		CASE:         stats.Counters[node.CASEKey]{},
		CASEDuration: durations(n),
		Received:     n, Sent: n, Dropped: stats.Counters[string]{}, Retransmissions: n, Timeouts: n, Duplicates: n, Acknowledgements: n,
		Requests:        stats.Counters[node.RequestKey]{},
		RequestDuration: map[string]stats.Histogram{},
		Commands:        stats.Counters[node.CommandKey]{{Command: "AddNOC", Status: "OK"}: n},
		Commit:          durations(n),
	}, Bridge: &bridge.Stats{
		Devices:  map[bridge.DeviceKey]int{{Source: "api", Reachable: true}: 2, {Source: "api"}: 1},
		Parts:    map[string]int{"on_off_light": 2},
		Ignored:  map[bridge.IgnoredKey]int{{Source: "z2m"}: 3},
		Updates:  stats.Counters[string]{"api": n},
		Commands: stats.Counters[bridge.CommandKey]{{Source: "api", Result: "confirmed"}: n},
		Confirm:  durations(n),
		Streams:  1,
	}}
	for _, r := range securechannel.Results(session.PASE) {
		s.PASE[r.String()] = n
	}
	for _, r := range securechannel.Results(session.CASE) {
		s.CASE[node.CASEKey{Result: r.String()}] = n
		s.CASE[node.CASEKey{Result: r.String(), Resumed: true}] = n
	}
	for _, r := range session.DropReasons() {
		s.Dropped[r.String()] = n
	}
	for a := im.ActionRead; a <= im.ActionOther; a++ {
		s.Requests[node.RequestKey{Action: a.String(), Status: matter.StatusSuccess.String()}] = n
		s.RequestDuration[a.String()] = durations(n)
	}
	for _, kind := range []string{"noc", "icac", "rcac"} {
		s.Certificates = append(s.Certificates, node.Certificate{Kind: kind, Fabric: 1, NotAfter: time.Now().Add(24 * time.Hour)})
	}
	return s
}

func fabrics() (list []node.FabricState) {
	for i := range matter.FabricIndex(2) {
		list = append(list, node.FabricState{Fabric: &fabric.Fabric{Fabric: store.Fabric{Index: i + 1}}, LastHeard: time.Now()})
	}
	return list
}

func durations(n uint64) stats.Histogram {
	h := stats.NewHistogram(.001, .01, .1, 1)
	for range n {
		h.Observe(20 * time.Millisecond)
	}
	return h
}

// exposition serves metrics whose counters grow with each scrape.
func exposition(t *testing.T) *httptest.Server {
	t.Helper()
	var n atomic.Uint64
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		metrics.NewProcess(time.Now()),
		metrics.New(metrics.Build{Version: "1.2.3", Go: "go1.26"}, func() (metrics.Snapshot, bool) { return everything(n.Add(3)), true }),
	)
	reg.MustRegister(metrics.NewReload().Collectors()...)
	reg.MustRegister(metrics.NewMQTT(func() metrics.MQTT {
		return metrics.MQTT{Connected: true, Received: n.Load(), Sent: n.Load(), Errors: map[string]uint64{"json": n.Load()}}
	}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// lint checks an exposition with promtool check metrics.
func lint(t *testing.T, exposition string) {
	t.Helper()
	promtool := need(t, "promtool", "prometheus")
	file := t.TempDir() + "/metrics"
	write(t, file, exposition, 0o644)
	if out, code := try(t, "/bin/sh", "-c", `"$0" check metrics <"$1"`, promtool, file); code != 0 || strings.TrimSpace(out) != "" {
		t.Errorf("promtool check metrics: exit status %d\n%s", code, out)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	b, code, err := fetch(url)
	if err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, code, err)
	}
	return b
}

func TestMetricsLint(t *testing.T) { lint(t, get(t, exposition(t).URL+"/metrics")) }
