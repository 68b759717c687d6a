package server_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/server"
)

// If a program's metric has the name of one of the node's, New returns an error and
// closes everything: the store can be opened again.
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

// New also rejects a metric that would only fail at the scrape: one with the node's
// or the runtime's name, whatever its labels and help.
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
