package metrics

import "github.com/prometheus/client_golang/prometheus"

// Reload has metrics of the last time that a program has read its configuration, like those
// of Prometheus and Alertmanager.
type Reload struct{ successful, successTime prometheus.Gauge }

// NewReload returns a Reload of a configuration that was taken just now.
func NewReload() *Reload {
	r := &Reload{
		prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "opcredsd_config_last_reload_successful", Help: "1 if the configuration was taken when it was last read.",
		}),
		prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "opcredsd_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last read and taken, Unix time.",
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
