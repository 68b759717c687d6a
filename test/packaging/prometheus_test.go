//go:build packaging

package packaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

const (
	prometheusURL = "http://127.0.0.1:9090"
	daemonURL     = "http://127.0.0.1:9540"
)

// fetch returns the body and the status code of a page.
func fetch(url string) (string, int, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.StatusCode, err
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, within time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// start runs a program until the test ends. It returns the program and its output.
func start(t *testing.T, name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root(t)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // the test ends it, so only its output matters
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), out)
		}
	})
	return cmd, out
}

// runPrometheus runs a real Prometheus with a configuration file.
func runPrometheus(t *testing.T, config string) {
	t.Helper()
	start(t, need(t, "prometheus", "prometheus"), "--config.file="+config,
		"--storage.tsdb.path="+t.TempDir(), "--web.listen-address=127.0.0.1:9090")
	eventually(t, "Prometheus is ready", 30*time.Second, func() bool {
		_, code, err := fetch(prometheusURL + "/-/ready")
		return err == nil && code == http.StatusOK
	})
}

// series is one result of a query.
type series struct {
	Metric map[string]string
	Value  [2]any
}

func query(t *testing.T, expr string) ([]series, error) {
	t.Helper()
	body, _, err := fetch(prometheusURL + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, fmt.Errorf("%w: %s", err, body)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s", answer.Error)
	}
	return answer.Data.Result, nil
}

// TestDashboard checks that every query of the dashboard has a result, and that
// every metric of the daemon is in a query.
func TestDashboard(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	shown := exposition(t)
	config := strings.NewReplacer(
		"127.0.0.1:9540", strings.TrimPrefix(shown.URL, "http://"),
		"15s", "1s",
		"alerts.yaml", filepath.Join(root(t), "deploy/prometheus/alerts.yaml"),
	).Replace(read(t, "../../deploy/prometheus/prometheus.yml"))
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	write(t, file, config, 0o644)
	runPrometheus(t, file)
	eventually(t, "four scrapes", 30*time.Second, func() bool {
		r, err := query(t, `count_over_time(up{job="opcredsd"}[1m]) >= 4`)
		return err == nil && len(r) == 1
	})

	queries := dashboardQueries(t)
	var all strings.Builder
	for _, q := range queries {
		all.WriteString(q.expr + "\n")
		expr := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*").Replace(q.expr)
		result, err := query(t, expr)
		switch {
		case err != nil:
			t.Errorf("%s: %s: %v", q.panel, expr, err)
		case len(result) == 0 && !q.mayBeEmpty:
			t.Errorf("%s: %s: no result", q.panel, expr)
		}
		for _, label := range q.labels {
			if len(result) > 0 && result[0].Metric[label] == "" {
				t.Errorf("%s: the legend shows {{%s}}, which the result of %s does not have: %v", q.panel, label, expr, result[0].Metric)
			}
		}
	}
	for _, name := range metricNames(t, get(t, shown.URL+"/metrics")) {
		if !regexp.MustCompile(`\b` + name + `(_bucket|_count|_sum)?\b`).MatchString(all.String()) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

var typeLine = regexp.MustCompile(`(?m)^# TYPE (opcredsd_\w+) \w+$`)

// metricNames returns the names of the daemon's own metrics in an exposition.
func metricNames(t *testing.T, exposition string) []string {
	t.Helper()
	var names []string
	for _, m := range typeLine.FindAllStringSubmatch(exposition, -1) {
		names = append(names, m[1])
	}
	if len(names) < 20 {
		t.Fatalf("only %d metrics", len(names))
	}
	return names
}

// TestMetricsDocumented checks that the documentation names every metric, and no
// other.
func TestMetricsDocumented(t *testing.T) {
	names := metricNames(t, get(t, exposition(t).URL+"/metrics"))
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(opcredsd_\\w+)").FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(names)
	slices.Sort(documented)
	if !slices.Equal(names, documented) {
		t.Errorf("docs/metrics.md has\n%q, there are\n%q", documented, names)
	}
}

// A real daemon, scraped as shipped by a real Prometheus.
func TestScrape(t *testing.T) {
	arch, _ := native(t)
	distFor(t, arch) // once, not in the namespaces again
	if !netlab.Isolated(t) {
		return
	}
	netlab.New(t).Join("eth0")
	binary := filepath.Join(unpack(t, arch), "opcredsd")
	start(t, binary, "run", "--state-dir", filepath.Join(t.TempDir(), "state"), "--show-codes", "never")
	runPrometheus(t, filepath.Join(root(t), "deploy/prometheus/prometheus.yml"))
	eventually(t, "the daemon is ready", 30*time.Second, func() bool {
		_, code, err := fetch(daemonURL + "/readyz")
		return err == nil && code == http.StatusOK
	})
	lint(t, get(t, daemonURL+"/metrics"))
	eventually(t, "a scrape", time.Minute, func() bool {
		r, err := query(t, `up{job="opcredsd"} == 1`)
		return err == nil && len(r) == 1
	})
	for _, expr := range []string{
		"opcredsd_build_info == 1", "opcredsd_fabrics == 0", "opcredsd_commissioning_window_open == 1",
		"opcredsd_failsafe_armed == 0", "opcredsd_failsafe_expirations_total == 0", "opcredsd_discoverable",
		`opcredsd_sessions{type="case"} == 0`, `opcredsd_sessions{type="pase"} == 0`, "opcredsd_subscriptions == 0",
		"opcredsd_exchanges", "opcredsd_pase_failures_total == 0", "opcredsd_datagrams_received_total",
		"opcredsd_datagrams_sent_total", "opcredsd_mrp_retransmissions_total",
		`opcredsd_pase_handshakes_total{result="success"} == 0`,
		`opcredsd_case_handshakes_total{result="success", resumed="false"} == 0`,
		`opcredsd_datagrams_dropped_total{reason="authentication"} == 0`,
		"opcredsd_case_handshake_duration_seconds_count == 0",
		"opcredsd_store_commit_duration_seconds_count > 0",
		`opcredsd_subscribers{reachable="true"} == 0`, `opcredsd_bridge_devices{source="api", reachable="true"} == 0`,
		`opcredsd_bridge_parts{type="on_off_light"} == 0`, `opcredsd_bridge_ignored{source="api"} == 0`, `opcredsd_bridge_updates_total{source="api"} == 0`,
		`opcredsd_bridge_commands_total{source="api", result="reverted"} == 0`, "opcredsd_bridge_command_confirm_seconds_count == 0", "opcredsd_bridge_streams == 0",
		"go_goroutines", "process_start_time_seconds", "process_resident_memory_bytes",
	} {
		if r, err := query(t, expr); err != nil || len(r) == 0 {
			t.Errorf("%s: %v, %v", expr, r, err)
		}
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, prometheusURL+"/api/v1/rules")), &rules); err != nil {
		t.Fatal(err)
	}
	if len(rules.Data.Groups) != 1 || len(rules.Data.Groups[0].Rules) != len(alerts(t)) {
		t.Errorf("Prometheus has the rules %+v", rules.Data.Groups)
	}
}
