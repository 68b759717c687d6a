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
