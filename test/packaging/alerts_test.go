//go:build packaging

package packaging

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const alertsFile = "../../deploy/prometheus/alerts.yaml"

// alert is a rule in the shipped file.
type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func alertRules(t *testing.T) (rules []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// alerts returns the names of the shipped alerts.
func alerts(t *testing.T) (names []string) {
	t.Helper()
	for _, r := range alertRules(t) {
		names = append(names, r.Alert)
	}
	return names
}

// TestAlerts checks that every alert has a case in which it fires, and one in which
// it does not.
func TestAlerts(t *testing.T) {
	promtool := need(t, "promtool", "prometheus")
	run(t, promtool, "check", "config", "deploy/prometheus/prometheus.yml")
	run(t, promtool, "check", "config", "deploy/prometheus/fleet.yml")
	if out, code := try(t, promtool, "test", "rules", "test/packaging/alerts_test.yaml"); code != 0 {
		t.Errorf("promtool test rules:\n%s", out)
	}
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Series []any `yaml:"input_series"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts_test.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Fires) > 0 {
				fires[c.Alert] = true
			}
			// Several gateways of which some are not listed also count as a case
			// without an alert.
			if len(c.Fires) < len(test.Series) {
				silent[c.Alert] = true
			}
		}
	}
	for _, name := range alerts(t) {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: a case in which it fires: %v; one in which it is silent: %v", name, fires[name], silent[name])
		}
	}
}

// TestAlertsDocumented checks that docs/alerts.md has exactly one section for each
// alert, and that the alert links to it.
func TestAlertsDocumented(t *testing.T) {
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(read(t, "../../docs/alerts.md"), -1) {
		sections = append(sections, m[1])
	}
	if names := alerts(t); !slices.Equal(names, sections) {
		t.Errorf("docs/alerts.md has\n%q, there are\n%q", sections, names)
	}
	for _, r := range alertRules(t) {
		want := "https://github.com/opcredsd/opcredsd/blob/main/docs/alerts.md#" + strings.ToLower(r.Alert)
		if r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, not %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %q", r.Alert, r.Annotations)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
	}
}

// TestAlertsKubernetes checks that the rules for the Prometheus operator are the
// same.
func TestAlertsKubernetes(t *testing.T) {
	made := filepath.Join(t.TempDir(), "rule.yaml")
	run(t, "deploy/kubernetes/monitoring/update.sh", made)
	if read(t, made) != read(t, "../../deploy/kubernetes/monitoring/prometheusrule.yaml") {
		t.Error("deploy/kubernetes/monitoring/prometheusrule.yaml is not what update.sh makes of deploy/prometheus/alerts.yaml: run it")
	}
}
