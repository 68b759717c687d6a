package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile = "deploy/prometheus/alerts.yaml"
	recorded   = "test/packaging/testdata/recorded.yaml"
)

// recording is a file of test data.
type recording struct {
	Interval string   `yaml:"interval"`
	Series   []series `yaml:"input_series"`
}

type series struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

const head = `# What real daemons showed at /metrics while something happened to them, in the notation
# of "promtool test rules". test/record recorded it, and made this file of it: each
# instance is one of its plays. Times are counted from the beginning of the recording;
# counters that stayed at 0 are left out.
`

// convertAll writes the test data of the metrics that alerts use.
func convertAll(raw string) error {
	names, err := usedMetrics()
	if err != nil {
		return err
	}
	r := recording{Interval: interval.String()}
	for _, p := range plays {
		list, err := readRaw(filepath.Join(raw, p.name+".metrics"), p.name, names)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.Series = append(r.Series, list...)
	}
	b, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(recorded, append([]byte(head), b...), 0o644)
}

// usedMetrics returns the names of the metrics in the expressions of the alerts.
func usedMetrics() (map[string]bool, error) {
	b, err := os.ReadFile(alertsFile)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			for _, name := range regexp.MustCompile(`\b(opcredsd|process)_\w+`).FindAllString(r.Expr, -1) {
				names[name] = true
			}
		}
	}
	return names, nil
}

var sample = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)$`)

// readRaw reads the scrapes of one gateway.
func readRaw(path, gateway string, names map[string]bool) ([]series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	up := id("up", gateway, "")
	all := map[string][]string{up: {"_"}} // by series; the first scrape is one interval after the beginning
	var begun float64
	scrape := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, "## begun "); ok {
			if begun, err = strconv.ParseFloat(text, 64); err != nil {
				return nil, err
			}
		}
		if strings.HasPrefix(line, "## scrape ") {
			scrape++
			all[up] = append(all[up], "0") // unless there is another scrape
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		all[up][scrape] = "1"
		if !names[m[1]] {
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(m[1], "_timestamp_seconds") || m[1] == "process_start_time_seconds" {
			v -= begun
		}
		name := id(m[1], gateway, m[2])
		all[name] = append(pad(all[name], scrape), strconv.FormatFloat(v, 'f', -1, 64))
	}
	var list []series
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values := pad(all[name], scrape+1)
		if regexp.MustCompile(`^\w+_(total|bucket)\{`).MatchString(name) && !slices.ContainsFunc(values, counted) {
			continue // never counted
		}
		list = append(list, series{name, short(values)})
	}
	return list, lines.Err()
}

// counted reports whether a counter has a value.
func counted(v string) bool { return v != "0" && v != "_" && v != "stale" }

func id(name, gateway, labels string) string {
	if labels != "" {
		labels = "," + labels
	}
	return fmt.Sprintf(`%s{job="opcredsd",instance=%q%s}`, name, gateway, labels)
}

// pad extends a series to n values. A series that has ended gets one stale value.
func pad(values []string, n int) []string {
	for len(values) < n {
		if len(values) > 0 && values[len(values)-1] != "_" && values[len(values)-1] != "stale" {
			values = append(values, "stale")
		} else {
			values = append(values, "_")
		}
	}
	return values
}

// short returns a series in promtool's notation, in which 5x3 is 5 5 5 5.
func short(values []string) string {
	var out []string
	for i := 0; i < len(values); {
		j := i
		for j < len(values) && values[j] == values[i] {
			j++
		}
		switch n := j - i; {
		case n == 1 || values[i] == "stale":
			out = append(out, values[i])
		case values[i] == "_":
			out = append(out, fmt.Sprintf("_x%d", n))
		default:
			out = append(out, fmt.Sprintf("%sx%d", values[i], n-1))
		}
		i = j
	}
	return strings.Join(out, " ")
}

// interval is the scrape interval of the shipped configuration.
const interval = 15 * time.Second
