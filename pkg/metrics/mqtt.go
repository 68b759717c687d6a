package metrics

import "github.com/prometheus/client_golang/prometheus"

// MQTT is the state of the connection to an MQTT broker.
type MQTT struct {
	Connected      bool
	Received, Sent uint64
	Errors         map[string]uint64 // by reasons out of a fixed set
}

// mqttCollector is a prometheus.Collector over snapshots of the connection.
type mqttCollector struct{ snapshot func() MQTT }

// NewMQTT returns a collector that calls snapshot at each scrape.
func NewMQTT(snapshot func() MQTT) prometheus.Collector { return mqttCollector{snapshot} }

var (
	mqttConnected = desc("mqtt_connected", "1 while the MQTT broker is connected.")
	mqttMessages  = desc("mqtt_messages_total", "MQTT messages by direction.", "direction")
	mqttErrors    = desc("mqtt_errors_total", "Errors of the connection to the MQTT broker, by reason.", "reason")
)

// Describe sends the descriptions of the metrics.
func (c mqttCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mqttConnected, mqttMessages, mqttErrors} {
		ch <- d
	}
}

// Collect sends the metrics of one snapshot.
func (c mqttCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	ch <- prometheus.MustNewConstMetric(mqttConnected, prometheus.GaugeValue, truth(s.Connected))
	ch <- prometheus.MustNewConstMetric(mqttMessages, prometheus.CounterValue, float64(s.Received), "received")
	ch <- prometheus.MustNewConstMetric(mqttMessages, prometheus.CounterValue, float64(s.Sent), "sent")
	for reason, n := range s.Errors {
		ch <- prometheus.MustNewConstMetric(mqttErrors, prometheus.CounterValue, float64(n), reason)
	}
}
