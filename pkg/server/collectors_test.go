package server_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/server"
)

// A program's metric with a name of the node's is an error of New, and leaves nothing
// behind: the store can be opened again.
func TestCollectorTwice(t *testing.T) {
	devices := prometheus.NewGauge(prometheus.GaugeOpts{Name: "bridge_devices", Help: "Devices."})
	opt := server.Options{
		StateDir: t.TempDir(), MetricsAddr: "127.0.0.1:0", AnyPort: true, Interfaces: []string{"lo"}, Announcer: &billboard{},
		Collectors: []prometheus.Collector{devices, devices},
	}
	if _, err := server.New(opt); err == nil || !strings.Contains(err.Error(), "collectors: ") {
		t.Fatalf("the same one twice: %v", err)
	}
	opt.Collectors = opt.Collectors[:1]
	srv, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Stop(); err != nil {
		t.Error(err)
	}
}

// Nor does a metric get past New that the scrape would fail for later: one of the node's
// own names, whatever its labels and help, or one of the runtime's.
func TestCollectorOfTheNodesNames(t *testing.T) {
	for _, c := range []prometheus.Collector{
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "opcredsd_fabrics", Help: "Fabrics."}),
		prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "opcredsd_sessions", Help: "Secure sessions by type."}, []string{"kind"}),
		prometheus.NewCounter(prometheus.CounterOpts{Name: "opcredsd_case_handshake_duration_seconds", Help: "Durations."}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_goroutines", Help: "Goroutines."}),
	} {
		srv, err := server.New(server.Options{
			StateDir: t.TempDir(), MetricsAddr: "127.0.0.1:0", AnyPort: true, Interfaces: []string{"lo"}, Announcer: &billboard{},
			Collectors: []prometheus.Collector{c},
		})
		if err == nil || !strings.Contains(err.Error(), "collectors: ") {
			t.Errorf("%v", err)
		}
		if srv != nil {
			_ = srv.Stop()
		}
	}
}
