package metrics

import "github.com/prometheus/client_golang/prometheus"

// Reload has metrics of the last reading of the configuration, as Prometheus and
// Alertmanager have.
type Reload struct{ successful, successTime prometheus.Gauge }

// NewReload returns a Reload for a configuration that was just applied.
func NewReload() *Reload {
	r := &Reload{
		prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "opcredsd_config_last_reload_successful", Help: "1 if the last attempt to read the configuration succeeded.",
		}),
		prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "opcredsd_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last read successfully, Unix time.",
		}),
	}
	r.Read(nil)
	return r
}

// Read records the outcome of reading the configuration.
func (r *Reload) Read(err error) {
	if err != nil {
		r.successful.Set(0)
		return
	}
	r.successful.Set(1)
	r.successTime.SetToCurrentTime()
}

// Collectors returns the metrics.
func (r *Reload) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.successful, r.successTime}
}
