package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The start time is the same at each scrape, whatever the clock does, and is there once.
func TestProcessStartsOnce(t *testing.T) {
	begun := time.Unix(1700000000, 250e6)
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewProcess(begun))
	for range 2 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		there := map[string][]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				there[f.GetName()] = append(there[f.GetName()], m.GetGauge().GetValue())
			}
		}
		if got := there["process_start_time_seconds"]; len(got) != 1 || got[0] != 1700000000.25 {
			t.Errorf("process_start_time_seconds: %v", got)
		}
		if len(there["process_resident_memory_bytes"]) != 1 {
			t.Errorf("process_resident_memory_bytes: %v", there["process_resident_memory_bytes"])
		}
	}
}
