//go:build packaging

package packaging

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// firing is an alert that a recorded gateway must have between two minutes of the recording.
// It is looked at every 2.5 minutes.
type firing struct {
	gateway, alert string
	from, to       float64
}

// recordedAlerts are all alerts of the recorded gateways: see the plays of test/record. At
// minute 15 something happens to most of those that are not well, and nothing is wrong with
// "well", "hub-off" and "upgraded"; "given-up" and "unplugged" were recorded for 25
// minutes.
var recordedAlerts = []firing{
	{"cut-off", "OpcredsdSubscribersUnreachable", 32.6, always},
	{"unsubscribed", "OpcredsdNoSubscriptions", 31, always},
	{"restarting", "OpcredsdRestarting", 34, always},
	{"removed", "OpcredsdFabricsGone", 25, always},
	{"crowded", "OpcredsdFabricsNearMaximum", 25.1, always},
	{"source-gone", "OpcredsdSourceGone", 26, always},
	{"reverted", "OpcredsdCommandsReverted", 19, always},
	{"broker-gone", "OpcredsdMQTTDisconnected", 25.1, 46},
	{"ignored", "OpcredsdIgnoredGrowing", 35.1, 46},
	{"flooded", "OpcredsdMQTTMessagesDropped", 16, 44},
	{"open", "OpcredsdWindowLeftOpen", 20.1, always},
	{"open", "OpcredsdBackupOld", 0, always},
	{"guessed", "OpcredsdPasscodeGuessing", 17.4, 32},
	{"guessed", "OpcredsdWindowLeftOpen", 20.1, always},
	{"stranger", "OpcredsdHandshakesFailing", 24, always},
	{"misconfigured", "OpcredsdConfigNotTaken", 20.1, 45.1},
	{"expiring", "OpcredsdCertificateExpiring", 0, always},
	{"expiring", "OpcredsdCertificateExpired", 0, always},
	{"given-up", "OpcredsdFailSafeExpiring", 12, always},
	{"given-up", "OpcredsdWindowLeftOpen", 20.1, 29},
	{"unplugged", "OpcredsdNotDiscoverable", 8.5, 12},
	{"unplugged", "OpcredsdDown", 22.3, 29},
	{"cut-off", "OpcredsdMemoryNearMaximum", 10.1, always},
}

const (
	recordedMinutes = 60
	always          = recordedMinutes + 1
	recordedStep    = 2.5
)

// memoryLimits are what units with these MemoryMax= would show beside the recorded memory.
var memoryLimits = map[string]int{"well": 256 << 20, "cut-off": 16 << 20}

// With the metrics that real daemons showed over an hour, exactly the right alerts fire, and
// at the right time.
func TestAlertsRecorded(t *testing.T) {
	promtool := need(t, "promtool", "prometheus")
	type sample struct {
		Labels string `yaml:"labels"`
		Value  int    `yaml:"value"`
	}
	type query struct {
		Expr    string   `yaml:"expr"`
		At      string   `yaml:"eval_time"`
		Samples []sample `yaml:"exp_samples"`
	}
	var data map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "testdata/recorded.yaml")), &data); err != nil {
		t.Fatal(err)
	}
	series := data["input_series"].([]any)
	for gateway, limit := range memoryLimits {
		series = append(series, map[string]any{
			"series": fmt.Sprintf("opcredsd_memory_limit_bytes{job=%q,instance=%q}", "opcredsd", gateway),
			"values": fmt.Sprintf("%dx%d", limit, recordedMinutes*4),
		})
	}
	var queries []query
	for at := 5.0; at <= recordedMinutes; at += recordedStep {
		q := query{Expr: `group by (instance, alertname) (ALERTS{alertstate="firing"})`, At: fmt.Sprintf("%ds", int(at*60))}
		for _, f := range recordedAlerts {
			if f.from <= at && at < f.to {
				q.Samples = append(q.Samples, sample{fmt.Sprintf("{alertname=%q, instance=%q}", f.alert, f.gateway), 1})
			}
		}
		queries = append(queries, q)
	}
	file, err := yaml.Marshal(map[string]any{
		"rule_files":          []string{filepath.Join(root(t), "deploy/prometheus/alerts.yaml")},
		"evaluation_interval": data["interval"],
		"tests":               []any{map[string]any{"interval": data["interval"], "input_series": series, "promql_expr_test": queries}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "recorded.yaml")
	write(t, path, string(file), 0o644)
	if out, code := try(t, promtool, "test", "rules", path); code != 0 {
		t.Errorf("promtool test rules:\n%s", out)
	}
	fires := map[string]bool{}
	for _, f := range recordedAlerts {
		fires[f.alert] = true
		if !slices.ContainsFunc(series, func(s any) bool { return strings.Contains(fmt.Sprint(s), fmt.Sprintf("instance=%q", f.gateway)) }) {
			t.Errorf("%+v: no such gateway", f)
		}
	}
	for _, name := range alerts(t) {
		// No disk was slow enough.
		if !fires[name] && name != "OpcredsdStoreSlow" {
			t.Errorf("%s fires on no recorded gateway", name)
		}
		delete(fires, name)
	}
	if len(fires) > 0 {
		t.Errorf("no such alerts: %v", fires)
	}
}
